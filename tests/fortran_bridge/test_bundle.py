"""What Python exports, Fortran predicts: the whole path, end to end."""

import shutil
import subprocess
import sys
from pathlib import Path

import netCDF4
import numpy as np
import pytest

import aeroact
from aeroact.emulator import Emulator
from aeroact.export import weights
from aeroact.export.convert import to_onnx
from aeroact.states import sample_rows
from aeroact.zoo import PACKAGED, FolderZoo
from tests.export import small_emulator

BRIDGE = Path(__file__).parents[2] / "fortran_bridge"
FIND_ORT = BRIDGE / "tests" / "find_onnxruntime.py"

pytestmark = pytest.mark.skipif(
    not (shutil.which("gfortran") and shutil.which("cmake")),
    reason="needs a Fortran compiler and CMake: apt-get install gfortran cmake make",
)


needs_netcdf = pytest.mark.skipif(
    not shutil.which("nf-config"), reason="needs netCDF-Fortran: apt-get install libnetcdff-dev"
)


@pytest.fixture(scope="module")
def predict_states(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("predict_states")
    for command in (
        ["cmake", "-S", BRIDGE, "-B", folder, "-DAEROACT_BUILD_TESTS=OFF"],
        ["cmake", "--build", folder],
    ):
        subprocess.run(command, check=True, capture_output=True)
    return folder / "examples" / "01_predict_states" / "predict_states"


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    found = subprocess.run([sys.executable, FIND_ORT], check=True, capture_output=True, text=True)
    return {"AEROACT_ORT_LIB": found.stdout.strip()}


@pytest.fixture
def predict(predict_states, environment, tmp_path):
    """Fractions of states by a model's file, or its bundle's folder, in Fortran."""

    def predict(model: Path, backend: str, x: np.ndarray) -> np.ndarray:
        states = tmp_path / "states.txt"
        # Nine digits are enough to give every float32 back.
        np.savetxt(states, x, fmt="%.9g", header="16 columns in the order of the schema")
        printed = subprocess.run(
            [predict_states, model, states, backend],
            check=True,
            capture_output=True,
            text=True,
            env={} if backend == "native" else environment,
        ).stdout
        return np.loadtxt(printed.splitlines())

    return predict


@pytest.mark.parametrize(
    ("part", "backend", "tolerance"),
    [
        ("emulator.onnx", "ort", 1e-6),
        ("", "native", 5e-6),
        ("", "auto", 5e-6),
        pytest.param("weights.nc", "native", 5e-6, marks=needs_netcdf),
    ],
)
def test_fortran_predicts_what_python_predicts(bundle, predict, part, backend, tolerance):
    x = sample_rows(0, 257, seed=11).astype(np.float32)
    expected = aeroact.load(bundle).predict(x)
    assert np.ptp(expected) > 0.5  # something to get wrong
    np.testing.assert_allclose(predict(bundle / part, backend, x), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("backend", ["native", "ort"])
@pytest.mark.parametrize("name", FolderZoo(PACKAGED).names())
def test_fortran_predicts_what_released_emulators_predict(predict, name, backend):
    x = sample_rows(0, 2000, seed=12).astype(np.float32)
    expected = aeroact.load(name, zoo=PACKAGED).predict(x)
    np.testing.assert_allclose(predict(PACKAGED / name, backend, x), expected, rtol=0, atol=5e-6)


@pytest.mark.parametrize(
    ("part", "backend"),
    [
        ("emulator.onnx", "ort"),
        ("emulator.onnx", "native"),
        pytest.param("weights.nc", "native", marks=needs_netcdf),
    ],
)
def test_fortran_squares_what_python_squares(predict, tmp_path, part, backend):
    layers = small_emulator.layers(3, "relu2")
    content = to_onnx(layers, small_emulator.STATISTICS, {})
    (tmp_path / "emulator.onnx").write_bytes(content)
    weights.write(tmp_path / "weights.nc", layers, small_emulator.STATISTICS)
    x = small_emulator.STATES[:257]
    expected = Emulator(content).predict(x)
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(predict(tmp_path / part, backend, x), expected, rtol=0, atol=5e-6)


@needs_netcdf
@pytest.mark.parametrize(
    ("fault", "mentions"),
    [
        (lambda file: file.renameVariable("kernel_2", "other"), "kernel_2"),
        (lambda file: file.setncattr("schema_version", "2"), "schema version '2'"),
        (lambda file: file.setncattr("columns", "tair"), "columns"),
        (lambda file: file["bias_1"].setncattr("activation", "gelu"), "activations"),
        (lambda file: file["std"].__setitem__(3, 0.0), "make no sense"),
    ],
)
def test_broken_weights_are_one_sentence(bundle, predict_states, tmp_path, fault, mentions):
    broken = tmp_path / "weights.nc"
    shutil.copy(bundle / "weights.nc", broken)
    with netCDF4.Dataset(broken, "a") as file:
        fault(file)
    states = BRIDGE / "examples" / "01_predict_states" / "states.txt"
    done = subprocess.run(
        [predict_states, broken, states, "native"], capture_output=True, text=True, env={}
    )
    assert done.returncode == 1
    assert str(broken) in done.stderr
    assert mentions in done.stderr
    assert done.stdout == ""


@needs_netcdf
def test_weights_of_which_some_are_squared_are_one_sentence(predict_states, tmp_path):
    mixed = tmp_path / "weights.nc"
    weights.write(mixed, small_emulator.layers(), small_emulator.STATISTICS)
    with netCDF4.Dataset(mixed, "a") as file:
        file["bias_2"].activation = "relu2"
    states = BRIDGE / "examples" / "01_predict_states" / "states.txt"
    done = subprocess.run(
        [predict_states, mixed, states, "native"], capture_output=True, text=True, env={}
    )
    assert done.returncode == 1
    assert "relu2 in all hidden layers" in done.stderr


@needs_netcdf
@pytest.mark.parametrize(
    ("backend", "mentions"),
    [("ort", "not for ONNX Runtime"), ("fast", "There are 'ort', 'native'")],
)
def test_weights_are_for_the_native_backend(bundle, predict_states, environment, backend, mentions):
    states = BRIDGE / "examples" / "01_predict_states" / "states.txt"
    done = subprocess.run(
        [predict_states, bundle / "weights.nc", states, backend],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 1
    assert mentions in done.stderr


def test_a_guard_does_not_disturb_fortran(bundle, predict_states, environment, tmp_path):
    guarded = tmp_path / "guarded.onnx"
    guarded.write_bytes(to_onnx(*weights.read(bundle / "weights.nc"), {}, guard=True))
    states = BRIDGE / "examples" / "01_predict_states" / "states.txt"
    plain, with_guard = (
        subprocess.run(
            [predict_states, model, states],
            check=True,
            capture_output=True,
            text=True,
            env=environment,
        ).stdout
        for model in (bundle / "emulator.onnx", guarded)
    )
    assert plain == with_guard != ""


def test_a_broken_bundle_is_one_sentence(bundle, predict_states, environment, tmp_path):
    broken = tmp_path / "emulator.onnx"
    broken.write_bytes((bundle / "emulator.onnx").read_bytes()[:-500])
    states = BRIDGE / "examples" / "01_predict_states" / "states.txt"
    done = subprocess.run(
        [predict_states, broken, states], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 1
    assert str(broken) in done.stderr
    assert done.stdout == ""
