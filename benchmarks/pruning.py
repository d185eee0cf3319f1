"""What `--prune` spends in Step 1, and what it keeps of the best trials.

    python benchmarks/pruning.py [--parcels N] [--trials N] [--seed N] [--work FOLDER] [--json FILE]

Three searches over the same architectures, on as many training rows as the default settings
have: without pruning and by either rule.  A trial of the unpruned search's top ten is kept if
it is in the top ten of the pruned one.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.table import Table

from aeroact.console import print_table, progress
from aeroact.generate import Job, generate
from aeroact.hpo.folder import RunFolder

RULES = ("none", "median", "asha")
TOP = 10
MAX_FRACTION, MIN_KEPT = 0.5, 9


@dataclass(frozen=True)
class Search:
    """What a search spent and found.

    Attributes
    ----------
    epochs : int
        Trained in all, those beyond the settled end of a trial included.
    settled : int
        Of them, those that count.
    seconds : float
        Of training, all workers together.
    pruned, failed : int
        Trials that ended so.
    top : list of str
        The best trials by validation MSE, best first.
    """

    epochs: int
    settled: int
    seconds: float
    pruned: int
    failed: int
    top: list[str]


def search(data: Path, out: Path, rule: str, options: argparse.Namespace) -> Search:
    """Run Step 1 by the command, or go on with it, and read what it wrote."""
    command = {
        "--data": data,
        "--out": out,
        "--trials": options.trials,
        "--seed": options.seed,
        "--p-subset": 1.0,
        "--max-params": 20_000,
        "--workers": options.workers,
        "--prune": rule,
    }
    program = Path(sys.executable).with_name("aeroact-hpo")
    words = [str(word) for pair in command.items() for word in pair]
    subprocess.run([program, "step1", *words], check=True)
    return read(out)


def read(out: Path) -> Search:
    """Read a finished Step 1: its table, and its journal for what was spent."""
    folder = RunFolder(out)
    trials = folder.journal.finished(1).values()
    with folder.step1_table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    ranked = sorted((row for row in rows if row["rank"]), key=lambda row: int(row["rank"]))
    return Search(
        epochs=sum(len(trial.val_mse) for trial in trials),
        settled=sum(int(row["epochs"]) for row in rows),
        seconds=sum(trial.seconds for trial in trials),
        pruned=sum(row["status"] == "PRUNED" for row in rows),
        failed=sum(row["status"] == "FAILED" for row in rows),
        top=[row["trial"] for row in ranked[:TOP]],
    )


def run_all(work: Path, options: argparse.Namespace) -> dict[str, Search]:
    """Make the data and search by each rule."""
    data = work / "data.nc"
    generate(data, Job(n=options.parcels, seed=options.seed), progress=progress)
    return {rule: search(data, work / rule, rule, options) for rule in RULES}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parcels", type=int, default=60_000, help="rows of the dataset")
    parser.add_argument("--trials", type=int, default=120, help="trials of each search")
    parser.add_argument("--seed", type=int, default=1, help="of the data and of the searches")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--work", type=Path, help="folder to keep the searches in, or go on there")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args()

    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
        found = run_all(options.work, options)
    else:
        with TemporaryDirectory() as work:
            found = run_all(Path(work), options)

    unpruned = found["none"]
    kept = {rule: len(set(result.top) & set(unpruned.top)) for rule, result in found.items()}
    fraction = {rule: result.epochs / unpruned.epochs for rule, result in found.items()}

    table = Table(title=f"Step 1 with {options.trials} trials, top {TOP} by validation MSE")
    for heading in ("rule", "epochs", "fraction", "that count", "seconds", "pruned", "failed"):
        table.add_column(heading, justify="left" if heading == "rule" else "right")
    table.add_column(f"top {TOP} kept", justify="right")
    for rule, result in found.items():
        table.add_row(
            rule,
            f"{result.epochs:,}",
            f"{fraction[rule]:.3f}",
            f"{result.settled:,}",
            f"{result.seconds:,.0f}",
            str(result.pruned),
            str(result.failed),
            str(kept[rule]),
        )
    print_table(table)
    for rule in RULES[1:]:
        good = fraction[rule] <= MAX_FRACTION and kept[rule] >= MIN_KEPT
        print(
            f"{rule}: at most {MAX_FRACTION:g} of the epochs and at least {MIN_KEPT} of the top "
            f"{TOP}: {'kept' if good else 'MISSED'}"
        )
    if options.json:
        content = {
            "parcels": options.parcels,
            "trials": options.trials,
            "seed": options.seed,
            "workers": options.workers,
            "rules": {
                rule: asdict(result) | {"fraction": fraction[rule], "top_kept": kept[rule]}
                for rule, result in found.items()
            },
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
