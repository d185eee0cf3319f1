"""The random search as a KerasTuner Oracle: it hands out trials and hears their results.

KerasTuner would rewrite its own record, whole and in place, twice a trial. Ours is the
journal (`aeroact.hpo.journal`), from which an interrupted search is replayed.
"""

from collections.abc import Iterator
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial as TunerTrial
from keras_tuner.engine.trial import TrialStatus

from aeroact.hpo.config import Project
from aeroact.hpo.space import Architecture, architecture_of, architectures, declare, values_of

OBJECTIVE = "val_mse"


class RandomOracle(keras_tuner.Oracle):
    """Random search whose trial k is a function of the seed and k alone.

    Parameters
    ----------
    project : Project
        Seed, number of trials and bounds of the space.
    """

    def __init__(self, project: Project) -> None:
        super().__init__(
            objective=keras_tuner.Objective(OBJECTIVE, "min"),
            max_trials=project.trials,
            hyperparameters=declare(project.min_layers, project.max_layers),
            allow_new_entries=False,
            tune_new_entries=False,
            # KerasTuner takes 0 for "draw one"; our own sequence does not use its seed.
            seed=project.seed + 1,
            # A row of failures must not end a search: see `step1` for what does.
            max_consecutive_failed_trials=project.trials + 1,
        )
        self.verbose = 0
        self._architectures: Iterator[Architecture] = architectures(
            project.seed,
            min_layers=project.min_layers,
            max_layers=project.max_layers,
            max_params=project.max_params,
        )

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Choose the next trial's values; called by KerasTuner."""
        return {"status": TrialStatus.RUNNING, "values": values_of(next(self._architectures))}

    def next_trial(self, worker: str) -> tuple[str, Architecture] | None:
        """Return the next trial's name and architecture, or None at the end."""
        trial = self.create_trial(worker)
        if trial.status == TrialStatus.STOPPED:
            return None
        return trial.trial_id, architecture_of(trial.hyperparameters.values)

    def finish(self, name: str, val_mse: list[float], message: str = "") -> None:
        """Tell a trial's result: validation MSE by epoch, or why it failed."""
        trial: TunerTrial = self.trials[name]
        for epoch, value in enumerate(val_mse):
            self.update_trial(name, {OBJECTIVE: value}, step=epoch)
        trial.status = TrialStatus.FAILED if message else TrialStatus.COMPLETED
        trial.message = message
        self.end_trial(trial)

    def save(self) -> None:
        """Write nothing: the journal is the record."""

    def _save_trial(self, trial: TunerTrial) -> None:
        pass
