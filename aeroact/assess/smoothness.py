"""Neighbouring states must have neighbouring fractions, as they have in the parcel model.

A network that is right on the mean may still jitter from one grid cell to the next.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aeroact import schema
from aeroact.assess.box import Box

STEP = 0.005
"""Of every column at once, up or down, in parts of its range in the box."""


@dataclass(frozen=True)
class Smoothness:
    """Changes of fn between neighbouring states.

    Attributes
    ----------
    pairs : int
        For which the parcel model has both answers.
    rms_of_parcel : float
        Root mean square of the parcel model's own change.
    rms_difference : float
        Root mean square of the emulator's change less the parcel model's.
    largest_difference : float
        Largest of these in any mode.
    """

    pairs: int
    rms_of_parcel: float
    rms_difference: float
    largest_difference: float


def neighbours(x: NDArray[np.floating], box: Box, seed: int = 0) -> NDArray[np.float32]:
    """Return a neighbour of each state, shape (n, 16), within the box."""
    signs = np.random.default_rng([seed, 0x5300]).choice((-1.0, 1.0), (len(x), schema.N_INPUTS))
    points = box.points(x)
    # Away from a face that is in the way.
    signs = np.where(points + STEP * signs > 1.0, -1.0, signs)
    signs = np.where(points + STEP * signs < 0.0, 1.0, signs)
    return box.states(points + STEP * signs)


def of_fractions(
    here: NDArray[np.floating],
    there: NDArray[np.floating],
    truth_here: NDArray[np.floating],
    truth_there: NDArray[np.floating],
) -> Smoothness:
    """Compare the changes between two states, of arrays (n, 4) by emulator and parcel model."""
    truth = np.asarray(truth_there, np.float64) - truth_here
    change = np.asarray(there, np.float64) - here
    known = np.isfinite(truth).all(axis=1)
    truth, difference = truth[known], (change - truth)[known]
    if not len(truth):
        return Smoothness(0, 0.0, 0.0, 0.0)
    return Smoothness(
        len(truth),
        float(np.sqrt((truth**2).mean())),
        float(np.sqrt((difference**2).mean())),
        float(np.abs(difference).max()),
    )
