"""Train one network: Adam on the mean squared error, whole epochs in a compiled graph.

The loop does what `keras.Model.fit` does, without its cost for each batch and trial.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeroact.hpo import network
from aeroact.hpo.space import Architecture

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

_VALIDATION_BATCH = 1 << 14


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
        Of Adam.
    keep_best : bool
        Whether the network ends with the weights of its best epoch, or of its last.
    """

    epochs: int
    patience: int | None
    batch_size: int
    learning_rate: float
    keep_best: bool = False


@dataclass
class History:
    """Training and validation MSE of each epoch, and the seconds it all took."""

    mse: list[float] = field(default_factory=list)
    val_mse: list[float] = field(default_factory=list)
    seconds: float = 0.0


class DivergedError(Exception):
    """A training whose loss is no longer a number."""


def train(
    widths: Architecture, data: TrainingData, recipe: Recipe, seed: list[int]
) -> tuple["keras.Model", History]:
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

    Returns
    -------
    keras.Model
        From normalized state to activated fraction.
    History
        Its errors by epoch.

    Raises
    ------
    DivergedError
        If a loss is not finite.
    """
    started = time.perf_counter()
    model = network.build(widths, [*seed, 0])
    run_epoch, validate = _compile(model, data, recipe)
    shuffle = np.random.default_rng([*seed, 1])
    history, best = History(), float("inf")
    best_weights, waited = model.get_weights(), 0
    for _ in range(recipe.epochs):
        order = shuffle.permutation(len(data.x)).astype(np.int32)
        mse, val_mse = float(run_epoch(order)), validate()
        if not (np.isfinite(mse) and np.isfinite(val_mse)):
            raise DivergedError(f"the loss became {mse} in epoch {len(history.mse) + 1}")
        history.mse.append(mse)
        history.val_mse.append(val_mse)
        if val_mse < best:
            best, waited = val_mse, 0
            if recipe.keep_best:
                best_weights = model.get_weights()
        else:
            waited += 1
        if recipe.patience is not None and waited >= recipe.patience:
            break
    if recipe.keep_best:
        model.set_weights(best_weights)
    history.seconds = time.perf_counter() - started
    return model, history


def _compile(
    model: "keras.Model", data: TrainingData, recipe: Recipe
) -> tuple[Callable[[NDArray[np.int32]], "tf.Tensor"], Callable[[], float]]:
    """Return the graph of one epoch of training, and the validation of the network."""
    import keras
    import tensorflow as tf

    optimizer = keras.optimizers.Adam(recipe.learning_rate)
    weights = model.trainable_variables
    optimizer.build(weights)
    x, fn = tf.constant(data.x), tf.constant(data.fn)
    x_val, fn_val = tf.constant(data.x_val), tf.constant(data.fn_val)
    rows, size = len(data.x), recipe.batch_size

    def squared_error(inputs: Any, truth: Any) -> Any:
        return tf.reduce_mean(tf.square(model(inputs) - truth))

    def one_batch(chosen: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = squared_error(tf.gather(x, chosen), tf.gather(fn, chosen))
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss * tf.cast(tf.size(chosen), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([rows], tf.int32)])
    def run_epoch(order: Any) -> Any:
        total = tf.constant(0.0)
        for start in tf.range(0, rows, size):
            total += one_batch(order[start : start + size])
        return total / rows

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32)])
    def validate_batch(start: Any) -> Any:
        part = slice(start, start + _VALIDATION_BATCH)
        error = tf.reduce_sum(tf.square(model(x_val[part]) - fn_val[part]))
        return tf.cast(error, tf.float64)

    def validate() -> float:
        starts = range(0, len(data.x_val), _VALIDATION_BATCH)
        return sum(float(validate_batch(start)) for start in starts) / data.fn_val.size

    return run_epoch, validate
