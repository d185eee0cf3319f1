"""The network: a multilayer perceptron from normalized state to activated fraction."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aeroact.hpo.backend import load_backend
from aeroact.hpo.space import Architecture
from aeroact.schema import N_INPUTS, N_OUTPUTS

if TYPE_CHECKING:
    import keras

_BATCH = 1 << 14


def build(widths: Architecture, seed: list[int]) -> "keras.Model":
    """Make an untrained network.

    ReLU in the hidden layers, sigmoid at the output (Yu et al., 2024, section 4.2),
    Glorot-uniform weights and zero biases.

    Parameters
    ----------
    widths : tuple of int
        Nodes of each hidden layer.
    seed : list of int
        Same seed, same weights.
    """
    import keras

    # Two words of 32 bits a layer would be more than Keras takes: 31 bits are enough.
    seeds = np.random.SeedSequence(seed).generate_state(len(widths) + 1) >> 1
    inits = [keras.initializers.GlorotUniform(seed=int(s)) for s in seeds]
    x = inputs = keras.Input((N_INPUTS,), name="z")
    for i, width in enumerate(widths):
        layer = keras.layers.Dense(
            width, activation="relu", kernel_initializer=inits[i], name=f"hidden_{i}"
        )
        x = layer(x)
    outputs = keras.layers.Dense(
        N_OUTPUTS, activation="sigmoid", kernel_initializer=inits[-1], name="fn"
    )(x)
    return keras.Model(inputs, outputs, name="activation")


def predict(model: "keras.Model", z: NDArray[np.float32]) -> NDArray[np.float32]:
    """Predict fractions (n, 4) from normalized states (n, 16).

    `keras.Model.predict` would compile a graph for each network, and warn of it.
    """
    parts = (z[start : start + _BATCH] for start in range(0, len(z), _BATCH))
    return np.concatenate([np.asarray(model(part)) for part in parts])


def load(path: Path) -> "keras.Model":
    """Read a network that a Step-2 training saved."""
    load_backend()
    import keras

    return keras.saving.load_model(path, compile=False)
