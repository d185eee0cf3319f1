"""Make `pyrcel_cases.json`: what pyrcel 2.0 says of random parcels and of single particles.

Needs pyrcel alone, in an environment of its own:

    pip install "pyrcel==2.0.*"
    python make_pyrcel_cases.py

The bins are written out here once more, from their definition, and handed to pyrcel as they are.
"""

import importlib.metadata
import json
import platform
from pathlib import Path

import numpy as np
import pyrcel
from pyrcel.equilibrate import equilibrate_radii, kohler_crit
from pyrcel.integrator import find_smax
from pyrcel.thermo import Seq

SEED = 20240607
SIGMA_G = (1.8, 1.6, 1.8, 1.6)
COUNT = 24
BINS = 50
RTOL = 1e-8


def random_states(rng: np.random.Generator, count: int) -> list[dict]:
    """Four-mode states within the ranges of Silva et al. (2021), with MAM4's sizes."""
    states = []
    for _ in range(count):
        states.append(
            {
                "tair": rng.uniform(248.0, 310.0),
                "pressure": rng.uniform(500.0, 1050.0),
                "rh": rng.uniform(0.95, 0.99),
                "wbar": 10.0 ** rng.uniform(1.0, 2.7),
                "num_aer": [
                    10.0 ** rng.uniform(1.0, 3.3),
                    10.0 ** rng.uniform(1.0, 3.5),
                    10.0 ** rng.uniform(-2.0, 0.7),
                    10.0 ** rng.uniform(0.0, 3.0),
                ],
                "r_aer": [
                    10.0 ** rng.uniform(np.log10(0.027), np.log10(0.22)),
                    10.0 ** rng.uniform(np.log10(0.0087), np.log10(0.026)),
                    10.0 ** rng.uniform(np.log10(0.5), np.log10(2.0)),
                    10.0 ** rng.uniform(np.log10(0.01), np.log10(0.05)),
                ],
                "kappa": [
                    rng.uniform(0.1, 1.2),
                    rng.uniform(0.1, 1.2),
                    rng.uniform(0.05, 1.2),
                    10.0 ** rng.uniform(-2.0, -0.3),
                ],
            }
        )
    return states


def bins_of(state: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dry radius (m), kappa and number (m-3): 50 equal steps of ln r in +-4 sigma, midpoints."""
    width = 8.0 / BINS
    z = -4.0 + width * (np.arange(BINS) + 0.5)
    weight = width * np.exp(-(z**2) / 2.0) / np.sqrt(2.0 * np.pi)
    modes = zip(state["num_aer"], state["r_aer"], state["kappa"], SIGMA_G, strict=True)
    dry, kappa, number = [], [], []
    for n, r, k, sigma in modes:
        dry.append(r * 1e-6 * sigma**z)
        kappa.append(np.full(BINS, k))
        number.append(n * 1e6 * weight)
    return np.concatenate(dry), np.concatenate(kappa), np.concatenate(number)


def smax_of(state: dict) -> tuple[float, float, bool]:
    """Maximum supersaturation, the temperature there, and whether pyrcel found a maximum."""
    dry, kappa, number = bins_of(state)
    start = pyrcel.equilibrate.equilibrate_initial_state(
        state["tair"], state["rh"] - 1.0, state["pressure"] * 100.0, dry, kappa, number
    )
    updraft = state["wbar"] / 100.0
    atol = np.array([1e-6, 1e-4, 1e-7, 1e-12, 1e-12, 1e-6, 1e-10] + [1e-14] * dry.size)
    _, smax, end, found = find_smax(
        start, (dry, number, kappa, 1.0, updraft), 1500.0 / updraft, rtol=RTOL, atol=atol
    )
    return float(smax), float(end[2]), bool(found)


def particles(rng: np.random.Generator, count: int) -> list[dict]:
    """Exact Koehler maxima and equilibrium wet radii of single particles."""
    rows = []
    for _ in range(count):
        tair, rh = rng.uniform(230.0, 310.0), rng.uniform(0.3, 0.995)
        dry, kappa = 10.0 ** rng.uniform(-8.2, -5.5), 10.0 ** rng.uniform(-2.0, 0.1)
        critical = kohler_crit(tair, dry, kappa)
        wet = equilibrate_radii(tair, rh - 1.0, [dry], [kappa])[0]
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
    rng = np.random.default_rng(SEED)
    cases: list[dict] = []
    for state in random_states(rng, COUNT):
        smax, tpeak, found = smax_of(state)
        print(f"{len(cases):3d}  smax {smax:.6e}  T {tpeak:.3f} K  found {found}", flush=True)
        if not found:
            raise RuntimeError(f"pyrcel found no maximum: {state}")
        cases.append({"state": state, "smax": smax, "tpeak": tpeak})
    packages = ("pyrcel", "jax", "diffrax", "numpy")
    content = {
        "made_by": Path(__file__).name,
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in packages},
        "seed": SEED,
        "rtol": RTOL,
        "bins": BINS,
        "parcels": cases,
        "particles": particles(rng, 40),
    }
    path = Path(__file__).with_name("pyrcel_cases.json")
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
