"""Nothing is lost: a search that is killed, or whose trials fail, comes to the same end."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.commands import COMMANDS, fails, run_command
from tests.disks import resize
from tests.tables import table


@pytest.fixture
def space(tmp_path) -> Path:
    """A space some of whose networks cannot be trained; each test says with what."""
    return tmp_path / "space.toml"


def step1(data: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run_command("aeroact-hpo", "step1", "--data", data, "--out", out, *options)


QUICK = ["--max-layers=2", "--p-subset=0.5", "--epochs=5", "--batch-size=128", "--workers=2"]


@pytest.mark.slow
def test_a_loss_that_is_no_number_is_recorded_and_the_search_goes_on(dataset_file, space, tmp_path):
    space.write_text("widths = [8, 16]\nlearning_rates = [1e-3, 1e38]\n")
    done = step1(dataset_file, tmp_path / "run", f"--config={space}", "--trials=8", *QUICK)
    assert done.returncode == 0, done.stderr
    rows = table(tmp_path / "run" / "step1.csv")
    assert len(rows) == 8
    for row in rows:
        if row["learning_rate"] == "1e+38":
            assert row["status"] == "FAILED"
            assert "the loss became" in row["message"]
        else:
            assert row["status"] == "COMPLETED"
    assert {row["status"] for row in rows} == {"FAILED", "COMPLETED"}
    assert " in Step 1: DivergedError: the loss became" in done.stdout


@pytest.mark.slow
def test_a_network_that_does_not_fit_into_memory_is_recorded(dataset_file, space, tmp_path):
    space.write_text("widths = [8, 300_000]\nmin_layers = 2\n")
    options = [f"--config={space}", "--preset=paper", "--trials=4", "--max-failed=1"]
    done = step1(dataset_file, tmp_path / "run", *options, *QUICK, "--epochs=1")
    assert done.returncode == 0, done.stderr
    rows = {row["nodes"]: row for row in table(tmp_path / "run" / "step1.csv")}
    assert rows["8, 8"]["status"] == "COMPLETED"
    huge = rows["300000, 300000"]
    assert huge["status"] == "FAILED"
    assert "Unable to allocate" in huge["message"]


@pytest.mark.slow
def test_a_training_that_takes_too_long_is_given_up(dataset_file, space, tmp_path):
    space.write_text("widths = [8, 8_000]\nmin_layers = 2\n")
    options = ["--preset=paper", f"--config={space}", "--trials=4", "--trial-timeout=15"]
    options += ["--max-failed=1", *QUICK, "--epochs=60", "--patience=60"]
    done = step1(dataset_file, tmp_path / "run", *options)
    assert done.returncode == 0, done.stderr
    rows = {row["nodes"]: row for row in table(tmp_path / "run" / "step1.csv")}
    assert rows["8, 8"]["status"] == "COMPLETED"
    assert rows["8000, 8000"]["message"] == "it took more than 15 s"


@pytest.mark.slow
def test_a_search_most_of_whose_trials_fail_stops_and_can_try_them_again(
    dataset_file, space, tmp_path
):
    space.write_text("widths = [8, 16, 32]\nlearning_rates = [1e38]\n")
    command = ["aeroact-hpo", "step1", "--data", dataset_file, "--out", tmp_path / "run"]
    command += [f"--config={space}", "--trials=10", *QUICK]
    said = fails(*command)
    assert "5 of 5 trials failed, the last one because DivergedError" in said
    assert "--retry-failed" in said

    # Told to bear with more failures, it goes on where it was.
    done = run_command(*command, "--max-failed=1")
    assert done.returncode == 0, done.stderr
    assert ends(tmp_path / "run") == {str(k).zfill(2): 1 for k in range(10)}

    # Tried again and killed on the way, it is finished without being asked to try them again.
    retrying = subprocess.Popen(
        [COMMANDS / command[0], *command[1:], "--max-failed=1", "--retry-failed"],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    begun = (tmp_path / "run" / "trials.jsonl").read_text().count("RUNNING") + 3
    while (tmp_path / "run" / "trials.jsonl").read_text().count("RUNNING") < begun:
        assert retrying.poll() is None
        time.sleep(0.01)
    os.killpg(retrying.pid, signal.SIGKILL)
    retrying.wait()
    again = run_command(*command, "--max-failed=1")
    assert again.returncode == 0, again.stderr
    assert len(table(tmp_path / "run" / "step1.csv")) == 10

    again = run_command(*command, "--max-failed=1", "--retry-failed")
    assert again.returncode == 0, again.stderr
    assert min(ends(tmp_path / "run").values()) == 2
    assert len(table(tmp_path / "run" / "step1.csv")) == 10


def ends(run: Path) -> dict[str, int]:
    """How often each trial of Step 1 has come to an end."""
    records = map(json.loads, (run / "trials.jsonl").read_text().splitlines())
    return dict(Counter(r["name"] for r in records if r["status"] != "RUNNING"))


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_its_trial_done_again(
    finished_run, dataset_file, small_search, tmp_path
):
    running = _start(dataset_file, tmp_path, small_search)
    killed: set[int] = set()
    while running.poll() is None and len(killed) < 2:
        for worker in _workers_of(running.pid):
            if worker not in killed and (tmp_path / "trials.jsonl").exists():
                os.kill(worker, signal.SIGKILL)
                killed.add(worker)
        time.sleep(0.5)
    _, said = running.communicate(timeout=200)
    assert running.returncode == 0, said
    assert killed
    _assert_same_tables(tmp_path, finished_run)


@pytest.mark.slow
def test_a_search_killed_at_random_moments_comes_to_the_same_tables(
    finished_run, dataset_file, small_search, tmp_path
):
    """The command, a worker or both at once are killed, until it has gone through."""
    chance = random.Random()
    moments: list[tuple[str, float]] = []
    for _ in range(4):
        running = _start(dataset_file, tmp_path, small_search)
        victim, moment = chance.choice(["command", "worker", "all"]), chance.uniform(0, 14)
        moments.append((victim, round(moment, 2)))
        try:
            running.wait(moment)
        except subprocess.TimeoutExpired:
            workers = _workers_of(running.pid)
            if victim == "command":
                running.kill()
            elif victim == "all":
                os.killpg(running.pid, signal.SIGKILL)
            elif workers:
                os.kill(chance.choice(workers), signal.SIGKILL)
                running.wait(200)
        running.communicate(timeout=200)
    done = _start(dataset_file, tmp_path, small_search)
    _, said = done.communicate(timeout=200)
    assert done.returncode == 0, (moments, said)
    _assert_same_tables(tmp_path, finished_run, moments)


@pytest.mark.slow
def test_a_torn_last_line_costs_one_trial(finished_run, dataset_file, small_search, tmp_path):
    running = _start(dataset_file, tmp_path, small_search)
    journal = tmp_path / "trials.jsonl"
    while not journal.exists() or journal.read_text().count("COMPLETED") < 3:
        assert running.poll() is None
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    # What a process leaves that is killed while it writes.
    (tmp_path / ".cache.123.part").mkdir()
    (tmp_path / ".cache.123.part" / "x.npy").touch()
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "models").mkdir(exist_ok=True)
    (tmp_path / "models" / ".0.123.part.keras").touch()
    torn = journal.read_bytes()
    journal.write_bytes(torn[: torn.rindex(b'"COMPLETED"')])
    done = _start(dataset_file, tmp_path, small_search)
    _, said = done.communicate(timeout=200)
    assert done.returncode == 0, said
    _assert_same_tables(tmp_path, finished_run)


def _start(data: Path, out: Path, options: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [COMMANDS / "aeroact-hpo", "run", "--data", data, "--out", out, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _workers_of(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        commands = {int(c): Path(f"/proc/{c}/cmdline").read_text() for c in children}
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [child for child, command in commands.items() if "spawn_main" in command]


def _assert_same_tables(run: Path, undisturbed: Path, how: object = None) -> None:
    for name in ("step1.csv", "step2.csv"):
        assert table(run / name) == table(undisturbed / name), how
    records = [json.loads(line) for line in (run / "trials.jsonl").open()]
    ends = [(r["step"], r["name"]) for r in records if r["status"] == "COMPLETED"]
    assert len(ends) == len(set(ends)), how  # none was repeated
    assert not list(run.rglob(".*.part*")), how
    assert not (run / "cache").exists(), how


def test_a_full_disk_stops_the_search_and_costs_no_trial(
    finished_run, dataset_file, small_search, small_disk
):
    run = small_disk / "run"
    command = ["aeroact-hpo", "run", "--data", dataset_file, "--out", run, *small_search]
    said = fails(*command)
    assert "the disk is full; make room and run the same command again" in said
    assert not any(r["status"] == "FAILED" for r in map(json.loads, (run / "trials.jsonl").open()))
    resize(small_disk, "5m")
    done = run_command(*command)
    assert done.returncode == 0, done.stderr
    _assert_same_tables(run, finished_run)
