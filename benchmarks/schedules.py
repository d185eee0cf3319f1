"""What a schedule of the learning rate buys in Step 2, at the same number of epochs.

    python benchmarks/schedules.py [--rows N] [--epochs N] [--data FILE] [--json FILE]
                                   [--figure FILE]

Two networks by each schedule, from the same weights and with the same batches, by the paper's
recipe: a constant rate on inputs without logarithms; and with what the released emulators have
besides: logarithms of all hygroscopicities, and squared ReLUs.  As in Step 2 the best epoch is
kept; its MSE is that on rows that had no part in picking it.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.table import Table
from trainings import train_all

from aeroact import dataset
from aeroact.console import print_table, progress
from aeroact.errors import AeroactError
from aeroact.generate import Job, generate
from aeroact.hpo import cache, network, workers
from aeroact.hpo.choices import Activation, Schedule
from aeroact.hpo.space import Architecture, n_params
from aeroact.hpo.training import Recipe, TrainingData, train
from aeroact.metrics import Errors
from aeroact.normalization import PRESETS

ROOT = Path(__file__).resolve().parents[1]
SEED = 1
ARCHITECTURES: tuple[Architecture, ...] = ((64, 64, 64), (32, 32, 32))
VALIDATION_ROWS = 20_000
# Beyond the rows to learn from: for validation and test, and for parcels without a label.
SPARE = 0.1

BATCH = 1024
LEARNING_RATES: dict[Schedule, float] = {"constant": 1e-3, "cosine": 1e-2, "onecycle": 1e-2}
"""The paper's, and ten times that where the rate comes down in the end."""


@dataclass(frozen=True)
class Case:
    """A network and how it is trained.

    Attributes
    ----------
    widths : tuple of int
        Nodes of each hidden layer.
    transform : str
        Of the inputs: a name of `normalization.PRESETS`.
    schedule : str
        Of the learning rate.
    activation : str
        Of the hidden layers.
    epochs : int
        All of which are run.
    folder : Path
        With the rows for each transform.
    """

    widths: Architecture
    transform: str
    schedule: Schedule
    activation: Activation
    epochs: int
    folder: Path

    @property
    def name(self) -> str:
        """How it is trained, in a word or two."""
        squares = ", squares" if self.activation == "relu2" else ""
        return f"{self.transform}, {self.schedule} {LEARNING_RATES[self.schedule]:g}{squares}"


@dataclass(frozen=True)
class Result:
    """What came of it.

    Attributes
    ----------
    mse : float
        Of the best epoch on the test rows.
    best : int
        That epoch, from 1 on.
    cpu_seconds : float
        Of the training, its validation included.
    val_mse : list of float
        By epoch.
    """

    mse: float
    best: int
    cpu_seconds: float
    val_mse: list[float]


def lay_out(data: Path, rows: int, folder: Path) -> int:
    """Normalize the rows for each transform; returns how many the test has."""
    with dataset.open_dataset(data) as ds:
        usable = dataset.check(ds).usable
        n, n_search = int(usable.sum()), rows + VALIDATION_ROWS
        if n <= n_search:
            raise AeroactError(f"{data}: {n:,} usable rows, needs over {n_search:,} for --rows")
        parts = dataset.split(
            usable, holdout=1 - n_search / n, validation=VALIDATION_ROWS / n_search, seed=SEED
        )
        x, fn = dataset.take(ds, np.flatnonzero(parts.holdout))
        for transform in PRESETS:
            place = folder / transform
            place.mkdir()
            normalization = cache.lay_out(ds, parts, transform, place)
            np.savez(place / "test.npz", x=normalization.apply(x), fn=fn)
    return len(x)


def cases(epochs: int, folder: Path) -> list[Case]:
    """Return what is compared, the longest trainings first."""
    recipes: list[tuple[str, Schedule, Activation]] = [("zscore", "constant", "relu")]
    recipes += [("log", schedule, "relu") for schedule in LEARNING_RATES]
    recipes += [("koehler", "onecycle", "relu"), ("koehler", "onecycle", "relu2")]
    return [Case(widths, *recipe, epochs, folder) for widths in ARCHITECTURES for recipe in recipes]


def try_one(case: Case, report: workers.Report) -> Result:
    """Train and test in a worker."""
    folder = case.folder / case.transform
    rate = LEARNING_RATES[case.schedule]
    recipe = Recipe(
        case.epochs, None, BATCH, rate, case.schedule, keep_best=True, activation=case.activation
    )
    data = TrainingData.load(folder)
    began = time.process_time()
    weights, history = train(case.widths, data, recipe, [SEED], lambda *e: report(e))
    seconds = time.process_time() - began
    errors, test = Errors(), np.load(folder / "test.npz")
    model = network.build(case.widths, weights, case.activation)
    errors.add(test["fn"], network.predict(model, test["x"]))
    return Result(errors.mse, 1 + int(np.argmin(history.val_mse)), seconds, history.val_mse)


def gain(case: Case, results: dict[Case, Result]) -> float:
    """How many times as large the MSE is at a constant rate, after the logarithm."""
    constant = replace(case, transform="log", schedule="constant", activation="relu")
    return results[constant].mse / results[case].mse


def draw(results: dict[Case, Result], path: Path) -> None:
    """Draw the validation MSE by epoch into a PNG file."""
    sys.path.append(str(ROOT / "docs" / "figures"))
    import matplotlib.pyplot as plt
    import style

    figure, axes = plt.subplots(1, len(ARCHITECTURES), figsize=(9.0, 3.8), sharey=True)
    for panel, widths in zip(axes, ARCHITECTURES[::-1], strict=True):
        shown = [case for case in results if case.widths == widths]
        colours = (*style.MODE_COLOURS[::-1], style.HIGHLIGHT, "#E69F00")  # Okabe and Ito's orange
        for case, colour in zip(shown, colours, strict=True):
            val_mse = results[case].val_mse
            panel.plot(range(1, len(val_mse) + 1), val_mse, color=colour, lw=0.8, label=case.name)
        panel.set(xlabel="epoch", yscale="log", title="-".join(map(str, widths)))
    axes[0].set_ylabel("validation MSE")
    axes[0].legend(loc="upper right")
    style.save(figure, path)


def main() -> None:
    """Measure, print, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="to learn from")
    parser.add_argument("--epochs", type=int, default=200, help="of each training")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--data", type=Path, help="dataset to use; simulated where there is none")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    parser.add_argument("--figure", type=Path, help="where to draw them, a PNG file")
    options = parser.parse_args()

    with TemporaryDirectory() as directory:
        folder = Path(directory)
        data = options.data or folder / "data.nc"
        if not data.exists():
            parcels = round((1 + SPARE) * options.rows) + 2 * VALIDATION_ROWS
            generate(data, Job(n=parcels, seed=SEED), progress=progress)
        test_rows = lay_out(data, options.rows, folder)
        results = train_all(cases(options.epochs, folder), try_one, options.workers)

    table = Table(
        title=f"Test MSE on {test_rows:,} rows, {options.epochs} epochs of {options.rows:,} rows"
    )
    texts = ("network", "inputs", "schedule", "activation")
    for heading in (*texts, "rate", "CPU s", "best", "MSE", "gain"):
        left = heading in texts
        table.add_column(heading, justify="left" if left else "right")
    for case, result in results.items():
        table.add_row(
            "-".join(map(str, case.widths)),
            case.transform,
            case.schedule,
            case.activation,
            f"{LEARNING_RATES[case.schedule]:g}",
            f"{result.cpu_seconds:.0f}",
            str(result.best),
            f"{result.mse:.2e}",
            f"{gain(case, results):.2f}",
        )
    print_table(table)
    if options.json:
        content = {
            "seed": SEED,
            "rows": options.rows,
            "validation_rows": VALIDATION_ROWS,
            "test_rows": test_rows,
            "epochs": options.epochs,
            "batch_size": BATCH,
            "trainings": [
                {
                    "widths": case.widths,
                    "parameters": n_params(case.widths),
                    "transform": case.transform,
                    "schedule": case.schedule,
                    "activation": case.activation,
                    "learning_rate": LEARNING_RATES[case.schedule],
                    "gain": gain(case, results),
                    **vars(result),
                }
                for case, result in results.items()
            ],
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    if options.figure:
        draw(results, options.figure)


if __name__ == "__main__":
    main()
