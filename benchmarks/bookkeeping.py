"""What a trial costs beside its training, after 10,000 trials, and what the records take.

    python benchmarks/bookkeeping.py [--trials N] [--epochs N] [--json FILE]

Trials that train nothing: a worker reports the errors of some epochs and is done. Ours go through
the whole of Step 1 (oracle, journal, workers, screen). KerasTuner's own oracle is brought to the
same number of trials with its files switched off, then the last ones are run with them.
"""

import argparse
import json
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.table import Table

from aeroact.console import print_table, progress
from aeroact.hpo import step1
from aeroact.hpo.attempts import Task
from aeroact.hpo.backend import load_backend
from aeroact.hpo.config import Project
from aeroact.hpo.crew import Processes
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.journal import Trial
from aeroact.hpo.standing import Standing
from aeroact.hpo.watcher import Watcher
from aeroact.hpo.workers import Report

LAST = 200
"""Trials at the end over which the cost of one is averaged."""


def no_op(task: Task, report: Report) -> step1.Tried:
    """Report as many epochs as the recipe has, without a training."""
    chance = random.Random(task.name)
    curve = [float(f"{chance.uniform(1e-5, 1e-2):.9g}") for _ in range(task.recipe.epochs)]
    for error in curve:
        report((error, error))
    return step1.Tried(mse=curve, val_mse=curve, seconds=12.345, inference_us=1.2345)


def ours(trials: int, epochs: int) -> dict[str, Any]:
    """CPU seconds of the parent for each of the last trials, and the size of the records."""
    project = Project(trials=trials, epochs=epochs, max_params=None)
    with tempfile.TemporaryDirectory() as name:
        folder = RunFolder(Path(name) / "run")
        folder.path.mkdir()
        folder.begin(project)
        ends: list[float] = []
        standing = Standing(1, trials)

        with progress("our trials", trials) as show:

            def note(trial: Trial) -> None:
                standing.add(trial)
                if trial.status != "RUNNING":
                    standing.best()
                    ends.append(time.process_time())
                    show(len(ends))

            step1.run(project, folder, {}, Processes(1, no_op), Watcher(note))
        files = [path for path in folder.path.rglob("*") if path.is_file()]
        return {
            "first_ms": 1e3 * (ends[LAST] - ends[0]) / LAST,
            "last_ms": 1e3 * (ends[-1] - ends[-1 - LAST]) / LAST,
            "megabytes": sum(path.stat().st_size for path in files) / 1e6,
            "files": len(files),
        }


def kerastuner(trials: int, epochs: int) -> dict[str, Any]:
    """Measure the same of KerasTuner's RandomSearch oracle, without any process around it."""
    from kerastuner_oracle import RandomOracle

    oracle = RandomOracle(trials + 1, writes=False)
    with tempfile.TemporaryDirectory() as name:
        oracle._set_project_dir(name, "search")
        with progress("KerasTuner's trials", trials) as show:
            for k in range(trials - LAST):
                oracle.complete_one("worker")
                show(k + 1)
            oracle.writes = True
            started = time.process_time()
            for k in range(LAST):
                oracle.complete_one("worker")
                show(trials - LAST + k + 1)
            spent = time.process_time() - started
    return {"last_ms": 1e3 * spent / LAST, "files": 3 * trials}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=50, help="that each of our trials reports")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    load_backend()
    result = {
        "trials": args.trials,
        "epochs": args.epochs,
        "load": os.getloadavg()[0],
        "ours": ours(args.trials, args.epochs),
        "kerastuner": kerastuner(args.trials, args.epochs),
    }
    mine, theirs = result["ours"], result["kerastuner"]
    table = Table(
        title=f"Book-keeping of a trial that trains nothing, after {args.trials:,} trials"
    )
    for heading in ("", "aeroact", "KerasTuner"):
        table.add_column(heading, justify="right")
    table.add_row("epochs reported", str(args.epochs), "1")
    table.add_row("CPU ms a trial, parent", f"{mine['last_ms']:.2f}", f"{theirs['last_ms']:.1f}")
    table.add_row("the same, first trials", f"{mine['first_ms']:.2f}", "")
    table.add_row("MB of records", f"{mine['megabytes']:.1f}", "")
    table.add_row("files", str(mine["files"]), f"{theirs['files']:,} (three a trial)")
    print_table(table)
    print(f"ratio of the CPU times: {theirs['last_ms'] / mine['last_ms']:.1f}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
