"""Worker processes: one a core, one thread each, that survive each other's death.

Tasks are pulled one at a time, when a worker is free, so that what is tried next may
depend on what has come back.

An error of a task is its outcome. A full disk or missing data are no fault of the task:
they end the work, and nothing is recorded that would keep it from being tried again.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

from aeroact.errors import AeroactError

Task = TypeVar("Task")
Result = TypeVar("Result")

_spawn = multiprocessing.get_context("spawn")
_ATTEMPTS = 2
_NOT_THE_TASKS_FAULT = (OSError, AeroactError)


@dataclass(frozen=True)
class Outcome(Generic[Task, Result]):
    """What became of a task: a result, or a message that says why there is none."""

    task: Task
    worker: int
    result: Result | None
    message: str = ""


class _Worker(Generic[Task, Result]):
    """A process and the task that it has at the moment."""

    def __init__(
        self, number: int, work: Callable[[Task], Result], prepare: Callable[[], None]
    ) -> None:
        self.number = number
        self.task: Task | None = None
        self.attempt = 0
        self.pipe, theirs = _spawn.Pipe()
        self.process = _spawn.Process(
            target=_serve,
            args=(theirs, work, prepare, number),
            name=f"worker-{number}",
            daemon=True,
        )
        self.process.start()
        theirs.close()

    def give(self, task: Task, attempt: int = 1) -> None:
        self.task, self.attempt = task, attempt
        # A worker that is already dead is noticed by its sentinel.
        with contextlib.suppress(BrokenPipeError):
            self.pipe.send(task)

    def stop(self) -> None:
        self.process.terminate()
        self.process.join()
        self.pipe.close()


def run(
    tasks: Iterator[Task],
    work: Callable[[Task], Result],
    n_workers: int,
    prepare: Callable[[], None],
) -> Iterator[Outcome[Task, Result]]:
    """Work off tasks in processes of their own.

    Parameters
    ----------
    tasks : iterator
        Pulled whenever a worker is free; tasks must be picklable.
    work : callable
        A function of a module: task in, result out. An exception becomes the outcome's
        message.
    n_workers : int
        Processes; none is started before there is a task for it.
    prepare : callable
        A function of a module that a process calls once, pinned to its core already.

    Yields
    ------
    Outcome
        In the order in which tasks end. A task whose worker dies is given to a new one,
        once; then its outcome says how the worker died.

    Raises
    ------
    OSError, AeroactError
        What a worker met that is no fault of its task.
    """
    workers: list[_Worker[Task, Result]] = []
    try:
        more = True
        while True:
            idle = [worker for worker in workers if worker.task is None]
            while more and (idle or len(workers) < n_workers):
                task = next(tasks, None)
                if task is None:
                    more = False
                    break
                if not idle:
                    workers.append(_Worker(len(workers), work, prepare))
                    idle.append(workers[-1])
                idle.pop(0).give(task)
            busy = [worker for worker in workers if worker.task is not None]
            if not busy:
                return
            wait([w.pipe for w in busy] + [w.process.sentinel for w in busy])
            for worker in busy:
                outcome = _collect(worker, workers, work, prepare)
                if outcome is not None:
                    yield outcome
    finally:
        for worker in workers:
            worker.stop()


def _collect(
    worker: _Worker[Task, Result],
    workers: list[_Worker[Task, Result]],
    work: Callable[[Task], Result],
    prepare: Callable[[], None],
) -> Outcome[Task, Result] | None:
    """Take what a busy worker has to say; replace it if it died."""
    task = worker.task
    assert task is not None
    try:
        if worker.pipe.poll():
            result, error = worker.pipe.recv()
            worker.task = None
            if isinstance(error, _NOT_THE_TASKS_FAULT):
                raise error
            return Outcome(task, worker.number, result, error)
    except (EOFError, ConnectionResetError):
        worker.process.join()
    if worker.process.is_alive():
        return None
    code = worker.process.exitcode or 0
    attempt = worker.attempt
    worker.stop()
    fresh = workers[worker.number] = _Worker(worker.number, work, prepare)
    if attempt < _ATTEMPTS:
        fresh.give(task, attempt + 1)
        return None
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
    return Outcome(task, worker.number, None, f"its worker {how}, {_ATTEMPTS} times")


def _serve(
    pipe: Connection, work: Callable[[Task], Result], prepare: Callable[[], None], number: int
) -> None:
    """Live as a worker: task after task, until the parent goes."""
    # Ctrl-C reaches the whole group; the parent decides what becomes of us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[number % len(cores)]})
    prepare()
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            answer: tuple[Result | None, str | Exception] = (work(task), "")
        except _NOT_THE_TASKS_FAULT as error:
            answer = (None, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the search goes on
            answer = (None, f"{type(error).__name__}: {error}")
        pipe.send(answer)


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
