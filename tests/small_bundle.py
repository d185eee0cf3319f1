"""A bundle as small as can be: a network of one layer, a card with what a zoo reads of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from aeroact import schema, states
from aeroact.files import sha256

WEIGHTS = np.random.default_rng(1).normal(0, 1e-3, (16, 4)).astype(np.float32)
BOUNDS = {
    "low": [states.BOUNDS[column].low for column in schema.COLUMNS],
    "high": [states.BOUNDS[column].high for column in schema.COLUMNS],
}
METADATA = {"schema_version": schema.SCHEMA_VERSION, "training_bounds": json.dumps(BOUNDS)}

JOB = {
    "n": 1000,
    "seed": 2026,
    "states": "sampled",
    "method": "random",
    "physics": "default",
    "accommodation": None,
    "bins": 50,
    "rtol": 1e-4,
    "kinetic": False,
}
"""As `aeroact-data generate` writes it into a dataset."""


def network(
    inputs: int = 16,
    outputs: int = 4,
    names: tuple[str, str] = ("state", "fn"),
    metadata: dict[str, str] = METADATA,
    activation: str = "Sigmoid",
) -> bytes:
    """Return the smallest network there is: fn = sigmoid(state . WEIGHTS)."""
    source, result = names
    weights = np.resize(WEIGHTS, (inputs, outputs))
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", [source, "weights"], ["sum"]),
            helper.make_node(activation, ["sum"], [result]),
        ],
        "small",
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, ["N", inputs])],
        [helper.make_tensor_value_info(result, TensorProto.FLOAT, ["N", outputs])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def expected(x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return what the network makes of states."""
    return 1 / (1 + np.exp(-x.astype(np.float64) @ WEIGHTS.astype(np.float64)))


def card(**changes: Any) -> dict[str, Any]:
    """Return a card with what a zoo reads of it."""
    whole: dict[str, Any] = {
        "name": "small",
        "schema_version": schema.SCHEMA_VERSION,
        "network": {"nodes": [], "params": 64},
        "holdout": {"mse": 0.25},
        "cost": {"multiple_of_arg2000": 1.25, "fortran": None},
        "provenance": {"data": {"physics": "default", "job": JOB}},
    }
    return {**whole, **changes}


def sign(folder: Path) -> Path:
    """Write the sums of a folder's files, as a release does."""
    files = sorted(path for path in folder.iterdir() if path.name != "SHA256SUMS")
    sums = "".join(f"{sha256(path)}  {path.name}\n" for path in files)
    (folder / "SHA256SUMS").write_text(sums)
    return folder


def write(folder: Path, *, content: bytes | None = None, **changes: Any) -> Path:
    """Write a whole bundle; returns its folder."""
    folder.mkdir(parents=True)
    (folder / "emulator.onnx").write_bytes(content or network())
    (folder / "card.json").write_text(json.dumps(card(**{"name": folder.name, **changes})))
    (folder / "CARD.md").write_text(f"# {folder.name}\n\nA [small] one.\n")
    return sign(folder)


def flip_a_bit(file: Path) -> None:
    """Damage a file, whose size stays."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
