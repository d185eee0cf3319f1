"""What physics in the loss buys: the error of the droplet number, and fractions that fall.

    python benchmarks/physics_loss.py [--rows N] [--epochs N] [--seeds N] [--data FILE]
                                      [--json FILE]

Two networks by the mean squared error alone and with either term beside it, from the same
weights and with the same batches; inputs, activation and learning rate are those of the released
emulators.  As in Step 2 the rate follows one cycle and the best epoch, by its mean squared error,
is kept.  All is measured on rows that had no part in that; the numbers of several seeds are
averaged.
"""

import argparse
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from trainings import train_all

from aeroact import dataset
from aeroact.console import print_table, progress
from aeroact.errors import AeroactError
from aeroact.generate import Job, generate
from aeroact.hpo import cache, network, workers
from aeroact.hpo.choices import Activation
from aeroact.hpo.loss import Loss
from aeroact.hpo.space import Architecture, n_params
from aeroact.hpo.training import Recipe, TrainingData, train
from aeroact.normalization import Normalization
from aeroact.schema import NUM_AER, WBAR, column_slice

SEED = 1
ARCHITECTURES: tuple[Architecture, ...] = ((64, 64, 64), (32, 32, 32))
LOSSES = (
    Loss(),
    Loss(droplet_weight=1.0),
    Loss(droplet_weight=10.0),
    Loss(monotony_weight=1.0),
    Loss(monotony_weight=10.0),
    Loss(droplet_weight=1.0, monotony_weight=1.0),
)
TRANSFORM = "koehler"
ACTIVATION: Activation = "relu2"
BATCH, LEARNING_RATE = 1024, 3e-3
# Of the rows to learn from: for validation and for the test; and for parcels without a label.
VALIDATION, TEST, SPARE = 0.05, 0.1, 0.02

FASTER = 1.1  # updraft, over what it was
FALL = 1e-3  # of a fraction, that counts


@dataclass(frozen=True)
class Case:
    """A network and how it is trained.

    Attributes
    ----------
    widths : tuple of int
        Nodes of each hidden layer.
    loss : Loss
        What is minimized.
    seed, epochs : int
        Of the weights and the batches; all epochs are run.
    folder : Path
        With the rows and their normalization.
    """

    widths: Architecture
    loss: Loss
    seed: int
    epochs: int
    folder: Path


@dataclass(frozen=True)
class Result:
    """What came of it, on the test rows.

    Attributes
    ----------
    mse : float
        Mean squared error of the fractions.
    droplets : float
        Sum of the sizes of the errors of the droplet number, per cent of the sum of the droplets.
    share_rms : float
        Root mean square of the error of the droplet number as a fraction of the aerosol number.
    falling : float
        Per cent of the fractions that fall by more than `FALL` in an updraft that is `FASTER`.
    largest_fall : float
        Of any fraction.
    cpu_seconds : float
        Of the training, its validation included.
    """

    mse: float
    droplets: float
    share_rms: float
    falling: float
    largest_fall: float
    cpu_seconds: float


def lay_out(data: Path, rows: int, folder: Path) -> int:
    """Write the rows for the trainings and the test; returns how many the test has."""
    with dataset.open_dataset(data) as ds:
        usable = dataset.check(ds).usable
        n, n_search = int(usable.sum()), round(rows * (1 + VALIDATION))
        if n <= n_search:
            raise AeroactError(f"{data}: {n:,} usable rows, needs over {n_search:,} for --rows")
        parts = dataset.split(
            usable, holdout=1 - n_search / n, validation=1 - rows / n_search, seed=SEED
        )
        x, fn = dataset.take(ds, np.flatnonzero(parts.holdout))
        np.savez(folder / "test.npz", x=x, fn=fn)
        cache.lay_out(ds, parts, TRANSFORM, folder).save(folder / "normalization.json")
    return len(x)


def try_one(case: Case, report: workers.Report) -> Result:
    """Train and test in a worker."""
    normalization = Normalization.load(case.folder / "normalization.json")
    recipe = Recipe(
        case.epochs,
        None,
        BATCH,
        LEARNING_RATE,
        "onecycle",
        keep_best=True,
        loss=case.loss,
        activation=ACTIVATION,
    )
    data = TrainingData.load(case.folder)
    began = time.process_time()
    weights, _ = train(case.widths, data, recipe, [case.seed], lambda *e: report(e), normalization)
    seconds = time.process_time() - began
    model = network.build(case.widths, weights, ACTIVATION)
    test = np.load(case.folder / "test.npz")
    x, fn = test["x"], test["fn"]
    faster = x.copy()
    faster[:, column_slice(WBAR)] *= FASTER
    predicted, later = (network.predict(model, normalization.apply(s)) for s in (x, faster))
    return measure(x, fn, predicted, later, seconds)


def measure(
    x: NDArray[np.floating],
    fn: NDArray[np.floating],
    predicted: NDArray[np.floating],
    faster: NDArray[np.floating],
    seconds: float,
) -> Result:
    """Hold predictions, also those for a faster updraft, against the fractions of the states."""
    number = np.asarray(x[:, column_slice(NUM_AER)], np.float64)
    error = np.asarray(predicted, np.float64) - fn
    droplets = (number * error).sum(axis=1)
    falls = np.asarray(predicted, np.float64) - faster
    return Result(
        mse=float(np.mean(error**2)),
        droplets=float(100 * np.abs(droplets).sum() / (number * fn).sum()),
        share_rms=float(np.sqrt(np.mean((droplets / np.maximum(number.sum(axis=1), 1e-6)) ** 2))),
        falling=float(100 * np.mean(falls > FALL)),
        largest_fall=float(max(falls.max(), 0.0)),
        cpu_seconds=seconds,
    )


def mean(results: list[Result]) -> Result:
    """Average over seeds."""
    return Result(*np.mean([list(vars(result).values()) for result in results], axis=0).tolist())


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=240_000, help="to learn from")
    parser.add_argument("--epochs", type=int, default=100, help="of each training")
    parser.add_argument("--seeds", type=int, default=2, help="trainings that are averaged")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--data", type=Path, help="dataset to use; simulated where there is none")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args()

    with TemporaryDirectory() as directory:
        folder = Path(directory)
        data = options.data or folder / "data.nc"
        if not data.exists():
            parcels = round((1 + VALIDATION + TEST + SPARE) * options.rows)
            generate(data, Job(n=parcels, seed=SEED), progress=progress)
        test_rows = lay_out(data, options.rows, folder)
        trained = train_all(
            [
                Case(widths, loss, seed, options.epochs, folder)
                for widths in ARCHITECTURES
                for loss in LOSSES
                for seed in range(options.seeds)
            ],
            try_one,
            options.workers,
        )

    table = Table(
        title=f"On {test_rows:,} test rows, {options.epochs} epochs of {options.rows:,} rows, "
        f"mean of {options.seeds} seeds"
    )
    table.add_column("network")
    for heading in (
        *("droplet weight", "monotony weight", "CPU s", "MSE", "droplets, %", "share RMS"),
        *("falling, %", "largest fall"),
    ):
        table.add_column(heading, justify="right")
    for widths in ARCHITECTURES:
        for loss in LOSSES:
            of_case = [
                r for case, r in trained.items() if (case.widths, case.loss) == (widths, loss)
            ]
            result = mean(of_case)
            table.add_row(
                "-".join(map(str, widths)),
                f"{loss.droplet_weight:g}",
                f"{loss.monotony_weight:g}",
                f"{result.cpu_seconds:.0f}",
                f"{result.mse:.2e}",
                f"{result.droplets:.3f}",
                f"{result.share_rms:.2e}",
                f"{result.falling:.3f}",
                f"{result.largest_fall:.4f}",
            )
    print_table(table)
    if options.json:
        content = {
            "seeds": options.seeds,
            "rows": options.rows,
            "test_rows": test_rows,
            "epochs": options.epochs,
            "batch_size": BATCH,
            "learning_rate": LEARNING_RATE,
            "transform": TRANSFORM,
            "activation": ACTIVATION,
            "trainings": [
                {
                    "widths": case.widths,
                    "parameters": n_params(case.widths),
                    **vars(case.loss),
                    "seed": case.seed,
                    **asdict(result),
                }
                for case, result in trained.items()
            ],
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
