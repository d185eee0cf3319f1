"""Trainings given to workers, and the records that come of them: what both steps share."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from aeroact.hpo.config import Project
from aeroact.hpo.crew import Crew
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.journal import Trial
from aeroact.hpo.space import Candidate
from aeroact.hpo.training import History, Recipe, TrainingData
from aeroact.hpo.watcher import Watcher
from aeroact.hpo.workers import Listener


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
    begun: Sequence[Task],
    tasks: Iterator[Task | None],
    project: Project,
    folder: RunFolder,
    crew: Crew,
    watcher: Watcher,
    *,
    began: Callable[[str], None] = lambda name: None,
    epoch: Callable[[str, float], bool] = lambda name, val_mse: False,
) -> Iterator[tuple[Trial, Any]]:
    """Let a crew train, and note in the journal what is begun.

    Parameters
    ----------
    begun : sequence of Task
        What an earlier process had begun.
    tasks : iterator of Task
        The others, as `workers.run` takes them.
    project : Project
        Says how long a training may take.
    folder : RunFolder
        Its journal is written to.
    crew : Crew
        Who trains.
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
    History
        What the training returned, or None.
    """
    curves: dict[str, list[tuple[float, float]]] = {}
    stopped: set[str] = set()

    def begin(task: Task, worker: int) -> None:
        curves[task.name] = []
        stopped.discard(task.name)
        began(task.name)
        watcher.trial(task.record(status="RUNNING", worker=worker, started=time.time()))

    def report(task: Task, errors: tuple[float, float]) -> bool:
        curves[task.name].append(errors)
        watcher.epoch(task.step, task.name, len(curves[task.name]), *errors)
        if epoch(task.name, errors[1]):
            stopped.add(task.name)
        return task.name in stopped

    def note(task: Task) -> None:
        folder.journal.append(task.record(status="RUNNING", started=time.time()))

    listener = Listener(given=note, began=begin, reported=report)
    for outcome in crew.run(begun, tasks, listener, project.trial_timeout):
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
