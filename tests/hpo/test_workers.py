"""Worker processes: results, errors, deaths, and leaving with the parent."""

import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from aeroact.errors import AeroactError
from aeroact.hpo import workers


@dataclass(frozen=True)
class Task:
    number: int
    folder: Path


def _nothing():
    pass


def _square(task, report):
    return task.number**2


def _stumble(task, report):
    if task.number == 1:
        raise ValueError("one is not enough")
    return task.number


def _find_the_disk_full(task, report):
    raise OSError(errno.ENOSPC, "No space left on device", f"{task.number}.keras")


def _miss_the_data(task, report):
    raise AeroactError("data.nc: no such file")


def _die_once(task, report):
    """Die of SIGKILL, as the system's out-of-memory killer would have it; live when tried again."""
    mark = task.folder / f"{task.number}"
    if task.number == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task.number


def _die_always(task, report):
    if task.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return task.number


def _count(task, report):
    return [report(n) for n in range(3)]


def _count_until_stopped(task, report):
    n = 0
    while not report(n):
        n += 1
    return n


def _report_then_die(task, report):
    report("first try" if not (task.folder / "died").exists() else "second try")
    if not (task.folder / "died").exists():
        (task.folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task.number


def _never_end(task, report):
    while task.number == 1:
        time.sleep(1)
    return task.number


@pytest.fixture(autouse=True)
def _work_is_importable(monkeypatch):
    """Spawned processes import this file by its name; pytest's importlib mode hides it."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    for work in (
        _nothing,
        _square,
        _stumble,
        _find_the_disk_full,
        _miss_the_data,
        _die_once,
        _die_always,
        _count,
        _count_until_stopped,
        _report_then_die,
        _never_end,
    ):
        monkeypatch.setattr(work, "__module__", Path(__file__).stem)
    monkeypatch.setitem(sys.modules, Path(__file__).stem, sys.modules[__name__])
    monkeypatch.setattr(Task, "__module__", Path(__file__).stem)


def run(work, n_tasks, n_workers, folder=Path(), **how):
    tasks = (Task(number, folder) for number in range(n_tasks))
    outcomes = workers.run(tasks, work, n_workers, _nothing, **how)
    return {outcome.task.number: outcome for outcome in outcomes}


@pytest.mark.parametrize("n_workers", [1, 2, 5])
def test_every_task_is_done_once(n_workers):
    outcomes = run(_square, 4, n_workers)
    assert {n: outcome.result for n, outcome in outcomes.items()} == {0: 0, 1: 1, 2: 4, 3: 9}


def test_an_error_is_an_outcome_and_the_others_go_on():
    outcomes = run(_stumble, 3, 2)
    assert outcomes[1].result is None
    assert outcomes[1].message == "ValueError: one is not enough"
    assert (outcomes[0].result, outcomes[2].result) == (0, 2)


def test_a_full_disk_is_no_fault_of_the_task():
    """It ends the work, which can go on later, and is no outcome that would be recorded."""
    with pytest.raises(OSError, match="No space left") as raised:
        run(_find_the_disk_full, 3, 2)
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename in {"0.keras", "1.keras"}


def test_missing_data_are_no_fault_of_the_task():
    with pytest.raises(AeroactError, match="no such file"):
        run(_miss_the_data, 1, 1)


def test_a_task_whose_worker_is_killed_is_done_by_another(tmp_path):
    outcomes = run(_die_once, 3, 2, tmp_path)
    assert (tmp_path / "1").exists()
    assert {outcome.result for outcome in outcomes.values()} == {0, 1, 2}


def test_a_task_that_kills_its_workers_is_given_up(tmp_path):
    outcomes = run(_die_always, 3, 2)
    assert outcomes[1].result is None
    assert "killed by SIGKILL, 2 times" in outcomes[1].message
    assert (outcomes[0].result, outcomes[2].result) == (0, 2)


def test_what_is_tried_next_may_depend_on_what_came_back():
    """A task is only asked for when a worker is free."""
    seen: list[int] = []

    def tasks():
        for number in range(3):
            yield Task(number, Path())
            assert len(seen) == number + 1  # its result is in before the next is asked for

    for outcome in workers.run(tasks(), _square, 1, _nothing):
        seen.append(outcome.task.number)
        assert seen == list(range(len(seen)))


def test_reports_are_heard_in_order():
    heard: list[tuple[int, int]] = []

    def hear(task: Task, what: int) -> bool:
        heard.append((task.number, what))
        return False

    listener = workers.Listener(reported=hear)
    outcomes = run(_count, 2, 2, listener=listener)
    assert [what for number, what in heard if number == 0] == [0, 1, 2]
    assert sorted(heard) == [(number, what) for number in (0, 1) for what in (0, 1, 2)]
    assert all(outcome.result == [False] * 3 for outcome in outcomes.values())


def test_a_task_that_is_asked_to_stop_knows_it_at_once():
    listener: workers.Listener[Task] = workers.Listener(reported=lambda t, n: n >= 5 * t.number)
    outcomes = run(_count_until_stopped, 3, 2, listener=listener)
    assert [outcomes[k].result for k in range(3)] == [0, 5, 10]


def test_a_second_attempt_begins_anew(tmp_path):
    heard: list[str] = []

    def hear(task: Task, what: str) -> bool:
        heard.append(what)
        return False

    listener = workers.Listener(began=lambda task, worker: heard.append("began"), reported=hear)
    assert run(_report_then_die, 1, 1, tmp_path, listener=listener)[0].result == 0
    assert heard == ["began", "first try", "began", "second try"]


def test_a_task_that_takes_too_long_is_given_up_and_the_others_go_on():
    outcomes = run(_never_end, 4, 2, timeout=2.0)
    assert outcomes[1].result is None
    assert outcomes[1].message == "it took more than 2 s"
    assert outcomes[1].ended - outcomes[1].started >= 2
    assert [outcomes[n].result for n in (0, 2, 3)] == [0, 2, 3]


def test_a_pause_of_the_tasks_lasts_until_one_ends():
    """None from the tasks: there is none before another one has ended."""
    seen: list[int] = []

    def tasks():
        yield Task(0, Path())
        while not seen:
            yield None
        yield Task(1, Path())

    for outcome in workers.run(tasks(), _square, 2, _nothing):
        seen.append(outcome.task.number)
    assert seen == [0, 1]


ORPHANS = """
import os, pathlib, sys, time
from aeroact.hpo import workers

def nothing():
    pass

def work(folder, report):
    (pathlib.Path(folder) / str(os.getpid())).touch()
    time.sleep(60)

if __name__ == "__main__":
    list(workers.run(iter([sys.argv[1]] * 2), work, 2, nothing))
"""


def test_workers_leave_when_the_parent_is_killed(tmp_path):
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    started = tmp_path / "started"
    started.mkdir()
    parent = subprocess.Popen([sys.executable, script, started])
    _wait_until(lambda: len(list(started.iterdir())) == 2)
    pids = [int(path.name) for path in started.iterdir()]
    parent.kill()
    parent.wait()
    _wait_until(lambda: not any(_alive(pid) for pid in pids))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)
