"""Step 2: the best architectures again, on all training rows, tested on the holdout."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aeroact import dataset
from aeroact.console import Progress
from aeroact.errors import AeroactError
from aeroact.files import replacing
from aeroact.hpo import network, step1, workers
from aeroact.hpo.backend import load_single_threaded
from aeroact.hpo.config import Project
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.journal import Trial
from aeroact.hpo.training import History, Recipe, train
from aeroact.metrics import Errors

if TYPE_CHECKING:
    import keras

FAILED_MSE = 1e-2
"""A retrained network with a larger holdout MSE counts as failed (Yu et al., 2024, Figure S2)."""


@dataclass
class Retrained(History):
    """The errors by epoch, and those on the holdout."""

    holdout: Errors | None = None


def ranked(trials: dict[str, Trial]) -> list[Trial]:
    """Return the completed trials by validation MSE, best first; ties by name."""
    completed = [trial for trial in trials.values() if trial.status == "COMPLETED"]
    return sorted(completed, key=lambda trial: (trial.best_val_mse, trial.name))


def shortlist(trials: dict[str, Trial], n: int) -> list[Trial]:
    """Return the n trials of Step 1 with the lowest validation MSE, best first.

    Raises
    ------
    AeroactError
        If there is not even one to choose.
    """
    chosen = ranked(trials)[:n]
    if not chosen:
        message = next((t.message for t in trials.values() if t.message), "there were none")
        raise AeroactError(
            f"none of the {len(trials)} trials of Step 1 succeeded, the first because {message}"
        )
    return chosen


def run(
    project: Project, folder: RunFolder, chosen: list[Trial], n_workers: int, progress: Progress
) -> dict[str, Trial]:
    """Retrain the shortlist, except what the journal has already.

    Parameters
    ----------
    project : Project
        What was asked for.
    folder : RunFolder
        With the training data in its cache; its journal is read and continued, and the
        networks go into it.
    chosen : list of Trial
        The shortlist of Step 1.
    n_workers : int
        Processes.
    progress : Progress
        Is told the number of finished networks.

    Returns
    -------
    dict of str to Trial
        The retrained trials by name, with their errors on the holdout.

    Raises
    ------
    AeroactError
        If none of them is usable.
    """
    journal = folder.journal
    finished = journal.finished(2)
    recipe = Recipe(
        project.retrain_epochs, None, project.batch_size, project.learning_rate, keep_best=True
    )

    def tasks() -> Iterator[step1.Task]:
        for trial in chosen:
            if trial.name not in finished:
                journal.append(Trial(2, trial.name, trial.widths, "RUNNING"))
                seed = [project.seed, int(trial.name)]
                yield step1.Task(trial.name, trial.widths, seed, recipe, 1.0, folder)

    for outcome in workers.run(tasks(), _retrain, n_workers, load_single_threaded):
        trial = _tested(step1.trial_of(2, outcome), outcome.result)
        journal.append(trial)
        finished[trial.name] = trial
        best = min((t.holdout["mse"] for t in finished.values() if t.holdout), default=np.nan)
        progress(len(finished), f"best holdout MSE {best:.2e}")
    if all(trial.status == "FAILED" for trial in finished.values()):
        trial = next(iter(finished.values()))
        raise AeroactError(
            f"{folder.path}: no retrained network is usable; trial {trial.name}: {trial.message}"
        )
    return finished


def _tested(trial: Trial, result: Retrained | None) -> Trial:
    """Add the errors on the holdout to a trial; too large ones make it a failed one."""
    if result is None or result.holdout is None:
        return trial
    errors = result.holdout
    trial = replace(
        trial,
        holdout={
            "rows": errors.rows,
            "mse": errors.mse,
            "r2": errors.r2,
            "mse_by_mode": errors.mse_by_mode.tolist(),
        },
    )
    if errors.mse > FAILED_MSE:
        message = f"its holdout MSE {errors.mse:.2e} is above {FAILED_MSE:g}"
        return replace(trial, status="FAILED", message=message)
    return trial


def _retrain(task: step1.Task) -> Retrained:
    """Train, test and save in a worker."""
    import keras

    data = step1.data_of(task.folder, task.p_subset)
    model, history = train(task.widths, data, task.recipe, task.seed)
    holdout = test(model, task.folder)
    with replacing(task.folder.model(task.name)) as part:
        model.save(part)
    keras.backend.clear_session()
    return Retrained(**vars(history), holdout=holdout)


def test(model: "keras.Model", folder: RunFolder) -> Errors:
    """Compare a network with the parcel model on the holdout, block by block."""
    normalization, errors = folder.normalization(), Errors()
    with dataset.open_dataset(folder.data_file()) as ds:
        for x, fn in dataset.stream(ds, _holdout(folder)):
            errors.add(fn, network.predict(model, normalization.apply(x)))
    return errors


@lru_cache(maxsize=1)
def _holdout(folder: RunFolder) -> NDArray[np.bool_]:
    return np.load(folder.cache / "holdout.npy")
