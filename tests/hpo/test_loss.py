"""The physics in the loss: its derivative, what a training makes of it, and how it is asked for."""

from dataclasses import replace

import numpy as np
import pytest

from aeroact import normalization
from aeroact.hpo import network, step1, step2
from aeroact.hpo.backend import load_backend
from aeroact.hpo.config import Project
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.loss import STEP, Loss, mode_shares
from aeroact.hpo.space import Candidate, Chosen
from aeroact.hpo.training import Recipe, TrainingData, train
from aeroact.metrics import Errors
from aeroact.schema import COLUMNS
from aeroact.states import sample_rows
from tests.commands import fails, run_command

WIDTHS = (24, 16)
RECIPE = Recipe(epochs=4, patience=None, batch_size=100, learning_rate=0.01)
BOTH = Loss(droplet_weight=3.0, monotony_weight=0.5)
WBAR = COLUMNS.index("wbar")
NUMBERS = slice(COLUMNS.index("num_aer_accum"), COLUMNS.index("num_aer_pcarbon") + 1)


@pytest.fixture(scope="module", autouse=True)
def _backend():
    load_backend()


@pytest.fixture(scope="module")
def states():
    return sample_rows(0, 650, 1)


@pytest.fixture(scope="module")
def statistics(states):
    return normalization.fit([states])


@pytest.fixture(scope="module")
def data(states, statistics):
    """Fractions that fall when the updraft rises; the last of five batches is a short one."""
    x = statistics.apply(states)
    fn = 1 / (1 + np.exp(x[:, [WBAR]] + x[:, :4] * x[:, 8:12])).astype(np.float32)
    return TrainingData(x[:450], fn[:450], x[450:], fn[450:])


def reference(loss, predicted, fn, shares):
    """The loss as it is written in the head of its file."""
    import tensorflow as tf

    now, faster = predicted[: len(fn)], predicted[len(fn) :]
    total = tf.reduce_mean((now - fn) ** 2)
    if loss.droplet_weight:
        droplets = tf.reduce_sum(shares * (now - fn), axis=1)
        total += loss.droplet_weight * tf.reduce_mean(droplets**2)
    if loss.monotony_weight:
        fall = tf.maximum(now - faster, 0.0) / STEP
        total += loss.monotony_weight * tf.reduce_mean(fall**2)
    return total


LOSSES = [Loss(), Loss(droplet_weight=3.0), Loss(monotony_weight=0.5), BOTH]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_the_slope_is_the_derivative_of_the_loss(loss):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    fn = rng.random((30, 4)).astype(np.float32)
    predicted = rng.random((60 if loss.monotony_weight else 30, 4)).astype(np.float32)
    shares = rng.dirichlet(np.ones(4), 30).astype(np.float32)
    variable = tf.Variable(predicted)
    with tf.GradientTape() as tape:
        total = reference(loss, variable, fn, shares)
    error, slope = loss.compare(tf.constant(predicted), fn, shares)
    np.testing.assert_allclose(slope, tape.gradient(total, variable), rtol=1e-5, atol=1e-8)
    np.testing.assert_array_equal(error, predicted[:30] - fn)


@pytest.mark.parametrize("loss", LOSSES[1:], ids=str)
def test_a_training_follows_keras(loss, data, statistics):
    """Same weights, same order of rows, gradients by Keras and TensorFlow: the same errors."""
    import keras
    import tensorflow as tf

    recipe = replace(RECIPE, loss=loss)
    weights, history = train(WIDTHS, data, recipe, [3], None, statistics)

    model = network.build(WIDTHS, network.initial_weights(WIDTHS, [3, 0]))
    adam, shuffle = keras.optimizers.Adam(recipe.learning_rate), np.random.default_rng([3, 1])
    shares, up = mode_shares(data.x, statistics), np.eye(16, dtype=np.float32)[WBAR] * STEP
    mse, val_mse = [], []
    for _ in range(recipe.epochs):
        order, squares = shuffle.permutation(len(data.x)), 0.0
        for start in range(0, len(order), recipe.batch_size):
            rows = order[start : start + recipe.batch_size]
            x, fn = data.x[rows], data.fn[rows]
            with tf.GradientTape() as tape:
                predicted = tf.concat([model(x), model(x + up)], axis=0)
                total = reference(loss, predicted, fn, shares[rows])
            squares += float(tf.reduce_sum((predicted[: len(x)] - fn) ** 2))
            adam.apply_gradients(
                zip(
                    tape.gradient(total, model.trainable_variables),
                    model.trainable_variables,
                    strict=True,
                )
            )
        mse.append(squares / data.fn.size)
        val_mse.append(np.mean((network.predict(model, data.x_val) - data.fn_val) ** 2))
    np.testing.assert_allclose(history.mse, mse, rtol=1e-4)
    np.testing.assert_allclose(history.val_mse, val_mse, rtol=1e-4)
    for ours, theirs in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    _, plain = train(WIDTHS, data, RECIPE, [3])
    assert abs(history.mse[-1] / plain.mse[-1] - 1) > 1e-3  # else nothing is shown


def predicted(data, statistics, loss, x):
    recipe = replace(RECIPE, epochs=40, loss=loss)
    weights, _ = train((8,), data, recipe, [1], None, statistics)
    return network.predict(network.build((8,), weights), x)


def test_monotony_keeps_fractions_from_falling_even_where_the_data_fall(data, statistics):
    up = np.eye(16, dtype=np.float32)[WBAR] * STEP

    def largest_fall(loss):
        both = predicted(data, statistics, loss, np.concatenate([data.x, data.x + up]))
        return (both[: len(data.x)] - both[len(data.x) :]).max()

    assert largest_fall(Loss(monotony_weight=100.0)) < 2e-3 < 1e-2 < largest_fall(Loss())


def test_a_droplet_weight_makes_the_droplet_number_better(data, statistics):
    shares = mode_shares(data.x, statistics)

    def error(loss):
        fn = predicted(data, statistics, loss, data.x)
        return np.sqrt(np.mean((shares * (fn - data.fn)).sum(axis=1) ** 2))

    assert error(Loss(droplet_weight=3.0)) < 0.85 * error(Loss())


@pytest.mark.parametrize("preset", ["log", "zscore"])
def test_shares_are_those_of_the_states(preset):
    states = sample_rows(0, 300, 2)
    states[0, NUMBERS] = 0.0, 20.0, 60.0, 0.0
    statistics = normalization.fit([states], normalization.PRESETS[preset])
    number = states[:, NUMBERS]
    shares = mode_shares(statistics.apply(states), statistics)
    np.testing.assert_allclose(shares, number / number.sum(axis=1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(shares[0], [0, 0.25, 0.75, 0], atol=1e-5)
    assert (shares >= 0).all()


def test_a_state_without_particles_has_no_shares():
    states = sample_rows(0, 10, 2)
    plain = normalization.fit([states], normalization.PLAIN)
    states[:5, NUMBERS] = -1e-3  # as rounding may leave of a zero
    shares = mode_shares(plain.apply(states), plain)
    assert (shares[:5] == 0).all()
    np.testing.assert_allclose(shares[5:].sum(axis=1), 1, rtol=1e-6)


def test_a_droplet_weight_without_a_normalization_is_refused(data):
    with pytest.raises(ValueError, match="needs the normalization"):
        train(WIDTHS, data, replace(RECIPE, loss=Loss(droplet_weight=1.0)), [1])


@pytest.mark.parametrize(
    ("settings", "first", "second"),
    [
        ({}, Loss(), Loss()),
        ({"droplet_weight": 2.0, "monotony_weight": 3.0}, Loss(2.0, 3.0), Loss(2.0, 3.0)),
        ({"droplet_weight": 2.0, "retrain_droplet_weight": 0.0}, Loss(2.0), Loss()),
        ({"retrain_monotony_weight": 3.0}, Loss(), Loss(0.0, 3.0)),
    ],
)
def test_step2_has_the_loss_of_step1_unless_it_is_asked_for_another(
    settings, first, second, tmp_path
):
    chosen, folder = Chosen("0", Candidate(WIDTHS)), RunFolder(tmp_path)
    project = Project(**settings)
    assert step1.task_of(chosen, project, folder).recipe.loss == first
    assert step2.task_of(chosen, project, folder).recipe.loss == second


def test_workers_of_both_steps_train_by_the_loss(data, statistics, tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    for path in (folder.cache, folder.model("0").parent):
        path.mkdir()
    data.save(folder.cache)
    folder.save_normalization(statistics)
    errors = Errors()
    errors.add(data.fn_val, data.fn_val)
    monkeypatch.setattr(step2, "test", lambda model, folder: errors)
    project = Project(
        p_subset=1, epochs=2, retrain_epochs=2, batch_size=100, droplet_weight=3, monotony_weight=1
    )
    for step, work in ((step1, step1.attempt), (step2, step2.retrain)):
        task = step.task_of(Chosen("0", Candidate(WIDTHS)), project, folder)
        done = work(task, lambda errors: False)
        _, alone = train(WIDTHS, data, task.recipe, task.seed, None, statistics)
        _, plain = train(WIDTHS, data, replace(task.recipe, loss=Loss()), task.seed)
        assert done.val_mse == alone.val_mse != plain.val_mse


WEIGHTS = ["--droplet-weight=2", "--monotony-weight=0.5"]


def test_the_command_line_asks_for_a_loss(dataset_file, tmp_path):
    """By the command that writes down the settings of both steps, and no more."""
    done = run_command("aeroact-hpo", "slurm", tmp_path, "--data", dataset_file, *WEIGHTS)
    assert done.returncode == 0, done.stderr
    project = RunFolder(tmp_path).project()
    assert (project.droplet_weight, project.monotony_weight) == (2.0, 0.5)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["step2"], "its networks were retrained with retrain_droplet_weight = None, not 2.0"),
        (["run", "--out"], "holds a run with droplet_weight = 0.0, not 2.0; choose another --out"),
        (["step1", "--out"], "holds a run with droplet_weight = 0.0, not 2.0"),
    ],
)
def test_the_loss_of_trained_networks_cannot_be_changed(command, said, finished_run):
    assert said in fails("aeroact-hpo", *command, finished_run, *WEIGHTS)


@pytest.mark.parametrize("option", ["--droplet-weight=-1", "--monotony-weight=much"])
def test_a_weight_that_is_none_is_refused(option, tmp_path):
    for command in (["run", "--out"], ["step1", "--out"], ["step2"]):
        done = run_command("aeroact-hpo", *command, tmp_path / "run", option)
        assert done.returncode == 2
        assert option.split("=")[0] in done.stderr
        assert not (tmp_path / "run").exists()
