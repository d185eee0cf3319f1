"""What a search is asked to do: settings, their defaults, and presets."""

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aeroact.errors import AeroactError
from aeroact.hpo.choices import WIDTHS, Activation, Algorithm, CostMeasure, Policy, Rule, Schedule

if TYPE_CHECKING:
    from aeroact.hpo.space import Space

Model = TypeVar("Model", bound=BaseModel)

MAX_LAYERS_OF_SQUARES = 4
"""Hidden layers in which the square of ReLU learns: of five no network of 32 nodes came below
an MSE of 0.04 in 15 epochs of 100,000 rows (three: 1e-3), of eight each one diverged."""


class Project(BaseModel):
    """Settings of a two-step search; together with the data they decide its result.

    The defaults suit 300,000 samples and a laptop: of 48,000 training rows the paper's
    subset of 5 % would be two batches, so Step 1 takes a fifth of them, networks stay
    under 50,000 parameters, and Step 2 makes the most of its epochs by one-cycle learning
    rates. `PAPER` has the settings of Yu et al. (2024).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path | None = None
    """NetCDF dataset; without one, `samples` parcels are simulated."""
    samples: int = Field(300_000, ge=1_000)
    """Parcels to simulate where there is no dataset."""
    seed: int = Field(1, ge=0)
    """Of the simulated states, the split, the architectures, the weights and the batches."""
    holdout: float = Field(0.8, gt=0, lt=1)
    """Fraction of the samples that neither step sees."""
    validation: float = Field(0.2, gt=0, lt=1)
    """Fraction of the remaining samples that measures a network in training."""
    transform: Literal["log", "koehler", "zscore"] = "log"
    """Inputs: z-score after a logarithm of the wide-ranging columns, or also of all
    hygroscopicities, or the plain z-score."""

    algorithm: Algorithm = "random"
    """How architectures are chosen; the last two are KerasTuner's own, and adaptive."""
    trials: int = Field(60, ge=1)
    """Architectures that Step 1 tries."""
    p_subset: float = Field(0.2, gt=0, le=1)
    """Fraction of the training rows that Step 1 uses."""
    min_layers: int = Field(1, ge=1)
    """Fewest hidden layers."""
    max_layers: int = Field(20, ge=1)
    """Most hidden layers."""
    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(WIDTHS, min_length=1)
    """Nodes that a hidden layer may have."""
    max_params: int | None = Field(50_000, ge=1)
    """Most learnable parameters; None for no limit."""
    activation: Activation = "relu"
    """Function of all hidden layers: ReLU, or its square."""
    learning_rates: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """Learning rates to choose from along with the architecture; none: `learning_rate`."""
    batch_sizes: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Batch sizes to choose from along with the architecture; none: `batch_size`."""

    epochs: int = Field(100, ge=1)
    """Most epochs of a Step-1 training."""
    patience: int = Field(5, ge=1)
    """Epochs without a better validation MSE that end a Step-1 training."""
    batch_size: int = Field(1024, ge=1)
    """Rows of a batch."""
    learning_rate: float = Field(1e-3, gt=0)
    """Of the Adam optimizer (Kingma & Ba, 2015)."""
    droplet_weight: float = Field(0.0, ge=0, allow_inf_nan=False)
    """In the loss of a training, of the error of the droplet number: see `aeroact.hpo.loss`."""
    monotony_weight: float = Field(0.0, ge=0, allow_inf_nan=False)
    """In the loss of a training, of fractions that fall when the updraft rises."""
    prune: Rule = "none"
    """How a trial of Step 1 that will not be among the best is told, and ended."""
    trial_timeout: float | None = Field(None, gt=0)
    """Seconds after which a training is given up; None for no limit."""
    max_failed: float = Field(0.5, ge=0, le=1)
    """Fraction of failed trials above which a search stops."""

    retrain: int = Field(6, ge=1)
    """Architectures that Step 2 retrains."""
    shortlist: Policy = "best"
    """Which: those with the lowest validation MSE, or first those on the Pareto front of
    validation MSE and cost."""
    cost: CostMeasure = "params"
    """What the Pareto front takes for cost: learnable parameters, or the measured time of a
    prediction on one core."""
    shortlist_max_layers: int | None = Field(None, ge=1)
    """Most hidden layers of a network that is retrained."""
    shortlist_max_params: int | None = Field(None, ge=1)
    """Most learnable parameters of a network that is retrained."""
    retrain_epochs: int = Field(200, ge=1)
    """Epochs of a Step-2 training, whose best one is kept."""
    schedule: Schedule = "onecycle"
    """Course of the learning rate in Step 2."""
    retrain_learning_rate: float | None = Field(None, gt=0)
    """Learning rate of Step 2, the highest of its schedule; None: ten times that of Step 1, or
    the same where the schedule is constant."""
    retrain_droplet_weight: float | None = Field(None, ge=0, allow_inf_nan=False)
    """`droplet_weight` of Step 2; None: that of Step 1."""
    retrain_monotony_weight: float | None = Field(None, ge=0, allow_inf_nan=False)
    """`monotony_weight` of Step 2; None: that of Step 1."""

    @model_validator(mode="after")
    def _check_layers(self) -> "Project":
        if self.min_layers > self.max_layers:
            raise ValueError(f"min_layers {self.min_layers} exceeds max_layers {self.max_layers}")
        return self

    @model_validator(mode="after")
    def _check_squares(self) -> "Project":
        if self.activation == "relu2" and self.max_layers > MAX_LAYERS_OF_SQUARES:
            raise ValueError(
                f"activation relu2 does not learn in more than {MAX_LAYERS_OF_SQUARES} hidden "
                f"layers, and max_layers is {self.max_layers}; set it (--max-layers) lower"
            )
        return self

    @model_validator(mode="after")
    def _check_prune(self) -> "Project":
        if self.prune != "none" and self.algorithm != "random":
            raise ValueError(
                f"prune = {self.prune} needs algorithm = random: {self.algorithm} chooses by "
                "results that a pruned trial does not have"
            )
        return self

    @property
    def p_retrain(self) -> float:
        """Fraction of the trials that Step 2 retrains."""
        return min(self.retrain, self.trials) / self.trials

    @property
    def space(self) -> "Space":
        """What Step 1 chooses from."""
        from aeroact.hpo.space import Space

        return Space(
            self.min_layers,
            self.max_layers,
            self.widths,
            self.max_params,
            self.learning_rates,
            self.batch_sizes,
        )


TRAINING_OF_STEP2 = frozenset(
    {
        "retrain_epochs",
        "schedule",
        "retrain_learning_rate",
        "retrain_droplet_weight",
        "retrain_monotony_weight",
    }
)
"""Settings of Step 2 that all its networks must share."""

STEP2_ONLY = TRAINING_OF_STEP2 | {
    "retrain",
    "shortlist",
    "cost",
    "shortlist_max_layers",
    "shortlist_max_params",
}
"""Settings that Step 1 does not depend on."""

WITHOUT_EFFECT = frozenset({"trial_timeout", "max_failed"})
"""Settings that may change while a run goes on: they decide when to give up, not the result."""


PAPER: dict[str, Any] = {
    "transform": "zscore",
    "trials": 10_000,
    "p_subset": 0.05,
    "max_params": None,
    "retrain": 50,
    "schedule": "constant",
}
"""Where Yu et al. (2024) differ from the defaults of `Project`."""

ZOO: dict[str, Any] = {
    "transform": "koehler",
    "activation": "relu2",
    "min_layers": 2,
    "max_layers": 3,
    "widths": (16, 32, 48, 64, 96, 128),
}
"""What made the released emulators more accurate than others of their size."""

TABLES = ("project", "slurm")
"""Of a configuration file."""

PRESETS: dict[str, dict[str, Any]] = {"laptop": {}, "paper": PAPER, "zoo": ZOO}


def read_settings(path: Path, table: str = "project") -> dict[str, Any]:
    """Read settings from a TOML file.

    Parameters
    ----------
    path : Path
        With the tables ``[project]`` and ``[slurm]``, or the project's settings at its top.
    table : str
        Which of them; nothing, if it is not there.

    Raises
    ------
    AeroactError
        If the file is missing or is not TOML.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AeroactError(f"{path}: cannot read ({error.strerror})") from error
    except tomllib.TOMLDecodeError as error:
        raise AeroactError(f"{path}: not TOML ({error})") from error
    others = {name: value for name, value in content.items() if name not in TABLES}
    settings = content.get(table, others if table == "project" else {})
    if not isinstance(settings, dict):
        raise AeroactError(f"{path}: {table} = {settings} is no table; write [{table}]")
    return settings


def settings_of(preset: str, config: Path | None, options: dict[str, Any]) -> dict[str, Any]:
    """Merge what was asked for: the preset, over it the file, over it the command line.

    Parameters
    ----------
    preset : str
        A name of `PRESETS`.
    config : Path or None
        A TOML file.
    options : dict
        From the command line; None means not given.

    Returns
    -------
    dict
        The settings that differ from the defaults of `Project`, or repeat them on purpose.
    """
    given = {key: value for key, value in options.items() if value is not None}
    settings = PRESETS[preset] | (read_settings(config) if config else {}) | given
    if "retrain" in given:
        settings.pop("p_retrain", None)
    return settings


def project_of(settings: dict[str, Any]) -> Project:
    """Check settings and fill in the defaults.

    Parameters
    ----------
    settings : dict
        Fields of `Project`, and ``p_retrain`` (a fraction of the trials) for ``retrain``.

    Raises
    ------
    AeroactError
        Naming each setting that is unknown or out of bounds.
    """
    settings = dict(settings)
    p_retrain = settings.pop("p_retrain", None)
    if p_retrain is not None:
        if not 0 < p_retrain <= 1:
            raise AeroactError(f"p_retrain: {p_retrain} is not within (0, 1]")
        settings["retrain"] = max(1, round(p_retrain * settings.get("trials", Project().trials)))
    return checked(Project, settings)


def checked(model: type[Model], settings: dict[str, Any]) -> Model:
    """Return settings as a pydantic model.

    Raises
    ------
    AeroactError
        Naming each setting that is unknown or out of bounds.
    """
    try:
        return model(**settings)
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, fault['loc'])) or 'settings'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise AeroactError("; ".join(faults)) from error
