"""Time emulators, and ARG2000 beside them, on one core in one run.

Times of different runs are not to be compared, ratios are: the clock of a shared
machine wanders. So everything that is compared is timed in turn, round after round,
and the median of the rounds counts.

What is timed is ONNX Runtime's own call, one thread, without any check of ours around
it; of ARG2000 the compiled kernel alone. The limit of the core is the rate at which
ONNX Runtime itself multiplies matrices that stay in the cache: it uses one thread and
the emulators' own arithmetic, and no other product in reach of Python is faster.
"""

import os
import platform
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from aeroact.console import Progress
from aeroact.errors import AeroactError
from aeroact.physics.arg2000 import Activation, arg2000, prepared
from aeroact.schema import split_state
from aeroact.zoo import Emulator

BATCHES = (1, 16, 128, 1024)
"""States a call: one column of a model, a few, a chunk of columns, all that a rank has."""

ROUNDS = 31
"""Turns that everything gets, unless it is too slow for them."""

S4_SAMPLES, S4_BATCH, S4_REPETITIONS = 100_000, 1024, 10
"""Figure S4 of Yu et al. (2024)."""

# Seconds of work in a turn, which the clock must resolve, and in all turns of one thing
# together: what takes longer gets fewer turns, one at least.
_TURN, _SHARE = 3e-3, 1.5

_ARG2000_STATES = 4096
_MATRIX = 256

Work = Callable[[], object]
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Timing:
    """Time over the turns: the median and the middle half."""

    median: float
    lower: float
    upper: float

    @classmethod
    def of(cls, seconds: Sequence[float], scale: float) -> "Timing":
        """Return the timing of calls that took some seconds each, in other units."""
        median, lower, upper = np.percentile(np.multiply(seconds, scale), (50, 25, 75)).tolist()
        return cls(median, lower, upper)


@dataclass(frozen=True)
class Repeated(Timing):
    """Time over repetitions, with their mean and standard deviation (ddof = 1)."""

    mean: float
    std: float


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
            name: {str(batch): asdict(timing) for batch, timing in timings.items()}
            for name, timings in self.timings.items()
        }
        return {**asdict(self), "timings": timings, "multiples_of_arg2000": multiples}


def units(figure_s4: bool = True) -> int:
    """Return how many units of progress `measure` reports."""
    return ROUNDS + (S4_REPETITIONS if figure_s4 else 0)


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
    work: dict[Hashable, Work] = {"ARG2000": arg2000_kernel(x), "product": _matrix_product()}
    for name, session in sessions.items():
        for batch in batches:
            work[name, batch] = _call(session, _rows(x, batch))
    repetitions: dict[str, Work] = {
        name: _in_batches(session, _rows(x, S4_SAMPLES)) for name, session in sessions.items()
    }
    cores = len(os.sched_getaffinity(0))
    with one_core() as core:
        seconds = in_turn(work, progress)
        machine = Machine(processor(), clock_mhz(core), cores, _versions())
        repeated = _repeat(repetitions, progress) if figure_s4 else {}
    return Report(
        {
            name: {batch: Timing.of(seconds[name, batch], 1e6 / batch) for batch in batches}
            for name in emulators
        },
        repeated,
        Timing.of(seconds["ARG2000"], 1e6 / _ARG2000_STATES),
        2e-9 * _MATRIX**3 / Timing.of(seconds["product"], 1.0).median,
        machine,
    )


def in_turn(
    work: Mapping[Name, Work],
    progress: Progress | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Name, list[float]]:
    """Do several things in turn, round after round.

    A turn is one call that does not count, and as many that do as last some milliseconds.
    What is so slow that its turns would add up to more than one and a half seconds sits out
    some rounds, evenly.

    Parameters
    ----------
    work : mapping of str to callable
        What to do, by name.
    progress : Progress, optional
        Is told the finished rounds.
    clock : callable
        Returns seconds.

    Returns
    -------
    dict of str to list of float
        Seconds a call in each turn.
    """

    def turn(call: Work, calls: int) -> float:
        call()  # finds its memory, and the caches as the one before left them
        began = clock()
        for _ in range(calls):
            call()
        return clock() - began

    def calls_in_turn(call: Work) -> int:
        calls = 1
        while turn(call, calls) < _TURN:
            calls *= 2
        return calls

    calls = {name: calls_in_turn(call) for name, call in work.items()}
    taken: dict[Name, list[float]] = {name: [] for name in work}
    for done in range(ROUNDS):
        for name, call in work.items():
            if sum(taken[name]) <= _SHARE * done / ROUNDS:
                taken[name].append(turn(call, calls[name]))
        if progress:
            progress(done + 1)
    return {name: [total / calls[name] for total in totals] for name, totals in taken.items()}


def _repeat(work: Mapping[str, Work], progress: Progress | None) -> dict[str, Repeated]:
    """Time the repetitions of Figure S4, in milliseconds."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for done in range(1, S4_REPETITIONS + 1):
        for name, call in work.items():
            began = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - began)
        if progress:
            progress(ROUNDS + done, "Figure S4")
    return {
        name: Repeated(
            **asdict(Timing.of(seconds, 1e3)),
            mean=1e3 * float(np.mean(seconds)),
            std=1e3 * float(np.std(seconds, ddof=1)),
        )
        for name, seconds in taken.items()
    }


def _rows(x: NDArray[np.floating], n: int) -> NDArray[np.float32]:
    return np.ascontiguousarray(x[np.arange(n) % len(x)], np.float32)


def _call(session: Any, x: NDArray[np.float32]) -> Work:
    """Return a prediction of states, shape (n, 16), as one call of ONNX Runtime."""
    outputs, feed, run = ["fn"], {"state": x}, session.run
    return lambda: run(outputs, feed)


def _in_batches(session: Any, x: NDArray[np.float32]) -> Work:
    """Return a prediction of states, shape (n, 16), a batch of Figure S4 at a time."""
    calls = [_call(session, x[i : i + S4_BATCH]) for i in range(0, len(x), S4_BATCH)]
    return lambda: [call() for call in calls]


def arg2000_kernel(x: NDArray[np.floating]) -> Callable[[], Activation]:
    """Return ARG2000's compiled kernel, ready to compute 4,096 states.

    Parameters
    ----------
    x : ndarray, shape (n, 16)
        States; those that it would skip as invalid are left out.

    Raises
    ------
    AeroactError
        If none is valid.
    """

    def arguments(rows: NDArray[np.floating]) -> dict[str, NDArray[np.floating]]:
        return {name: values for name, values in split_state(rows).items() if name != "rh"}

    valid = x[arg2000(**arguments(x)).ok]
    if not len(valid):
        raise AeroactError("ARG2000 cannot be timed: none of the states is valid input to it")
    return prepared(**arguments(_rows(valid, _ARG2000_STATES)))


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


@contextmanager
def one_core() -> Iterator[int]:
    """Keep this thread, and those that it starts, on a single core; gives its number."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield max(cores)
    finally:
        os.sched_setaffinity(0, cores)


def processor() -> str:
    """Return the processor's name, or its architecture where the system does not tell."""
    names = [record["model name"] for record in _cpuinfo() if "model name" in record]
    return names[0] if names else platform.machine()


def clock_mhz(core: int) -> float | None:
    """Return the clock of a core at this moment, MHz; None where the system does not tell."""
    for record in _cpuinfo():
        if record.get("processor") == str(core) and "cpu MHz" in record:
            return float(record["cpu MHz"])
    return None


def _cpuinfo() -> list[dict[str, str]]:
    """Read what Linux says of each core."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return []
    return [
        {key.strip(): value.strip() for key, _, value in (s.partition(":") for s in block)}
        for block in map(str.splitlines, text.split("\n\n"))
    ]


def _versions() -> dict[str, str]:
    packages = ("aeroact", "numba", "numpy", "onnxruntime")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
