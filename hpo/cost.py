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
    p_subset : float
        Fraction of the training rows in Step 1.
    p_retrain : float
        Fraction of the trials that were retrained; before any was, that will be.
    """

    step1: float
    step2: float
    one_step: float
    p_subset: float
    p_retrain: float

    @property
    def nominal(self) -> float:
        """p_subset + p_retrain, the fraction that the paper expects."""
        return self.p_subset + self.p_retrain

    @property
    def fraction(self) -> float:
        """The two steps as a fraction of the one-step search."""
        return (self.step1 + self.step2) / self.one_step if self.one_step else float("nan")

    def text(self) -> str:
        """Say it in two lines."""
        return (
            f"Cost: {self.step1:.0f} s of training in Step 1, {self.step2:.0f} s in Step 2:\n"
            f"  {self.fraction:.2f} of a one-step search, estimated at {self.one_step:.0f} s; "
            f"p_subset + p_retrain = {self.p_subset:g} + {self.p_retrain:g} = {self.nominal:g}"
        )


def cost_of(project: Project, step1: Iterable[Trial], step2: Iterable[Trial]) -> Cost:
    """Add up what the trials of a run took."""
    first, second = [t.seconds for t in step1], [t.seconds for t in step2]
    p_retrain = round(len(second) / len(first), 6) if second else project.p_retrain
    one_step = sum(first) / project.p_subset
    return Cost(sum(first), sum(second), one_step, project.p_subset, p_retrain)
