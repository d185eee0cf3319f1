"""The options that the commands of `aeroact-hpo` share: one for each setting of `Project`."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from aeroact.hpo.choices import Activation, Algorithm, CostMeasure, Policy, Rule, Schedule
from aeroact.hpo.config import Project


def _option(name: str, text: str, **kwargs: Any) -> Any:
    """Return an option that shows the default of `Project`, but does not insist on it."""
    default = Project.model_fields[name.removeprefix("--").replace("-", "_")].default
    # The backslash keeps rich from taking the bracket for markup.
    shown = f" \\[default: {default}]" if default is not None else ""
    return typer.Option(name, help=text + shown, show_default=False, **kwargs)


Data = Annotated[
    Path | None, typer.Option("--data", help="NetCDF dataset; without one, parcels are simulated.")
]
Out = Annotated[Path, typer.Option("--out", help="The run's folder.")]
Preset = Annotated[
    Literal["laptop", "paper", "zoo"],
    typer.Option(
        help="Defaults for 300,000 samples, all settings of Yu et al. (2024), or the networks of "
        "the released emulators."
    ),
]
Config = Annotated[
    Path | None, typer.Option(help="TOML file with the same names; the command line wins.")
]
Samples = Annotated[
    int | None, _option("--samples", "Parcels to simulate without --data.", min=1000)
]
Seed = Annotated[int | None, _option("--seed", "Decides all that is random.", min=0)]
Transform = Annotated[
    Literal["log", "koehler", "zscore"] | None,
    _option(
        "--transform", "Z-score after a log of wide-ranging inputs, of all kappas too, or alone."
    ),
]
Holdout = Annotated[
    float | None, _option("--holdout", "Fraction of the samples kept for the test.")
]
Validation = Annotated[
    float | None, _option("--validation", "Fraction of the other samples that watches a training.")
]
Algorithm_ = Annotated[
    Algorithm | None,
    _option("--algorithm", "How architectures are chosen; the last two are KerasTuner's own."),
]
Trials = Annotated[int | None, _option("--trials", "Architectures that Step 1 tries.", min=1)]
PSubset = Annotated[float | None, _option("--p-subset", "Fraction of the training rows in Step 1.")]
MinLayers = Annotated[int | None, _option("--min-layers", "Fewest hidden layers.")]
MaxLayers = Annotated[int | None, _option("--max-layers", "Most hidden layers.")]
MaxParams = Annotated[int | None, _option("--max-params", "Most learnable parameters.", min=1)]
Activation_ = Annotated[
    Activation | None, _option("--activation", "Of hidden layers: ReLU, or its square.")
]
Epochs = Annotated[int | None, _option("--epochs", "Most epochs in Step 1.", min=1)]
Patience = Annotated[
    int | None,
    _option("--patience", "Epochs without a better validation MSE that end Step 1.", min=1),
]
BatchSize = Annotated[int | None, _option("--batch-size", "Rows of a batch.", min=1)]
LearningRate = Annotated[float | None, _option("--learning-rate", "Of Adam.")]
DropletWeight = Annotated[
    float | None,
    _option("--droplet-weight", "In the loss, of the error of the droplet number.", min=0),
]
MonotonyWeight = Annotated[
    float | None,
    _option(
        "--monotony-weight", "In the loss, of fractions that fall as the updraft rises.", min=0
    ),
]
Prune_ = Annotated[
    Rule | None, _option("--prune", "Rule that ends hopeless trials of Step 1 early.")
]
TrialTimeout = Annotated[
    float | None, _option("--trial-timeout", "Seconds after which a training is given up.")
]
MaxFailed = Annotated[
    float | None, _option("--max-failed", "Fraction of failed trials above which a run stops.")
]
Retrain = Annotated[int | None, _option("--retrain", "Architectures that Step 2 retrains.", min=1)]
PRetrain = Annotated[
    float | None, typer.Option("--p-retrain", help="The same as a fraction of the trials.")
]
Shortlist = Annotated[
    Policy | None,
    _option("--shortlist", "Which: the most accurate, or the Pareto front of MSE and --cost."),
]
Cost = Annotated[
    CostMeasure | None,
    _option("--cost", "Of --shortlist pareto: parameters, or measured time on one core."),
]
RetrainEpochs = Annotated[
    int | None, _option("--retrain-epochs", "Epochs in Step 2; the best one is kept.", min=1)
]
Schedule_ = Annotated[
    Schedule | None, _option("--schedule", "Course of the learning rate in Step 2.")
]
RetrainLearningRate = Annotated[
    float | None,
    _option(
        "--retrain-learning-rate",
        "Highest learning rate in Step 2 \\[default: ten times --learning-rate, or the same "
        "where the schedule is constant]",
    ),
]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes, one thread each; one a core.")]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Run trials again that have failed.")
]
TensorBoard = Annotated[
    bool, typer.Option("--tensorboard", help="Write TensorBoard logs into the run's folder.")
]


def settings_in(options: dict[str, Any]) -> dict[str, Any]:
    """Return those of a command's options that are settings of a project."""
    return {k: v for k, v in options.items() if k in Project.model_fields or k == "p_retrain"}


def n_workers(asked: int | None) -> int:
    """Return the number of processes: by default one for each core that we may use."""
    return asked or len(os.sched_getaffinity(0))
