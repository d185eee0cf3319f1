"""Make models with one fault each from the good one of make_models.py.

Some are of another schema, some have a network that only ONNX Runtime can evaluate.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime
from onnx import helper


def stated(model: onnx.ModelProto, key: str) -> list[str]:
    """Return a list that the model's metadata states."""
    (value,) = [entry.value for entry in model.metadata_props if entry.key == key]
    return json.loads(value)


def state(model: onnx.ModelProto, key: str, value: object) -> None:
    """Replace an entry of the metadata; None removes it, text stays as it is."""
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    metadata.pop(key)
    if value is not None:
        metadata[key] = value if isinstance(value, str) else json.dumps(value)
    del model.metadata_props[:]
    helper.set_model_props(model, metadata)


def other_order(model: onnx.ModelProto) -> None:
    """Exchange two columns."""
    columns = stated(model, "columns")
    columns[4], columns[5] = columns[5], columns[4]
    state(model, "columns", columns)


def other_columns(model: onnx.ModelProto) -> None:
    """Have another variable in a column."""
    state(model, "columns", ["dewpoint", *stated(model, "columns")[1:]])


def other_units(model: onnx.ModelProto) -> None:
    """Have another unit in a column."""
    units = stated(model, "units")
    units[7] = "m-3"
    state(model, "units", units)


def node_of(model: onnx.ModelProto, operator: str) -> onnx.NodeProto:
    """Return the first node with an operator."""
    return next(node for node in model.graph.node if node.op_type == operator)


def softplus(model: onnx.ModelProto) -> None:
    """Have another activation function."""
    node_of(model, "Relu").op_type = "Softplus"


def no_sigmoid(model: onnx.ModelProto) -> None:
    """Have an exponential at the end: some numbers are above 1."""
    node_of(model, "Sigmoid").op_type = "Exp"


def scaled_gemm(model: onnx.ModelProto) -> None:
    """Have a layer whose kernel counts half."""
    node_of(model, "Gemm").attribute.append(helper.make_attribute("alpha", 0.5))


def other_concat(model: onnx.ModelProto) -> None:
    """Have the columns in another order after the logarithm."""
    concat = node_of(model, "Concat")
    parts = list(concat.input)
    del concat.input[:]
    concat.input.extend(reversed(parts))


def other_log(model: onnx.ModelProto) -> None:
    """Have a square root where the logarithm is."""
    node_of(model, "Log").op_type = "Sqrt"


def not_finite(model: onnx.ModelProto) -> None:
    """Have an arcsine at the end: of numbers above 1 it is NaN, of negative ones no fraction."""
    node_of(model, "Sigmoid").op_type = "Asin"


def one_square(model: onnx.ModelProto) -> None:
    """Have the square of ReLU in the second layer only."""
    relu = [node for node in model.graph.node if node.op_type == "Relu"][1]
    square = helper.make_node("Mul", ["relu", "relu"], list(relu.output))
    relu.output[0] = "relu"
    model.graph.node.insert(list(model.graph.node).index(relu) + 1, square)


def gated(model: onnx.ModelProto) -> None:
    """Have each ReLU multiplied by what went into it, as gates are."""
    for relu in [node for node in model.graph.node if node.op_type == "Relu"]:
        product = helper.make_node("Mul", ["", relu.input[0]], list(relu.output))
        product.input[0] = relu.output[0] = f"relu_of_{relu.input[0]}"
        model.graph.node.insert(list(model.graph.node).index(relu) + 1, product)


def main(folder: Path) -> None:
    """Write the faulty models beside the good one.

    Parameters
    ----------
    folder : Path
        The folder that make_models.py filled.
    """
    faults: dict[str, Callable[[onnx.ModelProto], None]] = {
        "other_order": other_order,
        "other_columns": other_columns,
        "few_columns": lambda model: state(model, "columns", stated(model, "columns")[:15]),
        "no_columns": lambda model: state(model, "columns", None),
        "garbled_columns": lambda model: state(model, "columns", '["tair", "pressure'),
        "other_units": other_units,
        "no_units": lambda model: state(model, "units", None),
        "softplus": softplus,
        "no_sigmoid": no_sigmoid,
        "scaled_gemm": scaled_gemm,
        "other_concat": other_concat,
        "other_log": other_log,
        "not_finite": not_finite,
        "one_square": one_square,
        "gated": gated,
    }
    for name, fault in faults.items():
        model = onnx.load(folder / "mlp.onnx")
        fault(model)
        onnx.checker.check_model(model, full_check=True)
        onnxruntime.InferenceSession(model.SerializeToString())
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    (folder / "garbled_weights.nc").write_text("CDF, but no more of it\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
