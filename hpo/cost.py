"""What a search cost, beside the one-step search that it replaces."""

from collections.abc import Iterable
from dataclasses import dataclass

from aeroact.hpo.config import Project
from aeroact.hpo.journal import Trial


@dataclass(frozen=True)
class Cost:
    """Seconds of training, summed over the workers.

    Attributes
    ----------
    step1, step2 : float
        Measured.
    one_step : float
        Step 1 on all the training rows, estimated as Yu et al. (2024, section 2) do: the
        seconds of a training grow in proportion to its rows.
    nominal : float
        p_subset + p_retrain, the fraction that the paper expects.
    """

    step1: float
    step2: float
    one_step: float
    nominal: float

    @property
    def fraction(self) -> float:
        """The two steps as a fraction of the one-step search."""
        return (self.step1 + self.step2) / self.one_step


def cost_of(project: Project, step1: Iterable[Trial], step2: Iterable[Trial]) -> Cost:
    """Add up what the trials of a run took."""
    first = sum(trial.seconds for trial in step1)
    second = sum(trial.seconds for trial in step2)
    return Cost(first, second, first / project.p_subset, project.p_subset + project.p_retrain)
