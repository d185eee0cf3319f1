"""Make `pyrcel_cases.json`: what pyrcel 2.0 says of random parcels and of single particles.

    pip install -e '.[reference]'
    python tests/aeroact/physics/data/make_pyrcel_cases.py

Only pyrcel computes here, so that the file owes nothing to what it tests.  The bins are written
out once more from their definition: 50 equal steps of ln r in +-4 sigma of each mode, with the
midpoint's density.  Particles with a critical supersaturation over 15 % are left out as in
aeroact: they cannot activate below that peak and hold next to no water, but pyrcel cannot find the
equilibrium of the smallest.  So that all parcels have one shape, and pyrcel compiles once, the
places of those left out are taken by copies of a particle of the same parcel, none in number.

A parcel of which pyrcel finds no maximum is kept among the `rejected` with the reason, and another
is drawn.  Nobody looks at aeroact's answer in this.
"""

import importlib.metadata
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pyrcel.equilibrate import equilibrate_initial_state, equilibrate_radii, kohler_crit
from pyrcel.integrator import find_smax
from pyrcel.parcel_aux import parcel_ode_sys_jit
from pyrcel.thermo import Seq

PACKAGES = ("pyrcel", "jax", "diffrax", "numpy")
SEED = 20240607
SIGMA_G = (1.8, 1.6, 1.8, 1.6)
MAM4_COUNT = 24
WIDEST_COUNT = 48
BINS = 50
MAX_CRITICAL = 0.15
RTOL = 1e-10  # at 1e-8, flat and low maxima are wrong by up to 7e-5
BULK_ATOL = (1e-7, 1e-5, 1e-8, 1e-13, 1e-13, 1e-7, 1e-11)
RADIUS_ATOL = 1e-15
MAX_STEPS = 10_000
ASCENT = 3000.0  # m
FLAT = 1e-7  # m-1; ascent alone raises the supersaturation by about 5e-4 a metre

State = dict[str, Any]


def mam4_state(rng: np.random.Generator) -> State:
    """Sizes as MAM4 has them, and all of the vapour that hits a droplet sticks."""
    log_number = rng.uniform((1.0, 1.0, -2.0, 0.0), (3.3, 3.5, 0.7, 3.0))
    log_radius = rng.uniform(*np.log10([(0.027, 0.0087, 0.5, 0.01), (0.22, 0.026, 2.0, 0.05)]))
    return {
        "tair": rng.uniform(248.0, 310.0),
        "pressure": rng.uniform(500.0, 1050.0),
        "rh": rng.uniform(0.95, 0.99),
        "wbar": 10.0 ** rng.uniform(1.0, 2.7),
        "num_aer": 10.0**log_number,
        "r_aer": 10.0**log_radius,
        "kappa": [*rng.uniform((0.1, 0.1, 0.05), 1.2), 10.0 ** rng.uniform(-2.0, -0.3)],
        "accommodation": 1.0,
    }


def widest_state(rng: np.random.Generator) -> State:
    """Four modes alike, in the ranges of Silva et al. (2021), doi:10.5194/gmd-14-3067-2021."""
    return {
        "tair": rng.uniform(248.0, 310.0),
        "pressure": rng.uniform(500.0, 1050.0),
        "rh": rng.uniform(0.9, 0.99),
        "wbar": 10.0 ** rng.uniform(0.0, 3.0),
        "num_aer": 10.0 ** rng.uniform(1.0, 4.0, 4),
        "r_aer": 10.0 ** rng.uniform(-3.0, 1.0, 4),
        "kappa": rng.uniform(0.0, 1.2, 4),
        "accommodation": rng.uniform(0.1, 1.0),
    }


def rounded(state: State) -> State:
    """Six digits of every number, so that the file holds exactly what was solved."""
    return {
        name: [float(f"{v:.6g}") for v in values] if np.ndim(values) else float(f"{values:.6g}")
        for name, values in state.items()
    }


def critical_supersaturation(tair: float, dry: np.ndarray, kappa: np.ndarray) -> np.ndarray:
    """Maximum of the Koehler curves, near enough to tell the particles over 15 %."""
    wet = dry * np.geomspace(1.0001, 1e4, 4000)[:, None]
    return np.asarray(Seq(wet, dry, tair, kappa)).max(axis=0)


def bins_of(state: State) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dry radius (m), kappa and number (m-3)."""
    width = 8.0 / BINS
    z = -4.0 + width * (np.arange(BINS) + 0.5)
    weight = width * np.exp(-(z**2) / 2.0) / np.sqrt(2.0 * np.pi)
    modes = zip(state["num_aer"], state["r_aer"], state["kappa"], SIGMA_G, strict=True)
    dry, kappa, number = np.hstack(
        [(r * 1e-6 * sigma**z, np.full(BINS, k), n * 1e6 * weight) for n, r, k, sigma in modes]
    )
    critical = critical_supersaturation(state["tair"], dry, kappa)
    left_out = critical > MAX_CRITICAL
    copied = np.argmin(critical)
    dry[left_out], kappa[left_out], number[left_out] = dry[copied], kappa[copied], 0.0
    return dry, kappa, number


def solve(state: State) -> dict[str, float] | str:
    """Maximum supersaturation and the temperature (K) there, or why there is none."""
    dry, kappa, number = bins_of(state)
    if not number.any():
        return "no particle with a critical supersaturation up to 15 %"
    start = equilibrate_initial_state(
        state["tair"], state["rh"] - 1.0, state["pressure"] * 100.0, dry, kappa, number
    )
    if not np.isfinite(start).all():
        return "no equilibrium at the start"
    updraft = state["wbar"] / 100.0
    parameters = (dry, number, kappa, state["accommodation"], updraft)
    tolerance = np.array([*BULK_ATOL, *[RADIUS_ATOL] * dry.size])
    end_time = ASCENT / updraft
    when, smax, end, found = find_smax(
        start, parameters, end_time, rtol=RTOL, atol=tolerance, max_steps=MAX_STEPS
    )
    if not np.isfinite(end).all():
        return "the solver returned a value that is not finite"
    if not found:
        return "no maximum within 3 km"
    # Out of steps, pyrcel returns its last state as if it were the maximum.
    tendency = parcel_ode_sys_jit(when, end, parameters)
    if abs(float(tendency[6])) > FLAT * updraft:
        return f"the solver stopped {float(end[0]):.0f} m up without a maximum"
    if not 0.0 < smax < MAX_CRITICAL:
        return f"the maximum, {float(smax):.3f}, is not between 0 and 15 %"
    return {"smax": float(smax), "tpeak": float(end[2])}


def solve_parcels(
    draw: Callable[[np.random.Generator], State], rng: np.random.Generator, count: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Draw states until pyrcel has solved `count`; those, and the ones that it did not solve."""
    solved: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    while len(solved) < count:
        state = rounded(draw(rng))
        answer = solve(state)
        print(f"{len(solved):3d} solved, {len(rejected):3d} rejected: {answer}", flush=True)
        if isinstance(answer, str):
            rejected.append({"state": state, "reason": answer})
        else:
            solved.append({"state": state, **answer})
    return solved, rejected


def solve_particles(rng: np.random.Generator, count: int) -> list[dict[str, float]]:
    """Exact Koehler maxima and equilibrium wet radii of single particles."""
    rows = []
    for _ in range(count):
        tair, rh = rng.uniform(230.0, 310.0), rng.uniform(0.3, 0.995)
        dry, kappa = 10.0 ** rng.uniform(-8.2, -5.5), 10.0 ** rng.uniform(-2.0, 0.1)
        critical = kohler_crit(tair, dry, kappa)
        wet = equilibrate_radii(tair, rh - 1.0, np.array([dry]), np.array([kappa]))[0]
        rows.append(
            {
                "tair": tair,
                "rh": rh,
                "dry_radius": dry,
                "kappa": kappa,
                "critical_supersaturation": float(Seq(critical, dry, tair, kappa)),
                "wet_radius": float(wet),
            }
        )
    return rows


def main() -> None:
    """Write the file beside this script."""
    mam4, mam4_rejected = solve_parcels(mam4_state, np.random.default_rng([SEED, 0]), MAM4_COUNT)
    widest, rejected = solve_parcels(widest_state, np.random.default_rng([SEED, 1]), WIDEST_COUNT)
    header = {
        "made_by": Path(__file__).name,
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in PACKAGES},
        "seed": SEED,
        "rtol": RTOL,
        "bins": BINS,
    }
    lists = {
        "mam4": mam4,
        "widest": widest,
        "rejected": mam4_rejected + rejected,
        "particles": solve_particles(np.random.default_rng([SEED, 2]), 40),
    }
    parts = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in header.items()]
    for name, rows in lists.items():
        lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
        parts.append(f" {json.dumps(name)}: [\n{lines}\n ]")
    path = Path(__file__).with_name("pyrcel_cases.json")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
