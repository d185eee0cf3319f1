"""How many trials an hour the search tries, against KerasTuner as the paper's scripts use it.

    python benchmarks/search.py [--trials N] [--rows N] [--epochs N] [--json FILE]

Both sides try the same architectures on the same rows, one after the other, each in a process
of its own.  KerasTuner: `RandomSearch` on `val_loss` with its default checkpoints, `Model.fit`
on NumPy arrays, early stopping; only its oracle is told which architectures to try.  It needs
`tensorboard` to write hyperparameters into callbacks that nobody asked for here, and without
that package every trial fails: where it is missing, that one step is left out.

The limit is what matrix products alone would take: 6 x parameters x rows x epochs operations
(2 forward, 4 backward) at the rate at which one core multiplies large matrices.
"""

import argparse
import importlib.util
import json
import multiprocessing
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from aeroact.console import print_table
from aeroact.hpo import workers
from aeroact.hpo.backend import load_backend, load_single_threaded
from aeroact.hpo.choices import WIDTHS
from aeroact.hpo.space import Architecture, Space, n_params
from aeroact.hpo.training import History, Recipe, TrainingData, train
from aeroact.normalization import fit
from aeroact.physics.arg2000 import arg2000
from aeroact.schema import N_INPUTS, N_OUTPUTS, split_state
from aeroact.states import sample_rows

SEED = 4
MAX_PARAMS = 200_000
BATCH, LEARNING_RATE, PATIENCE = 1024, 1e-3, 5
VALIDATION = 0.2
MATRIX = 2048


_spawn = multiprocessing.get_context("spawn")


def make_data(rows: int) -> TrainingData:
    """Sample states, normalize them, and take activated fractions of ARG2000."""
    x = sample_rows(0, rows, SEED)
    fn = arg2000(**without_humidity(x)).fn.astype(np.float32)
    n_val = round(VALIDATION * rows)
    normalization = fit([x[n_val:]])
    z = normalization.apply(x)
    return TrainingData(z[n_val:], fn[n_val:], z[:n_val], fn[:n_val])


def without_humidity(x: NDArray[np.float64]) -> dict[str, Any]:
    """Split states of shape (n, 16) into what ARG2000 takes: all but the humidity."""
    return {name: values for name, values in split_state(x).items() if name != "rh"}


def search_with_keras_tuner(
    folder: Path, architectures: list[Architecture], epochs: int
) -> dict[str, Any]:
    """Let KerasTuner try the architectures; all of it in this process, on all cores."""
    load_backend()
    import keras
    import keras_tuner
    from keras_tuner.oracles import RandomSearchOracle

    remaining = iter(architectures)

    class Oracle(RandomSearchOracle):
        def populate_space(self, trial_id: str) -> dict[str, Any]:
            widths = next(remaining)
            units = {f"units_{i}": width for i, width in enumerate(widths)}
            return {"status": "RUNNING", "values": {"num_layers": len(widths), **units}}

    class Search(keras_tuner.Tuner):
        """What `RandomSearch` is, with an oracle of ours."""

    if importlib.util.find_spec("tensorboard") is None:
        # With no callback for TensorBoard all that it does is to import tensorboard.
        Search._configure_tensorboard_dir = lambda *_: None

    def build(hp: Any) -> keras.Model:
        model = keras.Sequential([keras.Input((N_INPUTS,))])
        for i in range(hp.Int("num_layers", 1, 20)):
            model.add(keras.layers.Dense(hp.Choice(f"units_{i}", list(WIDTHS)), "relu"))
        model.add(keras.layers.Dense(N_OUTPUTS, "sigmoid"))
        model.compile(keras.optimizers.Adam(LEARNING_RATE), "mse", metrics=["mae"])
        return model

    data = TrainingData.load(folder)
    x, fn, x_val, fn_val = (np.array(a) for a in vars(data).values())
    began = time.time()
    with tempfile.TemporaryDirectory() as directory:
        oracle = Oracle(
            objective=keras_tuner.Objective("val_loss", "min"),
            max_trials=len(architectures),
            seed=SEED,
        )
        tuner = Search(oracle, build, directory=directory, project_name="search")
        tuner.search(
            x,
            fn,
            batch_size=BATCH,
            epochs=epochs,
            validation_data=(x_val, fn_val),
            callbacks=[keras.callbacks.EarlyStopping("val_loss", patience=PATIENCE)],
            verbose=0,
        )
        ended = time.time()
        trials = [oracle.trials[name] for name in oracle.end_order]
    if any(trial.status != "COMPLETED" for trial in trials) or len(trials) != len(architectures):
        raise RuntimeError(f"KerasTuner: {[(t.trial_id, t.status, t.message) for t in trials]}")
    return {
        "search_seconds": ended - began,
        "architectures": [
            [trial.hyperparameters.values[f"units_{i}"] for i in range(n)]
            for trial in trials
            for n in [trial.hyperparameters.values["num_layers"]]
        ],
        "val_mse": [trial.score for trial in trials],
    }


def search_with_aeroact(
    folder: Path, architectures: list[Architecture], epochs: int
) -> dict[str, Any]:
    """Try the architectures with our workers: one a core, one thread each."""
    tasks = ((folder, widths, [SEED, k], epochs) for k, widths in enumerate(architectures))
    n_workers = len(os.sched_getaffinity(0))
    outcomes = list(workers.run(tasks, try_one, n_workers, load_single_threaded))
    outcomes.sort(key=lambda outcome: outcome.task[2])
    if any(outcome.result is None for outcome in outcomes):
        raise RuntimeError(f"aeroact: {[outcome.message for outcome in outcomes]}")
    histories = [outcome.result for outcome in outcomes if outcome.result]
    return {
        "search_seconds": max(o.ended for o in outcomes) - min(o.started for o in outcomes),
        "architectures": [list(outcome.task[1]) for outcome in outcomes],
        "val_mse": [min(history.val_mse) for history in histories],
        "epochs": [len(history.mse) for history in histories],
    }


def try_one(task: tuple[Path, Architecture, list[int], int], report: object) -> History:
    """Train one network in a worker."""
    folder, widths, seed, epochs = task
    recipe = Recipe(epochs, PATIENCE, BATCH, LEARNING_RATE)
    return train(widths, TrainingData.load(folder), recipe, seed)[1]


def peak_rate() -> dict[str, Any]:
    """Measure how many operations a second one core does in a product of large matrices."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    load_single_threaded()
    import tensorflow as tf

    a = tf.random.normal((MATRIX, MATRIX))
    seconds = []
    for _ in range(10):
        began = time.process_time()
        tf.matmul(a, a)
        seconds.append(time.process_time() - began)
    return {"flops": 2 * MATRIX**3 / min(seconds)}


def measured(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Do work in a process of its own, and add its wall and CPU seconds to what it returns."""
    ours, theirs = _spawn.Pipe(duplex=False)
    process = _spawn.Process(target=_send, args=(theirs, work, arguments))
    began = time.time()
    process.start()
    theirs.close()
    result = ours.recv()
    process.join()
    return {"seconds": time.time() - began} | result


def _send(pipe: Connection, work: Callable[..., dict[str, Any]], arguments: Any) -> None:
    result = work(*arguments)
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_seconds = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    pipe.send(result | {"cpu_seconds": cpu_seconds})


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=32, help="architectures to try")
    parser.add_argument("--rows", type=int, default=50_000, help="of which a fifth is validation")
    parser.add_argument("--epochs", type=int, default=10, help="at most")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args()

    space = Space(max_params=MAX_PARAMS)
    chosen = [candidate.widths for candidate in islice(space.draw(SEED), options.trials)]
    cores = len(os.sched_getaffinity(0))
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        make_data(options.rows).save(folder)
        sides = {
            "KerasTuner": measured(search_with_keras_tuner, folder, chosen, options.epochs),
            "aeroact": measured(search_with_aeroact, folder, chosen, options.epochs),
        }
    peak = measured(peak_rate)["flops"]
    theirs, ours = sides.values()
    if theirs["architectures"] != ours["architectures"]:
        raise RuntimeError("the two sides tried different architectures")
    rows = options.rows - round(VALIDATION * options.rows)
    operations = sum(
        6 * n_params(widths) * rows * epochs
        for widths, epochs in zip(chosen, ours["epochs"], strict=True)
    )
    limit = operations / peak / cores

    table = Table(
        title=f"{options.trials} architectures of up to {MAX_PARAMS:,} parameters, "
        f"{options.rows:,} rows, {options.epochs} epochs, {cores} cores"
    )
    headings = ("", "whole process (s)", "search alone (s)", "CPU (s)", "trials/h", "x the limit")
    for heading in headings:
        table.add_column(heading, justify="right" if heading else "left")
    for name, side in sides.items():
        table.add_row(
            name,
            f"{side['seconds']:.1f}",
            f"{side['search_seconds']:.1f}",
            f"{side['cpu_seconds']:.1f}",
            f"{3600 * options.trials / side['seconds']:,.0f}",
            f"{side['search_seconds'] / limit:.2f}",
        )
    ratios = {key: theirs[key] / ours[key] for key in ("seconds", "search_seconds", "cpu_seconds")}
    table.add_row("ratio", *(f"{ratio:.2f}" for ratio in ratios.values()))
    table.add_row("limit", "", f"{limit:.1f}", f"{limit * cores:.1f}")
    print_table(table)
    print(
        f"limit: 6 x parameters x rows x epochs at {peak / 1e9:.0f} GFLOP/s a core; "
        f"load of the machine {load_before:.1f} before, {os.getloadavg()[0]:.1f} after"
    )
    if options.json:
        content = {
            "machine": {
                "processor": platform.processor() or platform.machine(),
                "cores": cores,
                "python": platform.python_version(),
                "load": load_before,
            },
            "rows": options.rows,
            "epochs": options.epochs,
            "peak_flops": peak,
            "limit_seconds": limit,
            "ratios": ratios,
            **sides,
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
