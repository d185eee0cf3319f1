"""Time emulators as a climate model runs them: by compiled Fortran, ARG2000 beside them.

A driver and the Fortran library are compiled for this processor. In one process, on one core,
in turn: the backends of the library, on states in schema units, and its ARG2000. Times are the
process's own, so that waiting for the core does not count.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeroact import timing
from aeroact.console import Progress
from aeroact.emulator import Emulator
from aeroact.errors import AeroactError
from aeroact.export import parity
from aeroact.export.fortran_src import SOURCES, runtime_library
from aeroact.references import predict_arg2000
from aeroact.timing import Timing

COMPILER = "gfortran"
FLAGS = "-O3 -march=native"
SIMD = "-fopenmp-simd"
"""Which the library's own builds always give to the native kernel."""

BACKENDS = ("native", "ort")
UNITS = timing.ROUNDS
"""Units of progress that `measure` reports."""

_DRIVER = SOURCES / "bench" / "time_emulators.f90"


@dataclass(frozen=True)
class FortranReport:
    """All times of one run.

    Attributes
    ----------
    timings : dict of str to dict of str to dict of int to Timing
        Microseconds a state by emulator, by backend and by batch. The backend ``native`` is
        missing where it cannot evaluate the network, ``ort`` where there is no ONNX Runtime.
    arg2000 : Timing
        Microseconds a state. It takes its states one by one: this is its time at any batch.
    compiler : str
        Name and version.
    flags : str
        For the optimizer.
    library : str or None
        File of the ONNX Runtime that was used.
    machine : str
        Processor.
    clock_mhz : float or None
        Clock of the core right after the rounds; None where the system does not tell.
    """

    timings: dict[str, dict[str, dict[int, Timing]]]
    arg2000: Timing
    compiler: str
    flags: str
    library: str | None
    machine: str
    clock_mhz: float | None

    def multiple(self, name: str, backend: str, batch: int) -> float:
        """Return an emulator's time a state as a multiple of ARG2000's."""
        return self.timings[name][backend][batch].median / self.arg2000.median

    def fastest(self, name: str, batch: int) -> str:
        """Return the backend that is the faster one for an emulator."""
        of_backends = self.timings[name]
        return min(of_backends, key=lambda backend: of_backends[backend][batch].median)

    def as_dict(self) -> dict[str, Any]:
        """Return everything, with the multiples of ARG2000, as what JSON can hold."""
        timings = {
            name: {
                backend: {
                    str(batch): {
                        **asdict(timing),
                        "multiple_of_arg2000": self.multiple(name, backend, batch),
                    }
                    for batch, timing in by_batch.items()
                }
                for backend, by_batch in of_backends.items()
            }
            for name, of_backends in self.timings.items()
        }
        return {**asdict(self), "timings": timings}


def measure(
    emulators: Mapping[str, bytes],
    x: NDArray[np.floating],
    batches: Sequence[int] = (1024,),
    *,
    compiler: str = COMPILER,
    flags: str = FLAGS,
    progress: Progress | None = None,
) -> FortranReport:
    """Compile, compare the fractions with Python's, and time, pinned to one core.

    Parameters
    ----------
    emulators : mapping of str to bytes
        ONNX files by name.
    x : ndarray, shape (n, 16)
        States in schema units, taken over and over where a call needs more; those that
        ARG2000 would skip as invalid are left out for all.
    batches : sequence of int
        States a call.
    compiler, flags : str
        gfortran, or what takes its options, and what the optimizer is told.
    progress : Progress, optional
        Is told the finished rounds; there are `UNITS` of them.

    Raises
    ------
    AeroactError
        If there is no compiler, it fails, an emulator cannot be run, fractions differ by more
        than `parity.MAX_DIFFERENCE`, a batch is not positive or no state is valid.
    """
    if min(batches, default=0) < 1:
        raise AeroactError(f"batches {list(batches)}: a batch needs at least one state")
    version = require_compiler(compiler, flags)
    library = _library()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write_plan(folder, emulators, np.asarray(x, np.float32), batches)
        program = _compiled(folder, _sources(_DRIVER), compiler, flags)
        with timing.one_core() as core:
            seconds = _run(program, library, progress)
            clock = timing.clock_mhz(core)
    timings = {
        name: {
            backend: {
                batch: Timing.of(seconds[backend, number, batch], 1e6 / batch) for batch in batches
            }
            for backend in BACKENDS
            if (backend, number, batches[0]) in seconds
        }
        for number, name in enumerate(emulators, start=1)
    }
    for name, of_backends in timings.items():
        if not of_backends:
            raise AeroactError(
                f"{name}: the native backend cannot evaluate this network, and there is no ONNX "
                "Runtime: pip install onnxruntime"
            )
    ((states, turns),) = ((n, turns) for (who, _, n), turns in seconds.items() if who == "arg2000")
    return FortranReport(
        timings,
        Timing.of(turns, 1e6 / states),
        f"{Path(compiler).name} {version}",
        flags,
        library.resolve().name if library else None,
        timing.processor(),
        clock,
    )


def require_compiler(compiler: str = COMPILER, flags: str = FLAGS) -> str:
    """See, before long work, that a program can be compiled; return the compiler's version.

    Raises
    ------
    AeroactError
        If there is no such compiler, or it fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "empty.f90"
        source.write_text("end\n", encoding="utf-8")
        _compiled(Path(scratch), [source], compiler, flags)
    asked = [compiler, "-dumpfullversion"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _compiled(folder: Path, sources: Sequence[Path], compiler: str, flags: str) -> Path:
    """Return the program that a compiler makes in a folder of sources."""
    program = folder / "time_emulators"
    command = [compiler, *flags.split(), SIMD, f"-J{folder}", "-o", str(program)]
    try:
        done = subprocess.run(
            [*command, *map(str, sources), "-ldl"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except OSError as error:
        raise AeroactError(
            f"{compiler}: {error.strerror}; times in Fortran need a compiler: "
            "apt-get install gfortran"
        ) from error
    if done.returncode:
        raise AeroactError(f"{compiler} {flags} fails: {_first_error(done.stderr)}")
    return program


def _first_error(log: str) -> str:
    """Return the first error in a compiler's log, with its place."""
    place = ""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for line in lines:
        if re.search(r":\d+:\d+:$", line):
            place = f"{line} "
        elif line.startswith("Warning: "):
            place = ""
        elif re.search(r"\b([Ee]rror|ld): ", line):
            return place + line
    return lines[-1] if lines else "it gives no reason"


def _sources(program: Path) -> list[Path]:
    """Return a program's source and those of its modules, each after what it uses."""
    used: dict[Path, list[Path]] = {}
    found = [program]
    while found:
        path = found.pop()
        if path not in used:
            text = path.read_text(encoding="utf-8")
            modules = re.findall(r"^ *use (aeroact\w*)", text, re.MULTILINE)
            used[path] = [SOURCES / "src" / f"{module}.f90" for module in modules]
            found += used[path]
    return list(TopologicalSorter(used).static_order())


def _library() -> Path | None:
    """Return the ONNX Runtime that a Fortran program here would be given."""
    named = os.environ.get("AEROACT_ORT_LIB")
    return Path(named) if named else runtime_library()


def _write_plan(
    folder: Path,
    emulators: Mapping[str, bytes],
    x: NDArray[np.float32],
    batches: Sequence[int],
) -> None:
    """Write what the driver reads: states, emulators, and the fractions that are right."""
    fn = predict_arg2000(x)
    valid = ~np.isnan(fn).any(axis=1)
    if not valid.any():
        raise AeroactError("ARG2000 cannot be timed: none of the states is valid input to it")
    n = max(timing.ARG2000_STATES, *batches)
    states = timing.rows(x[valid], n)
    (folder / "states.bin").write_bytes(states.tobytes())
    (folder / "0.fn").write_bytes(timing.rows(fn[valid], n).tobytes())
    for number, (name, content) in enumerate(emulators.items(), start=1):
        try:
            expected = Emulator(content).predict(states)
        except AeroactError as error:
            raise AeroactError(f"{name}: {error}") from error
        (folder / f"{number}.onnx").write_bytes(content)
        (folder / f"{number}.fn").write_bytes(expected.tobytes())
    plan = [
        f"{n} {len(emulators)} {len(batches)} {timing.ROUNDS} {parity.MAX_DIFFERENCE}",
        " ".join(map(str, batches)),
        *(" ".join(name.split()) for name in emulators),
    ]
    (folder / "plan.txt").write_text("\n".join(plan) + "\n", encoding="utf-8")


def _run(
    program: Path, library: Path | None, progress: Progress | None
) -> dict[tuple[str, int, int], list[float]]:
    """Return the seconds a call in each turn, by backend, emulator's number and states a call."""
    seconds: dict[tuple[str, int, int], list[float]] = {}
    log = program.with_suffix(".log")
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [program, *([library] if library else [])],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=program.parent,
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                what, *fields = line.split()
                if what == "turn":
                    backend, emulator, states, taken = fields
                    key = backend, int(emulator), int(states)
                    seconds.setdefault(key, []).append(float(taken))
                elif progress:
                    progress(int(fields[0]))
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        reason = lines[0] if lines else f"the program ended with status {process.returncode}"
        raise AeroactError(f"times in Fortran: {reason}")
    return seconds
