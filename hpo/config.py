"""What a search is asked to do: settings, their defaults, and the paper's preset."""

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aeroact.errors import AeroactError


class Project(BaseModel):
    """Settings of a two-step search; together with the data they decide its result.

    The defaults suit 300,000 samples and a laptop: of 48,000 training rows the paper's
    subset of 5 % would be two batches, so Step 1 takes a fifth of them, and networks
    stay under 50,000 parameters. `PAPER` has the settings of Yu et al. (2024).
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
    transform: Literal["log", "zscore"] = "log"
    """Inputs: z-score after a logarithm of the wide-ranging columns, or the plain z-score."""

    algorithm: Literal["random"] = "random"
    """How architectures are chosen."""
    trials: int = Field(60, ge=1)
    """Architectures that Step 1 tries."""
    p_subset: float = Field(0.2, gt=0, le=1)
    """Fraction of the training rows that Step 1 uses."""
    min_layers: int = Field(1, ge=1, le=20)
    """Fewest hidden layers."""
    max_layers: int = Field(20, ge=1, le=20)
    """Most hidden layers."""
    max_params: int | None = Field(50_000, ge=1)
    """Most learnable parameters; None for no limit."""
    retrain: int = Field(6, ge=1)
    """Architectures that Step 2 retrains, the best of Step 1."""

    epochs: int = Field(100, ge=1)
    """Most epochs of a Step-1 training."""
    patience: int = Field(5, ge=1)
    """Epochs without a better validation MSE that end a Step-1 training."""
    retrain_epochs: int = Field(200, ge=1)
    """Epochs of a Step-2 training, whose best one is kept."""
    batch_size: int = Field(1024, ge=1)
    """Rows of a batch."""
    learning_rate: float = Field(1e-3, gt=0)
    """Of the Adam optimizer (Kingma & Ba, 2015)."""

    @model_validator(mode="after")
    def _check_layers(self) -> "Project":
        if self.min_layers > self.max_layers:
            raise ValueError(f"min_layers {self.min_layers} exceeds max_layers {self.max_layers}")
        return self

    @property
    def p_retrain(self) -> float:
        """Fraction of the trials that Step 2 retrains."""
        return min(self.retrain, self.trials) / self.trials


PAPER: dict[str, Any] = {
    "transform": "zscore",
    "trials": 10_000,
    "p_subset": 0.05,
    "max_params": None,
    "retrain": 50,
}
"""Where Yu et al. (2024) differ from the defaults of `Project`."""

PRESETS: dict[str, dict[str, Any]] = {"laptop": {}, "paper": PAPER}


def read_settings(path: Path) -> dict[str, Any]:
    """Read settings from a TOML file, either at its top or in a table ``[project]``.

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
    return content.get("project", content)


def settings_of(preset: str, config: Path | None, options: dict[str, Any]) -> dict[str, Any]:
    """Merge what was asked for: the preset, over it the file, over it the command line.

    Parameters
    ----------
    preset : str
        A name of `PRESETS`.
    config : Path or None
        A TOML file.
    options : dict
        From the command line; None means not given. ``p_retrain`` is turned into
        ``retrain``.

    Returns
    -------
    dict
        The settings that differ from the defaults of `Project`, or repeat them on purpose.
    """
    given = {key: value for key, value in options.items() if value is not None}
    settings = PRESETS[preset] | (read_settings(config) if config else {}) | given
    p_retrain = settings.pop("p_retrain", None)
    if p_retrain is not None and "retrain" not in given:
        if not 0 < p_retrain <= 1:
            raise AeroactError(f"p_retrain: {p_retrain} is not within (0, 1]")
        trials = settings.get("trials", Project().trials)
        settings["retrain"] = max(1, round(p_retrain * trials))
    return settings


def project_of(settings: dict[str, Any]) -> Project:
    """Check settings and fill in the defaults.

    Raises
    ------
    AeroactError
        Naming each setting that is unknown or out of bounds.
    """
    try:
        return Project(**settings)
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, fault['loc'])) or 'settings'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise AeroactError("; ".join(faults)) from error
