"""Other forms of the graph: the same emulator, or nearly, with the same face."""

import logging
import platform

import numpy as np
import onnx
import pytest
from onnxruntime import quantization

from aeroact import normalization
from aeroact.emulator import Emulator
from aeroact.errors import AeroactError
from aeroact.export import rewrites
from aeroact.export.convert import to_onnx
from aeroact.states import sample_rows
from tests.export.test_prune_units import network

STATES = sample_rows(0, 2_000, seed=4).astype(np.float32)

FORMS = {
    "transposed": rewrites.transposed,
    "fused": rewrites.fused,
    "int8_dynamic": rewrites.int8_dynamic,
    "int8_static": lambda content: rewrites.int8_static(content, STATES),
}


@pytest.fixture(scope="module", params=["relu", "relu2"])
def content(request):
    statistics = normalization.fit([STATES])
    layers = network((32, 8, 16), np.random.default_rng(1), request.param)
    return to_onnx(layers, statistics, {"trial": "007"}, guard=True)


def operators(content):
    return {node.op_type for node in onnx.load_from_string(content).graph.node}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_has_the_same_face(form, content):
    plain, other = Emulator(content), Emulator(FORMS[form](content))
    assert other.metadata == plain.metadata
    assert [o.name for o in other.session.get_outputs()] == ["fn", "in_domain"]
    assert other.session.get_inputs()[0].shape[1:] == [16]
    for n in (1, 7):
        assert other.predict(STATES[:n]).shape == (n, 4)


@pytest.mark.parametrize("form", FORMS)
def test_a_form_computes_nearly_the_same(form, content):
    difference = np.abs(
        Emulator(FORMS[form](content)).predict(STATES) - Emulator(content).predict(STATES)
    ).max()
    assert difference <= (0.05 if "int8" in form else 1e-6)
    assert difference > 0 or "int8" not in form


@pytest.mark.parametrize("form", FORMS)
def test_the_same_emulator_gives_the_same_bytes(form, content):
    assert FORMS[form](content) == FORMS[form](content) != content


def test_transposed_kernels_are_stored_the_other_way_round(content):
    both = (gemms(c) for c in (content, rewrites.transposed(content)))
    for before, after in zip(*both, strict=True):
        assert [a.i for a in after[0].attribute if a.name == "transB"] == [1]
        np.testing.assert_array_equal(after[1], before[1].T)


def gemms(content):
    graph = onnx.load_from_string(content).graph
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    return [(n, weights[n.input[1]]) for n in graph.node if n.op_type == "Gemm"]


@pytest.mark.parametrize("form", ["int8_dynamic", "int8_static"])
def test_all_kernels_but_the_first_are_of_eight_bits(form, content):
    graph = onnx.load_from_string(FORMS[form](content)).graph
    types = {tuple(t.dims): t.data_type for t in graph.initializer if len(t.dims) == 2}
    assert types == {
        (16, 32): onnx.TensorProto.FLOAT,
        (32, 8): onnx.TensorProto.INT8,
        (8, 16): onnx.TensorProto.INT8,
        (16, 4): onnx.TensorProto.INT8,
    }


@pytest.mark.parametrize("form", ["int8_dynamic", "int8_static"])
def test_quantization_says_nothing(form, content, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    FORMS[form](content)
    assert capfd.readouterr() == ("", "")
    assert [r for r in caplog.records if r.levelno >= logging.INFO] == []
    assert logging.root.manager.disable == logging.NOTSET


def test_a_failed_quantization_is_one_clear_line(content, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(quantization, "quantize_dynamic", fail)
    with pytest.raises(AeroactError, match=r"cannot quantize it \(no such kernel\)"):
        rewrites.int8_dynamic(content)
    assert logging.root.manager.disable == logging.NOTSET


def test_fused_gemms_take_the_relu_with_them(content):
    assert "Relu" in operators(content)
    assert "FusedGemm" in operators(rewrites.fused(content))


@pytest.mark.parametrize(
    ("machine", "flags", "int8", "reason"),
    [
        ("x86_64", {"avx2"}, False, "not available here"),
        ("x86_64", {"avx512_vnni", "amx_bf16"}, True, "not available here"),
        ("aarch64", {"asimddp"}, True, "not available here"),
        ("aarch64", {"asimddp", "bf16"}, True, "which the host sets"),
    ],
)
def test_what_the_processor_can_do(machine, flags, int8, reason, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(rewrites, "_processor_flags", lambda: flags)
    assert rewrites.fast_int8() is int8
    assert reason in rewrites.why_no_half_precision()
