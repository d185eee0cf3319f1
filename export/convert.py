"""A Keras network as ONNX, with transform and z-score in front, states in schema units.

tf2onnx converts the network; the front is a handful of nodes with constants of our
own, because tf2onnx loses constants that a Keras normalization layer has captured.
"""

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from aeroact import schema
from aeroact.normalization import Normalization

if TYPE_CHECKING:
    import keras
    import onnx

OPSET = 17
"""Read by ONNX Runtime 1.12 and later; the Fortran bridge asks for 1.20."""


def to_onnx(
    network: "keras.Model", normalization: Normalization, metadata: dict[str, Any]
) -> "onnx.ModelProto":
    """Convert a network to ONNX.

    Parameters
    ----------
    network : keras.Model
        From normalized state to activated fraction.
    normalization : Normalization
        What stands in front of it.
    metadata : dict
        More entries for ``metadata_props``; values other than text become JSON.

    Returns
    -------
    onnx.ModelProto
        Input ``state`` float32 [N, 16] in schema units, output ``fn`` float32 [N, 4].
    """
    import onnx
    from onnx import compose, helper

    body = _network(network)
    front = helper.make_model(
        _front(normalization), opset_imports=body.opset_import, ir_version=body.ir_version
    )
    model = compose.merge_models(front, body, io_map=[("z", body.graph.input[0].name)])
    # The merge lists each operator set once for each part.
    del model.opset_import[:]
    model.opset_import.extend(body.opset_import)
    model.producer_name, model.producer_version = "aeroact", ""
    model.graph.name = "activation"
    _rename_output(model, "fn")
    described = {
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
    for key, value in described.items():
        text = value if isinstance(value, str) else json.dumps(value)
        model.metadata_props.add(key=key, value=text)
    onnx.checker.check_model(model, full_check=True)
    return model


def _network(network: "keras.Model") -> "onnx.ModelProto":
    """Convert the bare network with tf2onnx, quietly."""
    import logging

    import tensorflow as tf
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    signature = [tf.TensorSpec([None, schema.N_INPUTS], tf.float32, name="z")]
    model, _ = tf2onnx.convert.from_keras(network, input_signature=signature, opset=OPSET)
    return model


def _front(normalization: Normalization) -> "onnx.GraphProto":
    """Return the graph from ``state`` to ``z``: logarithms, then the z-score."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants = [], []

    def constant(name: str, values: Any, dtype: Any = np.float32) -> str:
        constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    # Neighbouring columns with the same transform go together.
    runs = [
        (is_log, [j for _, j in group])
        for is_log, group in groupby(
            zip(normalization.is_log, range(schema.N_INPUTS), strict=True), lambda pair: pair[0]
        )
    ]
    transformed = "state"
    if normalization.is_log.any():
        parts = [f"columns_{columns[0]}" for _, columns in runs]
        sizes = constant("split_sizes", [len(columns) for _, columns in runs], np.int64)
        nodes.append(helper.make_node("Split", ["state", sizes], parts, "split", axis=1))
        for i, (is_log, columns) in enumerate(runs):
            if is_log:
                part, floored, logged = parts[i], f"{parts[i]}_floored", f"{parts[i]}_log"
                floor = constant(f"{part}_floor", normalization.floor[columns])
                nodes.append(helper.make_node("Max", [part, floor], [floored], floored))
                nodes.append(helper.make_node("Log", [floored], [logged], logged))
                parts[i] = logged
        transformed = "transformed"
        nodes.append(helper.make_node("Concat", parts, [transformed], transformed, axis=1))
    mean, std = constant("mean", normalization.mean), constant("std", normalization.std)
    nodes.append(helper.make_node("Sub", [transformed, mean], ["centred"], "centred"))
    nodes.append(helper.make_node("Div", ["centred", std], ["z"], "z_score"))
    state, z = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", schema.N_INPUTS])
        for name in ("state", "z")
    )
    return helper.make_graph(nodes, "normalization", [state], [z], constants)


def _rename_output(model: "onnx.ModelProto", name: str) -> None:
    from onnx import TensorProto, helper

    old = model.graph.output[0].name
    for node in model.graph.node:
        for i, output in enumerate(node.output):
            if output == old:
                node.output[i] = name
    output = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", schema.N_OUTPUTS])
    del model.graph.output[:]
    model.graph.output.append(output)
