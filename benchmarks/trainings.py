"""Trainings that a benchmark compares, one on each core at a time."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Protocol, TypeVar

from aeroact.console import progress
from aeroact.errors import AeroactError
from aeroact.hpo import workers
from aeroact.hpo.backend import load_single_threaded


class Training(Protocol):
    """What is trained."""

    @property
    def epochs(self) -> int:
        """All of which are run."""
        ...


Case = TypeVar("Case", bound=Training)
Result = TypeVar("Result")


def train_all(
    cases: Sequence[Case], try_one: Callable[[Case, workers.Report], Result], n_workers: int
) -> dict[Case, Result]:
    """Let workers train all networks, with progress by epoch; results in the order of the cases.

    Raises
    ------
    AeroactError
        If one fails.
    """
    results: dict[Case, Result] = {}
    epochs = count(1)
    with progress("epochs", sum(case.epochs for case in cases)) as show:

        def reported(case: Case, errors: Any) -> bool:
            show(next(epochs))
            return False

        listener = workers.Listener(reported=reported)
        for outcome in workers.run(
            iter(cases), try_one, n_workers, load_single_threaded, listener=listener
        ):
            if outcome.result is None:
                raise AeroactError(f"{outcome.task}: {outcome.message}")
            results[outcome.task] = outcome.result
    return {case: results[case] for case in cases}
