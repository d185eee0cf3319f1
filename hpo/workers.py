"""Worker processes: one a core, one thread each, that survive each other's death.

Tasks are pulled one at a time, when a worker is free, so that what is tried next may
depend on what has come back. A task may report how it gets on, and be asked to stop.

An error of a task is its outcome, and so is a task that takes too long. A full disk or
missing data are no fault of the task: they end the work, and nothing is recorded that
would keep it from being tried again.
"""

import contextlib
import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from aeroact.errors import AeroactError

Task = TypeVar("Task")
Result = TypeVar("Result")

Report = Callable[[Any], bool]
"""What a task calls to say how it gets on; the answer is whether it should stop."""

Work = Callable[[Task, Report], Result]

_spawn = multiprocessing.get_context("spawn")
_ATTEMPTS = 2
_ASK_AGAIN = 1.0  # s until tasks that had none are asked again
_NOT_THE_TASKS_FAULT = (OSError, AeroactError)

# Libraries of linear algebra decide on their threads when they are loaded, before a worker
# has a say.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Outcome(Generic[Task, Result]):
    """What became of a task: a result, or a message that says why there is none.

    Attributes
    ----------
    task
        The task.
    worker : int
        Which worker had it.
    result
        What the work returned; None if it failed.
    message : str
        Why there is no result.
    started, ended : float
        When (Unix time, s).
    killed : bool
        Whether there is none because workers died.
    """

    task: Task
    worker: int
    result: Result | None
    message: str = ""
    started: float = 0.0
    ended: float = 0.0
    killed: bool = False


@dataclass(frozen=True)
class Listener(Generic[Task]):
    """What the parent wants to hear while tasks are worked on.

    Attributes
    ----------
    given : callable
        Is told a task once, when it is taken up.
    began : callable
        Is told a task, and its worker's number, each time that a worker sets about it.
    reported : callable
        Is told a task and what it reported; returns whether it should stop.
    """

    given: Callable[[Task], None] = lambda task: None
    began: Callable[[Task, int], None] = lambda task, worker: None
    reported: Callable[[Task, Any], bool] = lambda task, what: False


class _Worker(Generic[Task, Result]):
    """A process and the task that it has at the moment."""

    def __init__(self, number: int, crew: "_Crew[Task, Result]") -> None:
        self.number = number
        self.task: Task | None = None
        self.attempt = 0
        self.started, self.deadline = 0.0, math.inf
        self.pipe, theirs = _spawn.Pipe()
        self.process = _spawn.Process(
            target=_serve,
            args=(theirs, crew.work, crew.prepare, number),
            name=f"worker-{number}",
            daemon=True,
        )
        with _environment(_ONE_THREAD):
            self.process.start()
        theirs.close()

    def give(self, task: Task, attempt: int = 1) -> None:
        self.task, self.attempt = task, attempt
        self.started, self.deadline = time.time(), math.inf
        self._say(task)

    def answer(self, stop: bool) -> None:
        self._say(stop)

    def _say(self, message: Any) -> None:
        # A worker that is already dead is noticed by its sentinel.
        with contextlib.suppress(BrokenPipeError):
            self.pipe.send(message)

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


class _Crew(Generic[Task, Result]):
    """The workers of one `run`."""

    def __init__(
        self,
        work: Work[Task, Result],
        prepare: Callable[[], None],
        listener: Listener[Task],
        timeout: float | None,
        attempts: int,
    ) -> None:
        self.work, self.prepare, self.listener = work, prepare, listener
        self.timeout, self.attempts = timeout, attempts
        self.members: list[_Worker[Task, Result]] = []

    def free_member(self, at_most: int) -> _Worker[Task, Result] | None:
        """Return a worker without a task, a new one if need be."""
        for worker in self.members:
            if worker.task is None:
                return worker
        if len(self.members) == at_most:
            return None
        self.members.append(_Worker(len(self.members), self))
        return self.members[-1]

    @property
    def busy(self) -> list[_Worker[Task, Result]]:
        return [worker for worker in self.members if worker.task is not None]

    def wait(self, at_most: float) -> None:
        """Return when a worker has something to say, has died, or is out of time."""
        busy = self.busy
        left = min(min(worker.deadline for worker in busy) - time.monotonic(), at_most)
        patience = max(0.0, left) if left < math.inf else None
        wait([w.pipe for w in busy] + [w.process.sentinel for w in busy], patience)

    def hear(self, worker: _Worker[Task, Result]) -> Outcome[Task, Result] | None:
        """Take in what a busy worker has to say; replace it if it died or took too long."""
        assert worker.task is not None
        try:
            while worker.pipe.poll():
                kind, said = worker.pipe.recv()
                if kind == "began":
                    worker.started = time.time()
                    if self.timeout is not None:
                        worker.deadline = time.monotonic() + self.timeout
                    self.listener.began(worker.task, worker.number)
                elif kind == "reported":
                    worker.answer(self.listener.reported(worker.task, said))
                else:
                    return self._end(worker, *said)
        except (EOFError, ConnectionResetError):
            worker.process.join()
        if not worker.process.is_alive():
            return self._bury(worker)
        if time.monotonic() > worker.deadline:
            self._replace(worker)
            return self._end(worker, None, f"it took more than {self.timeout:g} s")
        return None

    def _end(
        self,
        worker: _Worker[Task, Result],
        result: Result | None,
        error: str | Exception,
        *,
        killed: bool = False,
    ) -> Outcome[Task, Result]:
        task, worker.task = worker.task, None
        assert task is not None
        if isinstance(error, Exception):
            raise error
        return Outcome(task, worker.number, result, error, worker.started, time.time(), killed)

    def _bury(self, worker: _Worker[Task, Result]) -> Outcome[Task, Result] | None:
        """Give the task of a dead worker to a new one, or give the task up."""
        assert worker.task is not None
        fresh = self._replace(worker)
        if worker.attempt < self.attempts:
            fresh.give(worker.task, worker.attempt + 1)
            return None
        code = worker.process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        if self.attempts > 1:
            how += f", {self.attempts} times"
        return self._end(worker, None, f"its worker {how} (out of memory?)", killed=True)

    def _replace(self, worker: _Worker[Task, Result]) -> _Worker[Task, Result]:
        worker.stop()
        fresh = self.members[worker.number] = _Worker(worker.number, self)
        return fresh

    def dismiss(self) -> None:
        for worker in self.members:
            worker.stop()


def run(
    tasks: Iterator[Task | None],
    work: Work[Task, Result],
    n_workers: int,
    prepare: Callable[[], None],
    *,
    listener: Listener[Task] | None = None,
    timeout: float | None = None,
    attempts: int = _ATTEMPTS,
) -> Iterator[Outcome[Task, Result]]:
    """Work off tasks in processes of their own.

    Parameters
    ----------
    tasks : iterator
        Pulled whenever a worker is free; tasks must be picklable. None means that there is
        none yet: they are asked again when a task has ended or reported, and every second.
    work : callable
        A function of a module: task and `Report` in, result out. An exception becomes the
        outcome's message.
    n_workers : int
        Processes; none is started before there is a task for it.
    prepare : callable
        A function of a module that a process calls once, pinned to its core already.
    listener : Listener, optional
        Is told what happens to tasks before they end.
    timeout : float, optional
        Seconds after which a task is given up, and its worker replaced.
    attempts : int
        Workers that may die of one task before it is given up.

    Yields
    ------
    Outcome
        In the order in which tasks end. A task whose worker dies is given to a new one, up
        to so many `attempts`; then its outcome says how the worker died.

    Raises
    ------
    OSError, AeroactError
        What a worker met that is no fault of its task.
    """
    crew: _Crew[Task, Result] = _Crew(work, prepare, listener or Listener(), timeout, attempts)
    more = True
    try:
        while True:
            patience = math.inf
            while more and len(crew.busy) < n_workers:
                try:
                    task = next(tasks)
                except StopIteration:
                    more = False
                    break
                if task is None:
                    patience = _ASK_AGAIN
                    break
                worker = crew.free_member(n_workers)
                assert worker is not None
                crew.listener.given(task)
                worker.give(task)
            if not crew.busy:
                return
            crew.wait(patience)
            for worker in crew.busy:
                outcome = crew.hear(worker)
                if outcome is not None:
                    yield outcome
    finally:
        crew.dismiss()


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(
    pipe: Connection, work: Work[Task, Result], prepare: Callable[[], None], number: int
) -> None:
    """Live as a worker: task after task, until the parent goes."""
    # Ctrl-C reaches the whole group; the parent decides what becomes of us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[number % len(cores)]})
    prepare()

    def report(what: Any) -> bool:
        pipe.send(("reported", what))
        return bool(pipe.recv())

    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        pipe.send(("began", None))
        try:
            answer: tuple[Result | None, str | Exception] = (work(task, report), "")
        except _NOT_THE_TASKS_FAULT as error:
            answer = (None, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the search goes on
            answer = (None, f"{type(error).__name__}: {error}")
        pipe.send(("ended", answer))


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
