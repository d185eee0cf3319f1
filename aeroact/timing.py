"""Time things that are to be compared: in turn, on one core, in one run.

Times of different runs are not to be compared, ratios are: the clock of a shared
machine wanders. So everything that is compared is timed in turn, round after round.
"""

import os
import platform
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from aeroact.console import Progress
from aeroact.errors import AeroactError
from aeroact.physics.arg2000 import Activation, arg2000, prepared
from aeroact.schema import split_state

ROUNDS = 31
"""Turns that everything gets, unless it is too slow for them."""

S4_SAMPLES, S4_BATCH, S4_REPETITIONS = 100_000, 1024, 10
"""Figure S4 of Yu et al. (2024)."""

ARG2000_STATES = 4096
"""States of a call of ARG2000: what Python adds to one does not count over so many."""

# Seconds of work in a turn, which the clock must resolve, and in all turns of one thing
# together: what takes longer gets fewer turns, one at least.
_TURN, _SHARE = 3e-3, 1.5

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


def repeat(work: Mapping[Name, Work], progress: Progress | None = None) -> dict[Name, Repeated]:
    """Do several things in turn as often as Figure S4 asks for.

    Parameters
    ----------
    work : mapping of str to callable
        What to do, by name: each call is a repetition.
    progress : Progress, optional
        Is told the finished repetitions.

    Returns
    -------
    dict of str to Repeated
        Milliseconds a repetition.
    """
    taken: dict[Name, list[float]] = {name: [] for name in work}
    for done in range(1, S4_REPETITIONS + 1):
        for name, call in work.items():
            began = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - began)
        if progress:
            progress(done)
    return {
        name: Repeated(
            **asdict(Timing.of(seconds, 1e3)),
            mean=1e3 * float(np.mean(seconds)),
            std=1e3 * float(np.std(seconds, ddof=1)),
        )
        for name, seconds in taken.items()
    }


def rows(x: NDArray[np.floating], n: int) -> NDArray[np.float32]:
    """Return n states, shape (n, 16), taken over and over where there are fewer."""
    return np.ascontiguousarray(x[np.arange(n) % len(x)], np.float32)


def call(session: Any, x: NDArray[np.float32]) -> Work:
    """Return a prediction of states, shape (n, 16), as one call of an ONNX Runtime session."""
    outputs, feed, run = ["fn"], {"state": x}, session.run
    return lambda: run(outputs, feed)


def in_batches(session: Any, x: NDArray[np.float32], batch: int) -> Work:
    """Return a prediction of states, shape (n, 16), a batch at a time."""
    calls = [call(session, x[i : i + batch]) for i in range(0, len(x), batch)]
    return lambda: [call() for call in calls]


def arg2000_kernel(x: NDArray[np.floating], n: int = ARG2000_STATES) -> Callable[[], Activation]:
    """Return ARG2000's compiled kernel, ready to compute n states.

    Parameters
    ----------
    x : ndarray, shape (m, 16)
        States, taken over and over; those that it would skip as invalid are left out.
    n : int
        States a call.

    Raises
    ------
    AeroactError
        If none is valid.
    """

    def arguments(x: NDArray[np.floating]) -> dict[str, NDArray[np.floating]]:
        return {name: values for name, values in split_state(x).items() if name != "rh"}

    valid = x[arg2000(**arguments(x)).ok]
    if not len(valid):
        raise AeroactError("ARG2000 cannot be timed: none of the states is valid input to it")
    return prepared(**arguments(rows(valid, n)))


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
