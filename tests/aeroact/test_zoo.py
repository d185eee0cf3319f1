"""An emulator is found by its name, in one zoo and no other, and is the one of that zoo's index."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aeroact
from aeroact import zoo
from aeroact.errors import AeroactError
from aeroact.files import sha256
from tests import disks, small_bundle
from tests.small_bundle import flip_a_bit, sign

SUM = "0" * 64


@pytest.fixture(autouse=True)
def _no_zoo_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AEROACT_ZOO", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two bundles, without an index."""
    path = tmp_path / "bundles"
    for name in ("mam4-light", "mam4-best"):
        small_bundle.write(path / name)
    return path


@pytest.fixture
def indexed(folder: Path) -> Path:
    zoo.write_index(folder)
    return folder


def entry(**changes: Any) -> dict[str, Any]:
    """What an index says of an emulator that nobody made."""
    record: dict[str, Any] = {
        "name": "a",
        "sums_sha256": SUM,
        "files": {"emulator.onnx": SUM, "card.json": SUM},
        "bytes": 1000,
        "nodes": [8, 4],
        "params": 200,
        "mse": 1e-6,
        "multiple_of_arg2000": 0.9,
        "timed_in": "Fortran",
        "schema_version": "1",
    }
    return {**record, **changes}


def write_entries(folder: Path, *records: Any, version: object = "1") -> Path:
    file = folder / "index.json"
    file.write_text(json.dumps({"index_version": version, "emulators": records}))
    return file


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# Names


def test_a_name_is_an_emulator_of_the_zoo(indexed: Path) -> None:
    emulator = aeroact.load("mam4-light", zoo=indexed)
    assert emulator.card["name"] == "mam4-light"
    assert emulator.predict(np.ones((2, 16))).shape == (2, 4)


@pytest.mark.parametrize("form", [str, Path])
def test_a_zoo_may_be_named_by_text_or_path(form: type, folder: Path) -> None:
    assert aeroact.load("mam4-best", zoo=form(folder)).card["name"] == "mam4-best"


def test_the_environment_names_the_zoo(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROACT_ZOO", str(folder))
    assert aeroact.load("mam4-light").card["name"] == "mam4-light"


def test_an_argument_wins_over_the_environment_and_the_name_is_sought_nowhere_else(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_bundle.write(tmp_path / "other" / "elsewhere")
    monkeypatch.setenv("AEROACT_ZOO", str(folder))
    assert aeroact.load("elsewhere", zoo="other").card["name"] == "elsewhere"
    with pytest.raises(AeroactError, match="mam4-light: neither an emulator of other, which has"):
        aeroact.load("mam4-light", zoo="other")


def test_without_a_word_it_is_the_packages_own(
    indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo, "PACKAGED", indexed)
    monkeypatch.setenv("AEROACT_ZOO", "")
    assert aeroact.load("mam4-light").card["name"] == "mam4-light"
    assert zoo.open_zoo().where == "the zoo of this package"


def test_every_emulator_of_the_package_is_the_one_of_its_index() -> None:
    packaged = zoo.FolderZoo(zoo.PACKAGED)
    assert (zoo.PACKAGED / "index.json").is_file()
    assert [e.name for e in packaged.entries()] == packaged.names()
    there = {path.name for path in zoo.PACKAGED.iterdir() if path.is_dir()}
    assert there == set(packaged.names())
    for name in packaged.names():
        aeroact.load(name, zoo=zoo.PACKAGED)


def test_a_path_is_a_folder_whatever_the_zoo_has(indexed: Path, tmp_path: Path) -> None:
    mine = small_bundle.write(tmp_path / "mam4-light", holdout={"mse": 0.125})
    for named in (mine, str(mine), Path("mam4-light"), "./mam4-light"):
        assert aeroact.load(named, zoo=indexed).card["holdout"]["mse"] == 0.125
    assert aeroact.load("mam4-light", zoo=indexed).card["holdout"]["mse"] == 0.25


def test_a_bare_name_that_the_zoo_does_not_have_is_a_folder_here(
    indexed: Path, tmp_path: Path
) -> None:
    small_bundle.write(tmp_path / "mine")
    assert aeroact.load("mine", zoo=indexed).card["name"] == "mine"


@pytest.mark.parametrize("wrong", ["mam4-ligth", "mam4_light", "am4-light"])
def test_a_misspelt_name_is_answered_with_the_right_one(wrong: str, indexed: Path) -> None:
    with pytest.raises(AeroactError) as caught:
        aeroact.load(wrong, zoo=indexed)
    assert str(caught.value) == (
        f"{wrong}: neither an emulator of {indexed}, which has mam4-best, mam4-light, nor a "
        "folder here; did you mean mam4-light?"
    )


@pytest.mark.parametrize("wrong", ["", "nothing like it", ".", "..", "index.json"])
def test_what_is_no_name_is_one_clear_error(wrong: str, indexed: Path) -> None:
    with pytest.raises(AeroactError, match=r"neither an emulator of|not an emulator bundle"):
        aeroact.load(wrong, zoo=indexed)


@pytest.mark.parametrize("where", ["missing", "file", ""])
def test_a_zoo_that_is_none_is_named(where: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AeroactError, match=rf"{where}: no zoo is here|the zoo has no name"):
        aeroact.load("mam4-light", zoo=where)


# The index


def test_an_index_says_what_the_cards_say(folder: Path) -> None:
    timed = {"multiple_of_arg2000": 9.0, "fortran": {"fastest": {"multiple_of_arg2000": 0.75}}}
    small_bundle.write(folder / "compiled", cost=timed, network={"nodes": [8, 4], "params": 200})
    (folder / "notes").mkdir()
    (folder / "README").touch()
    entries = {e.name: e for e in zoo.write_index(folder)}
    assert list(entries) == ["compiled", "mam4-best", "mam4-light"]
    compiled, light = entries["compiled"], entries["mam4-light"]
    assert (compiled.nodes, compiled.params, compiled.mse) == ([8, 4], 200, 0.25)
    assert (compiled.multiple_of_arg2000, compiled.timed_in) == (0.75, "Fortran")
    assert (light.multiple_of_arg2000, light.timed_in) == (1.25, "Python")
    assert light.files == {
        name: sha256(folder / "mam4-light" / name)
        for name in ("CARD.md", "card.json", "emulator.onnx")
    }
    assert light.sums_sha256 == sha256(folder / "mam4-light" / "SHA256SUMS")
    assert light.bytes == sum(p.stat().st_size for p in (folder / "mam4-light").iterdir())
    assert zoo.FolderZoo(folder).entries() == list(entries.values())


def test_without_an_index_the_list_is_that_of_the_bundles(folder: Path) -> None:
    listed = zoo.FolderZoo(folder).entries()
    assert listed == zoo.write_index(folder)


def test_the_same_bundles_give_the_same_index(indexed: Path) -> None:
    before = (indexed / "index.json").read_bytes()
    zoo.write_index(indexed)
    assert (indexed / "index.json").read_bytes() == before


def test_a_bundle_that_is_not_in_the_index_is_not_of_the_zoo(indexed: Path) -> None:
    small_bundle.write(indexed / "newcomer")
    with pytest.raises(AeroactError, match="newcomer: neither"):
        aeroact.load("newcomer", zoo=indexed)


@pytest.mark.parametrize("name", ["emulator.onnx", "card.json", "CARD.md", "SHA256SUMS"])
@pytest.mark.parametrize("harm", [Path.unlink, flip_a_bit], ids=["missing", "changed"])
def test_a_file_that_is_not_the_one_of_the_index_is_named(
    name: str, harm: Any, indexed: Path
) -> None:
    harm(indexed / "mam4-light" / name)
    with pytest.raises(
        AeroactError, match=rf"mam4-light: not the bundle .* missing or changed: {name}$"
    ):
        aeroact.load("mam4-light", zoo=indexed)
    aeroact.load("mam4-best", zoo=indexed)


def test_renewed_sums_do_not_hide_a_change_from_the_index(indexed: Path) -> None:
    bundle = indexed / "mam4-light"
    (bundle / "emulator.onnx").write_bytes(small_bundle.network(activation="Softplus"))
    sign(bundle)
    aeroact.load(bundle)  # vouches for itself
    with pytest.raises(AeroactError, match=r"changed: emulator.onnx, SHA256SUMS$"):
        aeroact.load("mam4-light", zoo=indexed)


def test_without_an_index_the_bundles_own_sums_count(folder: Path) -> None:
    flip_a_bit(folder / "mam4-light" / "emulator.onnx")
    with pytest.raises(AeroactError, match=r"changed since its release: emulator.onnx"):
        aeroact.load("mam4-light", zoo=folder)


def test_sums_that_the_index_does_not_share_are_refused(indexed: Path) -> None:
    """An index that vouches for fewer files than the bundle's own sums."""
    index = json.loads((indexed / "index.json").read_text())
    del index["emulators"][1]["files"]["CARD.md"]
    (indexed / "index.json").write_text(json.dumps(index))
    flip_a_bit(indexed / "mam4-light" / "CARD.md")
    with pytest.raises(AeroactError, match=r"CARD\.md"):
        aeroact.load("mam4-light", zoo=indexed)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"1", b"\xff\xfe", b"[" * 100_000, b"{}"])
def test_an_index_that_is_none_is_named(content: bytes, indexed: Path) -> None:
    (indexed / "index.json").write_bytes(content)
    with pytest.raises(AeroactError, match=r"index\.json: not the index of a zoo \("):
        aeroact.load("mam4-light", zoo=indexed)


@pytest.mark.parametrize("version", ["2", 1, None])
def test_an_index_of_another_version_is_refused(version: object, folder: Path) -> None:
    write_entries(folder, entry(), version=version)
    with pytest.raises(AeroactError, match=rf"index version {version!r}; this aeroact reads 1"):
        zoo.FolderZoo(folder).names()


FILES = entry()["files"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "../a"},
        {"name": "a/b"},
        {"name": "/etc"},
        {"name": ".."},
        {"name": ".hidden"},
        {"name": ""},
        {"name": "a b"},
        {"name": "a\n"},
        {"name": "ä"},
        {"name": "a" * 101},
        {"name": 7},
        {"sums_sha256": "abc"},
        {"sums_sha256": None},
        {"files": []},
        {"files": {}},
        {"files": {"emulator.onnx": SUM}},
        {"files": {**FILES, "../../evil": SUM}},
        {"files": {**FILES, "sub/evil": SUM}},
        {"files": {**FILES, "/evil": SUM}},
        {"files": {**FILES, ".evil": SUM}},
        {"files": {**FILES, "CARD.md": "not a sum"}},
        {"files": {**FILES, "SHA256SUMS": SUM}},
        {"bytes": -1},
        {"bytes": 1 << 40},
        {"bytes": 1.5},
        {"bytes": True},
        {"nodes": "8"},
        {"nodes": [8, "4"]},
        {"params": None},
        {"mse": float("nan")},
        {"mse": -1},
        {"mse": "1e-6"},
        {"multiple_of_arg2000": True},
        {"timed_in": "C"},
        {"schema_version": 1},
    ],
    ids=repr,
)
def test_an_entry_that_makes_no_sense_is_refused_by_field(
    wrong: dict[str, Any], folder: Path
) -> None:
    write_entries(folder, entry(**wrong))
    (field,) = wrong
    with pytest.raises(AeroactError, match=rf"index\.json: not the index of a zoo \({field} is"):
        zoo.FolderZoo(folder).names()


@pytest.mark.parametrize("field", list(entry()))
def test_an_entry_that_lacks_something_is_refused(field: str, folder: Path) -> None:
    record = entry()
    del record[field]
    write_entries(folder, record)
    with pytest.raises(AeroactError, match=f"'{field}' is missing"):
        zoo.FolderZoo(folder).names()


def test_an_index_may_say_more_than_we_read(folder: Path) -> None:
    write_entries(folder, entry(colour="red"))
    assert zoo.FolderZoo(folder).names() == ["a"]


def test_a_name_that_is_there_twice_is_refused(folder: Path) -> None:
    write_entries(folder, entry(), entry())
    with pytest.raises(AeroactError, match="twice"):
        zoo.FolderZoo(folder).names()


@pytest.mark.parametrize(
    ("changes", "lacks"),
    [
        ({"holdout": {}}, "holdout.mse is missing"),
        ({"holdout": {"mse": None}}, "mse is None"),
        ({"network": {"nodes": [4]}}, "network.params is missing"),
        ({"cost": {}}, "cost.multiple_of_arg2000 is missing"),
        ({"cost": []}, "no index can list it"),
        ({"cost": {"fortran": {"fastest": {}}}}, "cost.fortran.fastest.multiple_of_arg2000"),
        ({"schema_version": 1}, "schema_version is 1"),
    ],
    ids=str,
)
def test_a_card_that_lacks_what_an_index_says_is_named_and_no_index_is_written(
    changes: dict[str, Any], lacks: str, folder: Path
) -> None:
    small_bundle.write(folder / "poor", **changes)
    with pytest.raises(AeroactError, match=rf"poor: .*{lacks}"):
        zoo.write_index(folder)
    assert not (folder / "index.json").exists()


def test_a_bundle_whose_name_is_not_plain_cannot_be_listed(folder: Path) -> None:
    (folder / "mam4-light").rename(folder / "mam4 light")
    with pytest.raises(AeroactError, match=r"mam4 light: no index can list it .*name is"):
        zoo.write_index(folder)


@pytest.mark.parametrize("name", ["SHA256SUMS", "emulator.onnx"])
def test_a_bundle_that_is_not_whole_is_not_listed(name: str, folder: Path) -> None:
    (folder / "mam4-light" / name).unlink()
    with pytest.raises(AeroactError, match="mam4-light: "):
        zoo.write_index(folder)
    with pytest.raises(AeroactError, match="mam4-light: "):
        zoo.FolderZoo(folder).entries()
    assert zoo.FolderZoo(folder).bundle("mam4-best") == folder / "mam4-best"


# Copies


def test_a_copy_is_the_bundle_without_what_is_not_of_it(folder: Path, tmp_path: Path) -> None:
    (folder / "mam4-light" / "notes.txt").write_text("mine")
    out = tmp_path / "emulators" / "mam4-light"
    zoo.copy_bundle(folder / "mam4-light", out)
    assert tree(tmp_path / "emulators") == [
        "mam4-light",
        *(f"mam4-light/{n}" for n in ("CARD.md", "SHA256SUMS", "card.json", "emulator.onnx")),
    ]
    aeroact.load(out)


def test_a_copy_replaces_a_bundle_or_an_empty_folder(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    zoo.copy_bundle(folder / "mam4-light", out)
    zoo.copy_bundle(folder / "mam4-best", out)
    assert aeroact.load(out).card["name"] == "mam4-best"
    zoo.copy_bundle(out, out)
    assert aeroact.load(out).card["name"] == "mam4-best"


def test_a_copy_replaces_nothing_else(folder: Path, tmp_path: Path) -> None:
    work, file, mixed = tmp_path / "work", tmp_path / "file", tmp_path / "mixed"
    work.mkdir()
    (work / "thesis.tex").touch()
    file.touch()
    shutil.copytree(folder / "mam4-best", mixed)
    (mixed / "mine.txt").touch()
    before = tree(tmp_path)
    for out, said in ((work, "thesis.tex"), (file, "is a file"), (mixed, "mine.txt")):
        with pytest.raises(AeroactError, match=rf"{out}: .*{said}"):
            zoo.copy_bundle(folder / "mam4-light", out)
    with pytest.raises(AeroactError, match="mam4-best, mam4-light"):
        zoo.copy_bundle(folder / "mam4-light", folder)
    assert tree(tmp_path) == before


def test_a_damaged_bundle_is_not_copied(folder: Path, tmp_path: Path) -> None:
    flip_a_bit(folder / "mam4-light" / "CARD.md")
    with pytest.raises(AeroactError, match=r"CARD\.md"):
        zoo.copy_bundle(folder / "mam4-light", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_what_was_there(folder: Path, small_disk: Path) -> None:
    out = small_disk / "emulators" / "mine"
    zoo.copy_bundle(folder / "mam4-best", out)
    (folder / "mam4-light" / "fn.png").write_bytes(os.urandom(400_000))
    sign(folder / "mam4-light")
    with pytest.raises(AeroactError, match=rf"{out}: cannot be written \(No space left"):
        zoo.copy_bundle(folder / "mam4-light", out)
    assert [path.name for path in out.parent.iterdir()] == ["mine"]
    assert aeroact.load(out).card["name"] == "mam4-best"
    disks.resize(small_disk, "4m")
    zoo.copy_bundle(folder / "mam4-light", out)
    assert aeroact.load(out).card["name"] == "mam4-light"
