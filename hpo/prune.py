"""End early the trials of Step 1 that will not be among the best.

Both rules look at a trial's best validation MSE so far at a few checkpoints, and compare it
with the trials of lower numbers that had not been ended before that checkpoint:

- ``median`` ends a trial that is worse than their median (Golovin et al., 2017, section 3.2,
  doi:10.1145/3097983.3098043; a trial that ended by itself counts with its best value, and
  with checkpoints at intervals as in Optuna's ``MedianPruner``);
- ``asha`` ends a trial that is not among the best 1/eta of them and itself, at checkpoints that
  lie a factor eta apart (Li et al., 2020, arXiv:1810.05934, in the variant of Ray Tune that
  stops trials where the paper pauses them).

What becomes of trial k is thus a function of the curves of trials 0 to k alone, whoever ran
first and however often the search was interrupted: trials are *settled* in the order of their
numbers. They run side by side, though, and often before all lower numbers are settled. Such a
trial is stopped as soon as it is certain that the rule ends it, whatever the others turn out
to be; the epochs that it trains beyond that end do not count.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aeroact.hpo.choices import Rule

# The numbers below were chosen on five real searches of 120 trials each, and on random orders of
# them: 2 to 60 batches an epoch, at most 30 or 100 epochs, both transforms. They are fractions of
# the most epochs: what takes place in 15 epochs of 100 takes place in 5 of 30. Where an epoch
# is many batches, and patience ends most trials before half of the epochs, less is saved.
_MEDIAN_CHECKPOINTS = (0.1, 0.4, 0.7)
"""Half of the trials ended at one early checkpoint alone still leaves more than half of the
epochs. Deep networks leave a plateau late: in between, they need the time to catch up."""

_ASHA_ETA = 2
"""Larger factors lose more of the best for the same epochs."""

_ASHA_CHECKPOINTS = (0.18, 0.36, 0.72)
"""The first checkpoint is later than the median's, because the next one follows soon."""

_MIN_BETTER = 4
"""So many must be better before a trial is ended: few trials to compare with are a bad sample.
That spares the first ones of a search, and the best of its last checkpoint."""


@dataclass(frozen=True)
class _Race:
    """What tells the rules apart.

    Attributes
    ----------
    checkpoints : tuple of float
        When trials are judged, as fractions of the most epochs of a trial.
    lost : callable
        Whether a trial is ended, from how many of those it is compared with are better, and
        how many are not. More of the former, or fewer of the latter, never save it.
    finished_count : bool
        Whether it is compared with trials, too, that ended by themselves before the checkpoint.
    """

    checkpoints: tuple[float, ...]
    lost: Callable[[int, int], bool]
    finished_count: bool


_RACES: dict[Rule, _Race] = {
    "none": _Race((), lambda better, others: False, finished_count=False),
    "median": _Race(
        _MEDIAN_CHECKPOINTS, lambda better, others: better > others, finished_count=True
    ),
    "asha": _Race(
        _ASHA_CHECKPOINTS,
        lambda better, others: _ASHA_ETA * (better + 1) > better + others + 1,
        finished_count=False,
    ),
}
_UNKNOWN, _ABSENT = np.inf, np.nan


class Pruner:
    """Says which running trials must stop, and settles the finished ones.

    Parameters
    ----------
    rule : {"none", "median", "asha"}
        How a hopeless trial is told.
    epochs : int
        Most epochs of a trial, of which the checkpoints are fractions.

    Attributes
    ----------
    settled : dict of int to int
        Epochs that count, by number, of the trials of which it is certain: those of number 0
        to before the first one that has not been added.
    ended : set of int
        Which of them the rule ended, at the last of these epochs.
    """

    def __init__(self, rule: Rule, epochs: int) -> None:
        self.settled: dict[int, int] = {}
        self.ended: set[int] = set()
        self._race = _RACES[rule]
        rounded = {max(1, round(fraction * epochs)) for fraction in self._race.checkpoints}
        # Nothing is left to save at the last epoch.
        self._checkpoints = sorted(rounded - {epochs})
        self._waiting: dict[int, int] = {}  # epochs of trials that are added but not settled
        # What each trial is compared by: a row for each checkpoint, a column for each trial.
        self._best = np.full((len(self._checkpoints), 1024), _UNKNOWN)

    def add(self, number: int, curve: Sequence[float]) -> None:
        """Take in a finished trial.

        Parameters
        ----------
        number : int
            Its number, from 0 on; trials may come in any order.
        curve : sequence of float
            Its validation MSE by epoch; empty for a trial that failed, which is of no account
            to others.

        Raises
        ------
        ValueError
            If the trial has been added before.
        """
        if number in self.settled or number in self._waiting:
            raise ValueError(f"trial {number} has been added before")
        self._make_room(number)
        self._best[:, number] = _ABSENT
        if len(curve) > 0:
            known = slice(None) if self._race.finished_count else self._reached(len(curve))
            self._best[known, number] = self._best_of(curve)[known]
        self._waiting[number] = len(curve)
        while (first := len(self.settled)) in self._waiting:
            self._settle(first, self._waiting.pop(first))

    def must_stop(self, number: int, curve: Sequence[float]) -> bool:
        """Say whether the rule ends a running trial, whatever is yet unknown of others.

        Parameters
        ----------
        number : int
            The trial.
        curve : sequence of float
            Its validation MSE by epoch so far. Earlier epochs count, too: more may be known
            of the others by now.
        """
        reached = self._reached(len(curve))
        if reached.stop == 0:
            return False
        self._make_room(number)
        return self._end(number, self._best_of(curve)[reached]) is not None

    def _settle(self, number: int, epochs: int) -> None:
        checkpoint = self._end(number, self._best[self._reached(epochs), number])
        if checkpoint is not None:
            self.ended.add(number)
            epochs = self._checkpoints[checkpoint]
            self._best[checkpoint + 1 :, number] = _ABSENT
        self.settled[number] = epochs

    def _end(self, number: int, best: NDArray[np.float64]) -> int | None:
        """Return the first checkpoint at which a trial is certain to be ended, if any.

        Parameters
        ----------
        number : int
            The trial.
        best : ndarray
            Its best value at each checkpoint that it has reached.
        """
        for checkpoint, value in enumerate(best):
            # Nobody is ended before the first checkpoint; who is at a later one is not known
            # before it is settled. Of the others only those that would save the trial count.
            known = number if checkpoint == 0 else len(self.settled)
            others = self._best[checkpoint, :number]
            better = int(np.count_nonzero(others[:known] < value))
            not_better = int(np.count_nonzero(others >= value))
            if better >= _MIN_BETTER and self._race.lost(better, not_better):
                return checkpoint
        return None

    def _best_of(self, curve: Sequence[float]) -> NDArray[np.float64]:
        """Return the lowest value until each checkpoint, or until the end of the curve."""
        return np.array([min(curve[:epoch]) for epoch in self._checkpoints])

    def _reached(self, epochs: int) -> slice:
        return slice(bisect_right(self._checkpoints, epochs))

    def _make_room(self, number: int) -> None:
        while self._best.shape[1] <= number:
            self._best = np.concatenate([self._best, np.full_like(self._best, _UNKNOWN)], axis=1)
