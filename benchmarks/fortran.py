"""The Fortran library against ONNX Runtime's C call, its peers and ARG2000, on one core.

    python benchmarks/fortran.py [BUNDLE ...] [--json FILE] [--work FOLDER]
        [--ftorch DIR --torch PYTHON] [--neural-fortran DIR] [--ennuf DIR]

Everything is built by gfortran and timed in one process, pinned to one core, in turn, by loops
over calls in compiled code, after the fractions were compared.  A time is the thread's own:
waiting for the core does not count.

- Bridge: `model%run` and `model%predict` of the backend `ort`, and ONNX Runtime's Run called
  from C, with tensors that are kept, as `run` does it, or made for each call, as `predict` does.
- Native kernel: `native_predict` alone, by compiler flags, against the C call.
- Peers: the library by each backend, FTorch, neural-fortran and ENNUF.  These are built here
  from the source folders that the options name, by the same flags besides their own, and get
  the layers alone, with states that are normalized already; ours take the states themselves.
- GCM: a point of a chunk of 16 columns and 72 levels, every second one cloudy, by ARG2000 and by
  `activate_modal_nn` with each bundle (those under emulators/ unless any is named), called for
  each point or once for the chunk, and by `model%run` alone.
"""

import argparse
import ctypes
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from aeroact.console import print_table, progress
from aeroact.emulator import ONNX_FILE, Emulator
from aeroact.export import bench
from aeroact.export.convert import clip_bounds, to_onnx
from aeroact.export.layers import OUTPUT, Layer
from aeroact.export.parity import MAX_DIFFERENCE
from aeroact.hpo.network import initial_weights
from aeroact.normalization import fit
from aeroact.physics.arg2000 import arg2000
from aeroact.schema import N_OUTPUTS, split_state
from aeroact.states import sample_rows
from aeroact.timing import ROUNDS, Timing, clock_mhz, in_turn, one_core, processor

ROOT = Path(__file__).resolve().parents[1]
BRIDGE, DRIVERS = ROOT / "fortran_bridge", ROOT / "benchmarks" / "fortran"
NETWORKS = ((32, 32, 32), (64, 128, 64), (512, 32, 1024, 512))
BATCHES = (1, 16, 1024)
COLUMNS, LEVELS = 16, 72
COPIES = 5  # where a few percent count: the place in memory makes as much
SEED = 5

FAST = "-O3 -march=native"
E3SM = "-O -fconvert=big-endian -fdefault-real-8 -ffree-line-length-none"
KERNEL_SOURCES = ("schema", "status", "floats", "native")
X86 = ("-O3 -march=x86-64-v3",) if platform.machine() == "x86_64" else ()
KERNEL_FLAGS = tuple(
    flags + simd for flags in ("-O", "-O2", "-O3", *X86, FAST) for simd in ("", " -fopenmp-simd")
)
"""The library's CMake gives -fopenmp-simd to the kernel."""

C_CALL, C_CALL_NEW = "ONNX Runtime, C", "ONNX Runtime, C, new tensors"
OURS = "aeroact, auto"
MAX_BRIDGE, MAX_MICROSECONDS, MAX_KERNEL = 1.05, 0.5, 1.3

PEERS = {
    "FTorch": "https://github.com/Cambridge-ICCS/FTorch, tag v1.1.0; --torch PYTHON has PyTorch",
    "neural-fortran": "https://github.com/modern-fortran/neural-fortran, tag v0.24.0",
    "ENNUF": "https://github.com/MetOffice/ennuf, tag v1.1.0",
}
"""By name, which is also that of the option: where to get it."""

Case = tuple[str, int, str]
"""Network, states a call and contender."""

Timings = dict[Case, Timing]
"""Microseconds a call, or in a GCM a point."""


class NotBuiltError(Exception):
    """A contender that this machine cannot build."""


@dataclass(frozen=True)
class Network:
    """A network, and the files from which it is read."""

    name: str
    onnx: Path
    plain: Path


class Contender:
    """Calls of compiled code on an array of states, as a driver prepares them.

    Parameters
    ----------
    driver : Path
        Shared library that has `contender_prepare` and `contender_repeat`.
    model : Path
        File that it reads.
    x : ndarray of float32, shape (n, 16)
    options : str
        What this driver is to know besides.
    """

    def __init__(self, driver: Path, model: Path, x: NDArray[np.float32], *options: str) -> None:
        self.x, self.fn = np.ascontiguousarray(x), np.full((len(x), N_OUTPUTS), -1, np.float32)
        library = ctypes.CDLL(str(driver))
        library.contender_prepare.restype = ctypes.c_void_p
        arrays = [ctypes.c_void_p(array.ctypes.data) for array in (self.x, self.fn)]
        strings = [option.encode() for option in options]
        handle = library.contender_prepare(os.fsencode(model), len(x), *arrays, *strings)
        if not handle:
            sys.exit(f"{driver.name} cannot read {model}")
        self.handle, self.repeat = ctypes.c_void_p(handle), library.contender_repeat

    def __call__(self, calls: int = 1) -> None:
        """Predict some times."""
        if status := self.repeat(self.handle, calls):
            sys.exit(f"a call failed with status {status}")


def run(*command: object) -> str:
    """Run a command of a build, and return what it prints."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise NotBuiltError(f"there is no {words[0]}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"{words[0]} failed"]
        raise NotBuiltError(next((line for line in lines if "rror" in line), lines[-1]).strip())
    return done.stdout


def compiled(out: Path, flags: str, sources: Iterable[Path], *linked: object) -> Path:
    """Make a driver of Fortran sources."""
    modules = out.with_suffix("")
    modules.mkdir(exist_ok=True)
    common = ("gfortran", *flags.split(), "-shared", "-fPIC", "-J", modules, "-o", out)
    run(*common, *sources, *linked, "-ldl")
    return out


def with_cmake(source: Path, build: Path, flags: str, target: str, *options: str) -> None:
    """Build a target of someone's own CMakeLists.txt."""
    pic = "-DCMAKE_POSITION_INDEPENDENT_CODE=ON"
    run("cmake", "-S", source, "-B", build, f"-DCMAKE_Fortran_FLAGS={flags}", pic, *options)
    run("cmake", "--build", build, "--target", target)


def drivers(*names: str) -> list[Path]:
    return [DRIVERS / f"{name}.f90" for name in ("network_file", *names)]


def build_c(work: Path) -> Path:
    out = work / "onnxruntime.so"
    run("cc", "-O2", "-shared", "-fPIC", "-o", out, DRIVERS / "onnxruntime.c", "-ldl")
    return out


def build_kernel(work: Path, flags: str) -> Path:
    sources = [BRIDGE / "src" / f"aeroact_{name}.f90" for name in KERNEL_SOURCES]
    out = work / f"kernel{flags.replace(' ', '')}.so"
    return compiled(out, flags, sources + drivers("kernel"))


def build_library(work: Path, flags: str) -> tuple[Path, Path]:
    """Build the library, and the drivers of `model%run` and of a GCM."""
    build = work / f"library{flags.replace(' ', '')}"
    parts = ("BUILD_EXAMPLES", "BUILD_TESTS", "NETCDF")
    without = [f"-DAEROACT_{part}=OFF" for part in parts]
    with_cmake(BRIDGE, build, flags, "aeroact", "-DCMAKE_BUILD_TYPE=None", *without)
    linked = ("-I", build / "modules", build / "libaeroact.a")
    bridge, gcm = (
        compiled(build / f"{name}.so", flags, drivers(name), *linked) for name in ("bridge", "gcm")
    )
    return bridge, gcm


def build_peer(name: str, source: Path, work: Path, python: str) -> Path:
    """Build a peer, by its own release flags and those that are fast here, and its driver."""
    build, out = work / name, work / f"{name}.so"
    release = "-DCMAKE_BUILD_TYPE=Release"
    if name == "FTorch":
        prefix = run(python, "-c", "import torch; print(torch.utils.cmake_prefix_path)").strip()
        torch = (f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_CXX_FLAGS={FAST}")
        with_cmake(source, build, FAST, "ftorch", release, *torch)
        found = (f"-L{build}", "-lftorch", f"-Wl,-rpath,{build}")
        return compiled(out, FAST, drivers("ftorch"), "-I", build / "modules", *found)
    if name == "neural-fortran":
        with_cmake(source, build, FAST, "neural-fortran", release)
        linked = ("-I", build / "include", build / "lib" / "libneural-fortran.a")
        return compiled(out, FAST, drivers("neural_fortran"), *linked)
    theirs = source / "src" / "ennuf" / "_internal" / "fortran" / "neural_net_mod.f90"
    return compiled(out, FAST, [theirs, *drivers("ennuf")])


def source_of(options: argparse.Namespace, name: str) -> Path | None:
    """Return the folder that the user names for a peer."""
    source: Path | None = getattr(options, name.lower().replace("-", "_"))
    return source


def tag(source: Path | None) -> str:
    """Return which version a source folder holds."""
    try:
        return run("git", "-C", source, "describe", "--tags", "--always").strip()
    except NotBuiltError:
        return "unknown"


def peers_of(
    options: argparse.Namespace, networks: Iterable[Network], work: Path
) -> tuple[dict[str, Path], dict[str, str]]:
    """Build the peers that the user has.

    Returns
    -------
    built : dict of str to Path
        Drivers by name.
    missing : dict of str to str
        Why there is no other, by name.
    """
    built, missing = {}, {}
    for name, where in PEERS.items():
        source = source_of(options, name)
        if source is None:
            missing[name] = f"left out; name its source by --{name.lower()} DIR ({where})"
            continue
        try:
            built[name] = build_peer(name, source.resolve(), work, options.torch)
            for network in networks if name == "FTorch" else ():
                run(options.torch, DRIVERS / "torchscript.py", network.plain, scripted(network))
        except NotBuiltError as error:
            missing[name] = f"not built: {error}"
    return built, missing


def scripted(network: Network) -> Path:
    return network.plain.with_suffix(".pt")


def random_networks(work: Path) -> tuple[list[Network], NDArray[np.float32], NDArray[np.float32]]:
    """Write untrained networks behind the statistics of sampled states.

    Returns
    -------
    networks : list of Network
    x, z : ndarray, shape (1024, 16)
        States, and what normalization makes of them.
    """
    normalization = fit([sample_rows(0, 50_000, SEED)])
    front = [*clip_bounds(normalization), normalization.floor]
    front += [normalization.mean, normalization.std]
    networks = []
    for k, nodes in enumerate(NETWORKS):
        arrays = initial_weights(nodes, [SEED, k])
        activations = ["relu"] * len(nodes) + [OUTPUT]
        layers = tuple(map(Layer, arrays[::2], arrays[1::2], activations))
        name = "-".join(map(str, nodes))
        network = Network(name, work / f"{name}.onnx", work / f"{name}.bin")
        network.onnx.write_bytes(to_onnx(layers, normalization, {}))
        # In the order in which network_file.f90 reads.
        widths = [len(layers), len(arrays[0]), *(layer.bias.size for layer in layers)]
        numbers = np.concatenate([part.ravel() for part in (*arrays, *front)])
        parts = np.array(widths, "i4"), numbers.astype("f4"), normalization.is_log.astype("i4")
        network.plain.write_bytes(b"".join(part.tobytes() for part in parts))
        networks.append(network)
    x = sample_rows(0, max(BATCHES), SEED).astype(np.float32)
    return networks, x, normalization.apply(x)


def time_all(title: str, contenders: Mapping[Case, list[Contender]]) -> Timings:
    """Time calls in turn, the copies of a contender like others."""

    def calls_a_millisecond(contender: Contender) -> int:
        calls = 1
        while True:
            began = time.thread_time()
            contender(calls)
            if time.thread_time() - began >= 1e-3:
                return calls
            calls *= 2

    # The copies of a contender are kept apart from each other.
    copies = {
        (k, case): found[k]
        for k in range(COPIES)
        for case, found in contenders.items()
        if k < len(found)
    }
    calls = {key: calls_a_millisecond(copy) for key, copy in copies.items()}
    work = {key: partial(copy, calls[key]) for key, copy in copies.items()}
    with progress(title, ROUNDS) as done:
        seconds = in_turn(work, done, time.thread_time)
    taken: dict[Case, list[float]] = {case: [] for case in contenders}
    for key, turns in seconds.items():
        taken[key[1]] += [turn / calls[key] for turn in turns]
    return {case: Timing.of(turns, 1e6) for case, turns in taken.items()}


def checked(contender: Contender, fn: NDArray[np.floating], case: object) -> Contender:
    """See that a contender predicts what is expected."""
    contender()
    difference = float(np.abs(contender.fn - fn).max())
    # Not "difference > MAX": a NaN must not pass.
    if not difference <= MAX_DIFFERENCE:
        sys.exit(f"{case}: fn is off by {difference:.1e}")
    return contender


def expected(model: Path, x: NDArray[np.float32]) -> NDArray[np.float32]:
    return Emulator(model.read_bytes()).session.run(["fn"], {"state": x})[0]


def time_bridge(
    c: Path, bridge: Path, networks: list[Network], x: NDArray[np.float32], ort: str
) -> Timings:
    contenders: dict[Case, list[Contender]] = {}
    for network, batch in product(networks, BATCHES):
        fn = expected(network.onnx, x[:batch])
        for name, driver, options in (
            (C_CALL, c, ("kept",)),
            ("model%run", bridge, ("ort", "run")),
            (C_CALL_NEW, c, ("new",)),
            ("model%predict", bridge, ("ort", "predict")),
        ):
            case = network.name, batch, name
            contenders[case] = [
                checked(Contender(driver, network.onnx, x[:batch], ort, *options), fn, case)
                for _ in range(COPIES)
            ]
    return time_all("bridge", contenders)


def time_kernel(
    c: Path, kernels: Mapping[str, Path], networks: list[Network], x: NDArray[np.float32], ort: str
) -> Timings:
    contenders: dict[Case, list[Contender]] = {}
    for network, batch in product(networks, BATCHES):
        fn = expected(network.onnx, x[:batch])
        states = x[:batch]
        contenders[network.name, batch, C_CALL] = [Contender(c, network.onnx, states, ort, "kept")]
        for flags, driver in kernels.items():
            case = network.name, batch, flags
            contenders[case] = [checked(Contender(driver, network.plain, states), fn, case)]
    return time_all("native kernel", contenders)


def time_peers(
    bridge: Path,
    peers: Mapping[str, Path],
    networks: list[Network],
    x: NDArray[np.float32],
    z: NDArray[np.float32],
    ort: str,
) -> Timings:
    contenders: dict[Case, list[Contender]] = {}
    for network, batch in product(networks, BATCHES):
        fn = expected(network.onnx, x[:batch])
        for backend in ("auto", "native", "ort"):
            case = network.name, batch, f"aeroact, {backend}"
            ours = Contender(bridge, network.onnx, x[:batch], ort, backend, "run")
            contenders[case] = [checked(ours, fn, case)]
        for name, driver in peers.items():
            case = network.name, batch, name
            file = scripted(network) if name == "FTorch" else network.plain
            contenders[case] = [checked(Contender(driver, file, z[:batch]), fn, case)]
    return time_all("peers", contenders)


def time_gcm(gcm: Path, bridge: Path, bundles: Iterable[Path], ort: str, title: str) -> Timings:
    """Time a chunk; microseconds a cloudy point, by how many a call predicts."""
    x = sample_rows(0, COLUMNS * LEVELS, SEED).astype(np.float32)
    cloudy = np.add.outer(np.arange(LEVELS), np.arange(COLUMNS)).ravel() % 2 == 0
    points = int(cloudy.sum())
    state = {name: part for name, part in split_state(x.astype(float)).items() if name != "rh"}
    fn = np.where(cloudy[:, None], arg2000(**state).fn, 0)
    case: Case = ("", 1, "ARG2000")
    arg = Contender(gcm, Path("none"), x, ort, "none", "arg2000")
    contenders = {case: [checked(arg, fn, case)]}
    for bundle, backend in product(bundles, ("native", "ort")):
        model = bundle / ONNX_FILE
        fn = np.where(cloudy[:, None], expected(model, x), 0)
        for batch, how in ((1, "points"), (points, "chunk")):
            case = bundle.name, batch, f"activate_modal_nn, {backend}"
            contenders[case] = [checked(Contender(gcm, model, x, ort, backend, how), fn, case)]
            case = bundle.name, batch, f"model%run, {backend}"
            contenders[case] = [Contender(bridge, model, x[cloudy][:batch], ort, backend, "run")]
    calls = time_all(title, contenders)
    # A call of `model%run` predicts the batch, one of the driver the chunk.
    return {
        case: _divided(timing, case[1] if case[2].startswith("model%run") else points)
        for case, timing in calls.items()
    }


def _divided(timing: Timing, by: int) -> Timing:
    return Timing(timing.median / by, timing.lower / by, timing.upper / by)


def show(title: str, timings: Timings, reference: str, unit: str = "us a call") -> None:
    """Print a table for each network: times, and how many times those of one contender."""
    for network in dict.fromkeys(network for network, _, _ in timings if network):
        batches = sorted({batch for found, batch, _ in timings if found == network})
        names = dict.fromkeys(name for found, _, name in timings if found in (network, ""))
        table = Table(title=f"{title}, {network}: {unit}, and times {reference}")
        table.add_column("states a call")
        for batch in batches:
            table.add_column(f"{batch:,}", justify="right")
            table.add_column("x", justify="right")
        for name in names:
            cells = []
            for batch in batches:
                # One that belongs to no network does any number of states one by one.
                timing = timings.get((network, batch, name)) or timings["", 1, name]
                base = timings.get((network, batch, reference)) or timings["", 1, reference]
                cells += [_number(timing.median), f"{timing.median / base.median:.3g}"]
            table.add_row(name, *cells)
        print_table(table)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def worst(timings: Timings, name: str, reference: str, batches: Iterable[int]) -> tuple[float, str]:
    """Return the largest multiple of a reference's time, and where it is."""
    return max(
        (timing.median / timings[network, batch, reference].median, f"{network}, batch {batch}")
        for (network, batch, found), timing in timings.items()
        if found == name and batch in batches
    )


def verdicts(bridge: Timings, kernel: Timings, peers: Timings) -> dict[str, bool]:
    """Return what was to hold, with the worst case, and whether it does."""
    found = {}
    for call, reference in (("model%run", C_CALL), ("model%predict", C_CALL_NEW)):
        times, where = worst(bridge, call, reference, BATCHES[1:])
        claim = f"{call}, batch {BATCHES[1]} and above: {times:.3f} times the C call ({where})"
        found[f"{claim}, at most {MAX_BRIDGE}"] = times <= MAX_BRIDGE
    small = "-".join(map(str, NETWORKS[0]))
    microseconds = kernel[small, 1, "-O2 -fopenmp-simd"].median
    claim = f"kernel at -O2 -fopenmp-simd, {small}, batch 1: {microseconds:.2f} us"
    found[f"{claim}, at most {MAX_MICROSECONDS}"] = microseconds <= MAX_MICROSECONDS
    for flags in KERNEL_FLAGS:
        if not flags.startswith("-O3"):
            continue
        timing, base = (kernel[small, BATCHES[-1], name].median for name in (flags, C_CALL))
        claim = f"kernel at {flags}, {small}, batch {BATCHES[-1]}: {timing / base:.2f} times the C"
        found[f"{claim} call, at most {MAX_KERNEL}"] = timing <= MAX_KERNEL * base
    for name in PEERS:
        if any(contender == name for _, _, contender in peers):
            times, where = worst(peers, OURS, name, BATCHES)
            claim = f"{OURS} against {name}: at most {times:.2f} times its time ({where})"
            found[f"{claim}, ahead in every cell"] = times < 1
    return found


def records(timings: Timings) -> list[dict[str, object]]:
    return [
        {"network": network, "batch": batch, "contender": name, **asdict(timing)}
        for (network, batch, name), timing in timings.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="*", type=Path, metavar="BUNDLE")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    parser.add_argument("--work", type=Path, help="folder to build in, and to keep")
    for name in PEERS:
        parser.add_argument(f"--{name.lower()}", type=Path, metavar="DIR", help=f"source of {name}")
    parser.add_argument("--torch", default=sys.executable, help="Python with PyTorch, for FTorch")
    options = parser.parse_args()

    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        measure(options, work.resolve())


def measure(options: argparse.Namespace, work: Path) -> None:
    """Build, time, print and write."""
    bundles = options.bundles or [file.parent for file in ROOT.glob(f"emulators/*/{ONNX_FILE}")]
    networks, x, z = random_networks(work)
    try:
        ort = run(sys.executable, BRIDGE / "tests" / "find_onnxruntime.py").strip()
        c = build_c(work)
        kernels = {flags: build_kernel(work, flags) for flags in KERNEL_FLAGS}
        libraries = {flags: build_library(work, flags) for flags in (E3SM, FAST)}
    except NotBuiltError as error:
        sys.exit(f"not built: {error}")
    peers, missing = peers_of(options, networks, work)

    cores = len(os.sched_getaffinity(0))
    # From the start, for the threads of every library inherit it.
    with one_core() as core:
        fast = libraries[FAST][0]
        timings = {
            "bridge": time_bridge(c, fast, networks, x, ort),
            "kernel": time_kernel(c, kernels, networks, x, ort),
            "peers": time_peers(fast, peers, networks, x, z, ort),
        }
        of_gcm = {
            flags: time_gcm(gcm, bridge, bundles, ort, f"GCM, {flags.split()[0]}")
            for flags, (bridge, gcm) in libraries.items()
        }
        clock = clock_mhz(core)

    show("Bridge", timings["bridge"], C_CALL)
    show("Native kernel", timings["kernel"], C_CALL)
    show("Peers", timings["peers"], OURS)
    for flags, found in of_gcm.items():
        show(f"GCM, {flags}", found, "ARG2000", "us a point")
    for name, reason in missing.items():
        print(f"{name}: {reason}")
    if not bundles:
        print("GCM: no bundle under emulators/; name one")
    claims = verdicts(**timings)
    for claim, holds in claims.items():
        print(f"{claim}: {'kept' if holds else 'MISSED'}")
    if options.json:
        versions = {name: version(name) for name in ("aeroact", "onnxruntime")}
        versions["gfortran"] = run("gfortran", "-dumpfullversion").strip()
        versions |= {name: tag(source_of(options, name)) for name in peers}
        if "FTorch" in peers:
            asked = "import torch; print(torch.__version__)"
            versions["torch"] = run(options.torch, "-c", asked).strip()
        content = {
            "machine": asdict(bench.Machine(processor(), clock, cores, versions)),
            "load": os.getloadavg()[0],
            "missing": missing,
            "verdicts": claims,
            **{f"{table}_us_a_call": records(of_table) for table, of_table in timings.items()},
            "gcm_us_a_point": {flags: records(of_flags) for flags, of_flags in of_gcm.items()},
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
