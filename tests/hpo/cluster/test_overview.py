"""What `aeroact-hpo status` says of jobs, chief and workers, with a Slurm that only pretends."""

import json
import os
import shutil
import subprocess
import time

import pytest

from aeroact.hpo.cluster import overview
from aeroact.hpo.cluster.chief import Chief
from aeroact.hpo.cluster.post import Post
from aeroact.hpo.folder import RunFolder
from tests.commands import run_command


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.cluster.mkdir(parents=True)
    return folder


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Put on the PATH an squeue that says something of some jobs, and does not know others."""

    def says(**jobs: str) -> None:
        cases = "".join(f"*--jobs={job[1:]}' '*) echo '{text}' ;;\n" for job, text in jobs.items())
        error = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"
        command = tmp_path / "bin" / "squeue"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\ncase " $* " in\n{cases}*) {error} ;;\nesac\n')
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")

    return says


def submitted(folder: RunFolder, *jobs: tuple[str, int | None]) -> None:
    records = [{"job": job, "step": step} for job, step in jobs]
    (folder.cluster / "jobs.json").write_text(json.dumps(records))


@pytest.fixture
def chief(folder) -> Chief:
    """A chief that is there to write down its state."""
    return Chief(folder, Post("10.0.0.1", 5000, "n1", 12, "77", time.time(), "", ""))


def heard(chief: Chief, name: str, ago: float = 0.0, running: int = 0) -> None:
    """Let a worker have called some seconds ago, with so many trials."""
    member = chief.roster.heard(name, time.monotonic() - ago)
    member.running = [str(k) for k in range(running)]


def written(folder: RunFolder, ago: float) -> None:
    """Let the chief have written its state some seconds ago."""
    path = folder.cluster / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"written": time.time() - ago}))


# Jobs


def test_a_job_that_waits_is_told_with_the_reason(folder, squeue):
    squeue(_12="PENDING|Resources|0:00|8:00:00|4|")
    submitted(folder, ("12", None))
    assert overview.lines(folder) == ["job 12: PENDING (Resources)"]


def test_a_job_that_runs_is_told_with_its_time_and_nodes(folder, squeue):
    squeue(_12="RUNNING|None|1:02:03|6:57:57|2|n[1-2]")
    submitted(folder, ("12", None))
    (line,) = overview.lines(folder)
    assert line == "job 12: RUNNING for 1:02:03, 6:57:57 left, on 2 nodes: n[1-2]"


def test_each_of_two_jobs_is_told_with_its_step(folder, squeue):
    squeue(_12="RUNNING|None|1:00|59:00|1|n1", _13="PENDING|Dependency|0:00|1:00:00|1|")
    submitted(folder, ("12", 1), ("13", 2))
    first, second = overview.lines(folder)
    assert first.startswith("job 12 (Step 1): RUNNING for 1:00")
    assert second == "job 13 (Step 2): PENDING (Dependency)"


def test_of_jobs_that_are_gone_nothing_is_said(folder, squeue):
    squeue(_13="PENDING|Priority|0:00|1:00:00|1|", _14="")
    submitted(folder, ("12", None), ("13", None), ("14", None))
    assert overview.lines(folder) == ["job 13: PENDING (Priority)"]


def test_a_reason_may_be_a_sentence(folder, squeue):
    why = "Nodes required for job are DOWN, DRAINED or reserved for other partitions"
    squeue(_12=f"PENDING|{why}|0:00|1:00:00|1|")
    submitted(folder, ("12", None))
    assert overview.lines(folder) == [f"job 12: PENDING ({why})"]


def test_without_slurm_nothing_is_said_of_jobs(folder, monkeypatch, tmp_path, chief):
    monkeypatch.setenv("PATH", str(tmp_path))
    submitted(folder, ("12", None))
    assert overview.lines(folder) == []
    chief.write_state("at work")
    (line,) = overview.lines(folder)
    assert line.startswith("chief")


def test_of_a_run_on_this_machine_alone_nothing_is_said(folder):
    assert overview.lines(folder) == []
    assert not overview.at_work(folder)


def test_a_queue_that_does_not_answer_costs_only_its_own_line(folder, squeue, chief, monkeypatch):
    squeue(_12="never said")
    submitted(folder, ("12", None))
    chief.write_state("at work")

    def hang(command, **kwargs):
        raise subprocess.TimeoutExpired(command, kwargs["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    assert overview.lines(folder)[-1].startswith("chief of job 77 on n1: at work")


# The chief


def test_a_chief_at_work_is_told_with_its_workers_and_trials(folder, chief):
    heard(chief, "n1-gpu0", running=2)
    heard(chief, "n1-gpu1", running=1)
    heard(chief, "n2-gpu0", ago=10)
    chief.write_state("at work")
    assert overview.lines(folder) == [
        "chief of job 77 on n1: at work, 3 workers alive with 3 trials"
    ]
    assert overview.at_work(folder)


def test_a_chief_without_a_job_is_told_without_one(folder):
    chief = Chief(folder, Post("127.0.0.1", 5000, "mybox", 12, "", time.time(), "", ""))
    chief.write_state("at work")
    assert overview.lines(folder) == ["chief on mybox: at work, 0 workers alive with 0 trials"]


def test_a_chief_that_writes_nothing_any_more_may_be_dead(folder, chief):
    heard(chief, "n1-gpu0", running=1)
    chief.write_state("at work")
    written(folder, ago=59)
    assert overview.at_work(folder)
    written(folder, ago=90)
    assert overview.lines(folder) == ["chief of job 77 on n1: silent for 90 s; dead?"]
    assert not overview.at_work(folder)


@pytest.mark.parametrize("state", ["finished", "out of time", "stopped by an error"])
def test_a_chief_that_has_ended_is_told_however_long_ago_that_was(folder, chief, state):
    heard(chief, "n1-gpu0")
    chief.roster.left("n1-gpu0", "it was told that all is done")
    chief.write_state(state)
    written(folder, ago=1e6)
    assert overview.lines(folder) == [f"chief of job 77 on n1: {state}"]
    assert not overview.at_work(folder)


# Workers


def test_workers_that_are_put_aside_lost_or_gone_are_named_with_the_reason(folder, chief):
    for name in ("n1-gpu0", "n1-gpu1", "n2-gpu1"):
        heard(chief, name)
    heard(chief, "n2-gpu0", ago=100, running=1)
    chief.roster.member("n1-gpu1").aside = "3 trials in a row failed here"
    chief.roster.left("n2-gpu1", "the disk is full")
    chief.write_state("at work")
    assert overview.lines(folder) == [
        "chief of job 77 on n1: at work, 1 workers alive with 0 trials",
        "worker n1-gpu1: put aside, 3 trials in a row failed here",
        "worker n2-gpu1: left, the disk is full",
        "worker n2-gpu0: lost, not heard of for 100 s",
    ]


def test_of_a_search_that_is_over_only_the_workers_that_were_put_aside_are_told(folder, chief):
    heard(chief, "n1-gpu0", ago=100)
    heard(chief, "n1-gpu1")
    chief.roster.member("n1-gpu1").aside = "3 trials in a row failed here"
    chief.write_state("finished")
    assert overview.lines(folder)[1:] == [
        "worker n1-gpu1: put aside, 3 trials in a row failed here"
    ]


def test_of_many_lost_workers_ten_are_named_and_the_others_counted(folder, chief):
    for k in range(13):
        heard(chief, f"n{k}-gpu0", ago=60)
    chief.write_state("at work")
    lines = overview.lines(folder)
    assert len(lines) == 12
    assert lines[1] == "worker n0-gpu0: lost, not heard of for 60 s"
    assert lines[10] == "worker n9-gpu0: lost, not heard of for 60 s"
    assert lines[11] == "3 more workers are gone"


# The command


def test_the_command_says_all_that_beside_how_far_the_run_has_come(finished_run, tmp_path, squeue):
    folder = RunFolder(shutil.copytree(finished_run, tmp_path / "copy"))
    folder.cluster.mkdir()
    squeue(_12="PENDING|Priority|0:00|1:00:00|1|")
    submitted(folder, ("12", None))
    chief = Chief(folder, Post("10.0.0.1", 5000, "n1", 12, "77", time.time(), "", ""))
    heard(chief, "n1-gpu0", ago=60)
    chief.write_state("at work")
    done = run_command("aeroact-hpo", "status", folder.path)
    assert done.returncode == 0, done.stderr
    assert "Step 1" in done.stdout
    for line in overview.lines(folder):
        assert line in done.stdout.splitlines()
    # Nobody holds the folder here, but a chief elsewhere writes that it does.
    assert "a process is working on it now" in done.stdout
