"""Make the models, states and expected predictions that the tests in Fortran read.

Nothing is square and nothing is symmetric, so that a swapped axis, row or column shows.
"""

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

N_STATES = 1000
LINEAR = 3  # the first columns are taken as they are, the others by their logarithm

MODES = ("accum", "aitken", "coarse", "pcarbon")
COLUMNS = ["tair", "pressure", "rh", "wbar"]
COLUMNS += [f"{name}_{mode}" for name in ("num_aer", "r_aer", "kappa") for mode in MODES]
UNITS = ["K", "hPa", "1", "cm s-1", *["cm-3"] * 4, *["um"] * 4, *["1"] * 4]
METADATA = {
    "schema_version": "1",
    "columns": json.dumps(COLUMNS),
    "units": json.dumps(UNITS),
    "training_bounds": json.dumps(
        {"low": [float(i) for i in range(16)], "high": [2.5e3 + i for i in range(16)]}
    ),
    "note": "made for the tests",
}


def make_states(seed: int = 20) -> np.ndarray:
    """Draw states with another range in every column.

    Parameters
    ----------
    seed : int
        Seed of the random numbers.

    Returns
    -------
    ndarray of float32, shape (N_STATES, 16)
        In the schema's column order and units.
    """
    rng = np.random.default_rng(seed)
    linear = rng.uniform([240, 500, 0.8], [300, 1013, 1.0], (N_STATES, LINEAR))
    exponents = rng.uniform(-2.0, 3.0, (N_STATES, 16 - LINEAR)) + np.linspace(-1.0, 1.0, 13)
    return np.concatenate([linear, 10.0**exponents], axis=1).astype(np.float32)


def make_model(
    seed: int = 1,
    *,
    n_in: int = 16,
    n_out: int = 4,
    input_name: str = "state",
    batch: str | int = "N",
    metadata: dict[str, str] | None = None,
    head: str = "Sigmoid",
    squared: bool = False,
) -> onnx.ModelProto:
    """Build a network n_in -> 24 -> 12 -> n_out as an export does, behind bounds and logarithm.

    Parameters
    ----------
    seed : int
        Seed of the weights.
    n_in, n_out : int
        Widths of input and output.
    input_name : str
        The input's name.
    batch : str or int
        First dimension of input and output; a number fixes it.
    metadata : dict, optional
        The metadata; those of the schema and a note unless given.
    head : {"Sigmoid", "raising"}
        Last operator; "raising" is x / (1 + x) of x = ReLU, computed so that it divides by zero
        and overflows on the way to a finite result.
    squared : bool
        Whether the hidden layers have the square of ReLU.

    Returns
    -------
    onnx.ModelProto
        The model, checked.
    """
    rng = np.random.default_rng(seed)
    n_log = n_in - LINEAR
    scale = np.r_[0.05, 0.006, 15, rng.uniform(0.2, 0.5, n_log)]
    constants: dict[str, np.ndarray] = {
        "low": np.r_[150, 10, 0, np.full(n_log, 1e-20)].astype(np.float32),
        "high": np.r_[350, 1200, 2, np.full(n_log, 1e20)].astype(np.float32),
        "split": np.array([LINEAR, n_log], np.int64),
        "mean": np.r_[270, 750, 0.9, rng.normal(0.0, 1.0, n_log)].astype(np.float32),
    }
    widths = [n_in, 24, 12, n_out]
    for layer in range(3):
        shape = widths[layer : layer + 2]
        # Squares of large sums would leave few digits.
        kernel = rng.normal(0.0, shape[0] ** -0.5, shape) / (2 if squared else 1)
        constants[f"w{layer}"] = (kernel * scale[:, None] if layer == 0 else kernel).astype("f4")
        constants[f"b{layer}"] = rng.normal(0.0, 0.3, shape[1]).astype(np.float32)

    node = helper.make_node

    def hidden(g: str, h: str) -> list[onnx.NodeProto]:
        if not squared:
            return [node("Relu", [g], [h])]
        return [node("Relu", [g], [f"{h}_relu"]), node("Mul", [f"{h}_relu"] * 2, [h])]

    nodes = [
        node("Max", [input_name, "low"], ["raised"]),
        node("Min", ["raised", "high"], ["clipped"]),
        node("Split", ["clipped", "split"], ["linear", "positive"], axis=1),
        node("Log", ["positive"], ["logarithm"]),
        node("Concat", ["linear", "logarithm"], ["joined"], axis=1),
        node("Sub", ["joined", "mean"], ["centred"]),
        node("Gemm", ["centred", "w0", "b0"], ["g0"]),
        *hidden("g0", "h0"),
        node("Gemm", ["h0", "w1", "b1"], ["g1"]),
        *hidden("g1", "h1"),
        node("Gemm", ["h1", "w2", "b2"], ["g2"]),
    ]
    if head == "Sigmoid":
        nodes.append(node("Sigmoid", ["g2"], ["fn"]))
    else:
        constants |= {"one": np.array(1.0, np.float32), "many": np.array(1e4, np.float32)}
        nodes += [
            node("Relu", ["g2"], ["x"]),
            node("Reciprocal", ["x"], ["inverse"]),
            node("Add", ["one", "inverse"], ["sum"]),
            node("Reciprocal", ["sum"], ["fraction"]),
            node("Add", ["x", "one"], ["exceeding"]),
            node("Mul", ["exceeding", "many"], ["large"]),
            node("Exp", ["large"], ["infinite"]),
            node("Reciprocal", ["infinite"], ["zero"]),
            node("Add", ["fraction", "zero"], ["fn"]),
        ]

    def tensor(name: str, width: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, width])

    graph = helper.make_graph(
        nodes,
        "activation",
        [tensor(input_name, n_in)],
        [tensor("fn", n_out)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return finish(graph, metadata)


def make_native(folder: Path, name: str, hidden: list[int], seed: int = 4, power: int = 1) -> None:
    """Write a network for the kernel in Fortran, and what float64 makes of it.

    Parameters
    ----------
    folder : Path
        Where to; ``name.txt`` and ``name.expected.txt``.
    name : str
        The network's name.
    hidden : list of int
        Nodes of the hidden layers.
    seed : int
        Seed of the weights.
    power : int
        Of ReLU in the hidden layers.
    """
    rng = np.random.default_rng(seed)
    states = make_states().astype(np.float64)
    is_log = np.arange(16) % 3 != 1
    is_log[:LINEAR] = False
    # The bounds cut a few states off in every column; the floor is above some of the rest.
    low, high = np.quantile(states, [0.02, 0.97], axis=0).astype(np.float32)
    floor = np.where(is_log, np.float32(1.1) * low, 0).astype(np.float32)
    t = np.clip(states, low, high)
    t[:, is_log] = np.log(np.maximum(t, floor)[:, is_log])
    mean, std = t.mean(axis=0).astype(np.float32), t.std(axis=0).astype(np.float32)

    widths = [16, *hidden, 4]
    a, weights = (t - mean) / std, []
    for n_in, n_out in pairwise(widths):
        # Squares of large sums would leave few digits.
        kernel = (rng.normal(0.0, (2 / n_in) ** 0.5, (n_in, n_out)) / power).astype(np.float32)
        bias = rng.normal(0.2, 0.3, n_out).astype(np.float32)
        weights += [kernel.ravel(), bias]
        g = a @ kernel.astype(np.float64) + bias
        a = np.maximum(g, 0.0) ** power
    expected = 1.0 / (1.0 + np.exp(-g))
    require_telling(name, expected)
    np.savetxt(folder / f"{name}.expected.txt", expected, fmt="%.12e")

    rows = [[len(widths)], widths, np.concatenate(weights), low, high, is_log, floor, mean, std]
    with (folder / f"{name}.txt").open("w") as file:
        for row in rows:
            file.write(" ".join(f"{value:.9g}" for value in np.asarray(row, float)) + "\n")


def require_telling(name: str, expected: np.ndarray) -> None:
    """See that every column of an expected output varies.

    Raises
    ------
    ValueError
        If one does not, or is not finite: tests with it could not fail.
    """
    if not np.isfinite(expected).all() or np.ptp(expected, axis=0).min() < 0.05:
        raise ValueError(f"{name}: the expected output would prove nothing")


def lay_out(model: onnx.ModelProto, *, transposed: bool, typed: bool, guarded: bool) -> None:
    """Give a model another layout; what it computes stays the same.

    Parameters
    ----------
    model : onnx.ModelProto
        The model, changed in place.
    transposed : bool
        Whether kernels lie the other way round.
    typed : bool
        Whether single-precision constants lie in the file as numbers, not as raw bytes.
    guarded : bool
        Whether there is a second output, as with ``aeroact-export --with-guard``.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if transposed and node.op_type == "Gemm":
            kernel = constants[node.input[1]]
            values = np.ascontiguousarray(numpy_helper.to_array(kernel).T)
            kernel.CopyFrom(numpy_helper.from_array(values, kernel.name))
            node.attribute.append(helper.make_attribute("transB", 1))
    for tensor in graph.initializer:
        if typed and tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor)
            tensor.CopyFrom(helper.make_tensor(tensor.name, 1, values.shape, values.ravel()))
    if guarded:
        graph.node.append(helper.make_node("GreaterOrEqual", ["state", "low"], ["in_domain"]))
        guard = helper.make_tensor_value_info("in_domain", TensorProto.BOOL, ["N", 16])
        graph.output.append(guard)
    onnx.checker.check_model(model)


def make_identity(element_type: int, shape: list[str | int], n_inputs: int = 1) -> onnx.ModelProto:
    """Build a model that keeps the names but not the type, the rank or the number of inputs.

    Parameters
    ----------
    element_type : int
        Element type of input and output.
    shape : list
        Shape of input and output.
    n_inputs : int
        How many inputs; they are added up.

    Returns
    -------
    onnx.ModelProto
        The model, checked.
    """
    names = ["state", "second"][:n_inputs]
    graph = helper.make_graph(
        [helper.make_node("Identity" if n_inputs == 1 else "Add", names, ["fn"])],
        "identity",
        [helper.make_tensor_value_info(name, element_type, shape) for name in names],
        [helper.make_tensor_value_info("fn", element_type, shape)],
    )
    return finish(graph, None)


def finish(graph: onnx.GraphProto, metadata: dict[str, str] | None) -> onnx.ModelProto:
    """Wrap a graph into a model with metadata.

    Parameters
    ----------
    graph : onnx.GraphProto
        The network.
    metadata : dict or None
        The metadata; those of the schema and a note if None.

    Returns
    -------
    onnx.ModelProto
        The model, checked.
    """
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="aeroact", ir_version=8
    )
    helper.set_model_props(model, METADATA if metadata is None else metadata)
    onnx.checker.check_model(model)
    return model


def main(folder: Path) -> None:
    """Write everything into one folder.

    Parameters
    ----------
    folder : Path
        Where to; made if need be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    models = {
        "mlp": make_model(seed=1),
        "other": make_model(seed=2),
        "raising": make_model(seed=3, head="raising"),
        "laid_out": make_model(seed=1),
        "relu2": make_model(seed=5, squared=True),
        "no_bounds": make_model(metadata={k: v for k, v in METADATA.items() if "bounds" not in k}),
        "wrong_input_width": make_model(n_in=17),
        "wrong_output_width": make_model(n_out=5),
        "wrong_input_name": make_model(input_name="x"),
        "fixed_batch": make_model(batch=7),
        "wrong_schema_version": make_model(metadata=METADATA | {"schema_version": "2"}),
        "no_schema_version": make_model(metadata={"note": "none"}),
        "wrong_type": make_identity(TensorProto.DOUBLE, ["N", 16]),
        "wrong_rank": make_identity(TensorProto.FLOAT, ["N", 16, 1]),
        "two_inputs": make_identity(TensorProto.FLOAT, ["N", 16], n_inputs=2),
    }
    lay_out(models["laid_out"], transposed=True, typed=True, guarded=True)
    for name, model in models.items():
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    whole = (folder / "mlp.onnx").read_bytes()
    (folder / "bundle").mkdir(exist_ok=True)
    (folder / "bundle" / "emulator.onnx").write_bytes(whole)
    (folder / "truncated.onnx").write_bytes(whole[: len(whole) // 2])
    (folder / "not_onnx.onnx").write_text("This is not a model.\n")

    states = make_states()
    np.savetxt(folder / "states.txt", states, fmt="%.9e", header="states of the tests")
    for name in ("mlp", "other", "raising", "laid_out", "relu2"):
        session = onnxruntime.InferenceSession(folder / f"{name}.onnx")
        (expected,) = session.run(["fn"], {"state": states})
        require_telling(name, expected)
        np.savetxt(folder / f"{name}.expected.txt", expected, fmt="%.9e")

    make_native(folder, "native_24_12", [24, 12])
    make_native(folder, "native_7_33", [7, 33])
    make_native(folder, "native_1", [1])
    make_native(folder, "native_none", [])
    make_native(folder, "native_relu2", [13, 40, 9], power=2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
