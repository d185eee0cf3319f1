"""`aeroact-export` and its parts, as a user meets them."""

import csv
import json
import os
import shutil

import numpy as np
import pytest

import aeroact
from aeroact.states import sample_rows
from tests.commands import fails, run_command

GFORTRAN = shutil.which("gfortran")
needs_gfortran = pytest.mark.skipif(not GFORTRAN, reason="needs gfortran: apt-get install gfortran")


@pytest.fixture
def copy(bundle, tmp_path):
    """A bundle to spoil."""
    return shutil.copytree(bundle, tmp_path / "emulator")


@pytest.fixture(scope="module")
def optimized(finished_run, tmp_path_factory):
    """A bundle with a guard, for which smaller and faster forms were tried, and what was said."""
    folder = tmp_path_factory.mktemp("optimized") / "emulator"
    done = run_command(
        "aeroact-export",
        finished_run,
        "--pick=best",
        "--with-guard",
        "--optimize",
        *(["--native"] if GFORTRAN else []),
        "--out",
        folder,
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_a_ranking_is_printed_written_and_drawn(finished_run, tmp_path):
    files = {name: tmp_path / f"ranking.{name}" for name in ("json", "csv", "md")}
    figure = tmp_path / "cost.png"
    done = run_command(
        "aeroact-export",
        "rank",
        finished_run,
        f"--json={files['json']}",
        f"--csv={files['csv']}",
        f"--markdown={files['md']}",
        f"--figure={figure}",
    )
    assert done.returncode == 0, done.stderr
    records = json.loads(files["json"].read_text())
    with files["csv"].open() as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == [record["trial"] for record in records]
    assert rows[-1]["trial"] == "ARG2000"
    assert [float(row["mse"]) for row in rows] == [record["mse"] for record in records]
    assert files["md"].read_text().count("ARG2000") >= 1
    assert "ARG2000" in done.stdout
    assert figure.read_bytes().startswith(b"\x89PNG")
    # Nothing but what was asked for.
    assert {path.name for path in tmp_path.iterdir()} == {
        *(f.name for f in files.values()),
        "cost.png",
    }


def test_times_of_bundles_files_and_runs(bundle, finished_run, tmp_path):
    copied = shutil.copy(bundle / "emulator.onnx", tmp_path / "other.onnx")
    times = tmp_path / "times.json"
    done = run_command(
        "aeroact-export",
        "bench",
        bundle,
        copied,
        finished_run,
        "--batch=1",
        "--batch=64",
        "--no-figure-s4",
        f"--json={times}",
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(times.read_text())
    assert len(report["timings"]) == 2 + 3
    assert {bundle.name, "other"} < report["timings"].keys()
    for by_batch in report["timings"].values():
        assert by_batch.keys() == {"1", "64"}
        assert all(timing["median"] > 0 for timing in by_batch.values())
    assert report["gflops"] > 0
    assert report["arg2000"]["median"] > 0
    assert report["machine"]["versions"]["onnxruntime"]
    assert "times ARG2000" in done.stdout


@needs_gfortran
@pytest.mark.slow
def test_times_in_fortran_of_a_bundle(bundle, tmp_path):
    times = tmp_path / "times.json"
    options = ("--batch=1", "--batch=64", "--no-figure-s4", "--native", f"--json={times}")
    done = run_command("aeroact-export", "bench", bundle, *options)
    assert done.returncode == 0, done.stderr
    report = json.loads(times.read_text())
    assert report["timings"].keys() == report["fortran"]["timings"].keys() == {bundle.name}
    of_bundle = report["fortran"]["timings"][bundle.name]
    assert {backend: list(times) for backend, times in of_bundle.items()} == {
        "native": ["1", "64"],
        "ort": ["1", "64"],
    }
    arg2000 = report["fortran"]["arg2000"]["median"]
    for timing in (*of_bundle["native"].values(), *of_bundle["ort"].values()):
        assert timing["multiple_of_arg2000"] == timing["median"] / arg2000 > 0
    assert "us a sample on one core" in done.stdout
    assert "us a state in Fortran on one core" in done.stdout
    assert "gfortran" in done.stdout


@needs_gfortran
def test_times_in_fortran_are_on_the_card(optimized):
    folder, printed = optimized
    fortran = aeroact.load(folder).card["cost"]["fortran"]
    assert fortran["flags"] == "-O3 -march=native"
    assert [row["batch"] for row in fortran["ort"]] == [1, 16, 128, 1024]
    fastest = fortran["fastest"]
    assert fastest["batch"] == 1024
    assert fastest["multiple_of_arg2000"] > 0
    assert f"In Fortran: {fastest['us_per_sample']:.3g} us a state, " in printed
    assert "### In compiled Fortran" in (folder / "CARD.md").read_text()


def test_no_time_in_fortran_is_taken_unless_asked_for(bundle):
    assert aeroact.load(bundle).card["cost"]["fortran"] is None


@pytest.mark.parametrize("part", ["bench", "export"])
def test_without_a_compiler_there_are_no_times_in_fortran(part, bundle, finished_run, tmp_path):
    first = ("bench", bundle) if part == "bench" else (finished_run, "--out", tmp_path / "new")
    environment = {**os.environ, "PATH": str(tmp_path)}
    done = run_command("aeroact-export", *first, "--native", env=environment)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: gfortran: No such file or directory; times in Fortran need a compiler: "
        "apt-get install gfortran"
    ]
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())


def test_a_whole_bundle_passes(bundle, dataset_file):
    done = run_command("aeroact-export", "verify", bundle, "--data", dataset_file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failed" in done.stdout
    assert "holdout rows" in done.stdout


def test_a_changed_file_is_named(copy):
    path = copy / "weights.nc"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    said = fails("aeroact-export", "verify", copy)
    assert f"{copy}: failed: sums" in said
    assert "weights.nc" in run_command("aeroact-export", "verify", copy).stdout


def test_a_truncated_network_is_named(copy):
    path = copy / "emulator.onnx"
    path.write_bytes(path.read_bytes()[:-500])
    assert "emulator.onnx" in fails("aeroact-export", "verify", copy)
    assert "emulator.onnx" in fails("aeroact-export", "bench", path, "--no-figure-s4")
    assert "emulator.onnx" in fails("aeroact-export", "bench", copy, "--no-figure-s4")


@pytest.mark.parametrize("part", ["bench", "verify"])
def test_a_folder_that_is_no_bundle_is_one_line(part, tmp_path):
    assert str(tmp_path) in fails("aeroact-export", part, tmp_path)


def test_a_folder_that_cannot_be_written_to_is_one_line(finished_run, tmp_path):
    (tmp_path / "file").touch()
    said = fails("aeroact-export", finished_run, "--out", tmp_path / "file" / "emulator")
    assert str(tmp_path / "file") in said
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_guard_and_other_forms_are_told_and_kept(optimized, finished_run, dataset_file):
    folder, printed = optimized
    emulator = aeroact.load(folder)
    x = sample_rows(0, 100, seed=5).astype(np.float32)
    (guard,) = emulator.session.run(["in_domain"], {"state": x})
    np.testing.assert_array_equal(guard, emulator.in_domain(x))
    card = emulator.card
    assert card["network"]["guard"]
    tried = {form["name"]: form for form in card["optimized"]}
    assert {"plain", "pruned", "int8-dynamic", "int8-static", "transposed"} <= tried.keys()
    assert all(form["reason"] for form in tried.values())
    for form in tried.values():
        assert not form["kept"] or form["mse_growth"] <= 0.01
        assert f"{form['name']}: {form['verdict']}: " in printed
    (taken,) = (form for form in tried.values() if form["verdict"] == "taken")
    assert taken["params"] == card["network"]["params"]
    assert json.loads(emulator.metadata["nodes"]) == card["network"]["nodes"]
    assert float(emulator.metadata["holdout_mse"]) == card["holdout"]["mse"]
    done = run_command("aeroact-export", "verify", folder, "--data", dataset_file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_no_bundle_is_left_of_an_export_whose_rule_nothing_satisfies(finished_run, tmp_path):
    out = tmp_path / "emulators" / "mine"
    said = fails("aeroact-export", finished_run, "--max-mse=1e-12", "--out", out)
    assert "no emulator has an MSE of at most 1e-12" in said
    assert not out.parent.exists()
