"""The network: a multilayer perceptron from normalized state to activated fraction."""

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeroact.errors import AeroactError
from aeroact.hpo.backend import load_backend
from aeroact.hpo.choices import Activation
from aeroact.hpo.space import Architecture
from aeroact.schema import N_INPUTS, N_OUTPUTS

if TYPE_CHECKING:
    import keras

_BATCH = 1 << 14


def initial_weights(widths: Architecture, seed: list[int]) -> list[NDArray[np.float32]]:
    """Draw the weights of an untrained network.

    Kernels are uniform within sqrt(6 / (inputs + outputs)) (Glorot and Bengio, 2010), biases
    zero, as in Keras.

    Parameters
    ----------
    widths : tuple of int
        Nodes of each hidden layer.
    seed : list of int
        Same seed, same weights.

    Returns
    -------
    list of ndarray of float32
        Kernel (inputs, outputs) and bias (outputs,) of each layer in turn.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    weights = []
    for shape in pairwise((N_INPUTS, *widths, N_OUTPUTS)):
        limit = np.sqrt(6 / sum(shape))
        # As 32 bits from the start, the largest kernels need half the time and memory.
        kernel = rng.random(shape, np.float32) * np.float32(2 * limit) - np.float32(limit)
        weights += [kernel, np.zeros(shape[1], np.float32)]
    return weights


def build(
    widths: Architecture, weights: list[NDArray[np.float32]], activation: Activation = "relu"
) -> "keras.Model":
    """Make the Keras network.

    ReLU in the hidden layers, sigmoid at the output (Yu et al., 2024, section 4.2), or the
    square of ReLU (So et al., 2021, arXiv:2109.08668).

    Parameters
    ----------
    widths : tuple of int
        Nodes of each hidden layer.
    weights : list of ndarray of float32
        Kernel and bias of each layer in turn.
    activation : str
        Of the hidden layers.
    """
    import keras

    hidden = _relu2() if activation == "relu2" else activation
    x = inputs = keras.Input((N_INPUTS,), name="z")
    for i, width in enumerate(widths):
        x = _dense(width, hidden, f"hidden_{i}")(x)
    model = keras.Model(inputs, _dense(N_OUTPUTS, "sigmoid", "fn")(x), name="activation")
    model.set_weights(weights)
    return model


@cache
def _relu2() -> Callable[[Any], Any]:
    """Return the square of ReLU, by its name in files, which Keras knows from then on."""
    import keras

    @keras.saving.register_keras_serializable(package="aeroact")
    def relu2(x: Any) -> Any:
        return keras.ops.square(keras.ops.relu(x))

    return relu2


def _dense(nodes: int, activation: str | Callable[[Any], Any], name: str) -> "keras.Layer":
    import keras

    # Its weights are overwritten: drawing others would take time.
    return keras.layers.Dense(nodes, activation, kernel_initializer="zeros", name=name)


def predict(model: "keras.Model", z: NDArray[np.float32]) -> NDArray[np.float32]:
    """Predict fractions (n, 4) from normalized states (n, 16).

    `keras.Model.predict` would compile a graph for each network, and warn of it.
    """
    parts = (z[start : start + _BATCH] for start in range(0, len(z), _BATCH))
    return np.concatenate([np.asarray(model(part)) for part in parts])


def load(path: Path) -> "keras.Model":
    """Read a network that a Step-2 training saved.

    Raises
    ------
    AeroactError
        If its file is missing or damaged.
    """
    if not path.is_file():
        raise AeroactError(f"{path}: this network is missing")
    load_backend()
    import keras

    _relu2()
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, KeyError) as error:
        raise AeroactError(f"{path}: cannot be read as a Keras network ({error})") from error
