"""An exported network must be the network that was tested: compare it, or refuse it."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aeroact.errors import AeroactError
from aeroact.export import weights
from aeroact.hpo import network
from aeroact.normalization import Normalization
from aeroact.zoo import Emulator

if TYPE_CHECKING:
    import keras

MAX_DIFFERENCE = 5e-6
"""In activated fraction; float32 rounding alone makes about 1e-6."""

MIN_STATES = 10_000


def with_keras(
    emulator: Emulator,
    model: "keras.Model",
    normalization: Normalization,
    x: NDArray[np.float32],
) -> float:
    """Compare an emulator with the Keras network, fed the same float32 states.

    Returns
    -------
    float
        The largest difference in activated fraction.

    Raises
    ------
    AeroactError
        If it exceeds `MAX_DIFFERENCE`.
    """
    reference = network.predict(model, normalization.apply(x))
    return _require("the ONNX network differs from Keras", emulator.predict(x), reference)


def with_weights(emulator: Emulator, path: Path, x: NDArray[np.float32]) -> float:
    """Compare an emulator with its `weights.nc`; returns and raises as `with_keras`."""
    return _require(
        "the ONNX network differs from weights.nc", emulator.predict(x), weights.predict(path, x)
    )


def _require(what: str, fn: NDArray[np.floating], reference: NDArray[np.floating]) -> float:
    difference = float(np.abs(fn - reference).max())
    # Not "difference > MAX": a NaN must not pass.
    if not difference <= MAX_DIFFERENCE:
        raise AeroactError(
            f"{what} by up to {difference:.2e} in fn, more than {MAX_DIFFERENCE:g}; not exported"
        )
    return difference
