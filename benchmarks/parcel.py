"""How many parcels a second one core and two simulate, against pyrcel, and how many states ARG2000.

    python benchmarks/parcel.py [--parcels N] [--columns FILE] [--pyrcel N] [--json FILE]

pyrcel is measured on the same states and bins, on the same core, in the same process, where it
is installed (`pip install -e '.[reference]'`).  Nobody's compilation counts.
"""

import argparse
import csv
import importlib.util
import json
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from aeroact.console import print_table
from aeroact.mam4 import MIN_UPDRAFT
from aeroact.physics.activation import Status
from aeroact.physics.arg2000 import arg2000
from aeroact.physics.bins import even_quadrature
from aeroact.physics.parcel import simulate
from aeroact.schema import MODES, split_state
from aeroact.states import sample_rows

BINS = 50
RTOL = 1e-4
REPEATS = 3
ASCENT = 3000.0  # m, after which pyrcel gives a parcel up
States = dict[str, Any]


def sampled(n: int, seed: int = 0) -> States:
    """States of the package's own sampler."""
    return dict(split_state(sample_rows(0, n, seed)))


def e3sm_like(n: int, seed: int = 0) -> States:
    """States as E3SM has them: sizes within MAM4's bounds, nearly insoluble primary carbon."""
    rng = np.random.default_rng(seed)
    return {
        "tair": rng.uniform(235.0, 300.0, n),
        "pressure": rng.uniform(300.0, 1030.0, n),
        "rh": rng.uniform(0.3, 1.04, n),
        "wbar": 10.0 ** rng.uniform(1.0, 2.0, n),
        "num_aer": _log_uniform(rng, n, (3.0, 0.5, 1e-2, 1.0), (1000.0, 3000.0, 5.0, 500.0)),
        "r_aer": _log_uniform(rng, n, (0.03, 0.009, 0.5, 0.01), (0.2, 0.026, 1.5, 0.05)),
        "kappa": _log_uniform(rng, n, (0.1, 0.1, 0.05, 1e-9), (0.6, 0.6, 1.1, 1e-6)),
    }


def widest(n: int, seed: int = 0) -> States:
    """States of every mode alike: Silva et al. (2021), doi:10.5194/gmd-14-3067-2021."""
    rng = np.random.default_rng(seed)
    return {
        "tair": rng.uniform(248.0, 310.0, n),
        "pressure": rng.uniform(500.0, 1050.0, n),
        "rh": rng.uniform(0.7, 1.0, n),
        "wbar": 10.0 ** rng.uniform(0.0, 3.0, n),
        "num_aer": _log_uniform(rng, n, (10.0,) * 4, (1e4,) * 4),
        "r_aer": _log_uniform(rng, n, (1e-3,) * 4, (10.0,) * 4),
        "kappa": rng.uniform(0.0, 1.2, (n, 4)),
    }


def _log_uniform(
    rng: np.random.Generator, n: int, low: tuple[float, ...], high: tuple[float, ...]
) -> NDArray[np.float64]:
    return np.exp(rng.uniform(np.log(low), np.log(high), (n, len(low))))


def columns(path: Path) -> States:
    """Layers of E3SM's columns from a table, those that have all that a state needs."""
    bulk = ("tair_K", "pressure_hPa", "rh_liquid", "wsub_ms")
    by_mode = ("num_aer_{}_cm3", "r_aer_{}_um", "kappa_{}")
    names = [*bulk, *(name.format(mode) for name in by_mode for mode in MODES)]
    with path.open() as file:
        rows = [[row[name] for name in names] for row in csv.DictReader(file)]
    states = np.array([row for row in rows if all(row)], np.float64)
    states[:, 3] = np.maximum(100.0 * states[:, 3], MIN_UPDRAFT)
    return dict(split_state(states))


def halves(states: States) -> list[States]:
    """Cut states into their first and their second half of rows."""
    middle = states["tair"].size // 2
    cuts = (slice(middle), slice(middle, None))
    return [{name: values[cut] for name, values in states.items()} for cut in cuts]


def best_time(work: Callable[[], object]) -> float:
    """Shortest of some repetitions, s; the first one, which compiles, does not count."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def measure_parcels(states: States, cores: set[int]) -> dict[str, Any]:
    """Parcels a second on one core, and on two by a thread each; and how the parcels ended."""
    n = states["tair"].size

    def work(some: States) -> NDArray[np.int8]:
        return simulate(**some, bins=BINS, rtol=RTOL).status

    result: dict[str, Any] = {"parcels": n, "per_second": n / best_time(lambda: work(states))}
    if len(cores) > 1:
        # A thread inherits where it may run from the one that starts it.
        pinned = os.sched_getaffinity(0)
        os.sched_setaffinity(0, sorted(cores)[:2])
        with ThreadPoolExecutor(2) as threads:
            both = best_time(lambda: list(threads.map(work, halves(states))))
        os.sched_setaffinity(0, pinned)
        result["per_second_two_threads"] = n / both
    counts = np.bincount(work(states), minlength=len(Status))
    result["status"] = {status.name: int(counts[status]) for status in Status}
    return result


def measure_arg2000(states: States) -> float:
    """States a second."""
    without_rh = {name: values for name, values in states.items() if name != "rh"}
    return states["tair"].size / best_time(lambda: arg2000(**without_rh))


def measure_pyrcel(count: int) -> dict[str, float]:
    """Seconds a parcel of pyrcel and of this package on the same states and bins, and the ratio."""
    from pyrcel.equilibrate import equilibrate_initial_state
    from pyrcel.integrator import find_smax

    states = e3sm_like(count, seed=1)
    states["rh"] = np.full(count, 0.98)
    # pyrcel cannot start from nearly insoluble particles.
    states["kappa"][:, 3] = 0.05
    bins = even_quadrature(BINS)
    fractions = bins.widths * np.exp(-0.5 * bins.offsets**2) / np.sqrt(2.0 * np.pi)

    def problem(i: int) -> tuple[Any, Any, float]:
        dry = (states["r_aer"][i][:, None] * 1e-6 * bins.relative_radius).ravel()
        number = (states["num_aer"][i][:, None] * 1e6 * fractions).ravel()
        kappa = np.repeat(states["kappa"][i], BINS)
        updraft = states["wbar"][i] * 0.01
        pressure = states["pressure"][i] * 100.0
        start = equilibrate_initial_state(
            states["tair"][i], states["rh"][i] - 1.0, pressure, dry, kappa, number
        )
        return start, (dry, number, kappa, 1.0, updraft), ASCENT / updraft

    # Its own solve to Smax is timed alone: finding the start would cost it as much again.
    problems = [problem(i) for i in range(count)]

    def solve(i: int) -> float:
        _, smax, _, found = find_smax(*problems[i])
        return float(smax) if found else float("nan")

    solve(0)  # compiles
    start = time.perf_counter()
    theirs = np.array([solve(i) for i in range(count)])
    pyrcel_seconds = (time.perf_counter() - start) / count
    ours = simulate(**states, physics="pyrcel", bins=BINS, rtol=RTOL)
    our_seconds = (
        best_time(lambda: simulate(**states, physics="pyrcel", bins=BINS, rtol=RTOL)) / count
    )
    return {
        "parcels": count,
        "pyrcel_seconds": pyrcel_seconds,
        "aeroact_seconds": our_seconds,
        "ratio": pyrcel_seconds / our_seconds,
        "largest_relative_difference_of_smax": float(np.nanmax(np.abs(ours.smax / theirs - 1.0))),
        "compared": int(np.isfinite(ours.smax / theirs).sum()),
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parcels", type=int, default=4000, help="parcels to a set of states")
    parser.add_argument("--columns", type=Path, help="table of E3SM's columns to time as well")
    parser.add_argument("--pyrcel", type=int, default=10, help="parcels that pyrcel solves")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args()
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})

    makers = {"sampler": sampled, "E3SM-like": e3sm_like, "widest ranges": widest}
    sets = {name: make(options.parcels) for name, make in makers.items()}
    if options.columns:
        sets["E3SM columns"] = columns(options.columns)
    parcels = {name: measure_parcels(states, cores) for name, states in sets.items()}
    arg = {name: measure_arg2000(make(50 * options.parcels)) for name, make in makers.items()}

    table = Table(title=f"{BINS} bins a mode, rtol {RTOL:g}")
    headings = ("states", "parcels/s", "on two cores", *(status.name for status in Status))
    for heading in (*headings, "ARG2000 states/s"):
        table.add_column(heading, justify="left" if heading == "states" else "right")
    for name, result in parcels.items():
        on_two = result.get("per_second_two_threads")
        table.add_row(
            name,
            f"{result['per_second']:,.0f}",
            f"{on_two:,.0f}" if on_two else "",
            *(f"{count:,}" for count in result["status"].values()),
            f"{arg[name]:,.0f}" if name in arg else "",
        )
    print_table(table)

    against = None
    if importlib.util.find_spec("pyrcel") is None:
        print("pyrcel is not installed, so not compared: pip install -e '.[reference]'")
    else:
        against = measure_pyrcel(options.pyrcel)
        print(
            f"pyrcel {against['pyrcel_seconds']:.3g} s, aeroact {against['aeroact_seconds']:.3g} s "
            f"a parcel: {against['ratio']:,.0f} times; Smax differs by "
            f"{against['largest_relative_difference_of_smax']:.1e} at the most "
            f"({against['compared']} of {against['parcels']} parcels)"
        )
    if options.json:
        content = {
            "machine": {
                "processor": platform.processor() or platform.machine(),
                "cores": os.cpu_count(),
                "python": platform.python_version(),
            },
            "bins": BINS,
            "rtol": RTOL,
            "parcels": parcels,
            "arg2000_per_second": arg,
            "pyrcel": against,
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
