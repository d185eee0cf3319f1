"""Time emulators, and ARG2000 beside them, on one core in one run; the median counts.

What is timed is ONNX Runtime's own call, one thread, without any check of ours around
it; of ARG2000 the compiled kernel alone. The limit of the core is the rate at which
ONNX Runtime itself multiplies matrices that stay in the cache: it uses one thread and
the emulators' own arithmetic, and no other product in reach of Python is faster.
"""

import os
import platform
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeroact import timing
from aeroact.console import Progress
from aeroact.emulator import Emulator
from aeroact.errors import AeroactError
from aeroact.timing import Repeated, Timing, Work

BATCHES = (1, 16, 128, 1024)
"""States a call: one column of a model, a few, a chunk of columns, all that a rank has."""

_MATRIX = 256


@dataclass(frozen=True)
class Machine:
    """Where the times were taken.

    Attributes
    ----------
    processor : str
        Name.
    clock_mhz : float or None
        Clock of the core right after the rounds; None where the system does not tell.
    cores : int
        That this process might use.
    versions : dict of str to str
        Of what the times depend on.
    """

    processor: str
    clock_mhz: float | None
    cores: int
    versions: dict[str, str]


@dataclass(frozen=True)
class Report:
    """All times of one run.

    Attributes
    ----------
    timings : dict of str to dict of int to Timing
        Microseconds a sample by emulator, then by batch.
    figure_s4 : dict of str to Repeated
        Milliseconds for 100,000 samples in batches of 1,024; empty if not asked for.
    arg2000 : Timing
        Microseconds a state of the compiled kernel.  It takes its states one by one, so in
        a compiled model this is its time at any batch; here a call has 4,096 states, over
        which what Python adds to a call does not count.
    gflops : float
        Float32 operations that one core does in a product of matrices, 1e9 a second.
    machine : Machine
        Where.
    """

    timings: dict[str, dict[int, Timing]]
    figure_s4: dict[str, Repeated]
    arg2000: Timing
    gflops: float
    machine: Machine

    def multiple(self, name: str, batch: int) -> float:
        """Return an emulator's time a sample as a multiple of ARG2000's."""
        return self.timings[name][batch].median / self.arg2000.median

    def as_dict(self) -> dict[str, Any]:
        """Return everything, with the multiples of ARG2000, as what JSON can hold."""
        multiples = {
            name: {str(batch): self.multiple(name, batch) for batch in timings}
            for name, timings in self.timings.items()
        }
        timings = {
            name: {str(batch): asdict(t) for batch, t in timings.items()}
            for name, timings in self.timings.items()
        }
        return {**asdict(self), "timings": timings, "multiples_of_arg2000": multiples}


def units(figure_s4: bool = True) -> int:
    """Return how many units of progress `measure` reports."""
    return timing.ROUNDS + (timing.S4_REPETITIONS if figure_s4 else 0)


def measure(
    emulators: Mapping[str, bytes],
    x: NDArray[np.floating],
    batches: Sequence[int] = BATCHES,
    *,
    figure_s4: bool = True,
    progress: Progress | None = None,
) -> Report:
    """Time emulators, ARG2000 and the core itself in turn, pinned to one core.

    Parameters
    ----------
    emulators : mapping of str to bytes
        ONNX files by name.
    x : ndarray, shape (n, 16)
        States in schema units, taken over and over where a call needs more.
    batches : sequence of int
        States a call.
    figure_s4 : bool
        Whether to follow the protocol of the paper's Figure S4 too: a million samples of
        each emulator, which of a very large network takes minutes.
    progress : Progress, optional
        Is told the finished rounds and repetitions; there are `units` of them.

    Raises
    ------
    AeroactError
        If an emulator cannot be run, a batch is not positive or no state is valid.
    """
    if min(batches, default=0) < 1:
        raise AeroactError(f"batches {list(batches)}: a batch needs at least one state")
    sessions = {name: Emulator(content).session for name, content in emulators.items()}
    work: dict[Hashable, Work] = {"ARG2000": timing.arg2000_kernel(x), "product": _matrix_product()}
    for name, session in sessions.items():
        for batch in batches:
            work[name, batch] = timing.call(session, timing.rows(x, batch))
    repetitions: dict[str, Work] = {
        name: timing.in_batches(session, timing.rows(x, timing.S4_SAMPLES), timing.S4_BATCH)
        for name, session in sessions.items()
    }
    cores = len(os.sched_getaffinity(0))
    with timing.one_core() as core:
        seconds = timing.in_turn(work, progress)
        machine = Machine(timing.processor(), timing.clock_mhz(core), cores, _versions())
        repeated = timing.repeat(repetitions, _after(progress)) if figure_s4 else {}
    return Report(
        {
            name: {batch: Timing.of(seconds[name, batch], 1e6 / batch) for batch in batches}
            for name in emulators
        },
        repeated,
        Timing.of(seconds["ARG2000"], 1e6 / timing.ARG2000_STATES),
        2e-9 * _MATRIX**3 / Timing.of(seconds["product"], 1.0).median,
        machine,
    )


def _after(progress: Progress | None) -> Progress | None:
    """Return what is told of the repetitions, which come after the rounds."""
    return progress and (lambda done, note="": progress(timing.ROUNDS + done, "Figure S4"))


def _matrix_product() -> Work:
    """Return a product of two square float32 matrices in ONNX Runtime."""
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    matrix = np.random.default_rng(0).random((_MATRIX, _MATRIX), np.float32)
    a, b = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, matrix.shape) for name in ("a", "b")
    )
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "matrix"], ["b"])],
        "product",
        [a],
        [b],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(["b"], {"a": matrix})


def _versions() -> dict[str, str]:
    packages = ("aeroact", "numba", "numpy", "onnxruntime")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
