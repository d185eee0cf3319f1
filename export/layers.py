"""A network as plain arrays: what ONNX, `weights.nc` and the native kernel are made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from aeroact.errors import AeroactError
from aeroact.schema import N_INPUTS, N_OUTPUTS

Float = TypeVar("Float", bound=np.floating)

RELU2 = "relu2"
"""max(0, x)^2, the squared ReLU of So et al. (2021, arXiv:2109.08668)."""

HIDDEN, OUTPUT = ("relu", RELU2), "sigmoid"
"""What hidden layers can have, all of a network the same, and what the last layer has."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A dense layer: activation(a kernel + bias).

    Attributes
    ----------
    kernel : ndarray of float32, shape (inputs, outputs)
    bias : ndarray of float32, shape (outputs,)
    activation : str
        One of `HIDDEN`, or `OUTPUT` in the last layer.
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    activation: str


Layers = tuple[Layer, ...]
"""A whole network, from normalized state (n, 16) to activated fraction (n, 4)."""


def widths(layers: Sequence[Layer]) -> tuple[int, ...]:
    """Return the nodes of the hidden layers."""
    return tuple(layer.bias.size for layer in layers[:-1])


def hidden_activation(layers: Sequence[Layer]) -> str:
    """Return the activation of the hidden layers."""
    return layers[0].activation if len(layers) > 1 else HIDDEN[0]


def activated(values: NDArray[Float], activation: str) -> NDArray[Float]:
    """Apply a hidden activation to the sums of a layer."""
    positive = np.maximum(values, 0)
    return positive * positive if activation == RELU2 else positive


def params(layers: Sequence[Layer]) -> int:
    """Return the number of weights."""
    return sum(layer.kernel.size + layer.bias.size for layer in layers)


def mflop(hidden: Sequence[int]) -> float:
    """Return the millions of floating-point operations a state: two for each kernel weight."""
    return 2e-6 * sum(a * b for a, b in pairwise((N_INPUTS, *hidden, N_OUTPUTS)))


def require_sound(layers: Sequence[Layer]) -> None:
    """See that the layers make a network from a state to fractions, with finite weights.

    Raises
    ------
    AeroactError
        Naming the first layer that is wrong.
    """
    if not layers:
        raise AeroactError("the network has no layer")
    n_in = N_INPUTS
    for i, layer in enumerate(layers, start=1):
        n_out = N_OUTPUTS if i == len(layers) else layer.kernel.shape[-1]
        if layer.kernel.shape != (n_in, n_out) or layer.bias.shape != (n_out,):
            raise AeroactError(
                f"layer {i} has kernel {layer.kernel.shape} and bias {layer.bias.shape}; it needs "
                f"({n_in}, {n_out}) and ({n_out},)"
            )
        allowed = (OUTPUT,) if i == len(layers) else HIDDEN if i == 1 else (layers[0].activation,)
        if layer.activation not in allowed:
            raise AeroactError(
                f"layer {i} has activation {layer.activation}, not {' or '.join(allowed)}"
            )
        if not (np.isfinite(layer.kernel).all() and np.isfinite(layer.bias).all()):
            raise AeroactError(f"layer {i} has weights that are not finite")
        n_in = n_out


def evaluate(layers: Sequence[Layer], z: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute fractions (n, 4) from normalized states (n, 16) in float64."""
    a = np.asarray(z, np.float64)
    for layer in layers[:-1]:
        a = activated(a @ layer.kernel.astype(np.float64) + layer.bias, layer.activation)
    last = layers[-1]
    # tanh never overflows, where exp does.
    return 0.5 + 0.5 * np.tanh(0.5 * (a @ last.kernel.astype(np.float64) + last.bias))
