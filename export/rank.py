"""Rank emulators by accuracy and cost, and pick one by a rule."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aeroact.errors import AeroactError
from aeroact.export.bench import Timing
from aeroact.hpo.journal import Trial

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
    parity : float
        Largest difference from Keras in activated fraction.
    timing : Timing
        Microseconds a sample on one core.
    """

    trial: Trial
    onnx: bytes
    parity: float
    timing: Timing

    @property
    def mse(self) -> float:
        """Mean squared error on the holdout."""
        return float(self.trial.holdout["mse"])


def ranking(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates by holdout MSE, best first; ties by name."""
    return sorted(candidates, key=lambda c: (c.mse, c.trial.name))


def pick(
    candidates: Sequence[Candidate], rule: str, *, tolerance: float, max_mse: float | None
) -> tuple[Candidate, str]:
    """Pick one emulator.

    Parameters
    ----------
    candidates : sequence of Candidate
        To choose from.
    rule : str
        One of `RULES`, or a trial's name.
    tolerance : float
        ``lightest``, ``fastest`` and ``heaviest`` choose among the candidates whose MSE
        is at most this multiple of the best.
    max_mse : float, optional
        If given, they choose among those with at most this MSE instead.

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
    order = ranking(candidates)
    if not order:
        raise AeroactError("there is no usable emulator to pick from")
    if rule not in RULES:
        named = [c for c in order if c.trial.name == rule]
        if not named:
            names = ", ".join(c.trial.name for c in order)
            raise AeroactError(f"--pick {rule}: no such rule or usable trial; there are {names}")
        return named[0], "asked for by name"
    if rule == "best":
        return order[0], "the lowest MSE"
    if rule == "knee":
        return _knee(order), "the farthest below the line from the lightest to the best"

    limit = tolerance * order[0].mse if max_mse is None else max_mse
    good = [c for c in order if c.mse <= limit]
    within = f"among those with an MSE of at most {limit:.3g}"
    if max_mse is None:
        within += f", {tolerance:g} times the best"
    if not good:
        raise AeroactError(
            f"no emulator has an MSE of at most {max_mse:g}; the best has {order[0].mse:.3g}: "
            "raise --max-mse, or search longer"
        )
    if rule == "lightest":
        return min(good, key=lambda c: c.trial.params), f"the fewest parameters {within}"
    if rule == "heaviest":
        return max(good, key=lambda c: c.trial.params), f"the most parameters {within}"
    return min(good, key=lambda c: c.timing.median), f"the shortest time {within}"


def _knee(order: Sequence[Candidate]) -> Candidate:
    """Return the knee of log MSE against log parameters (the chord's farthest point below)."""
    points = np.log([[c.trial.params, c.mse] for c in order])
    light, best = points[:, 0].argmin(), 0
    spread = np.ptp(points, axis=0)
    points = (points - points.min(axis=0)) / np.where(spread > 0, spread, 1.0)
    along = points[best] - points[light]
    away = points - points[light]
    below = along[1] * away[:, 0] - along[0] * away[:, 1]
    return order[int(np.argmax(below))]
