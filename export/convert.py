"""A network as ONNX, with transform and z-score in front, states in schema units.

tf2onnx reads the network that Keras made; the graph that leaves is written here, so that it
is the same whichever backend and whichever version saved the network:

    Max, Min (physical bounds) - Split, Log, Concat - Sub (mean) - Gemm, Relu ... Gemm, Sigmoid

A squared ReLU is a Relu and then a Mul of its result with itself.

The statistics are rounded to float32 already, so x - mean loses nothing. The standard
deviation is folded into the first kernel, which costs no digits; the mean is not, which
would cost about three times the rounding error: see `benchmarks/front.py`.
"""

import json
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeroact import schema
from aeroact.errors import AeroactError
from aeroact.export.layers import RELU2, Layer, Layers, activated, require_sound
from aeroact.normalization import Normalization

if TYPE_CHECKING:
    import keras
    import onnx

OPSET = 17
"""Read by ONNX Runtime 1.12 and later; the Fortran bridge asks for 1.20."""

_IR_VERSION = 8  # the one that goes with this OPSET

GUARD = "in_domain"
"""Name of the optional output: 1 where the state lies within the training bounds, else 0."""


def layers_of(model: "keras.Model") -> Layers:
    """Read the layers of a Keras network, by way of tf2onnx.

    Parameters
    ----------
    model : keras.Model
        A chain of dense layers from normalized state to activated fraction.

    Raises
    ------
    AeroactError
        If it is another kind of network, or its weights are not finite.
    """
    graph = _converted(model).graph
    constants = _constants(graph)
    layers: list[Layer] = []
    kernel: NDArray[np.float32] | None = None
    bias = np.zeros(0, np.float32)
    relu = ""  # output of the Relu that came last
    for node in graph.node:
        values = [constants[name] for name in node.input if name in constants]
        operator = node.op_type
        if operator == "MatMul" and kernel is None and len(values) == 1:
            kernel = values[0]
            bias = np.zeros(kernel.shape[-1], np.float32)
        elif operator == "Add" and kernel is not None and len(values) == 1:
            bias = values[0].reshape(-1)
        elif operator in ("Relu", "Sigmoid") and kernel is not None:
            layers.append(Layer(kernel, bias, operator.lower()))
            kernel = None
            relu = node.output[0] if operator == "Relu" else ""
        elif operator == "Mul" and kernel is None and list(node.input) == [relu, relu]:
            layers[-1] = replace(layers[-1], activation=RELU2)
        elif operator != "Identity":
            raise AeroactError(
                f"the network has an operator {operator} that is not expected there; only "
                "dense layers with relu or its square, and sigmoid at the end, can be exported"
            )
    if kernel is not None:
        raise AeroactError("the network's last layer has no sigmoid; it gives no fractions")
    require_sound(layers)
    return tuple(layers)


def _converted(model: "keras.Model") -> "onnx.ModelProto":
    import logging

    import tensorflow as tf
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    signature = [tf.TensorSpec([None, *model.input_shape[1:]], tf.float32, name="z")]
    # Not from_keras, which does not know the outputs of a Sequential of Keras 3.
    function = tf.function(lambda z: model(z))
    converted, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    return converted


def _constants(graph: "onnx.GraphProto") -> dict[str, NDArray[np.float32]]:
    from onnx import numpy_helper

    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def to_onnx(
    layers: Layers,
    normalization: Normalization,
    metadata: dict[str, Any],
    *,
    guard: bool = False,
) -> bytes:
    """Write a network as ONNX.

    Parameters
    ----------
    layers : Layers
        From normalized state to activated fraction.
    normalization : Normalization
        What stands in front of it.
    metadata : dict
        More entries for ``metadata_props``; values other than text become JSON.
    guard : bool
        Whether to add the output ``in_domain`` uint8 [N].

    Returns
    -------
    bytes
        Input ``state`` float32 [N, 16] in schema units, output ``fn`` float32 [N, 4]. Same
        arguments, same bytes.

    Raises
    ------
    AeroactError
        If the layers make no such network, or some state could make it overflow.
    """
    import onnx
    from onnx import TensorProto, helper

    require_sound(layers)
    require_bounded(layers, normalization)
    graph = _Graph()
    centred = _front(graph, normalization)
    _body(graph, layers, normalization, centred)
    outputs = [helper.make_tensor_value_info("fn", TensorProto.FLOAT, ["N", schema.N_OUTPUTS])]
    if guard:
        _guard(graph, normalization)
        outputs.append(helper.make_tensor_value_info(GUARD, TensorProto.UINT8, ["N"]))
    state = helper.make_tensor_value_info("state", TensorProto.FLOAT, ["N", schema.N_INPUTS])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "activation", [state], outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
        producer_name="aeroact",
    )
    _describe(model, _described(normalization, metadata))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _described(normalization: Normalization, metadata: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema_version": schema.SCHEMA_VERSION,
        "columns": list(schema.COLUMNS),
        "units": list(schema.COLUMN_UNITS),
        "outputs": list(schema.OUTPUTS),
        "training_bounds": {
            "low": normalization.low.tolist(),
            "high": normalization.high.tolist(),
        },
        **metadata,
    }


def restated(content: bytes, metadata: dict[str, Any]) -> bytes:
    """Return an ONNX file with other values of some of its ``metadata_props``."""
    import onnx

    model = onnx.load_from_string(content)
    stated = {entry.key: entry.value for entry in model.metadata_props}
    del model.metadata_props[:]
    _describe(model, stated | metadata)
    return bytes(model.SerializeToString(deterministic=True))


def _describe(model: "onnx.ModelProto", metadata: dict[str, Any]) -> None:
    for key, value in metadata.items():
        text = value if isinstance(value, str) else json.dumps(value)
        model.metadata_props.add(key=key, value=text)


class _Graph:
    """Nodes and constants as they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, values: Any, dtype: Any = np.float32) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.split(operator, inputs, [output], **attributes)
        return output

    def split(
        self, operator: str, inputs: list[str], outputs: list[str], **attributes: Any
    ) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, outputs, outputs[0], **attributes))


def clip_bounds(normalization: Normalization) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the bounds to which states are clipped first, shape (16,) each.

    They are the schema's physical bounds, and the floor of a column of which the logarithm is
    taken. So nothing in the graph overflows or raises an IEEE flag, whatever finite state comes.
    """
    bounds = [schema.variable_of(column).bounds for column in schema.COLUMNS]
    low = np.array([b.low for b in bounds], np.float32)
    high = np.array([b.high for b in bounds], np.float32)
    return np.where(normalization.is_log, normalization.floor, low), high


def _front(graph: _Graph, normalization: Normalization) -> str:
    """Add what leads from ``state`` to the transformed state less its mean."""
    low, high = clip_bounds(normalization)
    raised = graph.add("Max", ["state", graph.constant("clip_low", low)], "raised")
    state = graph.add("Min", [raised, graph.constant("clip_high", high)], "clipped")
    # Neighbouring columns with the same transform go together.
    runs = [(is_log, len(list(group))) for is_log, group in groupby(normalization.is_log.tolist())]
    if normalization.is_log.any():
        parts = [f"part_{i}" for i in range(len(runs))]
        sizes = graph.constant("split_sizes", [n for _, n in runs], np.int64)
        graph.split("Split", [state, sizes], parts, axis=1)
        for i, (is_log, _) in enumerate(runs):
            if is_log:
                parts[i] = graph.add("Log", [parts[i]], f"log_{i}")
        state = graph.add("Concat", parts, "transformed", axis=1)
    return graph.add("Sub", [state, graph.constant("mean", normalization.mean)], "centred")


def _body(graph: _Graph, layers: Layers, normalization: Normalization, a: str) -> None:
    """Add the layers, the standard deviation in the first of them."""
    for i, layer in enumerate(layers, start=1):
        kernel = scaled(layer.kernel, normalization) if i == 1 else layer.kernel
        operands = [
            a,
            graph.constant(f"kernel_{i}", kernel),
            graph.constant(f"bias_{i}", layer.bias),
        ]
        preactivation = graph.add("Gemm", operands, f"preactivation_{i}")
        if i == len(layers):
            graph.add("Sigmoid", [preactivation], "fn")
        elif layer.activation == RELU2:
            relu = graph.add("Relu", [preactivation], f"relu_{i}")
            a = graph.add("Mul", [relu, relu], f"activation_{i}")
        else:
            a = graph.add("Relu", [preactivation], f"activation_{i}")


def scaled(kernel: NDArray[np.float32], normalization: Normalization) -> NDArray[np.float32]:
    """Return the first kernel, divided by the standard deviations of its inputs."""
    return (kernel / normalization.std.astype(np.float64)[:, None]).astype(np.float32)


def _guard(graph: _Graph, normalization: Normalization) -> None:
    """Add the output that says whether all columns lie within the training bounds."""
    from onnx import TensorProto

    low = graph.constant("low", normalization.low)
    high = graph.constant("high", normalization.high)
    above = graph.add("GreaterOrEqual", ["state", low], "not_below")
    below = graph.add("LessOrEqual", ["state", high], "not_above")
    inside = graph.add("And", [above, below], "within")
    # A minimum of truth values is not in this OPSET.
    number = graph.add("Cast", [inside], "within_number", to=TensorProto.UINT8)
    graph.add("ReduceMin", [number], GUARD, axes=[1], keepdims=0)


def require_bounded(layers: Layers, normalization: Normalization) -> None:
    """See that no state, however extreme, can make a sum in the network, or its square, overflow.

    The largest magnitude of each activation is carried from layer to layer, for all states
    within `clip_bounds`, beyond which the graph lets none through.

    Raises
    ------
    AeroactError
        Naming the layer that could.
    """
    largest_float = float(np.finfo(np.float32).max)
    ends = np.stack(clip_bounds(normalization)).astype(np.float64)
    ends[:, normalization.is_log] = np.log(ends[:, normalization.is_log])
    largest = np.abs(ends - normalization.mean).max(axis=0) / normalization.std
    for i, layer in enumerate(layers, start=1):
        kernel = layer.kernel.astype(np.float64)
        sums = largest @ np.abs(kernel) + np.abs(layer.bias)
        # Behind a ReLU nothing is negative, so that only positive weights raise the next.
        rising = np.abs(kernel) if i == 1 else np.maximum(kernel, 0)
        largest = activated(largest @ rising + np.maximum(layer.bias, 0), layer.activation)
        # A tenth of the range is left to rounding.
        if not max(sums.max(), largest.max()) < 0.1 * largest_float:
            raise AeroactError(
                f"layer {i} could overflow for some state: its weights are too large; not exported"
            )
