"""Our training loop against `keras.Model.fit`, and what it promises by itself."""

import math
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from aeroact.hpo import network
from aeroact.hpo.backend import load_backend
from aeroact.hpo.space import Space
from aeroact.hpo.training import DivergedError, Recipe, TrainingData, learning_rate_at, train

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


# There are deep networks that amplify rounding: of one, Keras's own losses differ by 5e-5
# between a compiled graph and `run_eagerly`. Not these.
@pytest.mark.parametrize(
    ("widths", "schedule", "activation"),
    [
        ((32, 16), "constant", "relu"),
        ((32,) * 8, "constant", "relu"),
        ((128,), "constant", "relu"),
        ((32, 16), "cosine", "relu"),
        ((32, 16), "constant", "relu2"),
        ((32, 24, 16), "cosine", "relu2"),
        ((128,), "constant", "relu2"),
    ],
)
def test_losses_follow_keras_fit(data, widths, schedule, activation, monkeypatch):
    """Same weights, same order of rows: the same losses, to rounding."""
    import keras

    from aeroact.hpo import perceptron

    if activation == "relu2":
        # Squares drive some outputs to 0 and 1 from the start, where Keras's gradient vanishes.
        monkeypatch.setattr(perceptron, "_LEAST", 0.0)
    recipe = replace(RECIPE, schedule=schedule, activation=activation)
    _, history = train(widths, data, recipe, seed=[3, 7])

    rate = recipe.learning_rate
    if schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, recipe.epochs * 8)
    model = network.build(widths, network.initial_weights(widths, [3, 7, 0]), activation)
    model.compile(keras.optimizers.Adam(rate), "mse")
    losses, val_losses = _fit(model, data, recipe, np.random.default_rng([3, 7, 1]))
    np.testing.assert_allclose(history.mse, losses, rtol=1e-5)
    np.testing.assert_allclose(history.val_mse, val_losses, rtol=1e-5)
    assert losses[-1] < 0.99 * losses[0]


def _fit(model, data, recipe, shuffle):
    """Train with Keras, in an order of the rows that is known."""
    losses, val_losses = [], []
    for _ in range(recipe.epochs):
        order = shuffle.permutation(len(data.x))
        fitted = model.fit(
            data.x[order],
            data.fn[order],
            batch_size=recipe.batch_size,
            shuffle=False,
            validation_data=(data.x_val, data.fn_val),
            verbose=0,
        )
        losses += fitted.history["loss"]
        val_losses += fitted.history["val_loss"]
    return losses, val_losses


@pytest.mark.slow
def test_networks_are_as_good_as_those_of_keras():
    """Over 20 architectures, each side with weights and orders of its own."""
    data = _signal(2000, 500)
    recipe = Recipe(epochs=5, patience=None, batch_size=64, learning_rate=1e-3)
    space = Space(max_params=20_000)
    chosen = [candidate.widths for candidate in islice(space.draw(seed=1), 20)]
    theirs = np.log([_keras_val_mse(widths, data, recipe, k) for k, widths in enumerate(chosen)])

    def compare(recipe):
        """Wilcoxon's p value, and the mean log ratio with its standard error."""
        runs = [train(widths, data, recipe, [k])[1] for k, widths in enumerate(chosen)]
        ratios = np.log([run.val_mse[-1] for run in runs]) - theirs
        return wilcoxon(ratios).pvalue, ratios.mean(), ratios.std(ddof=1) / math.sqrt(len(ratios))

    p, mean, error = compare(recipe)
    assert p > 0.01
    assert abs(mean) < 3 * error
    assert error < 0.1
    # The same test tells a wrong loop from a right one.
    p, mean, error = compare(replace(recipe, learning_rate=3e-3))
    assert p < 0.01
    assert abs(mean) > 3 * error


def _signal(rows, val_rows):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows + val_rows, 16)).astype(np.float32)
    fn = (1 / (1 + np.exp(-2 * x[:, :4] - x[:, 4:8] * x[:, 8:12]))).astype(np.float32)
    return TrainingData(x[:rows], fn[:rows], x[rows:], fn[rows:])


def _keras_val_mse(widths, data, recipe, seed):
    """Train the network as a user of Keras would: all of it is Keras's own."""
    import keras

    keras.utils.set_random_seed(1000 + seed)
    layers = [keras.layers.Dense(width, activation="relu") for width in widths]
    model = keras.Sequential(
        [keras.Input((16,)), *layers, keras.layers.Dense(4, activation="sigmoid")]
    )
    model.compile(keras.optimizers.Adam(recipe.learning_rate), "mse")
    fitted = model.fit(
        data.x,
        data.fn,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        validation_data=(data.x_val, data.fn_val),
        verbose=0,
    )
    return fitted.history["val_loss"][-1]


@given(
    rate=st.floats(1e-6, 1.0),
    n_steps=st.integers(4, 400),
    part=st.floats(0.0, 1.0, exclude_max=True),
)
def test_the_cosine_schedule_is_that_of_keras(rate, n_steps, part):
    import keras

    step = int(part * n_steps)
    recipe = replace(RECIPE, learning_rate=rate, schedule="cosine")
    expected = float(keras.optimizers.schedules.CosineDecay(rate, n_steps)(step))
    # Keras computes with 32 bits.
    assert learning_rate_at(recipe, step, n_steps) == pytest.approx(
        expected, rel=1e-5, abs=1e-6 * rate
    )


def test_one_cycle_is_that_of_pytorch():
    """What OneCycleLR(max_lr=0.01, total_steps=10) gives, to ten digits."""
    recipe = replace(RECIPE, learning_rate=0.01, schedule="onecycle")
    rates = [learning_rate_at(recipe, step, 10) for step in range(10)]
    expected = [
        0.0004, 0.0052, 0.01, 0.00950484632, 0.00811745654,
        0.00611262022, 0.00388741978, 0.00188258346, 0.00049519368, 4e-08,
    ]  # fmt: skip
    np.testing.assert_allclose(rates, expected, rtol=1e-8)


@given(n_steps=st.integers(10, 10_000))
def test_one_cycle_rises_to_its_peak_and_falls_to_almost_nothing(n_steps):
    recipe = replace(RECIPE, schedule="onecycle")
    rates = np.array([learning_rate_at(recipe, step, n_steps) for step in range(n_steps)])
    top = int(rates.argmax())
    assert rates[0] == pytest.approx(recipe.learning_rate / 25)
    assert rates[-1] == pytest.approx(recipe.learning_rate / 25 / 1e4)
    assert top == pytest.approx(0.3 * n_steps - 1, abs=1)
    assert 0.85 * recipe.learning_rate < rates[top] <= recipe.learning_rate
    assert (np.diff(rates[: top + 1]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()


def test_a_constant_learning_rate_is_constant():
    assert {learning_rate_at(RECIPE, step, 100) for step in range(100)} == {1e-3}


def test_a_schedule_covers_all_epochs_of_the_recipe(data):
    """The last steps of a cosine are so small that nothing changes any more."""
    recipe = replace(RECIPE, epochs=20, learning_rate=0.01, schedule="cosine")
    _, history = train(WIDTHS, data, recipe, seed=[1])
    changes = np.abs(np.diff(history.val_mse)) / history.val_mse[1:]
    assert changes[-1] < 1e-3 < 1e-2 < changes[:5].min()


def test_same_seed_same_network_and_another_seed_another(data):
    recipe = replace(RECIPE, epochs=2)
    one, again, other = (train(WIDTHS, data, recipe, seed=[1, k])[0] for k in (4, 4, 5))
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_weights_are_those_of_the_history(data):
    """Built as a Keras network they have the validation MSE that was recorded."""
    weights, history = train(WIDTHS, data, RECIPE, seed=[2])
    fn = network.predict(network.build(WIDTHS, weights), data.x_val)
    assert np.mean((fn - data.fn_val) ** 2) == pytest.approx(history.val_mse[-1], rel=1e-5)


def test_a_report_hears_every_epoch_and_may_end_the_training(data):
    heard = []

    def report(mse, val_mse):
        heard.append((mse, val_mse))
        return len(heard) == 3

    _, history = train(WIDTHS, data, RECIPE, seed=[1], report=report)
    assert heard == list(zip(history.mse, history.val_mse, strict=True))
    assert len(heard) == 3
    _, undisturbed = train(WIDTHS, data, RECIPE, seed=[1])
    assert history.val_mse == undisturbed.val_mse[:3]


def test_errors_are_recorded_as_they_are_written(data):
    _, history = train(WIDTHS, data, RECIPE, seed=[1])
    for value in history.mse + history.val_mse:
        assert value == float(f"{value:.9g}")


def test_training_stops_when_patience_is_at_an_end(data):
    """As Keras's EarlyStopping: so many epochs after the best one."""
    recipe = Recipe(epochs=200, patience=3, batch_size=50, learning_rate=0.03)
    _, history = train((64,), data, recipe, seed=[1])
    assert len(history.val_mse) < 200
    assert int(np.argmin(history.val_mse)) == len(history.val_mse) - 1 - 3


def test_the_best_epoch_is_kept(data):
    recipe = Recipe(epochs=30, patience=None, batch_size=50, learning_rate=0.03, keep_best=True)
    weights, history = train((64,), data, recipe, seed=[1])
    assert min(history.val_mse) < history.val_mse[-1]  # else nothing is shown
    fn = network.predict(network.build((64,), weights), data.x_val)
    error = np.mean((fn - data.fn_val) ** 2)
    assert error == pytest.approx(min(history.val_mse), rel=1e-5)


def test_an_output_that_was_driven_to_one_still_learns(data, monkeypatch):
    """Its sigmoid is 1 to the last bit, so its derivative is 0."""
    drawn = network.initial_weights

    def saturated(widths, seed):
        weights = drawn(widths, seed)
        weights[-1][2] = 18.0
        return weights

    monkeypatch.setattr(network, "initial_weights", saturated)
    recipe = replace(RECIPE, epochs=60, learning_rate=1e-2, schedule="onecycle")
    weights, _ = train((16,), data, recipe, seed=[1])
    predicted = network.predict(network.build((16,), weights), data.x_val)
    mse, of_one = (((p - data.fn_val[:, 2]) ** 2).mean() for p in (predicted[:, 2], 1.0))
    assert mse < 0.3 * of_one


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
    model = network.build((8, 2048), network.initial_weights((8, 2048), [1]))
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
