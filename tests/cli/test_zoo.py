"""`aeroact-zoo` as a user runs it: what it prints, how it ends, and what it leaves behind."""

import json
import os
import pty
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aeroact import dataset, schema, states, zoo
from tests import commands, small_bundle
from tests.https_server import serving, write_certificate
from tests.small_bundle import flip_a_bit, sign

run = partial(commands.run_command, "aeroact-zoo", timeout=120)
fails = partial(commands.fails, "aeroact-zoo")

MSE = 0.3
"""What the cards say; the small networks have a little less."""


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AEROACT_ZOO", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "localhost")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo of two, which the environment names."""
    path = tmp_path / "zoo"
    fast = {"multiple_of_arg2000": 9.0, "fortran": {"fastest": {"multiple_of_arg2000": 0.75}}}
    shape = {"nodes": [32, 16], "params": 1204}
    small_bundle.write(path / "mam4-light", holdout={"mse": MSE}, cost=fast, network=shape)
    small_bundle.write(path / "mam4-best", holdout={"mse": MSE})
    zoo.write_index(path)
    monkeypatch.setenv("AEROACT_ZOO", str(path))
    return path


def table_of(text: str) -> dict[str, list[str]]:
    """Return the cells of each row of a plain table by the first one."""
    rows = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
    return {cells[0]: cells[1:] for cells in rows}


def write_states(file: Path, n: int = 40, **columns: float) -> Path:
    x = states.sample_rows(0, n, 3).astype(np.float32)
    for column, value in columns.items():
        x[:, schema.COLUMNS.index(column)] = value
    dataset.write(dataset.from_arrays(x), file, title="States", command="test")
    return file


# list


def test_list_says_what_there_is_and_what_it_costs(folder: Path, tmp_path: Path) -> None:
    done = run("list", "--json", tmp_path / "list.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"2 emulators of {folder}\n")
    rows = table_of(done.stdout)
    assert rows["mam4-light"][:5] == ["32-16", "1,204", "3.00e-01", "0.75", "Fortran"]
    assert rows["mam4-best"][-2] == "Python"
    told = json.loads((tmp_path / "list.json").read_text())
    assert told["zoo"] == str(folder)
    assert [e["name"] for e in told["emulators"]] == ["mam4-best", "mam4-light"]
    assert told["emulators"][1]["mse"] == MSE


def test_the_zoo_of_the_package_can_be_listed() -> None:
    done = run("list")
    assert done.returncode == 0, done.stderr
    assert "of the zoo of this package" in done.stdout


# show


def test_show_prints_the_card_as_it_is_when_piped(folder: Path) -> None:
    done = run("show", "mam4-light")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (folder / "mam4-light" / "CARD.md").read_text()


def test_show_renders_the_card_on_a_terminal(folder: Path) -> None:
    ours, theirs = pty.openpty()
    command = [str(commands.COMMANDS / "aeroact-zoo"), "show", "mam4-light"]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the other side is closed
            break
    os.close(ours)
    assert process.wait(60) == 0
    text = re.sub(r"\x1b\[[\d;]*m", "", shown.decode())
    assert "mam4-light" in text
    assert "# mam4-light" not in text
    assert "A [small] one." in text


# verify


def test_verify_checks_all_emulators_of_the_zoo(folder: Path, tmp_path: Path) -> None:
    done = run("verify", "--parcels", "100", "--json", tmp_path / "verify.json")
    assert done.returncode == 0, done.stderr
    assert "6 checks, 0 failed\n" in done.stdout  # after the progress of a slow machine
    told = json.loads((tmp_path / "verify.json").read_text())["findings"]
    assert [(f["emulator"], f["check"]) for f in told] == [
        (name, check)
        for name in ("mam4-best", "mam4-light")
        for check in ("files", "fractions", "parcels")
    ]
    assert all(finding["ok"] for finding in told)


def test_verify_names_what_failed_and_goes_on_with_the_others(folder: Path) -> None:
    flip_a_bit(folder / "mam4-best" / "emulator.onnx")
    done = run("verify", "--parcels", "0")
    assert done.returncode == 1
    assert "3 checks, 1 failed\n" in done.stdout
    assert "mam4-light  fractions  ok" in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: failed: mam4-best: files: ")
    assert line.endswith("emulator.onnx")


def test_verify_finds_an_error_that_the_card_hides(folder: Path) -> None:
    shutil.rmtree(folder / "mam4-best")
    small_bundle.write(folder / "mam4-best", holdout={"mse": 1e-3})
    zoo.write_index(folder)
    line = fails("verify", "mam4-best", "--parcels", "100", "--seed", "4")
    assert "failed: mam4-best: parcels: MSE" in line
    assert "the card says 1.00e-03: more than sampling explains" in line


def test_verify_refuses_the_training_seed(folder: Path) -> None:
    assert "seed 2026 is that of its training" in fails("verify", "mam4-best", "--seed", "2026")


def test_verify_for_states_of_ones_own(folder: Path, tmp_path: Path) -> None:
    file = write_states(tmp_path / "mine.nc", num_aer_coarse=500.0, tair=321.5)
    done = run("verify", "mam4-light", "--states", file, "--json", tmp_path / "mine.json")
    assert done.returncode == 0, done.stderr
    assert f"{file}: 40 of 40 rows (100.00%) out of bounds" in done.stdout
    rows = table_of(done.stdout)
    assert rows["num_aer_coarse"] == ["cm-3", "500", "1e-05", "0", "500", "30", "40"]
    assert rows["tair"][0] == "K"
    assert "rows out of the bounds; MSE" in done.stdout
    assert "mam4-light: retrain on these states, see docs/bring-your-own.md: " in done.stdout
    told = json.loads((tmp_path / "mine.json").read_text())
    assert (told["emulator"], told["verdict"]) == ("mam4-light", "retrain")
    assert (told["rows"], told["outside"]) == (40, 40)
    assert sum(told["statuses"].values()) == 40


def test_a_real_emulator_passes_and_is_fit_for_states_like_those_of_its_training(
    bundle: Path, tmp_path: Path
) -> None:
    done = run("verify", bundle, "--parcels", "1000")
    assert done.returncode == 0, done.stdout + done.stderr
    file = write_states(tmp_path / "mine.nc", 1000)
    done = run("verify", bundle, "--states", file, "--samples", "400")
    assert done.returncode == 0, done.stderr
    assert "400 of them in the parcel model (preset default)" in done.stdout
    assert "rows within the bounds; MSE" in done.stdout
    assert f"{bundle}: fit for use on these states" in done.stdout or "out of bounds" in done.stdout


def test_a_real_bundle_can_be_listed_and_installed(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "mine" / "small")
    assert run("index", tmp_path / "mine").returncode == 0
    done = run("list", "--zoo", tmp_path / "mine")
    card = json.loads((bundle / "card.json").read_text())
    assert table_of(done.stdout)["small"][1:3] == [
        f"{card['network']['params']:,}",
        f"{card['holdout']['mse']:.2e}",
    ]
    out = tmp_path / "out"
    done = run("install", "small", "--zoo", tmp_path / "mine", "--out", out)
    assert done.stdout == f"Emulator: {out}/emulator.onnx\n"
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {
        p.name: p.read_bytes() for p in bundle.iterdir()
    }


# install and index


def test_install_refuses_to_replace_other_work(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "work"
    out.mkdir()
    (out / "thesis.tex").write_text("years")
    line = fails("install", "mam4-light", "--out", out)
    assert f"{out}: has what is not of a bundle (thesis.tex)" in line
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]


def test_index_makes_a_zoo_of_a_folder(folder: Path, tmp_path: Path) -> None:
    (folder / "index.json").unlink()
    done = run("index", folder)
    assert done.returncode == 0
    assert done.stdout == f"{folder}/index.json: mam4-best, mam4-light\n"
    (folder / "mam4-best" / "CARD.md").write_text("another")
    sign(folder / "mam4-best")
    assert "CARD.md, SHA256SUMS" in fails("show", "mam4-best")


def test_a_zoo_behind_https(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = write_certificate(tmp_path / "certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with serving(folder, certificate) as server:
        address = f"{server.url}index.json"
        assert f"2 emulators of {address}" in run("list", "--zoo", address).stdout
        done = run("install", "mam4-best", "--zoo", address, "--out", tmp_path / "here")
        assert done.returncode == 0, done.stderr
    monkeypatch.setenv("AEROACT_ZOO", address)
    assert run("show", "mam4-best").stdout.startswith("# mam4-best")
    assert "index.json: cannot be reached" in fails("list")


# Bad input


def test_an_unknown_name_is_answered_with_the_right_one(folder: Path, tmp_path: Path) -> None:
    file = write_states(tmp_path / "mine.nc", 2)
    for command in (
        ("show", "mam4-ligth"),
        ("verify", "mam4-ligth"),
        ("verify", "mam4-ligth", "--states", file),
        ("install", "mam4-ligth", "--out", tmp_path / "out"),
    ):
        assert fails(*command).endswith("did you mean mam4-light?")
    assert not (tmp_path / "out").exists()


ELSEWHERE = ["nowhere", "http://localhost/index.json", "https://localhost"]
ASKING = [
    *(("list", "--zoo", where) for where in ELSEWHERE),
    ("show", "a", "--zoo", "nowhere"),
    ("verify", "--zoo", "nowhere"),
    ("verify", "a", "--zoo", "nowhere"),
    ("install", "a", "--out", "b", "--zoo", "nowhere"),
]


@pytest.mark.parametrize("command", ASKING, ids=" ".join)
def test_a_zoo_that_is_none_is_named(command: tuple[str, ...], tmp_path: Path) -> None:
    assert command[-1] in fails(*command)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("states_file", "said"),
    [(None, "no such file"), (b"", "not a NetCDF file"), (b"text", "not a NetCDF file")],
    ids=["missing", "empty", "text"],
)
def test_a_file_that_has_no_states_is_named(
    states_file: bytes | None, said: str, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.nc"
    if states_file is not None:
        file.write_bytes(states_file)
    line = fails("verify", "mam4-light", "--states", file, "--json", tmp_path / "mine.json")
    assert f"{file}: {said}" in line
    assert not (tmp_path / "mine.json").exists()


def test_states_that_cannot_be_right_are_refused(folder: Path, tmp_path: Path) -> None:
    file = write_states(tmp_path / "mine.nc", kappa_coarse=float("nan"))
    assert "kappa is not finite in 40 rows" in fails("verify", "mam4-light", "--states", file)


def test_a_zoo_without_emulators_has_nothing_to_verify(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty: has no emulator to verify" in fails("verify", "--zoo", tmp_path / "empty")


def test_a_folder_that_is_none_gets_no_index(tmp_path: Path) -> None:
    assert "nowhere: no such folder" in fails("index", tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("fly",), "fly"),
        (("show",), "argument 'name'"),
        (("install", "a"), "--out"),
        (("index",), "argument 'folder'"),
        (("verify", "a", "--parcels", "-1"), "--parcels"),
        (("verify", "a", "--parcels", "99"), "99 are too few; 100 or more"),
        (("verify", "a", "--samples", "10"), "is for --states"),
        (("verify", "--states", "a.nc"), "say which emulator"),
        (("verify", "a", "--states", "a.nc", "--samples", "0"), "--samples"),
        (("verify", "a", "--seed", "-1"), "--seed"),
        (("verify", "a", "--seed", "one"), "--seed"),
        (("list", "--nonsense"), "--nonsense"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_use_exits_with_two_and_writes_nothing(
    command: Any, said: str, tmp_path: Path
) -> None:
    done = run(*command)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_where() -> None:
    done = run("show", "nobody", "--debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "AeroactError" in done.stderr
