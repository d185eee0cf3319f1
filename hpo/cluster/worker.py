"""A worker: asks the chief for trials and does them in processes of its own.

There is one for each GPU, or one for the cores of a node, with as many trials at a time as it
has processes. If the chief does not answer, trainings go on, and what is to be told is told to
the next chief.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from aeroact.errors import AeroactError
from aeroact.files import make_folder
from aeroact.hpo import workers
from aeroact.hpo.attempts import Task
from aeroact.hpo.backend import load_single_threaded
from aeroact.hpo.cluster import place, wire
from aeroact.hpo.cluster.assignment import Assignment, do
from aeroact.hpo.cluster.line import PATIENCE, Line, NoChiefError
from aeroact.hpo.cluster.protos import service
from aeroact.hpo.config import Project
from aeroact.hpo.crew import perform
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.training import History
from aeroact.hpo.workers import Listener, Outcome, Work

_BEAT = 2.0  # s between two reports
_ASK_AGAIN = 1.0  # s between two questions for something to do


class _LeaveError(BaseException):
    """Somebody wants this worker to go."""


@dataclass(eq=False)
class _Held:
    """A trial that this worker has.

    Attributes
    ----------
    lease : str
        What the chief calls it.
    task : Task
        The trial.
    curve : list of tuple of float
        MSE and validation MSE of its epochs.
    told : int
        How many of these the chief knows.
    stop : bool
        Whether the chief wants it to end.
    void : bool
        Whether the trial is this worker's no more.
    ending : Trial or None
        Its end, as the chief is to be told, where it has one.
    """

    lease: str
    task: Task
    curve: list[tuple[float, float]] = field(default_factory=list)
    told: int = 0
    stop: bool = False
    void: bool = False
    ending: Any = None


class Worker:
    """A worker of a run.

    Parameters
    ----------
    folder : RunFolder
        Of the run.
    name : str
        What it calls itself.
    slots : int
        Trials at a time.
    work : callable
        What a process does for a trial.
    """

    def __init__(
        self,
        folder: RunFolder,
        name: str,
        slots: int,
        work: Work[Task, History] = perform,
    ) -> None:
        self.name, self.slots = name, slots
        self._folder, self._line = folder, Line(folder)
        self._work = partial(do, work)
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()  # one report at a time
        self._ended = threading.Event()
        self._trouble: AeroactError | None = None  # that the thread which reports has met

    def run(self) -> None:
        """Do trials until the chief has no more.

        Raises
        ------
        AeroactError
            If no chief answers for ten minutes, or something is amiss that is no trial's fault,
            as a full disk. The trials go back to the chief.
        """
        project = self._folder.project()
        beat = threading.Thread(target=self._beat, daemon=True)
        beat.start()
        listener = Listener(reported=self._reported)
        outcomes = workers.run(
            self._assignments(project),
            self._work,
            self.slots,
            load_single_threaded,
            listener=listener,
            timeout=project.trial_timeout,
            attempts=1,
        )
        try:
            for outcome in outcomes:
                self._end(outcome)
            for held in list(self._held.values()):
                self._bring(held)
        except NoChiefError:
            raise
        except BaseException as error:
            self._ended.set()
            self._give_back(str(error) or "it was told to go")
            raise
        finally:
            self._ended.set()
            outcomes.close()  # type: ignore[attr-defined]

    def _assignments(self, project: Project) -> Iterator[Assignment | None]:
        """Ask the chief for trials, until it has no more."""
        request = service.CreateTrialRequest(tuner_id=self.name)
        asked_at = 0.0
        while True:
            if time.monotonic() < asked_at + _ASK_AGAIN:
                # What is running must go on meanwhile.
                if self._busy:
                    yield None
                else:
                    time.sleep(_ASK_AGAIN)
                continue
            try:
                patience = 0.0 if self._busy else PATIENCE
                trial = self._line.call("CreateTrial", request, patience).trial
            except NoChiefError:
                if not self._busy:
                    raise
                asked_at = time.monotonic()
                continue
            if trial.status == wire.Status.STOPPED:
                return
            if trial.status == wire.Status.RUNNING:
                task = wire.task_in(trial, project, self._folder)
                self._held[trial.trial_id] = _Held(trial.trial_id, task)
                say(f"trial {task.name} of Step {task.step}")
                yield Assignment(trial.trial_id, task)
            else:
                asked_at = time.monotonic()

    @property
    def _busy(self) -> bool:
        """Whether a training is running, which must not wait for the chief."""
        return any(held.ending is None for held in list(self._held.values()))

    def _reported(self, assignment: Assignment, errors: tuple[float, float]) -> bool:
        if self._trouble is not None:
            raise self._trouble
        held = self._held[assignment.lease]
        held.curve.append(errors)
        return held.stop

    def _beat(self) -> None:
        """Tell the chief, again and again, how trials get on, and that they do."""
        while not self._ended.wait(_BEAT):
            for held in list(self._held.values()):
                try:
                    if held.ending is not None:
                        self._bring(held, patience=0.0)
                        continue
                    with self._lock:
                        if held.lease in self._held and not held.void:
                            self._tell(held, patience=0.0)
                except NoChiefError:
                    pass  # the next beat tells it
                except AeroactError as error:
                    self._trouble = error
                    return

    def _tell(self, held: _Held, patience: float = PATIENCE) -> bool:
        """Report the epochs that the chief does not know, or none: that is a sign of life.

        Returns
        -------
        bool
            Whether the trial is still this worker's.
        """
        while True:
            first, curve = held.told, held.curve[held.told :]
            message = wire.epochs_message(held.lease, first, curve)
            try:
                status = self._line.call("UpdateTrial", message, patience).trial.status
            except grpc.RpcError as error:
                held.told = _known(error)
                continue
            held.told = first + len(curve)
            held.void = status == wire.Status.INVALID
            held.stop = held.void or status == wire.Status.STOPPED
            return not held.void

    def _end(self, outcome: Outcome[Assignment, History]) -> None:
        """Bring a trial's end to the chief."""
        held = self._held[outcome.task.lease]
        if outcome.result is not None:
            held.ending = wire.result_message(held.lease, outcome.result)
        else:
            say(f"trial {held.task.name} failed: {outcome.message}")
            status = wire.Status.INVALID if outcome.killed else wire.Status.FAILED
            held.ending = wire.reason_message(held.lease, status, outcome.message)
        try:
            self._bring(held, 0.0 if self._busy else PATIENCE)
        except NoChiefError:
            # Others are at work, and answered by this thread: the next beat brings it.
            if not self._busy:
                raise

    def _bring(self, held: _Held, patience: float = PATIENCE) -> None:
        """Tell the chief of an end."""
        with self._lock:
            if held.lease not in self._held:
                return
            request = service.EndTrialRequest(trial=held.ending)
            while not held.void and self._tell(held, patience):
                try:
                    self._line.call("EndTrial", request, patience)
                    break
                except grpc.RpcError as error:
                    held.told = _known(error)
            del self._held[held.lease]

    def _give_back(self, why: str) -> None:
        """Tell the chief, if it is there, that others may have what is not done."""
        with contextlib.suppress(AeroactError):
            for held in list(self._held.values()):
                if held.ending is not None:
                    self._bring(held, patience=0.0)
        with contextlib.suppress(NoChiefError, grpc.RpcError), self._lock:
            for held in self._held.values():
                message = wire.reason_message(held.lease, wire.Status.INVALID, why, leaving=True)
                request = service.EndTrialRequest(trial=message)
                self._line.call("EndTrial", request, patience=0.0)


def _known(error: grpc.RpcError) -> int:
    """Return how many epochs the chief knows, if that is what it complains of."""
    if error.code() != grpc.StatusCode.OUT_OF_RANGE:
        raise AeroactError(f"the chief answers {error.code().name}: {error.details()}") from error
    return int(error.details())


def say(what: str) -> None:
    """Write a line to the log, with the time."""
    print(time.strftime("%Y-%m-%d %H:%M:%S"), what, flush=True)


@contextlib.contextmanager
def logging_to(path: Path) -> Iterator[Callable[[str], None]]:
    """Send what this process and its own say to a file, but for what the terminal must hear.

    Yields
    ------
    callable
        Says a line there, and where this process would have said it.
    """
    make_folder(path.parent)
    sys.stdout.flush()
    sys.stderr.flush()
    before = [os.dup(stream) for stream in (1, 2)]
    with path.open("a") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)

    def say_to_both(what: str) -> None:
        say(what)
        os.write(before[0], f"{what}\n".encode())

    try:
        yield say_to_both
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, original in zip((1, 2), before, strict=True):
            os.dup2(original, stream)
            os.close(original)


def _wait_for_run(folder: RunFolder) -> None:
    """Wait until a chief that was started beside us has made the run's folder."""
    until = time.monotonic() + PATIENCE
    while not folder.exists and time.monotonic() < until:
        time.sleep(_ASK_AGAIN)
    folder.project()


def serve(path: Path, slots: int | None) -> None:
    """Be a worker of a run until there is nothing more to do, or SIGTERM comes.

    Parameters
    ----------
    path : Path
        The run's folder.
    slots : int or None
        Trials at a time; None: one for each core that is ours, or a single one with a GPU.
    """
    folder = RunFolder(path)
    _wait_for_run(folder)
    place.keep_to_one_gpu()
    place.keep_to_own_cores()
    name = os.environ["KERASTUNER_TUNER_ID"] = place.worker_name()
    if slots is None:
        slots = 1 if os.environ.get("CUDA_VISIBLE_DEVICES") else len(os.sched_getaffinity(0))

    def leave(*_: Any) -> None:
        raise _LeaveError

    signal.signal(signal.SIGTERM, leave)
    log = folder.logs / f"{name}.log"
    with logging_to(log) as say_to_both:
        say_to_both(f"Worker {name}: {slots} at a time; it logs to {log}")
        try:
            Worker(folder, name, slots).run()
            say("the chief has no more for this worker")
        except _LeaveError:
            say("told to go")
        except (OSError, AeroactError) as error:
            say(f"error: {error}")
            raise
