"""Our training loop against `keras.Model.fit`, and what it promises by itself."""

import math
from dataclasses import replace

import numpy as np
import pytest

from aeroact.hpo import network
from aeroact.hpo.backend import load_backend
from aeroact.hpo.training import DivergedError, Recipe, TrainingData, train

RECIPE = Recipe(epochs=5, patience=None, batch_size=128, learning_rate=1e-3)
WIDTHS = (32, 16)


@pytest.fixture(scope="module", autouse=True)
def _backend():
    load_backend()


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    # 1,000 rows are seven batches and a shorter eighth.
    x = rng.normal(size=(1300, 16)).astype(np.float32)
    fn = (1 / (1 + np.exp(-x[:, :4] * x[:, 4:8]))).astype(np.float32)
    return TrainingData(x[:1000], fn[:1000], x[1000:], fn[1000:])


def test_losses_follow_keras_fit(data):
    """Same weights, same order of rows: the same losses, to rounding."""
    import keras

    _, history = train(WIDTHS, data, RECIPE, seed=[3, 7])

    model = network.build(WIDTHS, [3, 7, 0])
    model.compile(keras.optimizers.Adam(RECIPE.learning_rate), "mse")
    shuffle = np.random.default_rng([3, 7, 1])
    losses, val_losses = [], []
    for _ in range(RECIPE.epochs):
        order = shuffle.permutation(len(data.x))
        fitted = model.fit(
            data.x[order],
            data.fn[order],
            batch_size=RECIPE.batch_size,
            shuffle=False,
            validation_data=(data.x_val, data.fn_val),
            verbose=0,
        )
        losses += fitted.history["loss"]
        val_losses += fitted.history["val_loss"]
    np.testing.assert_allclose(history.mse, losses, rtol=1e-5)
    np.testing.assert_allclose(history.val_mse, val_losses, rtol=1e-5)
    assert losses[-1] < 0.9 * losses[0]


def test_same_seed_same_network_and_another_seed_another(data):
    recipe = replace(RECIPE, epochs=2)
    one, again, other = (train(WIDTHS, data, recipe, seed=[1, k])[0] for k in (4, 4, 5))
    for a, b in zip(one.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(
        not np.array_equal(a, b)
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True)
    )


def test_training_stops_when_patience_is_at_an_end(data):
    """As Keras's EarlyStopping: so many epochs after the best one."""
    recipe = Recipe(epochs=200, patience=3, batch_size=50, learning_rate=0.03)
    _, history = train((64,), data, recipe, seed=[1])
    assert len(history.val_mse) < 200
    assert int(np.argmin(history.val_mse)) == len(history.val_mse) - 1 - 3


def test_the_best_epoch_is_kept(data):
    recipe = Recipe(epochs=30, patience=None, batch_size=50, learning_rate=0.03, keep_best=True)
    model, history = train((64,), data, recipe, seed=[1])
    assert min(history.val_mse) < history.val_mse[-1]  # else nothing is shown
    error = np.mean((model.predict(data.x_val, verbose=0) - data.fn_val) ** 2)
    assert error == pytest.approx(min(history.val_mse), rel=1e-5)


def test_a_loss_that_is_no_number_ends_the_training(data):
    fn = data.fn.copy()
    fn[5, 3] = math.nan
    with pytest.raises(DivergedError, match="nan in epoch 1"):
        train(WIDTHS, replace(data, fn=fn), RECIPE, seed=[1])


def test_subsets_are_nested(data, tmp_path):
    data.save(tmp_path)
    small, large = TrainingData.load(tmp_path, 0.05), TrainingData.load(tmp_path, 0.25)
    assert (len(small.x), len(small.x_val), len(large.x)) == (50, 15, 250)
    np.testing.assert_array_equal(small.x, large.x[:50])
    np.testing.assert_array_equal(small.fn_val, large.fn_val[:15])


def test_a_network_is_the_papers():
    model = network.build((8, 2048), [1])
    layers = [layer for layer in model.layers if layer.weights]
    assert [layer.activation.__name__ for layer in layers] == ["relu", "relu", "sigmoid"]
    assert [layer.units for layer in layers] == [8, 2048, 4]
    kernels = [layer.kernel.numpy() for layer in layers]
    # Glorot and Bengio (2010): uniform within sqrt(6 / (inputs + outputs)).
    for kernel in kernels:
        limit = math.sqrt(6 / sum(kernel.shape))
        assert np.abs(kernel).max() <= limit
        assert kernel.std() == pytest.approx(limit / math.sqrt(3), rel=0.15)
    assert not any(layer.bias.numpy().any() for layer in layers)
