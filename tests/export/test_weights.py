"""`weights.nc`: the same network, complete, and refused where it is not."""

import netCDF4
import numpy as np
import pytest

from aeroact import normalization, schema
from aeroact.emulator import Emulator
from aeroact.errors import AeroactError
from aeroact.export import parity, weights
from aeroact.export.convert import to_onnx
from aeroact.export.layers import Layer
from aeroact.hpo import network
from aeroact.states import sample_rows
from tests.export import small_emulator

WIDTHS = (24, 8, 16)


@pytest.fixture(scope="module")
def layers():
    arrays = network.initial_weights(WIDTHS, [3])
    pairs = list(zip(arrays[::2], arrays[1::2], strict=True))
    activations = ["relu"] * len(WIDTHS) + ["sigmoid"]
    return tuple(
        Layer(kernel, bias + np.float32(0.1), activation)
        for (kernel, bias), activation in zip(pairs, activations, strict=True)
    )


@pytest.fixture(scope="module", params=sorted(normalization.PRESETS))
def statistics(request):
    states = sample_rows(0, 5000, seed=4).astype(np.float32)
    return normalization.fit([states], normalization.PRESETS[request.param])


@pytest.fixture
def file(layers, statistics, tmp_path):
    path = tmp_path / "weights.nc"
    weights.write(path, layers, statistics)
    return path


def test_what_is_written_is_read(file, layers, statistics):
    read, found = weights.read(file)
    for ours, theirs in zip(layers, read, strict=True):
        np.testing.assert_array_equal(ours.kernel, theirs.kernel)
        np.testing.assert_array_equal(ours.bias, theirs.bias)
        assert ours.activation == theirs.activation
    assert found.transform == statistics.transform
    for name in ("floor", "mean", "std", "low", "high"):
        np.testing.assert_array_equal(getattr(found, name), getattr(statistics, name))


def test_it_is_the_network_of_the_onnx_file(file, layers, statistics):
    emulator = Emulator(to_onnx(layers, statistics, {}))
    compared = parity.states(sample_rows(0, 1000, seed=9).astype(np.float32), statistics)
    found = parity.with_weights(emulator, *weights.read(file), compared)
    assert 0 < found.largest <= 1e-6
    assert found.drawn_states == 99_000
    np.testing.assert_allclose(
        weights.evaluate(*weights.read(file), compared.x), emulator.predict(compared.x), atol=1e-6
    )


def test_it_describes_itself(file):
    with netCDF4.Dataset(file) as ds:
        assert ds.Conventions.startswith("CF-")
        assert ds.columns.split() == list(schema.COLUMNS)
        assert ds.units.split(", ") == list(schema.COLUMN_UNITS)
        assert ds.formula.endswith("; fn = a")
        assert ds.hidden_activation == "relu"
        assert all(variable.long_name for variable in ds.variables.values())
        assert ds["bias_4"].activation == "sigmoid"


def test_squared_relus_are_written_and_read(tmp_path):
    path, statistics = tmp_path / "weights.nc", small_emulator.STATISTICS
    layers = small_emulator.layers(activation="relu2")
    weights.write(path, layers, statistics)
    with netCDF4.Dataset(path, "a") as ds:
        assert ds.formula.endswith("; relu2(v) = max(v, 0)^2")
        assert ds.hidden_activation == ds["bias_2"].activation == "relu2"
    read = weights.read(path)
    assert [layer.activation for layer in read[0]] == ["relu2", "relu2", "sigmoid"]
    compared = parity.states(small_emulator.STATES, statistics)
    parity.with_weights(Emulator(to_onnx(layers, statistics, {})), *read, compared)
    with netCDF4.Dataset(path, "a") as ds:
        ds["bias_1"].activation = "relu"
    with pytest.raises(AeroactError, match="layer 2 has activation relu2, not relu"):
        weights.read(path)


def edit(change):
    def spoil(path):
        with netCDF4.Dataset(path, "a") as ds:
            change(ds)

    return spoil


def set_nan(ds):
    ds["kernel_2"][1, 1] = np.nan


def set_clip(ds):
    ds["clip_high"][0] = 1e3


def set_std(ds):
    ds["std"][5] = 0.0


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:2000]), "cannot be read as weights"),
        (lambda path: path.write_bytes(b"nothing"), "cannot be read as weights"),
        (lambda path: path.unlink(), "cannot be read as weights"),
        (edit(lambda ds: ds.setncattr("schema_version", "0")), "schema_version is '0', not '1'"),
        (edit(lambda ds: ds.setncattr("units", "F")), "units is 'F'"),
        (edit(lambda ds: ds.delncattr("columns")), "cannot be read as weights"),
        (edit(lambda ds: ds.renameVariable("kernel_3", "other")), "cannot be read as weights"),
        (edit(lambda ds: ds.setncattr("layers", np.int32(3))), "layer 3 has kernel"),
        (edit(set_nan), "layer 2 has weights that are not finite"),
        (edit(set_std), "std has values that make no sense"),
        (edit(set_clip), "clip_high is not that of schema 1"),
    ],
    ids=[
        *("truncated", "not NetCDF", "missing", "schema", "units", "no columns"),
        *("no kernel", "layers", "NaN", "std", "clip"),
    ],
)
def test_a_spoilt_file_is_one_sentence(file, spoil, said):
    spoil(file)
    with pytest.raises(AeroactError, match=said) as error:
        weights.read(file)
    assert str(file) in str(error.value)


def test_a_full_disk_is_one_sentence(layers, statistics, tmp_path, monkeypatch):
    def full(*args):
        raise RuntimeError("NetCDF: HDF error")

    monkeypatch.setattr(netCDF4.Dataset, "createDimension", full)
    with pytest.raises(AeroactError, match=r"weights.nc: cannot be written .* is the disk full\?"):
        weights.write(tmp_path / "weights.nc", layers, statistics)
