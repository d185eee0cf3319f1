"""What a chief decides: who gets which trial, when it is lost, and whose failure counts.

Nothing here speaks to a network or looks at a clock, so that all of it can be tested.

- A trial is given out on a *lease*. A worker that is not heard of for `LEASE` seconds has lost
  it, and it is given to another; whoever held it before is told to let go.
- A failure is one worker's word. The trial is given to another worker, if there is one, and has
  failed only when that one agrees. A worker whose failures others refute, as one with a bad GPU,
  is *put aside*; until that is known, it gets nothing new to spoil.
"""

import secrets
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from aeroact.hpo.attempts import Task
from aeroact.hpo.cluster.roster import Member, Roster
from aeroact.hpo.training import History
from aeroact.hpo.workers import Listener, Outcome

LEASE = 20.0
"""Seconds without a word after which a trial is given to another worker."""

GRACE = 10.0
"""Seconds in which the workers of a killed chief may say what they are working on."""

_LOSSES = 3  # workers that a trial may take with it
_OPINIONS = 3  # failures of a trial that count, whoever says so


class Answer(Enum):
    """What a worker is told."""

    GO_ON = "go on"
    WAIT = "nothing to do now; ask again"
    STOP = "end this trial: it is pruned"
    LET_GO = "this trial is another's, or done"
    LEAVE = "there is nothing more to do for you"


class GapError(Exception):
    """Epochs are missing between those that are known, `known` in number, and the reported."""

    def __init__(self, known: int) -> None:
        super().__init__(f"{known}")
        self.known = known


@dataclass
class Lease:
    """A trial in a worker's hands.

    Attributes
    ----------
    name : str
        ``STEP/TRIAL/WORKER/TOKEN``: what the worker calls it, so that it can be told whose it
        was even by a chief that has not given it.
    task : Task
        The trial.
    member : Member
        The worker.
    renewed : float
        When the worker last spoke of it (s).
    started : float
        When it was given (Unix time, s).
    curve : list of tuple of float
        MSE and validation MSE of each epoch that is known.
    stop : bool
        Whether it is pruned.
    """

    name: str
    task: Task
    member: Member
    renewed: float
    started: float
    curve: list[tuple[float, float]] = field(default_factory=list)
    stop: bool = False


@dataclass(frozen=True)
class _Failure:
    """What a worker says of a trial that failed there, and whether its process was killed."""

    why: str
    killed: bool


class Desk:
    """The trials of one step, on their way out and in.

    Parameters
    ----------
    begun : sequence of Task
        What an earlier process had begun; it may still be worked on.
    tasks : iterator of Task or None
        The others; None: there is none yet.
    listener : Listener
        Is told what happens to them.
    roster : Roster
        The workers, who stay from step to step.
    now : float
        The time, by a clock that only goes forward (s).
    grace : float
        Seconds in which what was begun is kept for those who may work on it, and in which nobody
        is thought to be alone.
    """

    def __init__(
        self,
        begun: Sequence[Task],
        tasks: Iterator[Task | None],
        listener: Listener[Task],
        roster: Roster,
        now: float,
        grace: float = 0.0,
    ) -> None:
        self.leases: dict[str, Lease] = {}
        self._tasks, self._more = tasks, True
        self._listener, self._roster = listener, roster
        self._waiting = deque(begun)
        self._kept = {task.name for task in begun}
        self._kept_until = now + grace
        self._untold = {task.name for task in begun}
        self._witnesses: defaultdict[str, dict[str, _Failure]] = defaultdict(dict)
        self._losses: Counter[str] = Counter()
        self._settled: set[str] = set()  # leases of which nothing more is to be heard

    @property
    def finished(self) -> bool:
        """Whether no trial is left; looks for the next one if none is out."""
        if not self.leases and not self._waiting and self._more:
            task = self._pull()
            if task is not None:
                self._waiting.append(task)
            else:
                # What waits for results while none is to come waits for ever.
                self._more = False
        return not (self._more or self.leases or self._waiting)

    def ask(self, worker: str, now: float, unix: float) -> Lease | Answer:
        """Give a worker something to do.

        Parameters
        ----------
        worker : str
            Its name.
        now, unix : float
            The time, by a clock that only goes forward, and by the calendar (s).
        """
        member = self._roster.heard(worker, now)
        if member.aside:
            return Answer.LEAVE
        task = self._next_for(member, now)
        if task is None:
            return Answer.WAIT
        name = f"{task.step}/{task.name}/{worker}/{secrets.token_hex(4)}"
        return self._lease(name, task, member, now, unix)

    def _lease(self, name: str, task: Task, member: Member, now: float, unix: float) -> Lease:
        lease = self.leases[name] = Lease(name, task, member, now, unix)
        member.running.append(task.name)
        if task.name in self._untold:
            self._untold.remove(task.name)
            self._listener.given(task)
        self._listener.began(task, member.number)
        return lease

    def _next_for(self, member: Member, now: float) -> Task | None:
        for task in self._waiting:
            witnesses = self._witnesses.get(task.name, {})
            kept = task.name in self._kept and now < self._kept_until
            # One whose own failures are in doubt may still look at those of others.
            if kept or member.name in witnesses or (member.suspect and not witnesses):
                continue
            self._waiting.remove(task)
            return task
        return self._pull() if self._more and not member.suspect else None

    def _pull(self) -> Task | None:
        try:
            task = next(self._tasks)
        except StopIteration:
            self._more = False
            return None
        if task is not None:
            self._untold.add(task.name)
        return task

    def report(
        self, name: str, first: int, curve: Sequence[tuple[float, float]], now: float, unix: float
    ) -> Answer:
        """Hear of a lease: that it is still worked on, and new epochs, if any.

        Epochs that are known already are passed over, so that a report may be repeated.

        Parameters
        ----------
        name : str
            Of the lease.
        first : int
            The epoch, counted from 0, with which the curve begins.
        curve : sequence of tuple of float
            MSE and validation MSE of each of these epochs.
        now, unix : float
            The time, by a clock that only goes forward, and by the calendar (s).

        Raises
        ------
        GapError
            If epochs are missing in between: all from there on must be told again.
        """
        lease = self._find(name, now, unix)
        if lease is None:
            return Answer.LET_GO
        if first > len(lease.curve):
            raise GapError(len(lease.curve))
        for errors in curve[len(lease.curve) - first :]:
            lease.curve.append(errors)
            lease.stop |= self._listener.reported(lease.task, errors)
        return Answer.STOP if lease.stop else Answer.GO_ON

    def _find(self, name: str, now: float, unix: float) -> Lease | None:
        """Return a lease; one of an earlier chief, or a lost one, where its trial still waits."""
        step, trial, worker, _ = name.split("/")
        if name in self._settled:
            return None
        member = self._roster.heard(worker, now)
        lease = self.leases.get(name)
        if lease is None:
            for task in self._waiting:
                if (str(task.step), task.name) == (step, trial):
                    self._waiting.remove(task)
                    return self._lease(name, task, member, now, unix)
            return None
        lease.renewed = now
        return lease

    def complete(
        self, name: str, epochs: int, result: History, now: float, unix: float
    ) -> Outcome[Task, History] | None:
        """Hear a trial's result; returns its outcome, or None if it has one already.

        Raises
        ------
        GapError
            If fewer epochs than it had are known.
        """
        lease = self._find(name, now, unix)
        if lease is None:
            return None
        if len(lease.curve) < epochs:
            raise GapError(len(lease.curve))
        self._close(lease)
        lease.member.succeeded()
        for witness, failure in self._witnesses.pop(lease.task.name, {}).items():
            self._roster.member(witness).refuted_by(lease.member, lease.task.name, failure.why)
        result.mse = [mse for mse, _ in lease.curve]
        result.val_mse = [val_mse for _, val_mse in lease.curve]
        return _outcome(lease, result, "", unix)

    def fail(
        self, name: str, why: str, now: float, unix: float, *, killed: bool = False
    ) -> Outcome[Task, History] | None:
        """Hear that a trial has failed; returns its outcome if that counts.

        Parameters
        ----------
        name : str
            Of the lease.
        why : str
            For people.
        now, unix : float
            The time, by a clock that only goes forward, and by the calendar (s).
        killed : bool
            Whether the process that worked on it was killed.
        """
        lease = self._find(name, now, unix)
        if lease is None:
            return None
        self._close(lease)
        self._settled.add(name)
        member, trial = lease.member, lease.task.name
        if member.aside:
            self._waiting.appendleft(lease.task)
            return None
        member.failed += 1
        member.unconfirmed.add(trial)
        witnesses = self._witnesses[trial]
        witnesses[member.name] = _Failure(why, killed)
        agreed = len(witnesses) > 1 and any(self._roster.member(w).done for w in witnesses)
        if agreed or len(witnesses) >= _OPINIONS:
            return self._failed(lease, why, unix)
        self._waiting.appendleft(lease.task)
        return self._without_others(lease.task, now, unix)

    def _without_others(self, task: Task, now: float, unix: float) -> Outcome[Task, History] | None:
        """Return the outcome of a waiting trial that has failed, if nobody is there to ask.

        A process that was killed may have met with an accident: those who are there try again.
        """
        witnesses, present = self._witnesses[task.name], self._roster.present(now)
        if not present or any(member.name not in witnesses for member in present):
            return None
        # Others may yet call in.
        if now < self._kept_until:
            return None
        name, failure = list(witnesses.items())[-1]
        if failure.killed and self._losses[task.name] < _LOSSES - 1:
            self._losses[task.name] += 1
            self._forget_witnesses(task)
            return None
        self._waiting.remove(task)
        lease = Lease("", task, self._roster.member(name), now, unix)
        return self._failed(lease, failure.why, unix)

    def _failed(self, lease: Lease, why: str, unix: float) -> Outcome[Task, History]:
        self._forget_witnesses(lease.task)
        return _outcome(lease, None, why, unix)

    def _forget_witnesses(self, task: Task) -> None:
        for witness in self._witnesses.pop(task.name, {}):
            self._roster.member(witness).unconfirmed.discard(task.name)

    def _lost(self, lease: Lease, why: str, unix: float) -> Outcome[Task, History] | None:
        self._close(lease)
        self._losses[lease.task.name] += 1
        if self._losses[lease.task.name] < _LOSSES:
            self._waiting.appendleft(lease.task)
            return None
        return self._failed(lease, f"{why}, the last of {_LOSSES} times", unix)

    def give_back(self, name: str) -> None:
        """Hear that a worker leaves before it has done a trial; that is no fault of the trial."""
        self._settled.add(name)
        lease = self.leases.get(name)
        if lease is not None:
            self._close(lease)
            self._waiting.appendleft(lease.task)

    def _close(self, lease: Lease) -> None:
        del self.leases[lease.name]
        lease.member.running.remove(lease.task.name)

    def tick(self, now: float, unix: float) -> list[Outcome[Task, History]]:
        """Take back what is lost, and let failures count that nobody is left to confirm."""
        outcomes = []
        for lease in list(self.leases.values()):
            if now - lease.renewed > LEASE:
                why = f"worker {lease.member.name} was not heard of for {LEASE:.0f} s"
                outcomes.append(self._lost(lease, why, unix))
        for task in [task for task in self._waiting if task.name in self._witnesses]:
            outcomes.append(self._without_others(task, now, unix))
        return [outcome for outcome in outcomes if outcome is not None]

    def pardon(self, seconds: float) -> None:
        """Let a time pass in which nobody could be heard."""
        for lease in self.leases.values():
            lease.renewed += seconds


def _outcome(lease: Lease, result: History | None, why: str, unix: float) -> Outcome[Task, History]:
    return Outcome(lease.task, lease.member.number, result, why, lease.started, unix)
