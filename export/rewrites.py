"""Other forms of the same ONNX graph: laid out, fused or quantized.

Each takes the bytes of an exported emulator and returns the bytes of another with the
same input, output and metadata. Whether a form is worth having is not known here.
"""

import logging
import platform
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeroact.errors import AeroactError

if TYPE_CHECKING:
    import onnx

_CALIBRATION_STATES = 16_384

_FAST_INT8 = {"avx_vnni", "avx512_vnni", "asimddp"}
"""Processor flags with a dot product of 8-bit integers that cannot saturate half-way."""

_FAST_BF16 = "mlas.enable_gemm_fastmath_arm64_bfloat16"


def transposed(content: bytes) -> bytes:
    """Store the kernel of every Gemm the other way round, with ``transB`` to say so."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load_from_string(content)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "Gemm":
            continue
        kernel = weights[node.input[1]]
        values = np.ascontiguousarray(numpy_helper.to_array(kernel).T)
        kernel.CopyFrom(numpy_helper.from_array(values, kernel.name))
        node.attribute.append(helper.make_attribute("transB", 1))
    return model.SerializeToString(deterministic=True)


def fused(content: bytes) -> bytes:
    """Save what ONNX Runtime turns the graph into when it loads it."""
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "fused.onnx"
        options = ort.SessionOptions()
        options.optimized_model_filepath = str(path)
        # Above "extended" the file would be for this processor only.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.log_severity_level = 3
        ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return path.read_bytes()


def int8_dynamic(content: bytes) -> bytes:
    """Quantize the kernels after the first to 8 bits, and activations as they come."""
    from onnxruntime import quantization

    def quantize(model: "onnx.ModelProto", path: Path) -> None:
        quantization.quantize_dynamic(
            model,
            path,
            op_types_to_quantize=["Gemm", "MatMul"],
            nodes_to_exclude=_first_layer(model),
            per_channel=True,
            reduce_range=not fast_int8(),
        )

    return _quantized(content, quantize)


def int8_static(content: bytes, x: NDArray[np.float32]) -> bytes:
    """Quantize all after the first layer to 8 bits, scaled by what states (n, 16) lead to."""
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            self._blocks = iter(np.array_split(x[:_CALIBRATION_STATES], 16))

        def get_next(self) -> dict[str, Any] | None:
            block = next(self._blocks, None)
            return None if block is None or not len(block) else {"state": block}

    def quantize(model: "onnx.ModelProto", path: Path) -> None:
        quantization.quantize_static(
            model,
            path,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Gemm", "MatMul"],
            nodes_to_exclude=_first_layer(model),
            per_channel=True,
            reduce_range=not fast_int8(),
        )

    return _quantized(content, quantize)


def fast_int8() -> bool:
    """Say whether this processor has instructions for 8-bit networks."""
    return bool(_FAST_INT8 & _processor_flags())


def why_no_half_precision() -> str:
    """Say why no half-precision form of the graph is tried on this machine."""
    if platform.machine() in {"aarch64", "arm64"} and "bf16" in _processor_flags():
        return (
            "ONNX Runtime computes in bf16 here by its session option "
            f"{_FAST_BF16}=1, which the host sets and no file can hold"
        )
    return (
        f"not available here: ONNX Runtime's CPU kernels on {platform.machine()} compute in "
        "float32 (bf16 needs a 64-bit ARM processor with bf16)"
    )


def _quantized(content: bytes, quantize: Callable[["onnx.ModelProto", Path], None]) -> bytes:
    """Quantize by way of a file, and see that the metadata are still those of the emulator."""
    import onnx

    model = onnx.load_from_string(content)
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        path = Path(scratch) / "int8.onnx"
        try:
            quantize(model, path)
        except Exception as error:  # the tools' exceptions have no common base of their own
            raise AeroactError(f"ONNX Runtime cannot quantize it ({error})") from error
        result = onnx.load(path)
    original = onnx.load_from_string(content)
    del result.metadata_props[:]
    result.metadata_props.extend(original.metadata_props)
    result.producer_name, result.producer_version = original.producer_name, ""
    return result.SerializeToString(deterministic=True)


def _first_layer(model: "onnx.ModelProto") -> list[str]:
    """Name the first Gemm, which stays as it is: its inputs have a scale each, 8 bits only one."""
    first = next((node.name for node in model.graph.node if node.op_type == "Gemm"), None)
    # The dynamic quantizer first makes a MatMul of it, under a name of its own.
    return [] if first is None else [first, f"{first}_MatMul"]


def _processor_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    named = ("flags", "Features")
    return {flag for line in lines if line.startswith(named) for flag in line.split()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep advice of the quantization tools out of the user's terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def is_quantized(content: bytes) -> bool:
    """Say whether an ONNX file computes with 8-bit integers."""
    import onnx

    return any("Quantize" in node.op_type for node in onnx.load_from_string(content).graph.node)
