"""Monotony: whether a fraction ever falls when the updraft rises.

A faster parcel is further from equilibrium, so its supersaturation peaks higher and every mode
activates more.  Nothing in a network forces it to know that.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aeroact import schema
from aeroact.assess.box import Box
from aeroact.regions import Predict

STEPS = 64
"""Updrafts of a state, evenly on a logarithmic axis over the training bounds."""

_WBAR = schema.column_slice(schema.WBAR).start

FALLS = ("0.001", "0.01")
"""Falls of fn that are counted."""


@dataclass(frozen=True)
class Monotony:
    """How far fractions fall as the updraft rises and all else stays.

    Attributes
    ----------
    states : int
        Each at `STEPS` updrafts.
    falling : dict of str to float
        Part of the states in which the fraction of some mode falls by more than that below
        what it was at a weaker updraft.
    falling_steps : float
        Part of the steps, of all modes, that lead down at all (by more than 1e-5).
    largest : float
        Largest fall of any mode in any state.
    """

    states: int
    falling: dict[str, float]
    falling_steps: float
    largest: float


def ladders(x: NDArray[np.floating], box: Box) -> NDArray[np.float32]:
    """Return states (n, 16) at `STEPS` updrafts each, shape (n * STEPS, 16), weakest first."""
    low, high = float(box.low[_WBAR]), float(box.high[_WBAR])
    rungs = np.repeat(np.asarray(x, np.float32), STEPS, axis=0)
    updrafts = np.geomspace(low, high, STEPS).astype(np.float32)
    rungs[:, _WBAR] = np.tile(updrafts, len(x))
    return rungs


def of_fractions(fn: NDArray[np.floating]) -> Monotony:
    """Measure the fractions (n * STEPS, 4) at the states of `ladders`.

    States at which a fraction is not finite, because the parcel model has no answer at some
    updraft, are left out.
    """
    curves = np.asarray(fn, np.float64).reshape(-1, STEPS, schema.N_OUTPUTS)
    curves = curves[np.isfinite(curves).all(axis=(1, 2))]
    if not len(curves):
        return Monotony(0, dict.fromkeys(FALLS, 0.0), 0.0, 0.0)
    falls = (np.maximum.accumulate(curves, axis=1) - curves).max(axis=(1, 2))
    return Monotony(
        len(curves),
        {bound: float((falls > float(bound)).mean()) for bound in FALLS},
        float((np.diff(curves, axis=1) < -1e-5).mean()),
        float(falls.max()),
    )


def measure(predict: Predict, x: NDArray[np.floating], box: Box) -> Monotony:
    """Measure an emulator over states (n, 16) in schema units."""
    return of_fractions(predict(ladders(x, box)))
