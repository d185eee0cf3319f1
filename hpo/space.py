"""The search space: multilayer perceptrons of 1 to 20 layers, each width chosen freely."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from aeroact.hpo.choices import WIDTHS
from aeroact.schema import N_INPUTS, N_OUTPUTS

if TYPE_CHECKING:
    import keras_tuner

Architecture = tuple[int, ...]
"""Nodes of each hidden layer, from the input to the output."""

_MAX_DRAWS = 1_000_000


def n_params(widths: Architecture) -> int:
    """Return the number of learnable parameters, weights and biases."""
    layers = (N_INPUTS, *widths, N_OUTPUTS)
    return sum((a + 1) * b for a, b in pairwise(layers))


@dataclass(frozen=True)
class Candidate:
    """One point of the space.

    Attributes
    ----------
    widths : tuple of int
        Nodes of each hidden layer.
    learning_rate : float or None
        None where the space does not vary it.
    batch_size : int or None
        None where the space does not vary it.
    """

    widths: Architecture
    learning_rate: float | None = None
    batch_size: int | None = None


@dataclass(frozen=True)
class Chosen:
    """A trial that is to be run: its name, what it tries, and its epochs if they are limited."""

    name: str
    candidate: Candidate
    epochs: int | None = None


@dataclass(frozen=True)
class Space:
    """What a search chooses from; by default that of Yu et al. (2024, section 4.2).

    Attributes
    ----------
    min_layers, max_layers : int
        The number of hidden layers is uniform between them.
    widths : tuple of int
        Nodes that a hidden layer may have; each layer's are chosen independently.
    max_params : int or None
        Larger networks are drawn again.
    learning_rates, batch_sizes : tuple
        Choices to vary along with the architecture; none: they are not varied.
    """

    min_layers: int = 1
    max_layers: int = 20
    widths: tuple[int, ...] = WIDTHS
    max_params: int | None = None
    learning_rates: tuple[float, ...] = ()
    batch_sizes: tuple[int, ...] = ()

    def allows(self, candidate: Candidate) -> bool:
        """Return whether a network is small enough."""
        return self.max_params is None or n_params(candidate.widths) <= self.max_params

    def draw(self, seed: int) -> Iterator[Candidate]:
        """Draw candidates at random, each different from all before it.

        The sequence is a function of the space and the seed alone: two searches with the
        same seed try the same networks in the same order, whatever their data.

        Yields
        ------
        Candidate
            Until all are drawn, or a million draws in a row bring nothing new: then the space,
            as far as networks are small enough, is exhausted.
        """
        rng = np.random.default_rng([seed, 0xA2C])
        seen: set[Candidate] = set()
        draws, combinations = 0, self._combinations
        while draws < _MAX_DRAWS and len(seen) < combinations:
            depth = rng.integers(self.min_layers, self.max_layers + 1)
            widths = tuple(int(width) for width in rng.choice(self.widths, depth))
            rate = float(rng.choice(self.learning_rates)) if self.learning_rates else None
            batch = int(rng.choice(self.batch_sizes)) if self.batch_sizes else None
            candidate = Candidate(widths, rate, batch)
            draws += 1
            if candidate not in seen and self.allows(candidate):
                seen.add(candidate)
                draws = 0
                yield candidate

    @property
    def _combinations(self) -> int:
        """How many networks there are, too large ones included."""
        depths = range(self.min_layers, self.max_layers + 1)
        architectures = sum(len(set(self.widths)) ** depth for depth in depths)
        varied = (len(set(choices)) or 1 for choices in (self.learning_rates, self.batch_sizes))
        return architectures * math.prod(varied)

    def declare(
        self, hp: "keras_tuner.HyperParameters | None" = None
    ) -> "keras_tuner.HyperParameters":
        """Declare the whole space to KerasTuner, in an object of its own or in a given one.

        Each width exists only where its layer does, so that KerasTuner takes networks that
        are the same for the same, and knows every hyperparameter from the first trial on.
        """
        import keras_tuner

        if hp is None:
            hp = keras_tuner.HyperParameters()
        hp.Int("num_layers", self.min_layers, self.max_layers)
        for layer in range(self.max_layers):
            depths = list(range(max(layer + 1, self.min_layers), self.max_layers + 1))
            with hp.conditional_scope("num_layers", depths):
                hp.Choice(f"units_{layer}", list(self.widths))
        if self.learning_rates:
            hp.Choice("learning_rate", list(self.learning_rates))
        if self.batch_sizes:
            hp.Choice("batch_size", list(self.batch_sizes))
        return hp


def values_of(candidate: Candidate) -> dict[str, Any]:
    """Return a candidate as the values of KerasTuner's hyperparameters."""
    values: dict[str, Any] = {"num_layers": len(candidate.widths)}
    values |= {f"units_{i}": width for i, width in enumerate(candidate.widths)}
    for name in ("learning_rate", "batch_size"):
        if getattr(candidate, name) is not None:
            values[name] = getattr(candidate, name)
    return values


def candidate_of(values: dict[str, Any]) -> Candidate:
    """Return the candidate that the values of KerasTuner's hyperparameters mean."""
    widths = tuple(int(values[f"units_{i}"]) for i in range(values["num_layers"]))
    return Candidate(widths, values.get("learning_rate"), values.get("batch_size"))
