"""A whole search: its files, its resumption after any end, and what it refuses."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest

from aeroact import dataset
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.space import Space
from tests.tables import rows_of, table


def test_a_run_leaves_the_files_of_the_design(finished_run):
    folder = RunFolder(finished_run)
    content = tomllib.loads(folder.project_file.read_text())
    assert content["project"]["trials"] == 5
    assert content["versions"].keys() >= {"aeroact", "keras", "tensorflow", "keras-tuner"}
    assert len(content["data"]["sha256"]) == 64
    assert folder.normalization().is_log.any()
    assert not folder.cache.exists()
    for row in rows_of(folder.step2_table):
        assert folder.model(row["trial"]).is_file()
    assert not list(finished_run.glob("**/*.part*"))


def test_step1_table_ranks_the_architectures_that_the_seed_gives(finished_run):
    rows = rows_of(finished_run / "step1.csv")
    drawn = Space(max_layers=3, max_params=3000).draw(1)
    expected = {str(k): ", ".join(map(str, next(drawn).widths)) for k in range(5)}
    assert {row["trial"]: row["nodes"] for row in rows} == expected
    errors = [float(row["val_mse"]) for row in rows]
    assert errors == sorted(errors)


def test_step2_retrains_the_best_and_has_the_papers_columns(finished_run):
    first, second = (rows_of(finished_run / f"step{k}.csv") for k in (1, 2))
    assert list(second[0])[:7] == [
        "rank",
        "project",
        "val_rank_step1",
        "test_mse",
        "layers",
        "params",
        "nodes",
    ]
    assert {row["trial"] for row in second} == {row["trial"] for row in first[:3]}
    assert all(row["project"] == "P0.50" for row in second)
    for row in second:
        by_mode = [float(row[f"test_mse_fn_{m}"]) for m in ("accum", "aitken", "coarse", "pcarbon")]
        assert float(row["test_mse"]) == pytest.approx(np.mean(by_mode), rel=1e-9)


def test_holdout_errors_are_those_of_the_saved_network(finished_run):
    """An independent evaluation: NumPy on the file's weights, rows and statistics."""
    from aeroact.hpo import network
    from aeroact.hpo.run import split_of

    folder = RunFolder(finished_run)
    best = rows_of(folder.step2_table)[0]
    weights = network.load(folder.model(best["trial"])).get_weights()
    with dataset.open_dataset(folder.data_file()) as ds:
        report = dataset.check(ds)
        held = split_of(report, folder.project()).holdout
        assert held.sum() == pytest.approx(0.8 * report.usable.sum(), abs=1)
        x, fn = dataset.states(ds)[held], dataset.fractions(ds)[held]
    a = folder.normalization().apply(x).astype(np.float64)
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        a = np.maximum(a, 0) if kernel is not weights[0] else a
        a = a @ kernel + bias
    error = np.mean((1 / (1 + np.exp(-a)) - fn) ** 2)
    assert float(best["test_mse"]) == pytest.approx(error, rel=1e-4)


def test_a_finished_run_is_not_repeated(finished_run, run_command):
    before = {path: path.read_bytes() for path in finished_run.glob("*.*")}
    again = run_command("aeroact-hpo", "run", "--out", finished_run)
    assert again.returncode == 0
    assert "p_subset + p_retrain = 0.5 + 0.6 = 1.1" in again.stdout
    assert {path: path.read_bytes() for path in finished_run.glob("*.*")} == before


def test_another_search_in_the_same_folder_is_refused(finished_run, run_command):
    again = run_command("aeroact-hpo", "run", "--out", finished_run, "--trials=6")
    assert again.returncode == 1
    assert "holds a run with trials = 5, not 6" in again.stderr


@pytest.mark.slow
def test_the_result_does_not_depend_on_the_number_of_workers(
    finished_run, dataset_file, small_search, run_command, tmp_path
):
    options = [*small_search, "--workers=1"]
    done = run_command("aeroact-hpo", "run", "--data", dataset_file, "--out", tmp_path, *options)
    assert done.returncode == 0, done.stderr
    for name in ("step1.csv", "step2.csv"):
        assert table(tmp_path / name) == table(finished_run / name)


@pytest.mark.parametrize(
    ("how", "after"),
    [
        pytest.param(signal.SIGINT, 2, id="Ctrl-C in Step 1", marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, 3, id="kill -9 in Step 1"),
        pytest.param(signal.SIGKILL, 6, id="kill -9 in Step 2", marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_run_goes_on_where_it_was(
    how, after, finished_run, dataset_file, small_search, run_command, tmp_path
):
    """Killed once so many trials are done; then the same command finishes the same tables."""
    command = [Path(sys.executable).parent / "aeroact-hpo", "run", "--data", dataset_file]
    command += ["--out", tmp_path / "run", *small_search]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    journal = tmp_path / "run" / "trials.jsonl"
    finished_before = _wait_for_trials(journal, after, running)
    # As a terminal does it: Ctrl-C goes to the whole group, kill -9 to the one process.
    if how == signal.SIGINT:
        os.killpg(running.pid, how)
    else:
        running.kill()
    _, said = running.communicate(timeout=60)
    assert running.returncode != 0
    if how == signal.SIGINT:
        assert said == "error: interrupted; run the same command again\n"

    done = run_command(*map(str, ["aeroact-hpo", *command[1:]]))
    assert done.returncode == 0, done.stderr
    for name in ("step1.csv", "step2.csv"):
        assert table(tmp_path / "run" / name) == table(finished_run / name)
    ends = [r for r in _records(journal) if r["status"] == "COMPLETED"]
    assert len(ends) == len({(r["step"], r["name"]) for r in ends})  # none was repeated
    assert [r for r in ends if (r["step"], r["name"]) in finished_before]


def _records(journal: Path) -> list[dict]:
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def _wait_for_trials(journal: Path, n: int, running: subprocess.Popen) -> set[tuple[int, str]]:
    deadline = time.monotonic() + 120
    while True:
        ends = {(r["step"], r["name"]) for r in _records(journal) if r["status"] == "COMPLETED"}
        if len(ends) >= n:
            return ends
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_second_process_on_the_same_run_is_sent_away(
    dataset_file, small_search, run_command, tmp_path
):
    from aeroact.files import locked

    with locked(tmp_path):
        second = run_command(
            "aeroact-hpo", "run", "--data", dataset_file, "--out", tmp_path, *small_search
        )
    assert second.returncode == 1
    assert "another process is working here" in second.stderr


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_to_costs_no_trial(
    finished_run, dataset_file, small_search, run_command, tmp_path
):
    """The search stops at once, and goes on to the same tables when the way is clear."""
    command = ["aeroact-hpo", "run", "--data", dataset_file, "--out", tmp_path, *small_search]
    (tmp_path / "models").touch()
    done = run_command(*command)
    assert done.returncode == 1
    assert f"{tmp_path}/models: cannot make this folder" in done.stderr
    assert done.stderr.count("\n") == 1
    (tmp_path / "models").unlink()
    assert run_command(*command).returncode == 0
    assert table(tmp_path / "step2.csv") == table(finished_run / "step2.csv")


def test_changed_data_are_noticed(finished_run, tmp_path, run_command):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    folder = RunFolder(run)
    (run / "step2.csv").unlink()  # as if it had been killed before the last network was done
    lines = folder.journal.path.read_text().splitlines(keepends=True)
    folder.journal.path.write_text("".join(lines[:-1]))
    data = tmp_path / "other.nc"
    with dataset.open_dataset(folder.data_file()) as ds:
        ds.isel(nsamples=slice(0, 12_000)).to_netcdf(data)
    text = folder.project_file.read_text()
    folder.project_file.write_text(text.replace(str(folder.data_file()), str(data)))
    done = run_command("aeroact-hpo", "run", "--out", run)
    assert done.returncode == 1
    assert "is not the file that run" in done.stderr


def test_too_few_rows_are_refused(dataset_file, tmp_path, run_command):
    data = tmp_path / "few.nc"
    with dataset.open_dataset(dataset_file) as ds:
        ds.isel(nsamples=slice(0, 500)).to_netcdf(data)
    done = run_command("aeroact-hpo", "run", "--data", data, "--out", tmp_path / "run")
    assert done.returncode == 1
    assert "fewer than 100" in done.stderr
