"""Rank emulators by accuracy and cost, and pick one by a rule."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aeroact.errors import AeroactError
from aeroact.hpo.journal import Trial
from aeroact.timing import Timing

if TYPE_CHECKING:
    from aeroact.export.parity import Parity

RULES = ("lightest", "best", "fastest", "heaviest", "knee")


@dataclass(frozen=True)
class Candidate:
    """A retrained network that was converted, compared and timed.

    Attributes
    ----------
    trial : Trial
        Its Step-2 record, with the errors on the holdout.
    onnx : bytes
        The converted network.
    parity : Parity
        Differences from Keras in activated fraction.
    timing : Timing
        Microseconds a sample on one core, at the chosen batch.
    """

    trial: Trial
    onnx: bytes
    parity: "Parity"
    timing: Timing

    @property
    def mse(self) -> float:
        """Mean squared error on the holdout."""
        return float(self.trial.holdout["mse"])

    @property
    def usable(self) -> bool:
        """Whether a rule may pick it: its retraining, its MSE and its time are sound."""
        measured = math.isfinite(self.mse) and math.isfinite(self.timing.median)
        return self.trial.status == "COMPLETED" and measured


def ranking(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates by holdout MSE, best first; ties by name, unusable ones last."""
    # A NaN has no place in an order.
    return sorted(candidates, key=lambda c: (not c.usable, c.mse if c.usable else 0, c.trial.name))


def pick(
    candidates: Sequence[Candidate],
    rule: str,
    *,
    tolerance: float,
    max_mse: float | None,
    refused: Mapping[str, str] | None = None,
) -> tuple[Candidate, str]:
    """Pick one emulator.

    Parameters
    ----------
    candidates : sequence of Candidate
        To choose from; unusable ones are never picked.
    rule : str
        ``best`` has the lowest MSE. ``lightest`` and ``heaviest`` have the fewest and the most
        parameters, and ``fastest`` the shortest time, among those that are good enough.
        ``knee`` is where more parameters stop helping: on the front of log MSE against log
        parameters, the farthest below the chord from the lightest to the best; the best, where
        none lies below it. Or a trial's name.
    tolerance : float
        Good enough is an MSE of at most this multiple of the best. It does not concern
        ``knee``, which finds by itself how much accuracy the last parameters buy.
    max_mse : float, optional
        If given, good enough is at most this MSE instead, for every rule: none but a trial's
        name picks an emulator above it.
    refused : mapping of str to str, optional
        Trials that are no candidates, with the reason; for the error message.

    Returns
    -------
    Candidate
        The chosen one; ties go to the lower MSE, then to the lower name.
    str
        The rule in words.

    Raises
    ------
    AeroactError
        If no candidate satisfies the rule.
    """
    if not tolerance >= 1:
        raise AeroactError(f"--tolerance {tolerance:g}: it must be at least 1, the best itself")
    order = [c for c in ranking(candidates) if c.usable]
    unsound = "its retraining failed, or its MSE or its time is not finite"
    reasons = {c.trial.name: unsound for c in candidates if not c.usable} | dict(refused or {})
    if not order:
        why = "; ".join(f"trial {name}: {reason}" for name, reason in reasons.items())
        raise AeroactError(
            "there is no usable emulator to pick from" + (f" ({why})" if why else "")
        )
    if rule not in RULES:
        return _named(order, rule, reasons), "asked for by name"

    best = order[0].mse
    limit = math.inf if max_mse is None else max_mse
    if not best <= limit:
        raise AeroactError(
            f"no emulator has an MSE of at most {limit:g}; the best has {best:.3g}: "
            "raise --max-mse, or search longer"
        )
    within = "" if max_mse is None else f" among those with an MSE of at most {max_mse:.3g}"
    if rule == "best":
        return order[0], "the lowest MSE"
    if rule == "knee":
        good = [c for c in order if c.mse <= limit]
        return _knee(good), f"where more parameters stop helping{within}"

    if max_mse is None:
        limit = tolerance * best
        within = f" among those with an MSE of at most {limit:.3g}, {tolerance:g} times the best"
    good = [c for c in order if c.mse <= limit]
    if rule == "lightest":
        return min(good, key=_params), f"the fewest parameters{within}"
    if rule == "heaviest":
        return max(good, key=_params), f"the most parameters{within}"
    return min(good, key=_time), f"the shortest time{within}"


def pareto(candidates: Sequence[Candidate]) -> frozenset[str]:
    """Return the names of the trials than which none is both more accurate and faster.

    No other is at least as accurate and at least as fast, and better in one of the two; equals
    are in together. Unusable candidates are out.
    """
    order = [c for c in ranking(candidates) if c.usable]
    return frozenset(c.trial.name for c in _front(order, _time))


def _named(order: Sequence[Candidate], name: str, reasons: Mapping[str, str]) -> Candidate:
    named = [c for c in order if c.trial.name == name]
    if named:
        return named[0]
    what = f"not usable, {reasons[name]}" if name in reasons else "no such rule or usable trial"
    names = ", ".join(c.trial.name for c in order)
    raise AeroactError(f"--pick {name}: {what}; there are {', '.join(RULES)}, and trials {names}")


def _params(candidate: Candidate) -> float:
    return candidate.trial.params


def _time(candidate: Candidate) -> float:
    return candidate.timing.median


def _front(order: Sequence[Candidate], cost: Callable[[Candidate], float]) -> list[Candidate]:
    """Return the candidates, best first, that no other beats in MSE and cost."""

    def beats(a: Candidate, b: Candidate) -> bool:
        ours, theirs = (a.mse, cost(a)), (b.mse, cost(b))
        return ours != theirs and ours[0] <= theirs[0] and ours[1] <= theirs[1]

    return [c for c in order if not any(beats(other, c) for other in order)]


def _knee(order: Sequence[Candidate]) -> Candidate:
    """Return the farthest below the chord of log MSE against log parameters."""
    front = _front(order, _params)  # from the best to the lightest
    floor = np.finfo(np.float64).tiny  # a network without any error has a logarithm, too
    points = np.log([[c.trial.params, max(c.mse, floor)] for c in front])
    along, away = points[0] - points[-1], points - points[-1]
    # Its scale does not matter: the distances from one line have the order of these areas.
    below = along[1] * away[:, 0] - along[0] * away[:, 1]
    return front[int(np.argmax(below))]
