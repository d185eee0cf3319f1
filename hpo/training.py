"""Train one network: Adam on a `Loss`, an epoch at a time in a compiled graph.

It does what `keras.Model.fit` does, without its cost for each batch and each trial.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aeroact.hpo import network
from aeroact.hpo.choices import Activation, Schedule
from aeroact.hpo.loss import Loss, mode_shares
from aeroact.hpo.space import Architecture
from aeroact.normalization import Normalization

# OneCycleLR of PyTorch: the part of the steps in which the rate rises, and how far it is
# below its peak at the start, and below the start at the end.
_RISE, _START_DIVISOR, _END_DIVISOR = 0.3, 25.0, 1e4


@dataclass(frozen=True)
class TrainingData:
    """Normalized rows, shared with the workers as files that they map into memory.

    Attributes
    ----------
    x, fn : ndarray of float32, shapes (n, 16) and (n, 4)
        Training rows.
    x_val, fn_val : ndarray of float32, shapes (m, 16) and (m, 4)
        Validation rows.
    """

    x: NDArray[np.float32]
    fn: NDArray[np.float32]
    x_val: NDArray[np.float32]
    fn_val: NDArray[np.float32]

    def save(self, folder: Path) -> None:
        """Write the arrays into a folder."""
        for name, array in vars(self).items():
            np.save(folder / f"{name}.npy", array)

    @classmethod
    def load(cls, folder: Path, fraction: float = 1.0) -> "TrainingData":
        """Read the first `fraction` of the training and of the validation rows."""
        arrays = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r")
            for name in cls.__dataclass_fields__
        }
        return cls(**{name: a[: max(1, round(fraction * len(a)))] for name, a in arrays.items()})


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes
    ----------
    epochs : int
        At most.
    patience : int or None
        Epochs without a better validation MSE that end the training; None: never.
    batch_size : int
        Rows a batch.
    learning_rate : float
        Of Adam: the first one, or the highest one of `onecycle`.
    schedule : str
        See `learning_rate_at`.
    keep_best : bool
        Whether the network ends with the weights of its best epoch, or of its last.
    loss : Loss
        What is minimized on the training rows; the errors of the epochs are mean squared ones,
        whatever it is.
    activation : str
        Of the hidden layers.
    """

    epochs: int
    patience: int | None
    batch_size: int
    learning_rate: float
    schedule: Schedule = "constant"
    keep_best: bool = False
    loss: Loss = field(default_factory=Loss)
    activation: Activation = "relu"


@dataclass
class History:
    """Training and validation MSE of each epoch, and the seconds it all took."""

    mse: list[float] = field(default_factory=list)
    val_mse: list[float] = field(default_factory=list)
    seconds: float = 0.0


class DivergedError(Exception):
    """A training whose loss is no longer a number."""


Report = Callable[[float, float], bool]
"""Told the MSE and the validation MSE of an epoch; says whether to end the training."""


def learning_rate_at(recipe: Recipe, step: int, n_steps: int) -> float:
    """Return the learning rate of one step of Adam.

    `constant` is what it says.  `cosine` falls from the recipe's learning rate to zero
    along half a cosine (Loshchilov and Hutter, 2017, without restarts).  `onecycle`
    (Smith and Topin, 2018) rises from a 25th of it to the whole over the first 30 % of the
    steps and falls to a 250,000th, both along half a cosine, as PyTorch's OneCycleLR does.

    Parameters
    ----------
    recipe : Recipe
        Schedule and learning rate.
    step : int
        From 0 on.
    n_steps : int
        Of the whole recipe, whether or not patience ends it sooner.
    """
    rate = recipe.learning_rate
    if recipe.schedule == "constant":
        return rate
    if recipe.schedule == "cosine":
        return _between(rate, 0.0, step / n_steps)
    start, top, last = rate / _START_DIVISOR, _RISE * n_steps - 1, n_steps - 1
    if step <= top:
        return _between(start, rate, step / top)
    return _between(rate, start / _END_DIVISOR, (step - top) / (last - top))


def _between(start: float, end: float, part: float) -> float:
    """Go from start to end along half a cosine."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * part))


def train(
    widths: Architecture,
    data: TrainingData,
    recipe: Recipe,
    seed: list[int],
    report: Report | None = None,
    normalization: Normalization | None = None,
) -> tuple[list[NDArray[np.float32]], History]:
    """Train a network from scratch.

    Parameters
    ----------
    widths : tuple of int
        Nodes of each hidden layer.
    data : TrainingData
        Rows to learn from and rows to watch.
    recipe : Recipe
        How.
    seed : list of int
        Of the weights and of the order of the rows: same seed, same network.
    report : callable, optional
        Called after each epoch with its MSE and validation MSE. If it returns True, the
        training ends, as it does when patience is at an end.
    normalization : Normalization, optional
        Of the rows, for a loss with a droplet weight.

    Returns
    -------
    list of ndarray
        Kernel and bias of each layer in turn, for `network.build`.
    History
        The errors by epoch, to nine significant digits.

    Raises
    ------
    DivergedError
        If a loss is not finite.
    ValueError
        If there is a droplet weight and no normalization.
    """
    import keras

    try:
        return _train(widths, data, recipe, seed, report, normalization)
    finally:
        # TensorFlow keeps the compiled operations of every network until it is told not to.
        keras.backend.clear_session()


def _train(
    widths: Architecture,
    data: TrainingData,
    recipe: Recipe,
    seed: list[int],
    report: Report | None,
    normalization: Normalization | None,
) -> tuple[list[NDArray[np.float32]], History]:
    from aeroact.hpo.perceptron import Perceptron

    started = time.perf_counter()
    weights = network.initial_weights(widths, [*seed, 0])
    shares = None
    if recipe.loss.droplet_weight:
        if normalization is None:
            raise ValueError("a droplet weight needs the normalization of the rows")
        shares = mode_shares(data.x, normalization)
    perceptron = Perceptron(
        weights, data.x, data.fn, recipe.batch_size, recipe.loss, shares, recipe.activation
    )
    shuffle = np.random.default_rng([*seed, 1])
    n_batches = math.ceil(len(data.x) / recipe.batch_size)
    history, best, waited = History(), math.inf, 0
    for epoch in range(recipe.epochs):
        steps = range(epoch * n_batches, (epoch + 1) * n_batches)
        rates = [learning_rate_at(recipe, step, recipe.epochs * n_batches) for step in steps]
        mse = _rounded(perceptron.train_epoch(shuffle.permutation(len(data.x)), rates))
        val_mse = _rounded(perceptron.mse(data.x_val, data.fn_val))
        if not (math.isfinite(mse) and math.isfinite(val_mse)):
            raise DivergedError(f"the loss became {mse} in epoch {epoch + 1}")
        history.mse.append(mse)
        history.val_mse.append(val_mse)
        ended = report is not None and report(mse, val_mse)
        waited += 1
        if val_mse < best:
            best, waited = val_mse, 0
            if recipe.keep_best:
                weights = perceptron.weights()
        if ended or waited == recipe.patience:
            break
    if not recipe.keep_best:
        weights = perceptron.weights()
    history.seconds = time.perf_counter() - started
    return weights, history


def _rounded(error: float) -> float:
    """Round to the digits of the records, so that decisions and records agree."""
    return float(f"{error:.9g}")
