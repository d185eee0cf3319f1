"""The search space: multilayer perceptrons of 1 to 20 layers, each width chosen freely."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from aeroact.errors import AeroactError
from aeroact.schema import N_INPUTS, N_OUTPUTS

if TYPE_CHECKING:
    import keras_tuner

WIDTHS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
"""Nodes that a hidden layer may have (Yu et al., 2024, section 4.2)."""

Architecture = tuple[int, ...]
"""Nodes of each hidden layer, from the input to the output."""

_MAX_DRAWS = 1_000_000


def n_params(widths: Architecture) -> int:
    """Return the number of learnable parameters, weights and biases."""
    layers = (N_INPUTS, *widths, N_OUTPUTS)
    return sum((a + 1) * b for a, b in pairwise(layers))


def architectures(
    seed: int, *, min_layers: int = 1, max_layers: int = 20, max_params: int | None = None
) -> Iterator[Architecture]:
    """Draw architectures at random, each different from all before it.

    The sequence is a function of the arguments alone: two searches with the same seed
    try the same networks in the same order, whatever their data.

    Parameters
    ----------
    seed : int
        Of the sequence.
    min_layers, max_layers : int
        The number of hidden layers is uniform between them.
    max_params : int, optional
        Larger networks are drawn again.

    Yields
    ------
    tuple of int
        Nodes of each hidden layer.

    Raises
    ------
    AeroactError
        If no new network turns up: the space is exhausted, or empty.
    """
    rng = np.random.default_rng([seed, 0xA2C])
    seen: set[Architecture] = set()
    while True:
        for _ in range(_MAX_DRAWS):
            depth = rng.integers(min_layers, max_layers + 1)
            widths = tuple(int(width) for width in rng.choice(WIDTHS, depth))
            if widths not in seen and (max_params is None or n_params(widths) <= max_params):
                break
        else:
            raise AeroactError(
                f"the search space has no more than {len(seen)} networks of {min_layers} to "
                f"{max_layers} layers and at most {max_params} parameters; ask for fewer "
                "--trials or allow larger networks"
            )
        seen.add(widths)
        yield widths


def declare(min_layers: int, max_layers: int) -> "keras_tuner.HyperParameters":
    """Declare the whole space to KerasTuner.

    Each width exists only where its layer does, so that KerasTuner takes networks that
    are the same for the same, and knows every hyperparameter from the first trial on.
    """
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    hp.Int("num_layers", min_layers, max_layers)
    for layer in range(max_layers):
        depths = list(range(max(layer + 1, min_layers), max_layers + 1))
        with hp.conditional_scope("num_layers", depths):
            hp.Choice(f"units_{layer}", list(WIDTHS))
    return hp


def values_of(widths: Architecture) -> dict[str, int]:
    """Return an architecture as the values of KerasTuner's hyperparameters."""
    return {"num_layers": len(widths)} | {f"units_{i}": width for i, width in enumerate(widths)}


def architecture_of(values: dict[str, int]) -> Architecture:
    """Return the architecture that the values of KerasTuner's hyperparameters mean."""
    return tuple(values[f"units_{i}"] for i in range(values["num_layers"]))
