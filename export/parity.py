"""An exported network must be the network that was tested: compare it, or refuse it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aeroact.emulator import Emulator
from aeroact.errors import AeroactError
from aeroact.export import weights
from aeroact.export.layers import RELU2, Layers, hidden_activation
from aeroact.hpo import network
from aeroact.normalization import Normalization
from aeroact.schema import COLUMNS, N_INPUTS

if TYPE_CHECKING:
    import keras

MAX_DIFFERENCE = 5e-6
"""In activated fraction; float32 rounding alone makes about 1e-6."""

_OF_SQUARES_BEYOND_DATA = 1e-2

MIN_STATES = 100_000

_BLOCK = 1 << 14

_Predict = Callable[[NDArray[np.float32]], NDArray[np.floating]]


@dataclass(frozen=True)
class Parity:
    """How far two forms of a network are from each other, in activated fraction.

    Attributes
    ----------
    largest, p999 : float
        Largest difference and 99.9th percentile over the compared states.
    at_corners : float
        Largest difference at the corners of the training bounds, all 65,536 of them.
    holdout_states, drawn_states : int
        Compared states of the holdout, and drawn within the training bounds to make
        `MIN_STATES` of them.
    """

    largest: float
    p999: float
    at_corners: float
    holdout_states: int
    drawn_states: int


@dataclass(frozen=True)
class States:
    """What two forms of a network are compared on.

    Attributes
    ----------
    x : ndarray of float32, shape (n, 16)
        Holdout states first, then drawn ones.
    corners : ndarray of float32, shape (65536, 16)
    holdout : int
        How many are of the holdout.
    """

    x: NDArray[np.float32]
    corners: NDArray[np.float32]
    holdout: int


def states(holdout: NDArray[np.float32], normalization: Normalization) -> States:
    """Return states to compare on: of the holdout, and drawn where it has too few."""
    missing = max(0, MIN_STATES - len(holdout))
    x = np.concatenate([holdout, drawn(normalization, missing)])
    return States(x, corners(normalization), len(holdout))


def drawn(normalization: Normalization, n: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw states within the training bounds, shape (n, 16), evenly in the transformed column."""
    low, high = _ends(normalization)
    t = low + (high - low) * np.random.default_rng(seed).random((n, N_INPUTS))
    t[:, normalization.is_log] = np.exp(t[:, normalization.is_log])
    return np.clip(t.astype(np.float32), normalization.low, normalization.high)


def _ends(normalization: Normalization) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = normalization.low.astype(np.float64), normalization.high.astype(np.float64)
    is_log = normalization.is_log
    for ends in (low, high):
        ends[is_log] = np.log(np.maximum(ends[is_log], normalization.floor[is_log]))
    return low, high


def corners(normalization: Normalization) -> NDArray[np.float32]:
    """Return every corner of the training bounds, shape (65536, 16)."""
    high = (np.arange(1 << N_INPUTS)[:, None] >> np.arange(len(COLUMNS))) & 1
    return np.where(high == 1, normalization.high, normalization.low)


def allowed_beyond_data(layers: Layers) -> float:
    """Return the largest difference in order at states that are not of the data.

    Drawn evenly within the training bounds, or at their corners, states combine what no parcel
    combines. Sums are larger there, and float32 leaves fewer digits of their squares: at the
    worst of 100,000 drawn ones 1e-5 in fn for trained networks of three layers; at corners 1e-4,
    and 1e-3 for 64-64-64-64. The error of such a network there is 1e-1 and more.
    """
    return _OF_SQUARES_BEYOND_DATA if hidden_activation(layers) == RELU2 else MAX_DIFFERENCE


def with_keras(
    emulator: Emulator,
    model: "keras.Model",
    normalization: Normalization,
    compared: States,
    beyond_data: float = MAX_DIFFERENCE,
) -> Parity:
    """Compare an emulator with the Keras network, fed the same float32 states.

    Raises
    ------
    AeroactError
        If a difference exceeds `MAX_DIFFERENCE`, or `beyond_data` where states are not of the data.
    """

    def reference(x: NDArray[np.float32]) -> NDArray[np.floating]:
        return network.predict(model, normalization.apply(x))

    return _compare(
        "the ONNX network differs from Keras",
        emulator,
        reference,
        compared,
        MAX_DIFFERENCE,
        beyond_data,
    )


def with_weights(
    emulator: Emulator,
    layers: Layers,
    normalization: Normalization,
    compared: States,
    bound: float = MAX_DIFFERENCE,
) -> Parity:
    """Compare an emulator with its weights, evaluated in float64.

    Raises
    ------
    AeroactError
        If a difference exceeds the bound; or, where states are not of the data,
        `allowed_beyond_data` if that is larger.
    """

    def reference(x: NDArray[np.float32]) -> NDArray[np.floating]:
        return weights.evaluate(layers, normalization, x)

    return _compare(
        "the ONNX network differs from its weights",
        emulator,
        reference,
        compared,
        bound,
        max(bound, allowed_beyond_data(layers)),
    )


def _compare(
    what: str,
    emulator: Emulator,
    reference: _Predict,
    compared: States,
    bound: float,
    bound_beyond_data: float,
) -> Parity:
    at_states, at_corners = (
        np.concatenate(
            [
                np.abs(emulator.predict(part) - reference(part)).max(axis=1)
                for part in (x[start : start + _BLOCK] for start in range(0, len(x), _BLOCK))
            ]
        )
        for x in (compared.x, compared.corners)
    )
    for differences, allowed, where in (
        (at_states[: compared.holdout], bound, ""),
        (at_states[compared.holdout :], bound_beyond_data, " at a state drawn within the bounds"),
        (at_corners, bound_beyond_data, " at a corner of the training bounds"),
    ):
        difference = differences.max(initial=0.0)
        # Not "difference > allowed": a NaN must not pass.
        if not difference <= allowed:
            raise AeroactError(
                f"{what} by up to {difference:.2e} in fn{where}, more than {allowed:g}; "
                "not exported"
            )
    return Parity(
        float(at_states.max()),
        float(np.quantile(at_states, 0.999)),
        float(at_corners.max()),
        compared.holdout,
        len(compared.x) - compared.holdout,
    )
