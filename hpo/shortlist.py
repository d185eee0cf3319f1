"""Which trials of Step 1 are retrained in Step 2."""

from collections.abc import Callable, Iterable

from aeroact.errors import AeroactError
from aeroact.hpo.config import Project
from aeroact.hpo.journal import Trial


def ranked(trials: Iterable[Trial]) -> list[Trial]:
    """Return the trials that have a result by validation MSE, best first; ties by name.

    Of trials of the same candidate, which adaptive algorithms may try again, the best one.
    """
    order = sorted(
        (trial for trial in trials if trial.status in ("COMPLETED", "PRUNED")),
        key=lambda trial: (trial.best_val_mse, trial.name),
    )
    first = {trial.candidate: trial for trial in reversed(order)}
    return [trial for trial in order if first[trial.candidate] is trial]


def shortlist(trials: dict[str, Trial], project: Project) -> list[Trial]:
    """Choose the trials of Step 1 that a project retrains, in order of preference.

    The policy ``best`` is that of Yu et al. (2024): the lowest validation MSE. ``pareto``
    takes the trials than which none is both more accurate and cheaper, then those of which
    that is true once the first are set aside, and so on; within such a front, the lowest
    validation MSE first.

    Raises
    ------
    AeroactError
        If there is not even one to choose.
    """
    candidates = ranked(trials.values())
    if not candidates:
        message = next((t.message for t in trials.values() if t.message), "there were none")
        raise AeroactError(
            f"none of the {len(trials)} trials of Step 1 succeeded, the first because {message}"
        )
    allowed = [trial for trial in candidates if _within(trial, project)]
    if not allowed:
        raise AeroactError(
            f"none of the {len(candidates)} trials of Step 1 has at most "
            f"{project.shortlist_max_layers or 'any number of'} layers and "
            f"{project.shortlist_max_params or 'any number of'} parameters; allow larger ones"
        )
    if project.shortlist == "pareto":
        allowed = _by_front(allowed, _COSTS[project.cost])
    return allowed[: project.retrain]


def _within(trial: Trial, project: Project) -> bool:
    return (
        project.shortlist_max_layers is None or len(trial.widths) <= project.shortlist_max_layers
    ) and (project.shortlist_max_params is None or trial.params <= project.shortlist_max_params)


def _by_front(trials: list[Trial], cost: Callable[[Trial], float]) -> list[Trial]:
    """Sort trials by the Pareto front of validation MSE and cost that they are on."""
    trials = sorted(trials, key=lambda trial: (trial.best_val_mse, cost(trial), trial.name))
    order: list[Trial] = []
    while trials:
        front, rest, lowest = [], [], float("inf")
        for trial in trials:
            if cost(trial) < lowest:
                lowest = cost(trial)
                front.append(trial)
            else:
                rest.append(trial)
        order += front
        trials = rest
    return order


_COSTS: dict[str, Callable[[Trial], float]] = {
    "params": lambda trial: trial.params,
    "time": lambda trial: trial.inference_us,
}
