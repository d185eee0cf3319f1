"""KerasTuner's random search as two benchmarks time it: on our space, with its files on or off."""

from typing import Any

import keras_tuner
from keras_tuner.engine.trial import TrialStatus

from aeroact.hpo.config import Project


class RandomOracle(keras_tuner.oracles.RandomSearchOracle):
    """KerasTuner's own oracle on the paper's space; it writes its files where `writes` is set."""

    def __init__(self, max_trials: int, *, writes: bool) -> None:
        super().__init__(
            objective=keras_tuner.Objective("val_loss", "min"),
            max_trials=max_trials,
            hyperparameters=Project(max_params=None).space.declare(),
            seed=1,
        )
        self.verbose = 0
        self.writes = writes

    def save(self) -> None:
        """Write KerasTuner's whole state, or not."""
        if self.writes:
            super().save()

    def _save_trial(self, trial: Any) -> None:
        if self.writes:
            super()._save_trial(trial)

    def complete_one(self, worker: str, epochs: int = 1) -> None:
        """Go through a trial that trains nothing."""
        trial = self.create_trial(worker)
        for epoch in range(epochs):
            self.update_trial(trial.trial_id, {"val_loss": 0.1}, step=epoch)
        trial.status = TrialStatus.COMPLETED
        self.end_trial(trial)
