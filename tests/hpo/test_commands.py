"""The parts of a search as commands: each step, shortlists, status, pruning, algorithms, plan."""

import json
import os
import shutil
import signal
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest

from aeroact.files import locked
from aeroact.hpo.journal import Journal
from tests.commands import COMMANDS, fails, run_command
from tests.tables import table

SMALL = ["--p-subset=0.5", "--max-layers=2", "--max-params=4000", "--batch-size=64"]


@pytest.fixture
def run_copy(finished_run, tmp_path) -> Path:
    return shutil.copytree(finished_run, tmp_path / "run")


def done(*command: str | Path) -> str:
    result = run_command("aeroact-hpo", *command)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
def test_the_steps_one_by_one_give_the_tables_of_a_run(
    finished_run, dataset_file, small_search, tmp_path
):
    of_step2 = ("--retrain=", "--retrain-epochs=", "--schedule=")
    first = [option for option in small_search if not option.startswith(of_step2)]
    second = [option for option in small_search if option.startswith((*of_step2, "--workers="))]
    run = tmp_path / "run"
    said = done("step1", "--data", dataset_file, "--out", run, *first)
    assert f"next: aeroact-hpo step2 {run}" in said
    assert not (run / "step2.csv").exists()
    done("step2", run, *second)
    for name in ("step1.csv", "step2.csv"):
        assert table(run / name) == table(finished_run / name)


@pytest.mark.slow
def test_another_shortlist_keeps_what_was_retrained_before(run_copy):
    before = table(run_copy / "step2.csv")
    smallest = min(table(run_copy / "step1.csv"), key=lambda row: int(row["params"]))
    assert smallest["trial"] not in {row["trial"] for row in before}
    done("step2", run_copy, "--retrain=1", f"--max-params={smallest['params']}")
    after = table(run_copy / "step2.csv")
    assert {row["trial"] for row in after} == {row["trial"] for row in before} | {smallest["trial"]}
    for row in before:
        same = next(other for other in after if other["trial"] == row["trial"])
        assert {**same, "rank": ""} == {**row, "rank": ""}
    assert "p_subset + p_retrain = 0.5 + 0.8" in done("status", run_copy)


def test_what_networks_of_a_step2_share_cannot_be_changed_later(run_copy):
    said = fails("aeroact-hpo", "step2", run_copy, "--retrain=5", "--schedule=cosine")
    assert "were retrained with schedule = constant, not cosine" in said
    said = fails("aeroact-hpo", "run", "--out", run_copy, "--retrain=4")
    assert "holds a run with retrain = 3, not 4; ask aeroact-hpo step2 for that" in said


def test_step2_needs_a_step1(tmp_path, run_copy):
    assert "no run is here" in fails("aeroact-hpo", "step2", tmp_path / "nothing")
    (run_copy / "step1.csv").unlink()
    (run_copy / "step2.csv").unlink()
    journal = run_copy / "trials.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:2]))
    said = fails("aeroact-hpo", "step2", run_copy)
    assert "Step 1 has 0 of 5 trials; finish it with aeroact-hpo step1" in said


@pytest.mark.slow
def test_a_schedule_changes_the_course_of_step2(run_copy, finished_run):
    (run_copy / "step2.csv").unlink()
    journal = run_copy / "trials.jsonl"
    lines = [line for line in journal.read_text().splitlines() if json.loads(line)["step"] == 1]
    journal.write_text("\n".join(lines) + "\n")
    before = table(run_copy / "step1.csv")
    done("step2", run_copy, "--schedule=onecycle", "--retrain-learning-rate=0.01", "--retrain=1")
    assert table(run_copy / "step1.csv") == before

    def unrest(run: Path) -> float:
        """Mean relative change of the validation MSE from epoch to epoch, in the last ones."""
        best = table(run / "step1.csv")[0]["trial"]
        curve = Journal(run / "trials.jsonl").finished(2)[best].val_mse[-4:]
        return sum(abs(b / a - 1) for a, b in pairwise(curve)) / 3

    # One-cycle ends at a rate of nearly zero, a constant rate goes on and on.
    assert unrest(run_copy) < 0.5 * unrest(finished_run)


def test_status_tells_of_a_run_that_is_worked_on_and_of_one_that_is_not(run_copy):
    said = done("status", run_copy)
    assert "finished; the last trial ended" in said
    assert "Step 1, trials: 5 of 5" in said
    assert "Step 2, retraining: 3 of 3" in said
    assert "of a one-step search" in said
    (run_copy / "step2.csv").unlink()
    with locked(run_copy):
        assert "a process is working on it now" in done("status", run_copy)


def test_status_without_a_run_says_so(tmp_path):
    assert "no run is here" in fails("aeroact-hpo", "status", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["median", "asha"])
def test_pruning_gives_the_same_table_for_any_number_of_workers(rule, dataset_file, tmp_path):
    options = [*SMALL, "--trials=24", "--epochs=20", "--learning-rate=0.003", f"--prune={rule}"]
    for workers in (1, 3):
        out = tmp_path / f"{workers}"
        done("step1", "--data", dataset_file, "--out", out, *options, f"--workers={workers}")
    one, three = (table(tmp_path / f"{workers}" / "step1.csv") for workers in (1, 3))
    assert one == three
    pruned = [row for row in one if row["status"] == "PRUNED"]
    assert pruned
    assert all(int(row["epochs"]) < 20 for row in pruned)
    # One worker knows all that came before, and trains not an epoch too many.
    records = map(json.loads, (tmp_path / "1" / "trials.jsonl").open())
    spent = {r["name"]: len(r["val_mse"]) for r in records if r["status"] != "RUNNING"}
    assert spent == {row["trial"]: int(row["epochs"]) for row in one}


@pytest.mark.slow
def test_hyperband_that_was_killed_goes_on_as_if_it_had_not_been(dataset_file, tmp_path):
    """With one worker, an adaptive search is a function of its seed, too."""
    options = [*SMALL, "--trials=14", "--epochs=9", "--algorithm=hyperband", "--workers=1"]
    command = ["step1", "--data", dataset_file, *options, "--out"]
    done(*command, tmp_path / "undisturbed")
    killed = subprocess.Popen(
        [COMMANDS / "aeroact-hpo", *command, tmp_path / "killed"],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    journal = tmp_path / "killed" / "trials.jsonl"
    while not journal.exists() or journal.read_text().count("COMPLETED") < 9:
        assert killed.poll() is None
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    done(*command, tmp_path / "killed")
    again, before = (table(tmp_path / name / "step1.csv") for name in ("killed", "undisturbed"))
    assert again == before
    assert {row["epochs"] for row in before} >= {"1", "3", "9"}


@pytest.mark.slow
def test_tensorboard_logs_are_written_for_every_trial(dataset_file, tmp_path):
    options = [*SMALL, "--trials=2", "--epochs=2", "--tensorboard", "--workers=1"]
    done("step1", "--data", dataset_file, "--out", tmp_path, *options)
    assert len(list((tmp_path / "tensorboard" / "step1").glob("*/events*"))) == 2


@pytest.mark.slow
def test_a_small_space_ends_step1_with_a_word(dataset_file, tmp_path):
    space = tmp_path / "space.toml"
    space.write_text("widths = [8, 16]\nmax_layers = 1\n")
    result = run_command(
        *("aeroact-hpo", "step1", "--data", dataset_file, "--out", tmp_path / "run"),
        *(f"--config={space}", "--trials=5", "--epochs=1", "--p-subset=0.5"),
    )
    assert result.returncode == 0, result.stderr
    assert "the search space has only 2 networks" in result.stderr
    assert len(table(tmp_path / "run" / "step1.csv")) == 2


@pytest.mark.slow
def test_a_pilot_is_continued_and_says_when_it_is_too_small(dataset_file, tmp_path):
    out = tmp_path / "pilot"
    command = ["plan", "--data", dataset_file, "--out", out, "--pilot-trials=3", "--epochs=2"]
    command += ["--subsets=0.5,1", "--trials=100", "--workers=4", "--max-params=2000"]
    said = done(*command)
    assert "The pilot cannot tell: 3 architectures succeeded at every subset size" in said
    plan = json.loads((out / "plan.json").read_text())
    assert plan["aim"] == {"trials": 100, "workers": 4, "retrain_epochs": 200, "chance": 0.9}
    assert [option["p_subset"] for option in plan["options"]] == [0.5, 1.0]
    same = [{r["trial"]: r["nodes"] for r in table(out / p / "step1.csv")} for p in ("P0.5", "P1")]
    assert same[0] == same[1]
    before = (out / "P1" / "trials.jsonl").read_bytes()
    assert done(*command).splitlines()[-3:] == said.splitlines()[-3:]
    assert (out / "P1" / "trials.jsonl").read_bytes() == before


@pytest.mark.parametrize("subsets", ["0.5,x", "0,1", "0.5,1.5"])
def test_subsets_that_are_no_fractions_are_refused(subsets, dataset_file, tmp_path):
    command = ["aeroact-hpo", "plan", "--data", dataset_file, "--out", tmp_path / "pilot"]
    result = run_command(*command, f"--subsets={subsets}")
    assert result.returncode in (1, 2)
    assert "--subsets" in result.stderr
    assert not (tmp_path / "pilot").exists()
