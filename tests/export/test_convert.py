"""The exported graph: what it computes, what it says of itself, what it cannot do wrong."""

import ctypes
import ctypes.util
import json
import platform
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aeroact import normalization, schema
from aeroact.emulator import Emulator, require_fractions
from aeroact.errors import AeroactError
from aeroact.export import convert, parity
from aeroact.export.convert import layers_of, to_onnx
from aeroact.export.layers import Layer
from aeroact.hpo import network
from aeroact.hpo.backend import load_backend
from aeroact.states import sample_rows
from tests.export.networks import WIDTHS, keras_network

DATA = Path(__file__).parent / "data"

# The operators that E3SM's DEBUG build can live with: none raises an IEEE flag on such states.
QUIET = {"Max", "Min", "Split", "Log", "Concat", "Sub", "Gemm", "Relu", "Sigmoid"}


@pytest.fixture(scope="module")
def states():
    return sample_rows(0, 20_000, seed=4).astype(np.float32)


@pytest.fixture(scope="module")
def untrained():
    load_backend()
    return keras_network()


@pytest.fixture(scope="module")
def layers(untrained):
    return layers_of(untrained)


@pytest.fixture(scope="module", params=sorted(normalization.PRESETS))
def statistics(request, states):
    return normalization.fit([states], normalization.PRESETS[request.param])


@pytest.fixture(scope="module")
def content(layers, statistics):
    return to_onnx(layers, statistics, {"trial": "007", "nodes": list(WIDTHS)})


@pytest.fixture(scope="module")
def emulator(content):
    return Emulator(content)


@pytest.fixture(scope="module")
def guarded(layers, statistics):
    return Emulator(to_onnx(layers, statistics, {}, guard=True))


def test_layers_are_those_of_keras(untrained, layers):
    arrays_of_layers = [a for layer in layers for a in (layer.kernel, layer.bias)]
    for ours, keras in zip(arrays_of_layers, untrained.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, keras)
    assert [layer.activation for layer in layers] == ["relu"] * 3 + ["sigmoid"]


def test_it_predicts_what_keras_predicts(emulator, untrained, statistics, states):
    compared = parity.states(states, statistics)
    found = parity.with_keras(emulator, untrained, statistics, compared)
    assert found.largest <= 1e-6
    assert found.p999 <= found.largest
    assert found.at_corners <= 3e-6
    assert (found.holdout_states, found.drawn_states) == (20_000, 80_000)
    assert np.ptp(emulator.predict(states)) > 0.1


def test_states_come_in_schema_units_and_any_number(content, emulator):
    graph = onnx.load_from_string(content).graph
    (state,), (fn,) = graph.input, graph.output
    assert (state.name, fn.name) == ("state", "fn")
    dims = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in (state, fn)]
    assert dims == [["N", 16], ["N", 4]]
    for n in (1, 7, 1025):
        assert emulator.predict(sample_rows(0, n, 1)).shape == (n, 4)


def test_the_same_network_gives_the_same_bytes(statistics, content):
    again = layers_of(keras_network())
    assert to_onnx(again, statistics, {"trial": "007", "nodes": list(WIDTHS)}) == content


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_network_saved_with_another_backend_gives_the_same_bytes(backend, statistics, content):
    other = layers_of(network.load(DATA / f"{backend}.keras"))
    assert to_onnx(other, statistics, {"trial": "007", "nodes": list(WIDTHS)}) == content


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


def test_it_is_a_chain_of_operators_that_cannot_trap(content):
    model = onnx.load_from_string(content)
    assert {node.op_type for node in model.graph.node} <= QUIET
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert [n.op_type for n in model.graph.node if n.op_type in {"Gemm", "Relu", "Sigmoid"}] == [
        *["Gemm", "Relu"] * 3,
        "Gemm",
        "Sigmoid",
    ]
    onnx.checker.check_model(model, full_check=True)


def test_onnx_runtime_fuses_gemm_and_activation(content, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    operators = [n.op_type for n in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert operators.count("FusedGemm") == 4
    assert not {"Gemm", "Relu", "Sigmoid"} & set(operators)


# FE_INVALID, FE_DIVBYZERO, FE_OVERFLOW of <fenv.h>.
TRAPPED = {"x86_64": 1 | 4 | 8, "aarch64": 1 | 2 | 4}


def flags_of(emulator, x):
    """The flags that a debug build traps, as a prediction leaves them."""
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    trapped = TRAPPED.get(platform.machine(), 0)
    libm.feclearexcept(trapped)
    emulator.session.run(None, {"state": x})
    return libm.fetestexcept(trapped)


@pytest.mark.skipif(platform.machine() not in TRAPPED, reason="flags of x86_64 and aarch64 only")
def test_no_state_raises_a_flag_that_a_debug_build_traps(guarded, states):
    largest = np.finfo(np.float32).max
    extreme = np.stack([np.full(16, v, np.float32) for v in (0.0, -1.0, largest, -largest)])
    for x in (states[:1000], extreme):
        assert flags_of(guarded, x) == 0


@pytest.fixture(scope="module")
def squared():
    """Its sums are as small as those of a trained one, or squares would leave few digits."""
    load_backend()
    model = keras_network(activation="relu2")
    model.set_weights([w / 2 for w in model.get_weights()])
    return model


def test_a_squared_relu_is_a_product_with_itself(squared, states):
    layers, statistics = layers_of(squared), normalization.fit([states])
    assert [layer.activation for layer in layers] == ["relu2"] * 3 + ["sigmoid"]
    content = to_onnx(layers, statistics, {}, guard=True)
    nodes = onnx.load_from_string(content).graph.node
    body = [n for n in nodes if n.op_type in {"Gemm", "Relu", "Mul", "Sigmoid"}]
    assert [n.op_type for n in body] == [*["Gemm", "Relu", "Mul"] * 3, "Gemm", "Sigmoid"]
    for before, node in pairwise(body):
        assert set(node.input[: 2 if node.op_type == "Mul" else 1]) & {*before.output, "centred"}
    emulator = Emulator(content)
    compared, allowed = parity.states(states, statistics), parity.allowed_beyond_data(layers)
    found = parity.with_keras(emulator, squared, statistics, compared, allowed)
    assert found.largest <= 2e-6
    assert np.ptp(emulator.predict(states)) > 0.1
    require_fractions(emulator)
    assert flags_of(emulator, states[:1000]) == 0


def test_a_square_that_could_overflow_is_refused(states):
    statistics = normalization.fit([states])
    layers = [
        Layer(np.full((16, 2), 1e17, "f4"), np.zeros(2, "f4"), "relu"),
        Layer(np.full((2, 4), 1e-17, "f4"), np.zeros(4, "f4"), "sigmoid"),
    ]
    to_onnx(tuple(layers), statistics, {})
    layers[0] = replace(layers[0], activation="relu2")
    with pytest.raises(AeroactError, match="layer 1 could overflow for some state"):
        to_onnx(tuple(layers), statistics, {})


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=200)
@given(x=arrays(np.float32, (3, 16), elements=finite))
def test_any_finite_state_gives_fractions(emulator, x):
    """Zero, negative and enormous values too: a GCM's worst day must not give NaN."""
    fn = emulator.predict(x)
    assert np.isfinite(fn).all()
    assert ((fn >= 0) & (fn <= 1)).all()


def test_extreme_states_are_looked_at_before_an_export(emulator, monkeypatch):
    require_fractions(emulator)
    monkeypatch.setattr(Emulator, "predict", lambda self, x: np.full((len(x), 4), np.nan))
    with pytest.raises(AeroactError, match="more than fractions"):
        require_fractions(emulator)


def test_a_network_that_could_overflow_is_refused(layers, statistics):
    large = [Layer(ly.kernel * np.float32(1e12), ly.bias, ly.activation) for ly in layers]
    with pytest.raises(AeroactError, match="layer 3 could overflow for some state"):
        to_onnx(tuple(large), statistics, {})


def test_states_beyond_what_is_physical_count_as_the_last_that_is(emulator, statistics):
    low, high = convert.clip_bounds(statistics)
    beyond = np.stack([low - np.abs(low) - 1, high * 10])
    np.testing.assert_array_equal(emulator.predict(beyond), emulator.predict(np.stack([low, high])))


def test_domain_is_that_of_the_training_states(guarded, statistics, states):
    middle = (statistics.low + statistics.high) / 2
    x = np.stack([middle, statistics.low, statistics.high, middle, middle])
    x[3, 4] = np.nextafter(statistics.high[4], np.float32(np.inf))
    x[4, 0] = np.nextafter(statistics.low[0], np.float32(-np.inf))
    inside = guarded.in_domain(x)
    assert inside.tolist() == [True, True, True, False, False]
    # The guard says the same inside the graph.
    stretched = np.concatenate([x, states[:500] * np.linspace(0.5, 1.5, 500)[:, None]])
    stretched = stretched.astype(np.float32)
    (guard,) = guarded.session.run(["in_domain"], {"state": stretched})
    assert guard.dtype == np.uint8
    np.testing.assert_array_equal(guard, guarded.in_domain(stretched))
    assert 0 < guard.sum() < len(guard)


def test_a_guard_changes_no_fraction(emulator, guarded, states):
    np.testing.assert_array_equal(guarded.predict(states), emulator.predict(states))


def test_the_guard_is_off_for_nan(guarded, states):
    x = states[:2].copy()
    x[1, 3] = np.nan
    (guard,) = guarded.session.run(["in_domain"], {"state": x})
    assert guard.tolist() == [1, 0]


@pytest.mark.parametrize("wrong", ["mean", "std"])
def test_a_network_that_differs_is_refused(emulator, untrained, statistics, states, wrong):
    """Statistics that are off by a little must not get through."""
    values = getattr(statistics, wrong) * np.float32(1.01)
    other = replace(statistics, **{wrong: values})
    with pytest.raises(AeroactError, match=r"differs from Keras by up to .* not exported"):
        parity.with_keras(emulator, untrained, other, parity.states(states, statistics))


def test_a_difference_at_one_corner_is_seen(emulator, untrained, statistics, states, monkeypatch):
    compared = parity.states(states, statistics)
    corner = compared.corners[12345]
    predict = emulator.predict

    def wrong_there(x):
        return predict(x) + np.float32(1e-5) * (x == corner).all(axis=1, keepdims=True)

    monkeypatch.setattr(emulator, "predict", wrong_there)
    with pytest.raises(AeroactError, match="at a corner of the training bounds"):
        parity.with_keras(emulator, untrained, statistics, compared)


def test_drawn_states_fill_the_training_bounds(statistics):
    x = parity.drawn(statistics, 2000)
    assert ((x >= statistics.low) & (x <= statistics.high)).all()
    spread = normalization.Normalization.apply(
        statistics, np.stack([statistics.low, statistics.high])
    )
    z = statistics.apply(x)
    np.testing.assert_allclose(np.ptp(z, axis=0), np.ptp(spread, axis=0), rtol=0.02)


def test_nan_weights_are_refused(statistics):
    model = keras_network()
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    with pytest.raises(AeroactError, match="layer 1 has weights that are not finite"):
        layers_of(model)


def dense(*layers, inputs=16):
    import keras

    load_backend()
    return keras.Sequential([keras.Input((inputs,)), *layers])


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({"inputs": 15}, r"layer 1 has kernel \(15, 8\)"),
        ({"outputs": 3}, r"layer 2 has kernel \(8, 3\)"),
        ({"hidden": "tanh"}, "operator Tanh that is not expected"),
        ({"last": "linear"}, "last layer has no sigmoid"),
        ({"hidden": "sigmoid"}, "layer 1 has activation sigmoid, not relu or relu2"),
        ({"hidden": "gate"}, "operator Mul that is not expected"),
        ({"hidden": "cube"}, "operator Mul that is not expected"),
        ({"hidden": "square", "second": "relu"}, "layer 2 has activation relu, not relu2"),
    ],
    ids=str,
)
def test_another_kind_of_network_is_refused(shape, said):
    load_backend()
    import keras

    relu, square = keras.ops.relu, keras.ops.square
    functions = {
        "square": lambda x: square(relu(x)),
        "gate": lambda x: relu(x) * x,
        "cube": lambda x: square(relu(x)) * relu(x),
    }
    hidden = shape.get("hidden", "relu")
    model = dense(
        keras.layers.Dense(8, functions.get(hidden, hidden)),
        *([keras.layers.Dense(8, shape["second"])] if "second" in shape else []),
        keras.layers.Dense(shape.get("outputs", 4), shape.get("last", "sigmoid")),
        inputs=shape.get("inputs", 16),
    )
    with pytest.raises(AeroactError, match=said):
        layers_of(model)
