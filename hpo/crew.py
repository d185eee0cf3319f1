"""Who trains: processes of this machine, or a cluster's workers, behind one interface."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from aeroact.hpo import workers
from aeroact.hpo.backend import load_single_threaded
from aeroact.hpo.workers import Listener, Outcome, Report, Work

if TYPE_CHECKING:
    from aeroact.hpo.attempts import Task
    from aeroact.hpo.folder import RunFolder
    from aeroact.hpo.training import History


class Crew(Protocol):
    """Something that trains."""

    def run(
        self,
        begun: "Sequence[Task]",
        tasks: "Iterator[Task | None]",
        listener: "Listener[Task]",
        timeout: float | None,
    ) -> "Iterator[Outcome[Task, History]]":
        """Work off tasks.

        Parameters
        ----------
        begun : sequence of Task
            Those that an earlier process had begun, which come first.
        tasks : iterator of Task or None
            The others, as `workers.run` takes them.
        listener : Listener
            What is to be heard on the way.
        timeout : float or None
            Seconds after which a task is given up.

        Yields
        ------
        Outcome
            In the order in which tasks end.
        """


Hire = Callable[["RunFolder"], AbstractContextManager[Crew]]
"""Gives a crew for a run that is locked for us, and sends it away at the end."""


def perform(task: "Task", report: Report) -> "History":
    """Do, in a worker, what a task of either step asks for."""
    from aeroact.hpo import step1, step2

    return {1: step1.attempt, 2: step2.retrain}[task.step](task, report)


@dataclass(frozen=True)
class Processes:
    """Processes of this machine.

    Attributes
    ----------
    number : int
        How many.
    work : callable
        What they do for a task.
    """

    number: int
    work: "Work[Task, History]" = perform

    def run(
        self,
        begun: "Sequence[Task]",
        tasks: "Iterator[Task | None]",
        listener: "Listener[Task]",
        timeout: float | None,
    ) -> "Iterator[Outcome[Task, History]]":
        """Work off tasks; see `Crew`."""
        return workers.run(
            chain(begun, tasks),
            self.work,
            self.number,
            load_single_threaded,
            listener=listener,
            timeout=timeout,
        )

    @classmethod
    def hire(cls, number: int) -> Hire:
        """Return a crew of so many processes for any run."""
        return lambda folder: nullcontext(cls(number))
