"""Step 2: the best architectures again, on all training rows, tested on the holdout."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeroact import dataset
from aeroact.errors import AeroactError
from aeroact.files import remove_parts, replacing
from aeroact.hpo import attempts, network
from aeroact.hpo.attempts import Task, data_of
from aeroact.hpo.cache import HOLDOUT
from aeroact.hpo.config import Project
from aeroact.hpo.crew import Crew
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.journal import Trial
from aeroact.hpo.loss import Loss
from aeroact.hpo.space import Chosen
from aeroact.hpo.training import History, Recipe, train
from aeroact.hpo.watcher import Watcher
from aeroact.hpo.workers import Report
from aeroact.metrics import Errors

if TYPE_CHECKING:
    import keras

FAILED_MSE = 1e-2
"""A retrained network with a larger holdout MSE counts as failed (Yu et al., 2024, Figure S2)."""

# A schedule bears a higher rate than a constant one, and needs it: see benchmarks/schedules.py.
_PEAK = 10.0


@dataclass
class Retrained(History):
    """The errors by epoch, and those on the holdout, as a `Trial` has them."""

    holdout: dict[str, Any] = field(default_factory=dict)


def run(
    project: Project,
    folder: RunFolder,
    chosen: list[Trial],
    kept: Mapping[str, Trial],
    crew: Crew,
    watcher: Watcher,
) -> dict[str, Trial]:
    """Retrain the shortlist, except what was retrained already.

    Parameters
    ----------
    project : Project
        What was asked for.
    folder : RunFolder
        With the training data in its cache; its journal is read and continued, and the
        networks go into it.
    chosen : list of Trial
        The shortlist of Step 1.
    kept : mapping of str to Trial
        Trials of the journal, by name, that need not be run again.
    crew : Crew
        Who trains.
    watcher : Watcher
        Is told how it goes.

    Returns
    -------
    dict of str to Trial
        The retrained trials by name, with their errors on the holdout; those of earlier
        shortlists, too.

    Raises
    ------
    AeroactError
        If none of them is usable.
    """
    finished, known = dict(kept), folder.journal.read()
    todo = {t.name: task_of(t, project, folder) for t in chosen if t.name not in finished}
    begun = [task for name, task in todo.items() if (2, name) in known]
    new = (task for name, task in todo.items() if (2, name) not in known)
    for trained, result in attempts.run(begun, new, project, folder, crew, watcher):
        trial = _tested(trained, result)
        folder.journal.append(trial)
        finished[trial.name] = trial
        watcher.trial(trial)
    if all(trial.status == "FAILED" for trial in finished.values()):
        trial = next(iter(finished.values()))
        raise AeroactError(
            f"{folder.path}: no retrained network is usable; trial {trial.name}: {trial.message}"
        )
    for name in finished:
        remove_parts(folder.model(name))
    return finished


def task_of(trial: Chosen | Trial, project: Project, folder: RunFolder) -> Task:
    """Say to a worker what is to be done for a trial of the shortlist."""
    candidate = trial.candidate
    rate = candidate.learning_rate or project.learning_rate
    if project.schedule != "constant":
        rate *= _PEAK
    recipe = Recipe(
        project.retrain_epochs,
        None,
        candidate.batch_size or project.batch_size,
        project.retrain_learning_rate or rate,
        project.schedule,
        keep_best=True,
        loss=_loss(project),
        activation=project.activation,
    )
    seed = [project.seed, int(trial.name)]
    return Task(2, trial.name, candidate, seed, recipe, 1.0, folder)


def _loss(project: Project) -> Loss:
    """Return what Step 2 minimizes: what Step 1 does, unless it was asked for another."""
    droplet, monotony = project.retrain_droplet_weight, project.retrain_monotony_weight
    return Loss(
        project.droplet_weight if droplet is None else droplet,
        project.monotony_weight if monotony is None else monotony,
    )


def _tested(trial: Trial, result: Retrained | None) -> Trial:
    """Add the errors on the holdout to a trial; too large ones make it a failed one."""
    if result is None:
        return trial
    trial, mse = replace(trial, holdout=result.holdout), result.holdout["mse"]
    if mse > FAILED_MSE:
        message = f"its holdout MSE {mse:.2e} is above {FAILED_MSE:g}"
        return replace(trial, status="FAILED", message=message)
    return trial


def retrain(task: Task, report: Report) -> Retrained:
    """Train, test and save in a worker."""
    import keras

    weights, history = train(
        task.candidate.widths,
        data_of(task.folder, task.p_subset),
        task.recipe,
        task.seed,
        lambda *errors: report(errors),
        task.folder.normalization(),
    )
    model = network.build(task.candidate.widths, weights, task.recipe.activation)
    errors = test(model, task.folder)
    with replacing(task.folder.model(task.name)) as part:
        model.save(part)
    keras.backend.clear_session()
    holdout = {
        "rows": errors.rows,
        "mse": errors.mse,
        "r2": errors.r2,
        "mse_by_mode": errors.mse_by_mode.tolist(),
        "r2_by_mode": errors.r2_by_mode.tolist(),
    }
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
    return np.load(folder.cache / HOLDOUT)
