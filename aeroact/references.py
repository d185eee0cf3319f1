"""What an emulator is measured against: the parcel model and ARG2000, for rows of states."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from aeroact import schema
from aeroact.console import Progress
from aeroact.physics.activation import Activation
from aeroact.physics.arg2000 import arg2000
from aeroact.physics.constants import Physics
from aeroact.physics.parcel import simulate

FINE_BINS, FINE_RTOL = 200, 1e-6
"""Of the parcel model where a label itself is in question."""

_CALL = 256  # parcels: an interruption waits for no more


def parcel(
    x: NDArray[np.floating],
    *,
    physics: str | Physics = "default",
    bins: int = 50,
    rtol: float = 1e-4,
    progress: Progress | None = None,
) -> Activation:
    """Simulate states on all cores.

    Parameters
    ----------
    x : ndarray, shape (n, 16)
        States in schema units and column order.
    physics, bins, rtol
        As of `aeroact.simulate`.
    progress : Progress, optional
        Is told the finished parcels.

    Returns
    -------
    Activation
        `fn` (n, 4), `smax` (n,) and `status` (n,); NaN where the status is not OK.
    """

    def of_block(start: int) -> Activation:
        columns = schema.split_state(np.asarray(x[start : start + _CALL], np.float64)).values()
        return simulate(*columns, physics=physics, bins=bins, rtol=rtol)

    parts, done = [of_block(len(x))], 0  # no parcels at all: compiles, and gives the shapes
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        for part in threads.map(of_block, range(0, len(x), _CALL)):
            parts.append(part)
            done += len(part.smax)
            if progress:
                progress(done)
    return Activation(
        np.concatenate([part.fn for part in parts]),
        np.concatenate([part.smax for part in parts]),
        np.concatenate([part.status for part in parts]),
    )


def predict_arg2000(x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return what E3SM's parameterization makes of states (n, 16): fractions (n, 4)."""
    state = schema.split_state(np.asarray(x, np.float64))
    del state["rh"]  # ARG2000 starts at saturation
    return arg2000(**state).fn
