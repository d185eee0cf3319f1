"""`weights.nc`: the network without ONNX, for hosts that cannot load ONNX Runtime."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeroact import schema
from aeroact.errors import AeroactError
from aeroact.export import layers as network
from aeroact.export.convert import clip_bounds
from aeroact.export.layers import Layer, Layers
from aeroact.files import writing_netcdf
from aeroact.normalization import Normalization, Transform

_STATISTICS = {
    "is_log": "whether the natural logarithm of the column is taken",
    "floor": "lower limit of a column before its logarithm",
    "clip_low": "lower limit of the column, physical",
    "clip_high": "upper limit of the column, physical",
    "mean": "mean of the transformed column over the training rows",
    "std": "standard deviation of the transformed column over the training rows",
    "low": "lowest value of the column in the training rows",
    "high": "highest value of the column in the training rows",
}
"""Variables of shape (16,), and what they are."""

_FORMULA = (
    "x = min(max(state, clip_low), clip_high); t = log(x) where is_log, else x; "
    "a = (t - mean) / std; a = activation_i(a kernel_i + bias_i) for each layer i; fn = a"
)


def write(path: Path, layers: Layers, normalization: Normalization) -> None:
    """Write the network to a NetCDF file: NetCDF-4, for of a torn classic one the rest reads as 0.

    The file's attribute `formula` says how fractions are computed from it.

    Raises
    ------
    AeroactError
        If it cannot be written, on a full disk for example.
    """
    import netCDF4

    low, high = clip_bounds(normalization)
    values: dict[str, NDArray] = {
        "is_log": normalization.is_log.astype(np.int32),
        "floor": normalization.floor,
        "clip_low": low,
        "clip_high": high,
        "mean": normalization.mean,
        "std": normalization.std,
        "low": normalization.low,
        "high": normalization.high,
    }
    with writing_netcdf(path), netCDF4.Dataset(path, "w") as file:
        file.Conventions = "CF-1.11"
        file.title = "Weights of an aerosol activation emulator"
        hidden = network.hidden_activation(layers)
        file.formula = _FORMULA + ("; relu2(v) = max(v, 0)^2" if hidden == network.RELU2 else "")
        file.schema_version = schema.SCHEMA_VERSION
        file.columns = " ".join(schema.COLUMNS)
        file.units = ", ".join(schema.COLUMN_UNITS)
        file.outputs = " ".join(schema.OUTPUTS)
        file.layers = np.int32(len(layers))
        file.hidden_activation, file.output_activation = hidden, network.OUTPUT
        file.createDimension("width_0", schema.N_INPUTS)
        for name, meaning in _STATISTICS.items():
            variable = file.createVariable(name, values[name].dtype, ("width_0",))
            variable.long_name = meaning
            variable[:] = values[name]
        for i, layer in enumerate(layers, start=1):
            file.createDimension(f"width_{i}", layer.bias.size)
            kernel = file.createVariable(f"kernel_{i}", "f4", (f"width_{i - 1}", f"width_{i}"))
            kernel.long_name, kernel.units = f"kernel of layer {i}", "1"
            kernel[:] = layer.kernel
            bias = file.createVariable(f"bias_{i}", "f4", (f"width_{i}",))
            bias.long_name, bias.units, bias.activation = (
                f"bias of layer {i}",
                "1",
                layer.activation,
            )
            bias[:] = layer.bias


def read(path: Path) -> tuple[Layers, Normalization]:
    """Read a network that `write` wrote.

    Raises
    ------
    AeroactError
        If the file cannot be read, lacks something, has another schema version or makes no
        network.
    """
    import netCDF4

    try:
        with netCDF4.Dataset(path) as file:
            file.set_auto_mask(False)
            _require_schema(file)
            s = {name: np.asarray(file[name][:]) for name in _STATISTICS}
            layers = tuple(
                Layer(
                    np.asarray(file[f"kernel_{i}"][:]),
                    np.asarray(file[f"bias_{i}"][:]),
                    str(file[f"bias_{i}"].activation),
                )
                for i in range(1, int(file.layers) + 1)
            )
            network.require_sound(layers)
            _require_sound(s)
    except AeroactError as error:
        raise AeroactError(f"{path}: {error}") from error
    except (OSError, RuntimeError, IndexError, AttributeError) as error:
        raise AeroactError(f"{path}: cannot be read as weights of an emulator ({error})") from error
    is_log = s["is_log"].astype(bool)
    transform: tuple[Transform, ...] = tuple("log" if log else "identity" for log in is_log)
    normalization = Normalization(transform, s["floor"], s["mean"], s["std"], s["low"], s["high"])
    for name, expected in zip(("clip_low", "clip_high"), clip_bounds(normalization), strict=True):
        if not np.array_equal(s[name], expected):
            raise AeroactError(f"{path}: {name} is not that of schema {schema.SCHEMA_VERSION}")
    return layers, normalization


def _require_schema(file: Any) -> None:
    expected = {
        "schema_version": schema.SCHEMA_VERSION,
        "columns": " ".join(schema.COLUMNS),
        "units": ", ".join(schema.COLUMN_UNITS),
        "outputs": " ".join(schema.OUTPUTS),
    }
    for name, value in expected.items():
        if file.getncattr(name) != value:
            raise AeroactError(f"{name} is {file.getncattr(name)!r}, not {value!r}")


def _require_sound(statistics: dict[str, NDArray]) -> None:
    for name, values in statistics.items():
        if not np.isfinite(values).all() or (name == "std" and not (values > 0).all()):
            raise AeroactError(f"{name} has values that make no sense")


def evaluate(
    layers: Layers, normalization: Normalization, x: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Compute what the exported graph does, in float64: states (n, 16) to fractions (n, 4)."""
    low, high = clip_bounds(normalization)
    t = np.clip(np.asarray(x, np.float64), low, high)
    t[:, normalization.is_log] = np.log(t[:, normalization.is_log])
    return network.evaluate(layers, (t - normalization.mean) / normalization.std)
