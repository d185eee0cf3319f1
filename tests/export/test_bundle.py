"""A bundle on disk: all of it or nothing, with sums that other tools can check."""

import json
import subprocess

import pytest

from aeroact import zoo
from aeroact.export import bundle
from aeroact.files import sha256
from tests.export import small_emulator


@pytest.fixture(scope="module")
def card(data):
    return small_emulator.make_card(data)


def test_it_can_be_loaded_and_its_sums_checked(data, tmp_path):
    folder = tmp_path / "small"
    small_emulator.write_bundle(folder, data)
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=True)
    emulator = zoo.load(folder)
    assert emulator.predict(small_emulator.STATES[:5]).shape == (5, 4)
    assert emulator.card["name"] == "small"


def test_the_card_holds_the_sums_of_the_other_files(card, tmp_path):
    extra = {"fn.png": lambda path: path.write_bytes(b"drawn")}
    bundle.write(tmp_path / "b", small_emulator.onnx_of(card), card, extra)
    files = json.loads((tmp_path / "b" / "card.json").read_text())["files"]
    assert files == {name: sha256(tmp_path / "b" / name) for name in ("emulator.onnx", "fn.png")}
    assert "files" not in card  # what was given is not changed


def test_only_figures_that_are_there_are_shown(card):
    text = bundle.render({**card, "files": {"cost.png": "0"}})
    assert "](cost.png)" in text
    assert "](fn.png)" not in text


def test_what_fails_half_way_leaves_the_old_bundle(card, tmp_path):
    def fail(path):
        path.write_text("half")
        raise RuntimeError("no more")

    folder = tmp_path / "b"
    bundle.write(folder, b"old", card, {})
    with pytest.raises(RuntimeError):
        bundle.write(folder, b"new", card, {"weights.nc": fail})
    assert (folder / "emulator.onnx").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_nan_cannot_get_into_the_card(card, tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        bundle.write(tmp_path / "b", b"", {**card, "more": float("nan")}, {})
    assert not list(tmp_path.iterdir())


def test_the_same_content_gives_the_same_files(card, tmp_path):
    for name in ("a", "b"):
        bundle.write(tmp_path / name, small_emulator.onnx_of(card), card, {})
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["CARD.md", "SHA256SUMS", "card.json", "emulator.onnx"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
