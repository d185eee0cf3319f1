"""How far the default settings are from convergence, and the preset `pyrcel` from pyrcel 2.0.

    python benchmarks/accuracy.py [--parcels N] [--json FILE] [--figure FILE]

The converged answer is that of the same model with eight times the bins and a hundredth of the
tolerance.  pyrcel's is read from the frozen cases of the tests, for the same bins.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from aeroact.console import print_table, progress
from aeroact.physics.parcel import simulate
from aeroact.references import parcel
from aeroact.schema import MODES, split_state
from aeroact.states import sample_rows

ROOT = Path(__file__).resolve().parents[1]
PYRCEL_CASES = ROOT / "tests" / "aeroact" / "physics" / "data" / "pyrcel_cases.json"
SEED = 11
BINS, RTOL = 400, 1e-6

P99_BOUND, MAX_BOUND, SMAX_BOUND = 5e-4, 2e-3, 1e-4


def converged_fractions(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fractions of states of shape (n, 16), converged, shape (n, 4); on all cores."""
    with progress("converged parcels", len(rows)) as show:
        return parcel(rows, bins=BINS, rtol=RTOL, progress=show).fn


def compare_with_pyrcel() -> dict[str, list[Any]]:
    """Maximum supersaturation of the frozen cases, and its relative difference from pyrcel's."""
    content = json.loads(PYRCEL_CASES.read_text())
    result: dict[str, list[Any]] = {"kind": [], "smax": [], "difference": []}
    for kind in ("mam4", "widest"):
        for case in content[kind]:
            ours = simulate(**case["state"], physics="pyrcel", bins=content["bins"]).smax[0]
            result["kind"].append(kind)
            result["smax"].append(case["smax"])
            result["difference"].append(float(ours / case["smax"] - 1.0))
    return result


def summary(errors: NDArray[np.float64]) -> dict[str, float]:
    """Median, 99th percentile and maximum of absolute errors."""
    median, p99 = np.percentile(errors, (50.0, 99.0))
    return {"median": float(median), "p99": float(p99), "max": float(errors.max())}


def draw(errors: NDArray[np.float64], pyrcel: dict[str, list[Any]], path: Path) -> None:
    """Draw how errors are distributed, and the differences from pyrcel.

    Parameters
    ----------
    errors : ndarray, shape (n, 4)
        Absolute errors of the fractions.
    pyrcel : dict
        What `compare_with_pyrcel` returns.
    path : Path
        PNG file to write.
    """
    sys.path.append(str(ROOT / "docs" / "figures"))
    import matplotlib.pyplot as plt
    import style

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.8))
    part = np.arange(1, len(errors) + 1)[::-1] / len(errors)
    for mode, name in enumerate(style.MODE_NAMES):
        colour, line = style.MODE_COLOURS[mode], style.MODE_LINES[mode]
        left.plot(np.sort(errors[:, mode]), part, line, color=colour, label=name)
    left.plot(np.sort(errors, axis=None), np.repeat(part, 4), color="black", lw=0.8, label="all")
    left.plot(
        [P99_BOUND, P99_BOUND, MAX_BOUND, MAX_BOUND],
        [1.0, 0.01, 0.01, 0.5 / len(errors)],
        color=style.HIGHLIGHT,
        label="bounds: 99 % and all",
    )
    left.set(xscale="log", yscale="log", xlim=(1e-7, 5e-3), ylim=(0.5 / len(errors), 1.3))
    left.set(xlabel="error of the activated fraction", ylabel="part of the parcels above it")
    left.set_title(f"default settings against convergence, {len(errors):,} states")
    left.legend(loc="lower left")

    smax = 100.0 * np.array(pyrcel["smax"])
    difference = np.abs(pyrcel["difference"])
    for kind, marker, mode in (("mam4", "o", 0), ("widest", "^", 1)):
        of_kind = np.array(pyrcel["kind"]) == kind
        label = {"mam4": "MAM4's sizes", "widest": "widest ranges"}[kind]
        colour = style.MODE_COLOURS[mode]
        right.plot(smax[of_kind], difference[of_kind], marker, color=colour, ms=4, label=label)
    right.axhline(SMAX_BOUND, color=style.HIGHLIGHT, label="bound")
    right.set(xscale="log", yscale="log", ylim=(1e-8, max(3e-4, 2 * difference.max())))
    right.set(xlabel="maximum supersaturation (%)", ylabel="relative difference from pyrcel")
    right.set_title(f"preset pyrcel against pyrcel 2.0, {len(smax)} parcels")
    right.legend(loc="lower right")
    style.save(figure, path)


def main() -> None:
    """Measure, print, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parcels", type=int, default=4000, help="sampled states")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    parser.add_argument("--figure", type=Path, help="where to draw them, a PNG file")
    options = parser.parse_args()

    rows = sample_rows(0, options.parcels, SEED)
    default = simulate(*split_state(rows).values())
    converged = converged_fractions(rows)
    both = default.ok & np.isfinite(converged[:, 0])
    errors = np.abs(default.fn - converged)[both]
    results = {mode: summary(errors[:, i]) for i, mode in enumerate(MODES)}
    results["pooled"] = summary(errors)
    pyrcel = compare_with_pyrcel()
    differences = {
        kind: summary(np.abs(pyrcel["difference"])[np.array(pyrcel["kind"]) == kind])
        for kind in dict.fromkeys(pyrcel["kind"])
    }

    table = Table(title=f"Error of fn at the default settings, {len(errors):,} states; of Smax")
    for heading in ("what", "median", "p99", "max"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    named = results | {f"Smax, pyrcel, {kind}": row for kind, row in differences.items()}
    for name, row in named.items():
        table.add_row(name, *(f"{value:.1e}" for value in row.values()))
    print_table(table)
    unlike = int(np.sum(default.ok != np.isfinite(converged[:, 0])))
    print(f"no answer by either: {len(rows) - len(errors) - unlike}; by one of the two: {unlike}")
    kept = results["pooled"]["p99"] <= P99_BOUND and results["pooled"]["max"] <= MAX_BOUND
    close = max(row["max"] for row in differences.values()) <= SMAX_BOUND
    print(
        f"bounds: fn p99 {P99_BOUND:g} and max {MAX_BOUND:g} {'kept' if kept else 'EXCEEDED'}; "
        f"Smax {SMAX_BOUND:g} {'kept' if close else 'EXCEEDED'}"
    )
    if options.json:
        content = {
            "seed": SEED,
            "converged": {"bins": BINS, "rtol": RTOL},
            "parcels": len(rows),
            "compared": len(errors),
            "answered_by_one": unlike,
            "fn_error": results,
            "smax_difference": differences,
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    if options.figure:
        draw(errors, pyrcel, options.figure)


if __name__ == "__main__":
    main()
