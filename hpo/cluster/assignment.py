"""What a worker gives to its processes.

In a file of its own: a process that unpickles it must not import KerasTuner before it has
TensorFlow under control (see `aeroact.hpo.backend`).
"""

from dataclasses import dataclass

from aeroact.hpo.attempts import Task
from aeroact.hpo.training import History
from aeroact.hpo.workers import Report, Work


@dataclass(frozen=True)
class Assignment:
    """A trial, and the lease on which the chief gave it."""

    lease: str
    task: Task


def do(work: Work[Task, History], assignment: Assignment, report: Report) -> History:
    """Do the trial."""
    return work(assignment.task, report)
