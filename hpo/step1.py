"""Step 1: many architectures on a subset of the training rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from aeroact.console import Progress
from aeroact.errors import AeroactError
from aeroact.hpo import workers
from aeroact.hpo.backend import load_backend, load_single_threaded
from aeroact.hpo.config import Project
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.journal import Journal, Trial
from aeroact.hpo.space import Architecture
from aeroact.hpo.training import History, Recipe, TrainingData, train

# A search most of whose trials fail has a cause that more trials will not mend.
_MIN_FAILURES = 5
_MAX_FAILED_FRACTION = 0.5


@dataclass(frozen=True)
class Task:
    """What a worker needs to know of a trial."""

    name: str
    widths: Architecture
    seed: list[int]
    recipe: Recipe
    p_subset: float
    folder: RunFolder


def run(
    project: Project, folder: RunFolder, n_workers: int, progress: Progress
) -> dict[str, Trial]:
    """Try the project's architectures, except those that the journal has already.

    Parameters
    ----------
    project : Project
        What was asked for.
    folder : RunFolder
        With the training data in its cache; its journal is read and continued.
    n_workers : int
        Processes.
    progress : Progress
        Is told the number of finished trials.

    Returns
    -------
    dict of str to Trial
        All trials of Step 1 by name.

    Raises
    ------
    AeroactError
        If more than half of the trials fail.
    """
    journal = folder.journal
    finished = journal.finished(1)
    if len(finished) == project.trials:
        return finished

    load_backend()
    from aeroact.hpo.oracle import RandomOracle

    oracle = RandomOracle(project)
    recipe = Recipe(project.epochs, project.patience, project.batch_size, project.learning_rate)

    def tasks() -> Iterator[Task]:
        while (chosen := oracle.next_trial(f"asked-{len(oracle.trials)}")) is not None:
            name, widths = chosen
            if name in finished:
                _require_same(journal, finished[name], widths)
                oracle.finish(name, finished[name].val_mse, finished[name].message)
                continue
            journal.append(Trial(1, name, widths, "RUNNING"))
            seed = [project.seed, int(name)]
            yield Task(name, widths, seed, recipe, project.p_subset, folder)

    for outcome in workers.run(tasks(), _try, n_workers, load_single_threaded):
        trial = trial_of(1, outcome)
        journal.append(trial)
        finished[trial.name] = trial
        oracle.finish(trial.name, trial.val_mse, trial.message)
        _stop_if_hopeless(finished)
        best = min(t.best_val_mse for t in finished.values())
        progress(len(finished), f"best validation MSE {best:.2e}")
    return finished


def trial_of(step: int, outcome: workers.Outcome[Task, Any]) -> Trial:
    """Turn what a worker said into a record of the journal."""
    task, history = outcome.task, outcome.result
    if history is None:
        return Trial(step, task.name, task.widths, "FAILED", outcome.worker, outcome.message)
    return Trial(
        step,
        task.name,
        task.widths,
        "COMPLETED",
        outcome.worker,
        seconds=history.seconds,
        mse=history.mse,
        val_mse=history.val_mse,
    )


@lru_cache(maxsize=1)
def data_of(folder: RunFolder, p_subset: float) -> TrainingData:
    """Return the rows to train on; a worker keeps them from task to task."""
    return TrainingData.load(folder.cache, p_subset)


def _try(task: Task) -> History:
    """Train in a worker; the network itself is not kept."""
    import keras

    _, history = train(task.widths, data_of(task.folder, task.p_subset), task.recipe, task.seed)
    keras.backend.clear_session()
    return history


def _require_same(journal: Journal, trial: Trial, widths: Architecture) -> None:
    if trial.widths != widths:
        raise AeroactError(
            f"{journal.path}: trial {trial.name} is {trial.widths}, but these settings make it "
            f"{widths}; the run was made by another version, start a new one"
        )


def _stop_if_hopeless(finished: dict[str, Trial]) -> None:
    failed = [trial for trial in finished.values() if trial.status == "FAILED"]
    if len(failed) >= _MIN_FAILURES and len(failed) > _MAX_FAILED_FRACTION * len(finished):
        raise AeroactError(
            f"{len(failed)} of {len(finished)} trials failed, the last one because "
            f"{failed[-1].message}"
        )
