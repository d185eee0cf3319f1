"""The search algorithms: KerasTuner Oracles that hand out trials and hear their results.

KerasTuner would rewrite its own record, whole and in place, twice a trial. Ours is the
journal (`aeroact.hpo.journal`), from which an interrupted search is replayed.
"""

import copy
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial as TunerTrial
from keras_tuner.engine.trial import TrialStatus

from aeroact.errors import AeroactError
from aeroact.hpo.config import Project
from aeroact.hpo.prune import Pruner
from aeroact.hpo.space import Candidate, Chosen, candidate_of, values_of

OBJECTIVE = "val_mse"

_MAX_REJECTED = 10_000


class _Shared(keras_tuner.HyperParameters):
    """A space that all trials share, each with values of its own.

    KerasTuner would copy the whole space for each trial: a few milliseconds, and objects by the
    hundred that stay in memory.
    """

    def copy(self) -> "_Shared":
        """Return the same space for another trial."""
        twin = copy.copy(self)
        twin.values = dict(self.values)
        return twin


class SearchOracle(keras_tuner.Oracle):
    """What all algorithms share: no files, no end after a few failures, pruning.

    Parameters
    ----------
    project : Project
        Seed, number of trials, bounds of the space, and the rule of pruning.
    **kwargs
        For the algorithm's own oracle.
    """

    waiting = False
    """Whether the last request was put off until another trial has ended."""

    def __init__(self, project: Project, **kwargs: Any) -> None:
        super().__init__(
            objective=keras_tuner.Objective(OBJECTIVE, "min"),
            hyperparameters=project.space.declare(_Shared()),
            allow_new_entries=False,
            tune_new_entries=False,
            # KerasTuner takes 0 for "draw one".
            seed=project.seed + 1,
            **kwargs,
        )
        self.max_trials = project.trials
        self.verbose = 0
        self._space = project.space
        self._pruner = Pruner(project.prune, project.epochs)
        self._curves: dict[str, list[float]] = {}

    def next_trial(self) -> Chosen | None:
        """Return the next trial, or None at the end or while `waiting`."""
        # Each request by another name: KerasTuner would give the same one its trial again.
        trial = self.create_trial(f"request-{len(self.trials)}")
        self.waiting = trial.status == TrialStatus.IDLE
        if trial.status != TrialStatus.RUNNING:
            return None
        values = trial.hyperparameters.values
        return Chosen(trial.trial_id, candidate_of(values), values.get("tuner/epochs"))

    def begin(self, name: str) -> None:
        """Forget what an earlier attempt at a trial has reported."""
        self._curves[name] = []
        self.trials[name].status = TrialStatus.RUNNING

    def update_trial(self, trial_id: str, metrics: dict[str, float], step: int = 0) -> TunerTrial:
        """Take in an epoch's validation MSE; the trial that is returned may be STOPPED.

        KerasTuner's own would look at all epochs again with each.
        """
        trial = self.trials[trial_id]
        curve = self._curves.setdefault(trial_id, [])
        curve.append(metrics[OBJECTIVE])
        if self._pruner.must_stop(int(trial_id), curve):
            trial.status = TrialStatus.STOPPED
        return trial

    def finish(self, name: str, val_mse: Sequence[float], message: str = "") -> None:
        """Tell a trial's result: validation MSE by epoch, or why it failed."""
        trial: TunerTrial = self.trials[name]
        if not message:
            trial.metrics.register(OBJECTIVE, direction="min")
            best = min(range(len(val_mse)), key=val_mse.__getitem__)
            trial.metrics.update(OBJECTIVE, val_mse[best], step=best)
        trial.status = TrialStatus.FAILED if message else TrialStatus.COMPLETED
        trial.message = message
        self._pruner.add(int(name), () if message else val_mse)
        self._curves.pop(name, None)
        self.end_trial(trial)

    def _check_consecutive_failures(self) -> None:
        """Accept any row of failures: `aeroact.hpo.step1` knows when a search is hopeless."""

    def save(self) -> None:
        """Write nothing: the journal is the record."""

    def _save_trial(self, trial: TunerTrial) -> None:
        pass


class RandomOracle(SearchOracle):
    """Random search whose trial k is a function of the seed and k alone."""

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self._drawn: Iterator[Candidate] = project.space.draw(project.seed)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Choose the next trial's values; called by KerasTuner."""
        candidate = next(self._drawn, None)
        if candidate is None:
            return {"status": TrialStatus.STOPPED}
        return {"status": TrialStatus.RUNNING, "values": values_of(candidate)}


class _Bounded(SearchOracle):
    """KerasTuner's own algorithms, kept below the largest number of parameters."""

    def _random_values(self) -> dict[str, Any] | None:
        for _ in range(_MAX_REJECTED):
            values: dict[str, Any] | None = super()._random_values()
            if values is None or self._space.allows(candidate_of(values)):
                return values
        return None


class HyperbandOracle(_Bounded, keras_tuner.oracles.HyperbandOracle):
    """KerasTuner's Hyperband; its brackets follow each other until all trials are tried.

    A network that goes into the next round is trained anew, as a trial of its own.
    """

    def __init__(self, project: Project) -> None:
        super().__init__(project, max_epochs=project.epochs, hyperband_iterations=None)


class BayesianOracle(_Bounded, keras_tuner.oracles.BayesianOptimizationOracle):
    """KerasTuner's Bayesian optimization.

    Where it proposes a network that is too large, one is drawn at random.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Choose the next trial's values; called by KerasTuner."""
        with warnings.catch_warnings():
            # The kernel's length scales at their bounds: of no use to who reads the terminal.
            warnings.simplefilter("ignore")
            chosen: dict[str, Any] = super().populate_space(trial_id)
            values = chosen.get("values")
            if values and not self._space.allows(candidate_of(values)):
                chosen = self._random_populate_space()
        return chosen


def oracle_of(project: Project) -> SearchOracle:
    """Return the algorithm that a project asks for.

    Raises
    ------
    AeroactError
        If it needs a package that is not installed.
    """
    oracles = {"random": RandomOracle, "hyperband": HyperbandOracle, "bayesian": BayesianOracle}
    try:
        return oracles[project.algorithm](project)
    except ImportError as error:
        raise AeroactError(
            f"algorithm {project.algorithm}: {error}; pip install 'aeroact[bayesian]'"
        ) from error
