"""A search on a file of ten million rows, and the memory that its largest process takes.

    python benchmarks/holdout.py [--rows N] [--json FILE]

The real command, both steps with little training: what is shown is that neither the check, the
split, the normalization nor the test on the holdout needs the rows in memory. The labels are
ARG2000's, which is quick; they have the parcel model's shape.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from aeroact import dataset
from aeroact.console import print_table, progress
from aeroact.physics.arg2000 import arg2000
from aeroact.schema import split_state
from aeroact.states import sample_rows

if TYPE_CHECKING:
    import xarray as xr

BOUND_GB = 2.0
BLOCK = 1 << 18
COMMAND = Path(sys.executable).parent / "aeroact-hpo"
LITTLE = ["--trials=1", "--p-subset=0.01", "--max-params=3000", "--max-layers=2", "--epochs=1"]
LITTLE += ["--retrain=1", "--retrain-epochs=2", "--learning-rate=0.01", "--workers=1"]


def write(path: Path, rows: int) -> None:
    """Write a dataset of sampled states with ARG2000's fractions."""

    def blocks() -> "Iterator[xr.Dataset]":
        with progress("rows written", rows) as show:
            for start in range(0, rows, BLOCK):
                stop = min(start + BLOCK, rows)
                x = sample_rows(start, stop, seed=1)
                columns = split_state(x)
                del columns["rh"]
                fn = np.clip(arg2000(**columns).fn, 0.0, 1.0)
                yield dataset.from_arrays(x.astype(np.float32), fn.astype(np.float32))
                show(stop)

    dataset.write_blocks(path, blocks(), rows=rows, title="benchmark", command="holdout.py")


def search(data: Path, out: Path) -> dict[str, Any]:
    """Run the command; returns seconds, the peak memory of its largest process, and its result."""
    started = time.perf_counter()
    command = [COMMAND, "run", "--data", data, "--out", out, *LITTLE]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    with (out / "step2.csv").open() as file:
        row = next(csv.DictReader(file))
    record = [json.loads(line) for line in (out / "trials.jsonl").open()][-1]
    return {
        "seconds": seconds,
        # In kilobytes; of the largest among the command and its workers.
        "peak_gb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6,
        "holdout_rows": record["holdout"]["rows"],
        "holdout_seconds": record["ended"] - record["started"] - record["seconds"],
        "test_mse": float(row["test_mse"]),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data.nc"
        write(data, args.rows)
        result = {
            "rows": args.rows,
            "file_gb": data.stat().st_size / 1e9,
            **search(data, Path(name) / "run"),
        }
    table = Table(title=f"Both steps on {args.rows:,} rows")
    for heading in ("", "value"):
        table.add_column(heading, justify="right")
    table.add_row("file (GB)", f"{result['file_gb']:.2f}")
    table.add_row("seconds in all", f"{result['seconds']:.0f}")
    table.add_row("holdout rows", f"{result['holdout_rows']:,}")
    table.add_row("seconds for the holdout", f"{result['holdout_seconds']:.0f}")
    table.add_row("peak memory of the largest process (GB)", f"{result['peak_gb']:.2f}")
    print_table(table)
    met = result["peak_gb"] < BOUND_GB
    print(f"peak memory below {BOUND_GB:g} GB: {'yes' if met else 'NO'}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
