"""`weights.nc`: the network without ONNX, for hosts that cannot load ONNX Runtime."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aeroact import schema
from aeroact.normalization import Normalization

if TYPE_CHECKING:
    import keras

Layers = Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Kernel, shape (inputs, outputs), and bias, shape (outputs,), of each layer."""


def layers_of(network: "keras.Model") -> Layers:
    """Return the weights of a network, from the input to the output."""
    arrays = network.get_weights()
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def write(path: Path, layers: Layers, normalization: Normalization) -> None:
    """Write the network to a NetCDF file.

    The computation is ``t = log(max(x, floor))`` where ``is_log``, else ``t = x``;
    ``a = (t - mean) / std``; ``a = relu(a kernel_i + bias_i)`` for each hidden layer;
    ``fn = sigmoid(a kernel_n + bias_n)`` at the last.
    """
    import netCDF4

    with netCDF4.Dataset(path, "w") as file:
        file.title = "Weights of an aerosol activation emulator"
        file.schema_version = schema.SCHEMA_VERSION
        file.columns = " ".join(schema.COLUMNS)
        file.units = ", ".join(schema.COLUMN_UNITS)
        file.outputs = " ".join(schema.OUTPUTS)
        file.layers = np.int32(len(layers))
        file.hidden_activation, file.output_activation = "relu", "sigmoid"
        file.createDimension("width_0", schema.N_INPUTS)
        statistics: dict[str, NDArray] = {
            "is_log": normalization.is_log.astype(np.int32),
            "floor": normalization.floor,
            "mean": normalization.mean,
            "std": normalization.std,
            "low": normalization.low,
            "high": normalization.high,
        }
        for name, values in statistics.items():
            file.createVariable(name, values.dtype, ("width_0",))[:] = values
        for i, (kernel, bias) in enumerate(layers, start=1):
            file.createDimension(f"width_{i}", kernel.shape[1])
            shape = (f"width_{i - 1}", f"width_{i}")
            file.createVariable(f"kernel_{i}", "f4", shape)[:] = kernel
            file.createVariable(f"bias_{i}", "f4", (f"width_{i}",))[:] = bias


def predict(path: Path, x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Evaluate a file that `write` made, in float64: states (n, 16) to fractions (n, 4)."""
    import netCDF4

    with netCDF4.Dataset(path) as file:
        file.set_auto_mask(False)
        is_log = file["is_log"][:].astype(bool)
        a = np.array(x, np.float64)
        a[:, is_log] = np.log(np.maximum(a[:, is_log], file["floor"][is_log]))
        a = (a - file["mean"][:]) / file["std"][:]
        for i in range(1, file.layers + 1):
            a = a @ file[f"kernel_{i}"][:].astype(np.float64) + file[f"bias_{i}"][:]
            if i < file.layers:
                a = np.maximum(a, 0.0)
        return 1.0 / (1.0 + np.exp(-a))
