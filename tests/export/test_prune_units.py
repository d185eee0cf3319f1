"""Units that do nothing leave without a trace; units that matter stay."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aeroact import normalization
from aeroact.emulator import Emulator
from aeroact.export import parity, prune_units, weights
from aeroact.export.convert import clip_bounds, to_onnx
from aeroact.export.layers import HIDDEN, Layer, evaluate, widths
from aeroact.states import sample_rows

STATES = sample_rows(0, 2_000, seed=4).astype(np.float32)
STATISTICS = {name: normalization.fit([STATES], p) for name, p in normalization.PRESETS.items()}


SIZE = {"relu": 1.0, "relu2": 0.5}
"""Of kernels: the squares of large sums would leave few digits."""

FORMS = [(p, "relu") for p in sorted(STATISTICS)] + [("log", "relu2"), ("koehler", "relu2")]
"""Squares of z-scores that are not of logarithms overflow, far outside of the training data."""


FOLDED = {
    ("koehler", "relu"): 2e-6,
    ("log", "relu"): 2e-6,
    ("zscore", "relu"): 2e-3,
    ("log", "relu2"): 2e-4,
    ("koehler", "relu2"): 2e-4,
}
"""What rounding of weights that are summed may make of fractions there: ten times what was seen
in 400 networks of each form."""


def far_off(preset, activation):
    """What rounding may make of fractions far outside of the training data.

    Without logarithms z-scores are in the thousands there and sums in the ten thousands, whose
    last place is 1e-3; a sigmoid makes a quarter of it, of each of a few sums.
    """
    if activation == "relu2":
        return parity.allowed_beyond_data(network([2], np.random.default_rng(0), activation))
    return 2e-3 if preset == "zscore" else 2e-6


def network(hidden, rng, activation="relu"):
    sizes = (16, *hidden, 4)
    kernels = [
        rng.normal(0, n_in**-0.5 * SIZE[activation], (n_in, n_out)).astype(np.float32)
        for n_in, n_out in pairwise(sizes)
    ]
    biases = [rng.normal(0, 0.3, k.shape[1]).astype(np.float32) for k in kernels]
    names = [activation] * len(hidden) + ["sigmoid"]
    return tuple(map(Layer, kernels, biases, names))


def corners(statistics, n, rng):
    low, high = clip_bounds(statistics)
    return np.where(rng.random((n, 16)) < 0.5, low, high).astype(np.float32)


def extended(layers, i, kernel, bias, outgoing):
    """The network with one more unit at the end of hidden layer i."""
    layer, after = layers[i], layers[i + 1]
    layer = replace(
        layer,
        kernel=np.column_stack([layer.kernel, kernel]).astype(np.float32),
        bias=np.append(layer.bias, bias).astype(np.float32),
    )
    after = replace(after, kernel=np.vstack([after.kernel, outgoing]).astype(np.float32))
    return (*layers[:i], layer, after, *layers[i + 2 :])


def planted(layers, i, kind, rng):
    """The network with one more unit in hidden layer i that does nothing of its own."""
    n_in, n_out = layers[i].kernel.shape[0], layers[i + 1].bias.size
    kernel, outgoing = rng.normal(0, 0.2, n_in), rng.normal(0, 0.2, n_out)
    match kind:
        case "dead":
            return extended(layers, i, kernel, -1e7, outgoing)
        case "constant":
            return extended(layers, i, 0 * kernel, 0.7, outgoing)
        case "unread":
            return extended(layers, i, kernel, 0.1, 0 * outgoing)
        case "twins":
            return extended(layers, i, layers[i].kernel[:, 0], layers[i].bias[0], outgoing)
    raise ValueError(kind)


@settings(max_examples=40)
@example(hidden=[10], plants=["dead", "twins"], where=0, seed=903466, form=("zscore", "relu"))
@given(
    hidden=st.lists(st.integers(2, 12), min_size=1, max_size=3),
    plants=st.lists(st.sampled_from(["dead", "constant", "unread", "twins"]), max_size=5),
    where=st.integers(0, 2),
    seed=st.integers(0, 2**32 - 1),
    form=st.sampled_from(FORMS),
)
def test_what_does_nothing_leaves_without_a_trace(hidden, plants, where, seed, form):
    preset, activation = form
    rng, statistics = np.random.default_rng(seed), STATISTICS[preset]
    layers = network(hidden, rng, activation)
    for kind in plants:
        layers = planted(layers, where % len(hidden), kind, rng)
    pruned, removed = prune_units.prune(layers, statistics)

    assert removed.units >= len(plants)
    assert sum(widths(layers)) - sum(widths(pruned)) >= len(plants)
    assert all(small <= first for small, first in zip(widths(pruned), widths(layers), strict=True))
    far = corners(statistics, 500, rng)
    for x, atol in ((STATES, 1e-6), (far, far_off(preset, activation))):
        fn, small = (Emulator(to_onnx(net, statistics, {})).predict(x) for net in (layers, pruned))
        np.testing.assert_allclose(small, fn, rtol=0, atol=atol)
    # In float64 only the weights that were summed are rounded, not the sums of a prediction.
    exact, folded = (weights.evaluate(net, statistics, far) for net in (layers, pruned))
    np.testing.assert_allclose(folded, exact, rtol=0, atol=FOLDED[form])
    again, more = prune_units.prune(pruned, statistics)
    assert more.units == 0
    assert widths(again) == widths(pruned)


@pytest.mark.parametrize("activation", HIDDEN)
@pytest.mark.parametrize("kind", ["dead", "constant", "unread", "twins"])
def test_each_reason_is_counted(kind, activation):
    rng = np.random.default_rng(1)
    layers = network((8, 6), rng, activation)
    pruned, removed = prune_units.prune(planted(layers, 0, kind, rng), STATISTICS["log"])
    assert widths(pruned) == (8, 6)
    assert vars(removed) == {"dead": 0, "constant": 0, "unread": 0, "twins": 0} | {kind: 1}
    assert str(removed) == f"1 {kind}"


def test_a_network_without_idle_units_stays_as_it_is():
    layers = network((8, 6), np.random.default_rng(2))
    pruned, removed = prune_units.prune(layers, STATISTICS["log"])
    assert str(removed) == "none"
    for before, after in zip(layers, pruned, strict=True):
        np.testing.assert_array_equal(before.kernel, after.kernel)
        np.testing.assert_array_equal(before.bias, after.bias)


@pytest.mark.parametrize("preset", sorted(STATISTICS))
def test_a_unit_that_lives_in_one_corner_stays(preset):
    statistics, rng = STATISTICS[preset], np.random.default_rng(3)
    layers = network((8,), rng)
    kernel = rng.normal(0, 0.3, 16)
    low, high = clip_bounds(statistics)
    corner = np.where(kernel > 0, high, low)[None]
    highest = float(statistics.apply(corner)[0].astype(np.float64) @ kernel)
    for bias, kept in ((-highest * 0.999, True), (-highest * 1.001, False)):
        pruned, _ = prune_units.prune(extended(layers, 0, kernel, bias, np.ones(4)), statistics)
        assert widths(pruned) == ((9,) if kept else (8,))


@given(
    seed=st.integers(0, 2**32 - 1),
    form=st.sampled_from(FORMS),
)
@settings(max_examples=40)
def test_the_bounds_hold_wherever_the_graph_can_be(seed, form):
    preset, activation = form
    rng, statistics = np.random.default_rng(seed), STATISTICS[preset]
    layers = network((12, 6, 9), rng, activation)
    a = statistics.apply(np.concatenate([STATES, corners(statistics, 2_000, rng)]))
    bounds = list(prune_units.activations(layers[:-1], statistics))
    assert len(bounds) == 3
    for layer, (lower, upper) in zip(layers[:-1], bounds, strict=True):
        a = np.maximum(a @ layer.kernel + layer.bias, 0)
        a = a * a if activation == "relu2" else a
        assert (a >= lower).all()
        assert (a <= upper).all()


def test_removals_cascade_through_the_layers():
    layers = network((5, 4, 3), np.random.default_rng(4))
    for layer in layers:
        np.abs(layer.bias, out=layer.bias)
    # What only the third layer's last unit reads has no reader once that unit is gone.
    layers[3].kernel[2] = 0
    layers[2].kernel[3, :2] = 0
    layers[1].kernel[4, :3] = 0
    pruned, removed = prune_units.prune(layers, STATISTICS["log"])
    assert widths(pruned) == (4, 3, 2)
    assert removed.unread == 3


def test_a_layer_without_a_living_unit_keeps_one_of_zeros():
    layers = network((5, 4, 3), np.random.default_rng(5))
    layers[1].bias[:] = -1e7
    pruned, _ = prune_units.prune(layers, STATISTICS["log"])
    assert widths(pruned) == (1, 1, 1)
    z = STATISTICS["log"].apply(STATES)
    fn = evaluate(layers, z)
    assert np.ptp(fn, axis=0).max() == 0
    np.testing.assert_allclose(evaluate(pruned, z), fn, atol=1e-7)


@pytest.mark.parametrize("activation", HIDDEN)
def test_silent_units_are_those_that_no_state_activates(activation):
    rng = np.random.default_rng(6)
    z = STATISTICS["log"].apply(STATES)
    layers = network((8, 6), rng, activation)
    kernel = rng.normal(0, 0.3, 16)
    highest = float((z @ kernel).max())
    silent = extended(layers, 0, kernel, -highest * 1.001, np.ones(6))
    assert prune_units.prune(silent, STATISTICS["log"])[1].units == 0  # not proved
    expected = evaluate(silent, z)
    pruned, count = prune_units.without_silent(silent, z)
    assert (widths(pruned)[0], count) == (8, 15 - sum(widths(pruned)))
    np.testing.assert_allclose(evaluate(pruned, z), expected, rtol=0, atol=1e-12)
    once = extended(layers, 0, kernel, -highest * 0.999, np.ones(6))
    assert widths(prune_units.without_silent(once, z)[0])[0] == 9


def test_units_of_another_bias_are_no_twins():
    layers = network((8,), np.random.default_rng(8))
    other = extended(layers, 0, layers[0].kernel[:, 0], layers[0].bias[0] + 0.1, np.ones(4))
    assert widths(prune_units.prune(other, STATISTICS["log"])[0]) == (9,)


def test_of_a_silent_layer_one_unit_stays():
    layers = network((5, 4), np.random.default_rng(9))
    z = STATISTICS["log"].apply(STATES)
    layers[1].bias[:] = -100
    pruned, _ = prune_units.without_silent(layers, z)
    assert widths(pruned)[1] == 1
    np.testing.assert_array_equal(evaluate(pruned, z), evaluate(layers, z))
