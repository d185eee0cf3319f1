"""Smaller and faster forms: kept only where measured errors and times say so."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeroact import normalization
from aeroact.emulator import Emulator
from aeroact.errors import AeroactError
from aeroact.export import optimize
from aeroact.export.convert import to_onnx
from aeroact.export.layers import evaluate, require_sound, widths
from aeroact.states import sample_rows
from aeroact.timing import Timing
from tests.export.test_prune_units import extended, network, planted

STATES = sample_rows(0, 6_000, seed=4).astype(np.float32)
CALIBRATION, HOLDOUT = STATES[:3_000], STATES[3_000:]
STATISTICS = normalization.fit([CALIBRATION])
NAMES = [
    "plain",
    "pruned",
    "silent",
    "padded",
    "transposed",
    "fused",
    "int8-dynamic",
    "int8-static",
    "half",
]


@pytest.fixture(scope="module")
def layers():
    """A network with a dead unit, and one that no sampled state activates."""
    rng = np.random.default_rng(7)
    kernel = rng.normal(0, 0.3, 16)
    highest = float((STATISTICS.apply(STATES) @ kernel).max())
    layers = planted(network((24, 16), rng), 0, "dead", rng)
    return extended(layers, 0, kernel, -1.001 * highest, rng.normal(0, 0.2, 16))


@pytest.fixture(scope="module")
def truth(layers):
    """Fractions from which the network is off by about 0.001."""
    fn = evaluate(layers, STATISTICS.apply(HOLDOUT))
    noise = np.random.default_rng(8).normal(0, 1e-3, fn.shape)
    return np.clip(fn + noise, 0, 1).astype(np.float32)


@pytest.fixture
def times(monkeypatch):
    """Microseconds a sample that each form shall take; 1 where nothing is said."""
    given: dict[str, float] = {}

    def timed(variants, x, batch):
        return [
            replace(v, timing=Timing(t, 0.9 * t, 1.1 * t)) if v.onnx else v
            for v, t in ((v, given.get(v.name, 1.0)) for v in variants)
        ]

    monkeypatch.setattr(optimize, "_timed", timed)
    return given


def try_all(layers, truth, **options) -> tuple[list[Any], dict[str, Any]]:
    variants = optimize.try_all(layers, STATISTICS, {}, HOLDOUT, truth, CALIBRATION, **options)
    assert [v.name for v in variants] == NAMES
    return variants, {v.name: v for v in variants}


def test_everything_is_tried_measured_and_explained(layers, truth):
    told = []
    variants, by_name = try_all(layers, truth, batch=64, progress=lambda n, note="": told.append(n))
    assert told == list(range(1, optimize.STEPS + 1))
    plain = variants[0]
    assert plain.kept
    assert plain.onnx == to_onnx(layers, STATISTICS, {})
    for variant in variants:
        assert variant.how
        assert variant.reason
        if variant.onnx is None:
            assert not variant.kept
            assert variant.mse is variant.timing is None
            continue
        fn = Emulator(variant.onnx).predict(HOLDOUT)
        assert variant.mse == pytest.approx(np.mean((fn.astype(float) - truth) ** 2), rel=1e-9)
        assert variant.growth == pytest.approx(variant.mse / plain.mse - 1, abs=1e-12)
        assert variant.timing.median > 0
        require_sound(variant.layers)
        onnx.checker.check_model(onnx.load_from_string(variant.onnx))
    assert by_name["half"].onnx is None
    records = json.loads(json.dumps(optimize.records(variants), allow_nan=False))
    assert records[0]["relative_time"] == 1
    taken = [record["name"] for record in records if record["verdict"] == "taken"]
    assert taken == [optimize.kept(variants).name]
    assert optimize.kept(variants).kept


def test_idle_units_go_first_and_later_forms_start_from_there(layers, truth, times):
    _, by_name = try_all(layers, truth)
    assert widths(by_name["plain"].layers) == (26, 16)
    assert widths(by_name["pruned"].layers) == (25, 16)
    assert "1 dead" in by_name["pruned"].how
    assert by_name["pruned"].difference <= 1e-6
    assert by_name["pruned"].at_corners <= 1e-6
    silent = by_name["silent"]
    assert widths(silent.layers)[0] <= 24
    assert silent.difference <= 1e-6
    assert silent.at_corners > 1e-4  # where the training states say nothing
    for name in ("transposed", "fused", "int8-dynamic"):
        assert by_name[name].layers is silent.layers
    assert all(w % optimize.REGISTER == 0 for w in widths(by_name["padded"].layers))


def test_the_smallest_good_network_wins_when_times_are_equal(layers, truth, times):
    variants, by_name = try_all(layers, truth)
    assert optimize.kept(variants).name == "silent"
    assert by_name["pruned"].kept
    assert not by_name["fused"].kept
    assert "one version of ONNX Runtime" in by_name["fused"].reason


def test_a_form_that_is_slower_is_dropped(layers, truth, times):
    times |= dict.fromkeys(NAMES, 1.03) | {"plain": 1.0}
    variants, by_name = try_all(layers, truth)
    assert optimize.kept(variants) is variants[0]
    assert not by_name["silent"].kept
    assert "grows by 3.00% in the median" in by_name["silent"].reason


def test_a_form_that_is_faster_is_kept_though_larger(layers, truth, times):
    times["padded"] = 0.5
    variants, by_name = try_all(layers, truth)
    assert optimize.kept(variants) is by_name["padded"]


def test_a_form_of_which_the_mse_grows_is_dropped(layers, truth, times):
    times |= {"int8-dynamic": 0.1, "int8-static": 0.1}
    variants, by_name = try_all(layers, truth)
    for name in ("int8-dynamic", "int8-static"):
        assert by_name[name].growth > optimize.MAX_GROWTH
        assert not by_name[name].kept
        assert "more than 1.00%" in by_name[name].reason
    assert optimize.kept(variants).name == "silent"


def test_the_users_bound_is_honoured(layers, truth, times):
    times["int8-dynamic"] = 0.1
    _, by_name = try_all(layers, truth)
    growth = by_name["int8-dynamic"].growth
    for bound, kept in ((growth * 1.01, True), (growth * 0.99, False)):
        variants, by_name = try_all(layers, truth, max_growth=bound)
        assert by_name["int8-dynamic"].kept is kept
        assert (optimize.kept(variants) is by_name["int8-dynamic"]) is kept


def test_silent_units_that_the_holdout_needs_stay(layers, truth, times):
    # No training state is like the holdout here.
    narrow = np.repeat(CALIBRATION[:1], 50, axis=0)
    variants = optimize.try_all(layers, STATISTICS, {}, HOLDOUT, truth, narrow)
    by_name: dict[str, Any] = {v.name: v for v in variants}
    assert by_name["silent"].growth > optimize.MAX_GROWTH
    assert not by_name["silent"].kept
    assert by_name["transposed"].layers is by_name["pruned"].layers


def test_a_form_that_cannot_be_used_is_reported(layers, truth, times, monkeypatch):
    def unclosed(content):
        model = onnx.load_from_string(content)
        model.graph.node[-1].op_type = "Relu"  # beyond 1
        return model.SerializeToString()

    monkeypatch.setattr(optimize.rewrites, "transposed", unclosed)
    monkeypatch.setattr(optimize.rewrites, "fused", lambda content: content[:100])
    _, by_name = try_all(layers, truth)
    for name in ("transposed", "fused"):
        assert by_name[name].onnx is None
        assert not by_name[name].kept
        assert by_name[name].reason.startswith("not usable: ")


def test_nothing_to_gain_is_said(truth, times):
    layers = network((16, 16), np.random.default_rng(2))
    for layer in layers:
        np.abs(layer.bias, out=layer.bias)
    variants, by_name = try_all(layers, truth)
    for name in ("pruned", "silent", "padded"):
        assert by_name[name].reason == "nothing changes"
    assert optimize.kept(variants) is variants[0]


@pytest.mark.parametrize("bound", [-0.1, float("nan"), float("inf")])
def test_a_bound_without_sense_is_an_error(bound, layers, truth):
    with pytest.raises(AeroactError, match="--max-growth"):
        try_all(layers, truth, max_growth=bound)


def test_no_states_are_an_error(layers, truth):
    with pytest.raises(AeroactError, match="no holdout or no training states"):
        optimize.try_all(layers, STATISTICS, {}, HOLDOUT, truth, CALIBRATION[:0])


@given(hidden=st.lists(st.integers(1, 20), max_size=4), multiple=st.integers(1, 16))
def test_padding_changes_widths_and_nothing_else(hidden, multiple):
    layers = network(hidden, np.random.default_rng(0))
    wide = optimize.padded(layers, multiple)
    require_sound(wide)
    assert widths(wide) == tuple(-(-w // multiple) * multiple for w in hidden)
    z = STATISTICS.apply(HOLDOUT[:50])
    np.testing.assert_allclose(evaluate(wide, z), evaluate(layers, z), rtol=0, atol=1e-14)
