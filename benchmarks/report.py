"""How long the report of large searches takes: four projects of 10,000 trials each.

    python benchmarks/report.py [--trials N] [--json FILE]

Nothing is trained: the records are made up, 60 epochs a trial, 50 networks retrained a
project. The clock runs over the whole command without what depends on the networks (the
holdout and their times on one core), and once for Python and its packages alone, which is
the other side.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.table import Table

from aeroact.console import print_table
from aeroact.hpo.config import Project
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.journal import Trial
from aeroact.hpo.shortlist import shortlist
from aeroact.hpo.space import Space, n_params
from aeroact.hpo.tables import write_step1, write_step2

SUBSETS = (0.05, 0.25, 0.50, 1.00)
EPOCHS, RETRAINED = 60, 50


def made_up(path: Path, p_subset: float, trials: int) -> Path:
    """Write the folder of a finished search."""
    folder = RunFolder(path)
    project = Project(p_subset=p_subset, trials=trials, retrain=RETRAINED, max_params=None)
    path.mkdir(parents=True)
    folder.begin(project)
    rng = np.random.default_rng(round(100 * p_subset))
    curve = 1 + 20 * np.exp(-np.arange(EPOCHS) / 5)
    first = {}
    for number, candidate in zip(range(trials), Space().draw(1), strict=False):
        mse = (curve * rng.lognormal(-9, 1) / p_subset**0.3).tolist()
        name, seconds = f"{number:05d}", n_params(candidate.widths) * p_subset / 1e4
        times = {"started": 1.0, "ended": 1.0 + seconds, "seconds": seconds}
        first[name] = Trial(1, name, candidate.widths, "COMPLETED", mse=mse, val_mse=mse, **times)
    errors = {"mse_by_mode": [1e-5] * 4, "r2_by_mode": [0.999] * 4, "rows": 1000, "r2": 0.999}
    second = {
        t.name: Trial(2, t.name, t.widths, "COMPLETED", seconds=20 * t.seconds, mse=t.mse,
                      val_mse=t.val_mse, holdout={**errors, "mse": t.best_val_mse / 3})
        for t in shortlist(first, project)
    }  # fmt: skip
    write_step1(folder.step1_table, first)
    write_step2(folder.step2_table, f"P{p_subset:.2f}", first, second)
    records = (asdict(trial) for trial in (*first.values(), *second.values()))
    folder.journal.path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


def seconds(*command: object) -> float:
    """Return how long a command takes."""
    began = time.perf_counter()
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How long the report of large searches takes.")
    parser.add_argument("--trials", type=int, default=10_000, help="of each project")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    report = Path(sys.executable).parent / "aeroact-hpo", "report"
    leave_out = ("--no-holdout", "--no-timing")
    with tempfile.TemporaryDirectory() as folder:
        runs = [made_up(Path(folder) / f"P{p}", p, arguments.trials) for p in SUBSETS]
        out = ("--out", Path(folder) / "report")
        took = {
            "Python and its packages": seconds(
                sys.executable, "-c", "import aeroact.hpo.report.build, matplotlib.figure"
            ),
            "one project": seconds(*report, runs[0], *out, *leave_out),
            "four projects": seconds(*report, *runs, *out, *leave_out),
        }
        size = (Path(folder) / "report" / "report.html").stat().st_size
    title = f"A report on {arguments.trials:,} trials a project; its page has {size / 1e6:.1f} MB"
    table = Table("what", "seconds", "ratio", title=title)
    for name, value in took.items():
        table.add_row(name, f"{value:.1f}", f"{value / took['Python and its packages']:.1f}")
    print_table(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(took, indent=1) + "\n")


if __name__ == "__main__":
    main()
