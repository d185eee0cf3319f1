"""Trainings given to workers, and the records that come of them: what both steps share."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from aeroact.hpo import workers
from aeroact.hpo.backend import load_single_threaded
from aeroact.hpo.config import Project
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.journal import Trial
from aeroact.hpo.space import Candidate
from aeroact.hpo.training import History, Recipe, TrainingData
from aeroact.hpo.watcher import Watcher


@dataclass(frozen=True)
class Task:
    """What a worker needs to know of a trial."""

    step: int
    name: str
    candidate: Candidate
    seed: list[int]
    recipe: Recipe
    p_subset: float
    folder: RunFolder

    def record(self, **what: Any) -> Trial:
        """Return the trial in some state, for the journal."""
        chosen = self.candidate
        return Trial(
            self.step,
            self.name,
            chosen.widths,
            learning_rate=chosen.learning_rate,
            batch_size=chosen.batch_size,
            **what,
        )


def run(
    tasks: Iterator[Task | None],
    work: workers.Work[Task, Any],
    project: Project,
    folder: RunFolder,
    n_workers: int,
    watcher: Watcher,
    *,
    began: Callable[[str], None] = lambda name: None,
    epoch: Callable[[str, float], bool] = lambda name, val_mse: False,
) -> Iterator[tuple[Trial, Any]]:
    """Train in workers, and note in the journal what is begun.

    Parameters
    ----------
    tasks : iterator of Task
        As `workers.run` takes it.
    work : callable
        Done in a worker; returns a `History`, and reports MSE and validation MSE of each
        epoch.
    project : Project
        Says how long a training may take.
    folder : RunFolder
        Its journal is written to.
    n_workers : int
        Processes.
    watcher : Watcher
        Is told what is begun, and each epoch.
    began : callable
        Is told a trial's name each time that a worker sets about it.
    epoch : callable
        Is told a trial's name and its newest validation MSE; returns whether to stop it.

    Yields
    ------
    Trial
        A finished one, for the caller to note.
    object
        What the work returned, or None.
    """
    curves: dict[str, list[tuple[float, float]]] = {}
    stopped: set[str] = set()

    def begin(task: Task, worker: int) -> None:
        curves[task.name] = []
        began(task.name)
        watcher.trial(task.record(status="RUNNING", worker=worker, started=time.time()))

    def report(task: Task, errors: tuple[float, float]) -> bool:
        curves[task.name].append(errors)
        watcher.epoch(task.step, task.name, len(curves[task.name]), *errors)
        if epoch(task.name, errors[1]):
            stopped.add(task.name)
        return task.name in stopped

    def noted() -> Iterator[Task | None]:
        for task in tasks:
            if task is not None:
                folder.journal.append(task.record(status="RUNNING", started=time.time()))
            yield task

    listener = workers.Listener(began=begin, reported=report)
    outcomes = workers.run(
        noted(),
        work,
        n_workers,
        load_single_threaded,
        listener=listener,
        timeout=project.trial_timeout,
    )
    for outcome in outcomes:
        task, result = outcome.task, outcome.result
        curve = curves.pop(task.name, [])
        history = result or History(
            [mse for mse, _ in curve],
            [val_mse for _, val_mse in curve],
            outcome.ended - outcome.started,
        )
        ended = "PRUNED" if task.name in stopped else "COMPLETED"
        trial = task.record(
            status=ended if result else "FAILED",
            message=outcome.message,
            worker=outcome.worker,
            started=outcome.started,
            ended=outcome.ended,
            seconds=history.seconds,
            mse=history.mse,
            val_mse=history.val_mse,
        )
        yield trial, result


@lru_cache(maxsize=1)
def data_of(folder: RunFolder, p_subset: float) -> TrainingData:
    """Return the rows to train on; a worker keeps them from task to task."""
    return TrainingData.load(folder.cache, p_subset)
