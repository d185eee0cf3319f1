"""Time emulators, and ARG2000 beside them, on one core in one run.

Times of different runs are not to be compared, ratios are: the clock of a shared
machine wanders. So everything is timed in turn, round after round, and the median of
the rounds counts.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Predict = Callable[[NDArray[np.float32]], object]

_ROUNDS = 15
_MIN_SAMPLES = 20_480


@dataclass(frozen=True)
class Timing:
    """Microseconds a sample over the rounds: the median and the middle half."""

    median: float
    lower: float
    upper: float


def time_all(
    predictors: dict[str, Predict], x: NDArray[np.float32], batch: int
) -> dict[str, Timing]:
    """Time predictors on the same states, pinned to one core.

    Parameters
    ----------
    predictors : dict of str to callable
        Each takes states of shape (batch, 16). Single-threaded ones: see `one_core`.
    x : ndarray, shape (n, 16)
        States to predict, over and over.
    batch : int
        States a call.

    Returns
    -------
    dict of str to Timing
        By the predictors' names.
    """
    n_batches = max(1, _MIN_SAMPLES // batch)
    rows = np.resize(np.arange(len(x)), n_batches * batch)
    batches = np.split(x[rows], n_batches)
    seconds: dict[str, list[float]] = {name: [] for name in predictors}
    with one_core():
        for predict in predictors.values():
            predict(batches[0])
        for _ in range(_ROUNDS):
            for name, predict in predictors.items():
                started = time.perf_counter()
                for part in batches:
                    predict(part)
                seconds[name].append(time.perf_counter() - started)
    return {
        name: Timing(*(float(q) for q in np.percentile(took, (50, 25, 75)) * 1e6 / len(rows)))
        for name, took in seconds.items()
    }


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process on a single core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
