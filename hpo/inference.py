"""How long a prediction takes on one core: what a network will cost where it is used."""

import time

import numpy as np
from numpy.typing import NDArray

from aeroact.hpo.choices import Activation
from aeroact.schema import N_INPUTS

_BATCH = 1024
_REPEATS = 5


def measure(weights: list[NDArray[np.float32]], activation: Activation = "relu") -> float:
    """Time a network's forward pass, as plain matrix products on the core of this process.

    A measure to compare the networks of a search by; `aeroact-export` measures the few
    that are left in ONNX Runtime.

    Parameters
    ----------
    weights : list of ndarray
        Kernels and biases in turn, as Keras orders them.
    activation : str
        Of the hidden layers.

    Returns
    -------
    float
        Microseconds a sample in batches of 1,024, the least of several repetitions.
    """
    z = np.random.default_rng(0).normal(size=(_BATCH, N_INPUTS)).astype(np.float32)
    times = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        _forward(weights, z, activation)
        times.append(time.perf_counter() - started)
    return round(1e6 * min(times) / _BATCH, 4)


def _forward(
    weights: list[NDArray[np.float32]], z: NDArray[np.floating], activation: Activation
) -> NDArray[np.floating]:
    *hidden, kernel, bias = weights
    for inner, offset in zip(hidden[::2], hidden[1::2], strict=True):
        z = z @ inner
        z += offset
        np.maximum(z, 0, out=z)
        if activation == "relu2":
            z *= z
    z = z @ kernel
    z += bias
    return 0.5 + 0.5 * np.tanh(0.5 * z)  # the sigmoid, which cannot overflow
