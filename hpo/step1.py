"""Step 1: many architectures on a subset of the training rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aeroact import console
from aeroact.errors import AeroactError
from aeroact.hpo import attempts, inference
from aeroact.hpo.attempts import Task, data_of
from aeroact.hpo.backend import load_backend
from aeroact.hpo.config import Project
from aeroact.hpo.crew import Crew
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.journal import Trial
from aeroact.hpo.loss import Loss
from aeroact.hpo.prune import Pruner
from aeroact.hpo.space import Chosen
from aeroact.hpo.training import History, Recipe, train
from aeroact.hpo.watcher import Watcher
from aeroact.hpo.workers import Report

if TYPE_CHECKING:
    from aeroact.hpo.oracle import SearchOracle

# So many failures do not say yet that most will fail.
_MIN_FAILURES = 5


@dataclass
class Tried(History):
    """The errors by epoch, and the time of a prediction (microseconds a sample)."""

    inference_us: float = 0.0


def run(
    project: Project,
    folder: RunFolder,
    kept: Mapping[str, Trial],
    crew: Crew,
    watcher: Watcher,
) -> dict[str, Trial]:
    """Try the project's architectures, except those that were tried already.

    Parameters
    ----------
    project : Project
        What was asked for.
    folder : RunFolder
        With the training data in its cache; its journal is read and continued.
    kept : mapping of str to Trial
        Trials of the journal, by name, that need not be run again.
    crew : Crew
        Who trains.
    watcher : Watcher
        Is told how it goes.

    Returns
    -------
    dict of str to Trial
        All trials of Step 1 by name, as the journal has them; see `settled`.

    Raises
    ------
    AeroactError
        If more than the fraction ``max_failed`` of the trials fails.
    """
    load_backend()
    from aeroact.hpo.oracle import oracle_of

    finished = dict(kept)
    oracle = oracle_of(project)
    begun = [task_of(chosen, project, folder) for chosen in _replay(oracle, folder, finished)]
    failed = sum(trial.status == "FAILED" for trial in finished.values())

    def tasks() -> Iterator[Task | None]:
        while True:
            new = oracle.next_trial()
            if new is not None:
                yield task_of(new, project, folder)
            elif oracle.waiting:
                yield None
            else:
                return

    def epoch(name: str, val_mse: float) -> bool:
        trial = oracle.update_trial(name, {"val_mse": val_mse})
        return str(trial.status) == "STOPPED"

    trainings = attempts.run(
        begun, tasks(), project, folder, crew, watcher, began=oracle.begin, epoch=epoch
    )
    for trial, tried in trainings:
        if tried is not None:
            trial = replace(trial, inference_us=tried.inference_us)
        folder.journal.append(trial)
        finished[trial.name] = trial
        oracle.finish(trial.name, trial.val_mse, trial.message)
        watcher.trial(trial)
        failed += trial.status == "FAILED"
        if failed >= _MIN_FAILURES and failed > project.max_failed * len(finished):
            raise AeroactError(
                f"{folder.path}: {failed} of {len(finished)} trials failed, the last one because "
                f"{trial.message}; mend that and run the same command with --retry-failed, or "
                "raise --max-failed"
            )
    if len(finished) < project.trials:
        console.warn(
            f"the search space has only {len(finished)} networks within its bounds; Step 1 ends "
            f"with them, though {project.trials} trials were asked for"
        )
    return finished


def settled(finished: Mapping[str, Trial], project: Project) -> dict[str, Trial]:
    """Return finished trials as pruning leaves them, whoever was finished when they ran.

    Parameters
    ----------
    finished : mapping of str to Trial
        As the journal has them: a trial may have run on until it was sure that it must stop.
    project : Project
        With the rule of pruning.
    """
    if project.prune == "none":
        return dict(finished)
    pruner = Pruner(project.prune, project.epochs)
    for name, trial in finished.items():
        pruner.add(int(name), trial.val_mse if trial.status != "FAILED" else ())
    return {
        name: _cut(trial, pruner.settled.get(int(name))) if int(name) in pruner.ended else trial
        for name, trial in finished.items()
    }


def _cut(trial: Trial, epochs: int | None) -> Trial:
    return replace(trial, status="PRUNED", mse=trial.mse[:epochs], val_mse=trial.val_mse[:epochs])


def _replay(
    oracle: "SearchOracle", folder: RunFolder, finished: Mapping[str, Trial]
) -> list[Chosen]:
    """Tell an algorithm what the journal knows, in the order in which it happened.

    Returns
    -------
    list of Chosen
        Trials that were begun and have no result.
    """
    begun: dict[str, Chosen] = {}
    for record in folder.journal.records():
        if record.step != 1:
            continue
        name = record.name
        if name not in oracle.trials:
            chosen = oracle.next_trial()
            if chosen is None or (chosen.name, chosen.candidate) != (name, record.candidate):
                raise AeroactError(
                    f"{folder.journal.path}: trial {name} is {record.candidate}, but these "
                    "settings do not make it so; the run was made by another version, start a "
                    "new one"
                )
            begun[name] = chosen
        if name in begun and record == finished.get(name):
            del begun[name]
            oracle.finish(name, record.val_mse, record.message)
    return list(begun.values())


def task_of(chosen: Chosen, project: Project, folder: RunFolder) -> Task:
    """Say to a worker what is to be done for a trial."""
    candidate = chosen.candidate
    recipe = Recipe(
        chosen.epochs or project.epochs,
        project.patience,
        candidate.batch_size or project.batch_size,
        candidate.learning_rate or project.learning_rate,
        loss=Loss(project.droplet_weight, project.monotony_weight),
        activation=project.activation,
    )
    seed = [project.seed, int(chosen.name)]
    return Task(1, chosen.name, candidate, seed, recipe, project.p_subset, folder)


def attempt(task: Task, report: Report) -> Tried:
    """Train in a worker; the network itself is not kept."""
    weights, history = train(
        task.candidate.widths,
        data_of(task.folder, task.p_subset),
        task.recipe,
        task.seed,
        lambda *errors: report(errors),
        task.folder.normalization(),
    )
    return Tried(**vars(history), inference_us=inference.measure(weights, task.recipe.activation))
