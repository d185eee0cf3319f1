"""How trials, epochs and results are written in the messages of KerasTuner's service.

| call | means here |
|---|---|
| ``CreateTrial(tuner_id)`` | a worker asks for a trial; its id in the answer is the lease |
| ``UpdateTrial(trial_id, metrics, step)`` | new epochs from `step` on, if any; proof of life |
| ``EndTrial(trial)`` | a result, or why there is none, among the values of the trial |

What KerasTuner has no field for is a hyperparameter whose name begins with ``aeroact/``, as
KerasTuner itself does with ``tuner/epochs``. All numbers travel as 64 bits.
"""

import json
from collections.abc import Sequence
from typing import Any

from aeroact.hpo import step1, step2
from aeroact.hpo.attempts import Task
from aeroact.hpo.cluster.protos import messages, service
from aeroact.hpo.config import Project
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.space import Chosen, candidate_of, values_of
from aeroact.hpo.training import History

Status = messages.TrialStatus

_OURS = "aeroact/"
_ERRORS = ("mse", "val_mse")


def trial_message(lease: str, status: int, values: dict[str, Any]) -> Any:
    """Return KerasTuner's ``Trial``, with values of type int, float, str or bool."""
    message = messages.Trial(trial_id=lease, status=status)
    for name, value in values.items():
        entry = message.hyperparameters.values.values[name]
        if isinstance(value, bool):
            entry.boolean_value = value
        elif isinstance(value, int):
            entry.int_value = value
        elif isinstance(value, float):
            entry.float_value = value
        else:
            # A file's name need not be text.
            entry.string_value = value.encode(errors="backslashreplace").decode()
    return message


def values_in(message: Any) -> dict[str, Any]:
    """Return the values of a ``Trial``."""
    values = message.hyperparameters.values.values
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}


def assignment(lease: str, task: Task) -> Any:
    """Write down what a worker is to try."""
    values = values_of(task.candidate) | {_OURS + "step": task.step}
    if task.step == 1:
        values["tuner/epochs"] = task.recipe.epochs
    return trial_message(lease, Status.RUNNING, values)


def task_in(message: Any, project: Project, folder: RunFolder) -> Task:
    """Read what is to be tried; how it is trained follows from the project."""
    values, (_, name, _) = values_in(message), parts_of(message.trial_id)
    chosen = Chosen(name, candidate_of(values), values.get("tuner/epochs"))
    return {1: step1.task_of, 2: step2.task_of}[values[_OURS + "step"]](chosen, project, folder)


def parts_of(lease: str) -> tuple[str, str, str]:
    """Return step, trial and worker of a lease.

    Raises
    ------
    ValueError
        If it is none.
    """
    step, trial, worker, _ = lease.split("/")
    return step, trial, worker


def epochs_message(lease: str, first: int, curve: Sequence[tuple[float, float]]) -> Any:
    """Write down the MSE and validation MSE of epochs from `first` on, counted from 0."""
    metrics = {
        f"{name}/{first + k}": error
        for k, errors in enumerate(curve)
        for name, error in zip(_ERRORS, errors, strict=True)
    }
    return service.UpdateTrialRequest(trial_id=lease, metrics=metrics, step=first)


def curve_in(request: Any) -> list[tuple[float, float]]:
    """Read the epochs of an ``UpdateTrialRequest``."""
    epochs = range(request.step, request.step + len(request.metrics) // len(_ERRORS))
    return [tuple(request.metrics[f"{name}/{k}"] for name in _ERRORS) for k in epochs]


def result_message(lease: str, result: History) -> Any:
    """Write down what came of a trial, its epochs apart."""
    rest = {name: value for name, value in vars(result).items() if name not in _ERRORS}
    values = {_OURS + "epochs": len(result.val_mse), _OURS + "result": json.dumps(rest)}
    return trial_message(lease, Status.COMPLETED, values)


def result_in(message: Any) -> tuple[int, History]:
    """Read how many epochs a trial had, and what came of it, its epochs apart."""
    values = values_in(message)
    kind = {"1": step1.Tried, "2": step2.Retrained}[parts_of(message.trial_id)[0]]
    return values[_OURS + "epochs"], kind(**json.loads(values[_OURS + "result"]))


def reason_message(lease: str, status: int, why: str, *, leaving: bool = False) -> Any:
    """Write down why there is no result: FAILED, or INVALID, where a process died or goes.

    Parameters
    ----------
    lease : str
        The trial in the worker's hands.
    status : int
        Of KerasTuner.
    why : str
        For people.
    leaving : bool
        Whether the worker goes.
    """
    return trial_message(lease, status, {_OURS + "why": why, _OURS + "leaving": leaving})


def reason_in(message: Any) -> tuple[str, bool]:
    """Read why there is no result, and whether the worker goes."""
    values = values_in(message)
    return values[_OURS + "why"], values[_OURS + "leaving"]
