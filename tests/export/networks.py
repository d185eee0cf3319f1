"""A small Keras network that several tests of the export share."""

from typing import Any

import numpy as np

from aeroact.hpo import network
from aeroact.hpo.choices import Activation

WIDTHS = (24, 8, 16)


def keras_network(widths: tuple[int, ...] = WIDTHS, activation: Activation = "relu") -> Any:
    """Make a network with biases that are not zero, as those of a trained one."""
    weights = network.initial_weights(widths, [1])
    return network.build(
        widths,
        [w if w.ndim == 2 else w + np.linspace(-1, 1, w.size, dtype="f4") for w in weights],
        activation,
    )
