"""The exported graph: what it computes, what it says of itself, what it cannot do wrong."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aeroact import normalization, schema
from aeroact.errors import AeroactError
from aeroact.export import parity, weights
from aeroact.export.convert import to_onnx
from aeroact.hpo import network
from aeroact.hpo.backend import load_backend
from aeroact.states import sample_rows
from aeroact.zoo import Emulator

# The operators that E3SM's DEBUG build can live with: none raises an IEEE flag on finite states.
QUIET = {"Split", "Max", "Log", "Concat", "Sub", "Div", "MatMul", "Gemm", "Add", "Relu", "Sigmoid"}


@pytest.fixture(scope="module")
def states():
    return sample_rows(0, 20_000, seed=4).astype(np.float32)


@pytest.fixture(scope="module")
def untrained():
    load_backend()
    return network.build((24, 8, 16), network.initial_weights((24, 8, 16), [1]))


@pytest.fixture(scope="module", params=sorted(normalization.PRESETS))
def statistics(request, states):
    return normalization.fit([states], normalization.PRESETS[request.param])


@pytest.fixture(scope="module")
def model(untrained, statistics):
    return to_onnx(untrained, statistics, {"trial": "007", "nodes": [24, 8, 16]})


@pytest.fixture(scope="module")
def emulator(model):
    return Emulator(model.SerializeToString())


def test_it_predicts_what_keras_predicts(emulator, untrained, statistics, states):
    difference = parity.with_keras(emulator, untrained, statistics, states)
    assert difference <= 1e-6
    assert np.ptp(emulator.predict(states)) > 0.1


def test_states_come_in_schema_units_and_any_number(model, emulator):
    (state,), (fn,) = model.graph.input, model.graph.output
    assert (state.name, fn.name) == ("state", "fn")
    dims = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in (state, fn)]
    assert dims == [["N", 16], ["N", 4]]
    for n in (1, 7, 1025):
        assert emulator.predict(sample_rows(0, n, 1)).shape == (n, 4)


def test_the_same_network_gives_the_same_bytes(untrained, statistics, model):
    again = to_onnx(untrained, statistics, {"trial": "007", "nodes": [24, 8, 16]})
    assert again.SerializeToString() == model.SerializeToString()


def test_it_says_what_it_is(emulator, statistics):
    metadata = emulator.metadata
    assert metadata["schema_version"] == schema.SCHEMA_VERSION
    assert json.loads(metadata["columns"]) == list(schema.COLUMNS)
    assert json.loads(metadata["units"]) == list(schema.COLUMN_UNITS)
    assert json.loads(metadata["outputs"]) == list(schema.OUTPUTS)
    assert metadata["trial"] == "007"
    bounds = json.loads(metadata["training_bounds"])
    np.testing.assert_array_equal(np.float32(bounds["low"]), statistics.low)
    np.testing.assert_array_equal(np.float32(bounds["high"]), statistics.high)


def test_no_operator_can_trap(model):
    assert {node.op_type for node in model.graph.node} <= QUIET
    assert [(o.domain, o.version) for o in model.opset_import if not o.domain] == [("", 17)]
    onnx.checker.check_model(model, full_check=True)


finite = st.floats(-(2.0**100), 2.0**100, width=32)


@settings(max_examples=200)
@given(x=arrays(np.float32, (3, 16), elements=finite))
def test_any_finite_state_gives_fractions(emulator, x):
    """Zero, negative and enormous values too: a GCM's worst day must not give NaN."""
    fn = emulator.predict(x)
    assert np.isfinite(fn).all()
    assert ((fn >= 0) & (fn <= 1)).all()


def test_domain_is_that_of_the_training_states(emulator, statistics):
    middle = (statistics.low + statistics.high) / 2
    x = np.stack([middle, statistics.low, statistics.high, middle, middle])
    x[3, 4] = np.nextafter(statistics.high[4], np.float32(np.inf))
    x[4, 0] = np.nextafter(statistics.low[0], np.float32(-np.inf))
    assert emulator.in_domain(x).tolist() == [True, True, True, False, False]


def test_weights_file_holds_the_same_network(emulator, untrained, statistics, states, tmp_path):
    path = tmp_path / "weights.nc"
    weights.write(path, weights.layers_of(untrained), statistics)
    assert parity.with_weights(emulator, path, states) <= 1e-6


@pytest.mark.parametrize("wrong", ["mean", "std"])
def test_a_network_that_differs_is_refused(emulator, untrained, statistics, states, wrong):
    """Statistics that are off by a little must not get through."""
    values = getattr(statistics, wrong) * np.float32(1.01)
    with pytest.raises(AeroactError, match=r"differs from Keras by up to .* not exported"):
        parity.with_keras(emulator, untrained, replace(statistics, **{wrong: values}), states)


def test_a_nan_does_not_pass_for_parity(untrained, statistics, states):
    broken = network.build((24, 8, 16), network.initial_weights((24, 8, 16), [1]))
    broken.set_weights([np.full_like(w, np.nan) for w in broken.get_weights()])
    emulator = Emulator(to_onnx(broken, statistics, {}).SerializeToString())
    with pytest.raises(AeroactError, match="differs from Keras"):
        parity.with_keras(emulator, broken, statistics, states)
