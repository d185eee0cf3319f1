"""The same emulators in ONNX Runtime and in what else could run them, on one core.

    python benchmarks/inference.py [RUN_OR_BUNDLE ...] [--json FILE]

Emulators are the retrained networks of a run, a bundle's network, or, if nothing is named,
three random ones.  All backends do the whole work, from states in schema units to fractions:
bounds, logarithms, mean, layers (the standard deviation is in the first).  All are given a
float32 NumPy array and give one back, in one process, pinned to one core, a thread each, in
turn, after their fractions were compared with those of ONNX Runtime.  What each row times:

- ONNX Runtime: `session.run` of the exported file, for any number of states.
- OpenVINO: `infer` of the same file, on shared memory, in float32; for any number of states,
  and compiled for one batch.
- keras.Model.predict: one call, with the batch as `batch_size`.
- tf.function: the same model, traced once for any number of states.
- LiteRT: the same model, converted for one batch, with its default kernels (XNNPACK).
- PyTorch: eager modules in `inference_mode`.
- Fortran: fortran_bridge/src/aeroact_native.f90, built by `gfortran -O3 -march=native`.

A call of one state is mostly the price of the call from Python, which differs between backends.
What is not installed is named with the package to install.
"""

import argparse
import ctypes
import functools
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from aeroact.console import print_table, progress
from aeroact.emulator import ONNX_FILE, Emulator
from aeroact.errors import AeroactError
from aeroact.export import bench, weights
from aeroact.export.bundle import WEIGHTS_FILE
from aeroact.export.convert import clip_bounds, layers_of, scaled, to_onnx
from aeroact.export.layers import (
    OUTPUT,
    RELU2,
    Layer,
    Layers,
    hidden_activation,
    params,
    widths,
)
from aeroact.export.parity import MAX_DIFFERENCE
from aeroact.export.run import networks
from aeroact.hpo.backend import load_single_threaded
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.network import initial_weights, load
from aeroact.normalization import Normalization, fit
from aeroact.schema import N_INPUTS, N_OUTPUTS
from aeroact.states import sample_rows
from aeroact.timing import ROUNDS, Timing, clock_mhz, in_turn, one_core, processor

if TYPE_CHECKING:
    import keras

BRIDGE = Path(__file__).resolve().parents[1] / "fortran_bridge"
MODULES = ("schema", "status", "floats", "native")  # each after those that it uses
SOURCES = [*(f"src/aeroact_{module}.f90" for module in MODULES), "tests/native_c.f90"]
FLAGS = ["-O3", "-march=native", "-fopenmp-simd", "-shared", "-fPIC"]
RANDOM = ((32, 32, 32), (64, 64, 64), (512, 32, 1024, 512))
REFERENCE = "ONNX Runtime"
SEED = 5

Predict = Callable[[], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Network:
    """An emulator in all the forms that the backends read.

    The first kernel of `layers` is divided by the standard deviations, as in the ONNX file.
    """

    name: str
    onnx: bytes
    layers: Layers
    normalization: Normalization

    @functools.cached_property
    def parts(self) -> tuple[NDArray[np.intp], list[bool]]:
        """Where neighbouring columns differ in their transform, and which parts are logarithms."""
        is_log = self.normalization.is_log
        cuts = np.flatnonzero(np.diff(is_log)) + 1
        return cuts, is_log[[0, *cuts]].tolist()


class NotBuiltError(Exception):
    """A backend that this machine cannot build."""


class WrongError(Exception):
    """A backend whose fractions are not those of ONNX Runtime."""


def network_of(name: str, onnx: bytes, layers: Layers, normalization: Normalization) -> Network:
    if hidden_activation(layers) == RELU2:
        raise AeroactError(f"{name}: has squared ReLUs; only networks with ReLU are timed here")
    first, *others = layers
    kernel = scaled(first.kernel, normalization)
    folded = Layer(kernel, first.bias, first.activation)
    return Network(name, onnx, (folded, *others), normalization)


def random_networks() -> Iterator[Network]:
    """Make untrained networks behind the statistics of sampled states."""
    normalization = fit([sample_rows(0, 50_000, SEED)])
    for k, nodes in enumerate(RANDOM):
        arrays = initial_weights(nodes, [SEED, k])
        activations = ["relu"] * len(nodes) + [OUTPUT]
        layers = tuple(map(Layer, arrays[::2], arrays[1::2], activations))
        onnx = to_onnx(layers, normalization, {})
        yield network_of("-".join(map(str, nodes)), onnx, layers, normalization)


def read(path: Path) -> Iterator[Network]:
    """Read the networks of a run, or of a bundle."""
    if (path / WEIGHTS_FILE).is_file():
        layers, normalization = weights.read(path / WEIGHTS_FILE)
        yield network_of(path.name, (path / ONNX_FILE).read_bytes(), layers, normalization)
        return
    folder = RunFolder(path)
    for trial in networks(folder):
        layers = layers_of(load(folder.model(trial.name)))
        normalization = folder.normalization()
        onnx = to_onnx(layers, normalization, {})
        yield network_of(f"{path.name}/{trial.name}", onnx, layers, normalization)


def onnx_runtime(network: Network, x: NDArray[np.float32]) -> Predict:
    session = Emulator(network.onnx).session
    return lambda: session.run(["fn"], {"state": x})[0]


def openvino(network: Network, x: NDArray[np.float32], fixed: bool) -> Predict:
    from openvino import Core

    core = Core()
    model = core.read_model(network.onnx)
    model.reshape([len(x) if fixed else -1, N_INPUTS])
    settings = {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer([x], share_inputs=True, share_outputs=True)[0]


@functools.cache
def keras_model(network: Network) -> "keras.Model":
    """Build the network in Keras, with everything that stands in front of it."""
    import keras
    from keras import ops

    low, high = clip_bounds(network.normalization)
    cuts, is_log = network.parts
    inputs = keras.Input((N_INPUTS,), name="state")
    columns = ops.split(ops.minimum(ops.maximum(inputs, low), high), cuts.tolist(), axis=1)
    columns = [ops.log(part) if log else part for part, log in zip(columns, is_log, strict=True)]
    a = ops.concatenate(columns, axis=1) - network.normalization.mean
    for layer in network.layers:
        a = keras.layers.Dense(layer.bias.size, layer.activation)(a)
    model = keras.Model(inputs, a)
    model.set_weights([array for layer in network.layers for array in (layer.kernel, layer.bias)])
    return model


def keras_predict(network: Network, x: NDArray[np.float32]) -> Predict:
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # of the graph that each batch needs
    model = keras_model(network)
    return lambda: model.predict(x, batch_size=len(x), verbose=0)


def tf_function(network: Network, x: NDArray[np.float32]) -> Predict:
    import tensorflow as tf

    signature = tf.TensorSpec([None, N_INPUTS], tf.float32)
    model = tf.function(keras_model(network), autograph=False)
    function = model.get_concrete_function(signature)
    return lambda: function(tf.constant(x)).numpy()


def litert(network: Network, x: NDArray[np.float32]) -> Predict:
    import keras
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    keras.utils.disable_interactive_logging()
    inputs = keras.Input((N_INPUTS,), batch_size=len(x))
    model = keras.Model(inputs, keras_model(network)(inputs))
    content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (state,), (fn,) = interpreter.get_input_details(), interpreter.get_output_details()

    def predict() -> NDArray[np.float32]:
        interpreter.set_tensor(state["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(fn["index"])

    return predict


def pytorch(network: Network, x: NDArray[np.float32]) -> Predict:
    import torch
    from torch import nn

    torch.set_num_threads(1)
    low, high = map(torch.from_numpy, clip_bounds(network.normalization))
    mean = torch.from_numpy(network.normalization.mean)
    cuts, is_log = network.parts
    sizes = np.diff([0, *cuts, N_INPUTS]).tolist()

    class Front(nn.Module):
        def forward(self, state: torch.Tensor) -> torch.Tensor:
            columns = torch.clamp(state, low, high).split(sizes, 1)
            pairs = zip(columns, is_log, strict=True)
            return torch.cat([part.log() if log else part for part, log in pairs], 1) - mean

    modules: list[nn.Module] = [Front()]
    for layer in network.layers:
        linear = nn.Linear(*layer.kernel.shape)
        linear.weight.data = torch.from_numpy(layer.kernel.T.copy())
        linear.bias.data = torch.from_numpy(layer.bias)
        modules += [linear, nn.ReLU() if layer.activation != OUTPUT else nn.Sigmoid()]
    model = nn.Sequential(*modules).eval()

    def predict() -> NDArray[np.float32]:
        with torch.inference_mode():
            return model(torch.from_numpy(x)).numpy()

    return predict


@functools.cache
def native_library() -> ctypes.CDLL:
    """Build and open the Fortran kernel."""
    compiler = shutil.which("gfortran")
    if compiler is None:
        raise NotBuiltError("not built: there is no gfortran")
    sources = [BRIDGE / source for source in SOURCES]
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "native.so"
        command = [compiler, *FLAGS, "-J", folder, "-o", str(library), *map(str, sources)]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode:
            raise NotBuiltError(f"not built: {built.stderr.strip().splitlines()[-1]}")
        opened = ctypes.CDLL(str(library))
    opened.aeroact_native_create.restype = ctypes.c_void_p
    return opened


def fortran(network: Network, x: NDArray[np.float32]) -> Predict:
    library, normalization = native_library(), network.normalization
    nodes = np.array([N_INPUTS, *(layer.bias.size for layer in network.layers)], np.int32)
    flat = [array.ravel() for layer in network.layers for array in (layer.kernel, layer.bias)]
    arrays = [nodes, np.concatenate(flat), *clip_bounds(normalization)]
    arrays += [normalization.is_log.astype(np.int32), normalization.floor, normalization.mean]
    # It would divide by the standard deviations, which the first kernel contains.
    arrays.append(np.ones(N_INPUTS, np.float32))
    handle = library.aeroact_native_create(len(network.layers), *map(_address, arrays))
    if not handle:
        raise NotBuiltError("aeroact_native_create refuses the network")
    fn = np.empty((len(x), N_OUTPUTS), np.float32)
    run, arguments = library.aeroact_native_predict, (len(x), _address(x), _address(fn))

    def predict() -> NDArray[np.float32]:
        run(ctypes.c_void_p(handle), *arguments)
        return fn

    return predict


def _address(array: NDArray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


BACKENDS: dict[str, tuple[str, Callable[[Network, NDArray[np.float32]], Predict]]] = {
    REFERENCE: ("onnxruntime", onnx_runtime),
    "OpenVINO": ("openvino", partial(openvino, fixed=False)),
    "OpenVINO, fixed batch": ("openvino", partial(openvino, fixed=True)),
    "keras.Model.predict": ("keras", keras_predict),
    "tf.function": ("tensorflow", tf_function),
    "LiteRT, fixed batch": ("ai-edge-litert", litert),
    "PyTorch": ("torch", pytorch),
    "Fortran": ("", fortran),
}
"""By name: the package that has it, and what makes a prediction of given states."""


def require_same(fn: NDArray[np.float32], expected: NDArray[np.float32], where: str) -> None:
    difference = float(np.abs(fn - expected).max())
    # Not "difference > MAX": a NaN must not pass.
    if not difference <= MAX_DIFFERENCE:
        raise WrongError(f"{where}: fn differs from ONNX Runtime's by {difference:.1e}")


def prepare(
    networks: list[Network], x: NDArray[np.float32]
) -> tuple[dict[tuple[str, str, int], Predict], dict[str, str]]:
    """Make every prediction, and see that it is right.

    Returns
    -------
    work : dict
        By backend, network and batch.
    missing : dict of str to str
        Backends that are not there, or whose fractions are wrong, with the reason.
    """
    work, missing = {}, {}
    for name, (package, make) in BACKENDS.items():
        try:
            for network, batch in product(networks, bench.BATCHES):
                predict = make(network, x[:batch])
                expected = onnx_runtime(network, x[:batch])()
                require_same(predict(), expected, f"{network.name}, batch {batch}")
                work[name, network.name, batch] = predict
        except ModuleNotFoundError:
            missing[name] = f"not installed (pip install {package})"
        except (NotBuiltError, WrongError) as error:
            missing[name] = str(error)
    return {key: predict for key, predict in work.items() if key[0] not in missing}, missing


def versions() -> dict[str, str]:
    """Return the versions of the packages that are installed."""
    found = {"python": platform.python_version()}
    for package, _ in BACKENDS.values():
        try:
            found[package] = importlib.metadata.version(package)
        except (importlib.metadata.PackageNotFoundError, ValueError):
            continue
    return found


def show(
    network: Network, timings: dict[tuple[str, str, int], Timing], missing: dict[str, str]
) -> None:
    """Print microseconds a sample, and how many times those of ONNX Runtime they are."""
    table = Table(
        title=f"{network.name} ({params(network.layers):,} parameters, hidden layers "
        f"{widths(network.layers)}): us a sample, and times ONNX Runtime"
    )
    table.add_column("states a call")
    for batch in bench.BATCHES:
        table.add_column(f"{batch:,}", justify="right")
        table.add_column("x", justify="right")
    for name in BACKENDS:
        cells = []
        for batch in () if name in missing else bench.BATCHES:
            median = timings[name, network.name, batch].median
            ratio = median / timings[REFERENCE, network.name, batch].median
            cells += [
                f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in (median, ratio)
            ]
        table.add_row(name, *cells)
    print_table(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, metavar="RUN_OR_BUNDLE")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args()

    os.environ["OMP_NUM_THREADS"] = "1"
    cores = len(os.sched_getaffinity(0))
    # From the start, for the threads of every library inherit it.
    with one_core() as core:
        load_single_threaded()
        chosen = [n for path in options.paths for n in read(path)] or list(random_networks())
        x = sample_rows(0, max(bench.BATCHES), SEED).astype(np.float32)
        work, missing = prepare(chosen, x)
        with progress("rounds", ROUNDS) as done:
            seconds = in_turn(work, done)
        clock = clock_mhz(core)
    timings = {key: Timing.of(taken, 1e6 / key[2]) for key, taken in seconds.items()}

    for network in chosen:
        show(network, timings, missing)
    for name, reason in missing.items():
        print(f"{name}: {reason}")
    if options.json:
        machine = bench.Machine(processor(), clock, cores, versions())
        content = {
            "machine": asdict(machine),
            "load": os.getloadavg()[0],
            "missing": missing,
            "us_per_sample": [
                {"backend": name, "network": network, "batch": batch, **asdict(timing)}
                for (name, network, batch), timing in timings.items()
            ],
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
