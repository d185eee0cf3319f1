"""Where one step of a search stands: what is done, what is best, what failed, how long yet."""

import re
from bisect import bisect_left, insort
from collections import Counter, defaultdict, deque
from collections.abc import Iterable

from aeroact.hpo.journal import Trial

_PACE_TRIALS = 200  # enough for a mean of heavy-tailed times, few enough to follow a change

_VARIABLE = re.compile(
    r"""
    0x[0-9a-f]+                             # an address
    | (?<![\w/.])\.{0,2}/[\w.+-][\w./+-]*   # a path
    | \d+(?:[.,]\d+)*(?:e[+-]?\d+)?         # a number
    """,
    re.VERBOSE | re.IGNORECASE,
)


class Standing:
    """Where one step of a search stands, kept up to date trial by trial.

    Parameters
    ----------
    step : int
        Of the search, 1 or 2.
    total : int
        Trials of the step in all.

    Attributes
    ----------
    running : dict of str to Trial
        The trials that are running, by name.
    last_ended : float
        When the last trial ended (Unix time, s); 0 if unknown.
    """

    def __init__(self, step: int, total: int) -> None:
        self.step, self.total = step, total
        self.running: dict[str, Trial] = {}
        self.last_ended = 0.0
        self._finished: dict[str, Trial] = {}
        self._numbers: Counter[str] = Counter()  # of finished trials by status
        self._ranking: list[tuple[float, str]] = []  # MSE and name of the completed ones
        self._messages: defaultdict[str, Counter[str]] = defaultdict(Counter)  # by reason
        # One more than are counted: its end is when the counted stretch of time began.
        self._recent: deque[tuple[float, float]] = deque(maxlen=_PACE_TRIALS + 1)
        self._workers = 0

    @classmethod
    def of(cls, step: int, total: int, trials: Iterable[Trial]) -> "Standing":
        """Return where a step stands by the last record of each trial; other steps' are skipped."""
        standing = cls(step, total)
        # Running ones have no end and come first, then the finished in the order they ended.
        for trial in sorted(trials, key=lambda trial: trial.ended):
            if trial.step == step:
                standing.add(trial)
        return standing

    def add(self, trial: Trial) -> None:
        """Take note of a change of a trial of this step."""
        before = self._finished.pop(trial.name, None)
        if before is not None:
            self._count(before, -1)
        if trial.status == "RUNNING":
            self.running[trial.name] = trial
            # Counted only here: between two trials of a worker, one fewer is running.
            self._workers = len(self.running)
            return
        self.running.pop(trial.name, None)
        self._finished[trial.name] = trial
        self._count(trial, 1)
        self.last_ended = max(self.last_ended, trial.ended)
        if trial.started and trial.ended:
            self._recent.append((trial.started, trial.ended))

    def _count(self, trial: Trial, by: int) -> None:
        self._numbers[trial.status] += by
        if trial.status == "COMPLETED":
            entry = (self.mse(trial), trial.name)
            if by > 0:
                insort(self._ranking, entry)
            else:
                del self._ranking[bisect_left(self._ranking, entry)]
        elif trial.status == "FAILED":
            self._messages[reason(trial.message)][" ".join(trial.message.split())] += by

    def forget_running(self) -> None:
        """Drop the trials that a process left running; nobody works on them any more."""
        self.running.clear()
        self._workers = 0

    def mse(self, trial: Trial) -> float:
        """Return what the step ranks by: best validation MSE in Step 1, holdout MSE in Step 2."""
        return trial.best_val_mse if self.step == 1 else float(trial.holdout["mse"])

    def best(self, n: int = 5) -> list[Trial]:
        """Return the n completed trials with the lowest MSE, best first; ties by name."""
        return [self._finished[name] for _, name in self._ranking[:n]]

    @property
    def completed(self) -> int:
        """Number of completed trials."""
        return self._numbers["COMPLETED"]

    @property
    def pruned(self) -> int:
        """Number of pruned trials."""
        return self._numbers["PRUNED"]

    @property
    def failed(self) -> int:
        """Number of failed trials."""
        return self._numbers["FAILED"]

    @property
    def done(self) -> int:
        """Number of finished trials, pruned and failed ones included."""
        return len(self._finished)

    @property
    def failures(self) -> Counter[str]:
        """Numbers of failed trials by reason; a reason they all word alike keeps its numbers."""
        counts: Counter[str] = Counter()
        for why, messages in self._messages.items():
            wordings = +messages
            if wordings:
                counts[next(iter(wordings)) if len(wordings) == 1 else why] += wordings.total()
        return counts

    def trials_per_hour(self, now: float) -> float | None:
        """Return how many trials an hour finish with as many workers as there are now.

        Parameters
        ----------
        now : float
            Unix time (s).

        Returns
        -------
        float or None
            None as long as it is unknown.
        """
        seconds = self._worker_seconds_per_trial(now)
        return 3600 * self._workers / seconds if seconds and self._workers else None

    def seconds_left(self, now: float) -> float | None:
        """Return how long the rest will take (s), at `now` in Unix time; None if unknown."""
        left = self.total - self.done
        if left <= 0:
            return 0.0
        seconds = self._worker_seconds_per_trial(now)
        # The last trials cannot share the workers that have nothing left to do.
        return seconds * max(left / self._workers, 1.0) if seconds and self._workers else None

    def _worker_seconds_per_trial(self, now: float) -> float | None:
        """Return the workers' time for the last trials, divided by the number of those.

        Time spent on trials that still run counts, too: those that finished so far are
        the short ones. Time when no trial ran does not, be it a day between two processes.
        """
        finished, since = list(self._recent), 0.0
        if len(finished) > _PACE_TRIALS:
            (_, since), *finished = finished
        if not finished:
            return None
        spans = finished + [(trial.started, now) for trial in self.running.values()]
        spent = sum(max(end - max(begin, since), 0.0) for begin, end in spans if begin)
        return spent / len(finished)


def reason(message: str) -> str:
    """Return why a trial failed without what differs from trial to trial.

    Numbers, paths and addresses become an ellipsis, so that trials that failed alike
    can be counted together.
    """
    return _VARIABLE.sub("…", " ".join(message.split()))
