"""A run's folder: where each file is, and what `project.toml` says."""

import platform
import tomllib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w

from aeroact.errors import AeroactError
from aeroact.files import sha256, write_text
from aeroact.hpo.config import Project, project_of
from aeroact.hpo.journal import Journal
from aeroact.normalization import Normalization

_PACKAGES = ("aeroact", "keras", "keras-tuner", "numpy", "tensorflow")


@dataclass(frozen=True)
class RunFolder:
    """The folder of one two-step search; it may be copied to another machine.

    Attributes
    ----------
    path : Path
        The folder.
    """

    path: Path

    @property
    def project_file(self) -> Path:
        """What was asked for, with versions and the data's sum."""
        return self.path / "project.toml"

    @property
    def own_data(self) -> Path:
        """The dataset that the run simulated itself, where it was given none."""
        return self.path / "data.nc"

    @property
    def cache(self) -> Path:
        """Normalized training rows for the workers; only there until the search is done."""
        return self.path / "cache"

    @property
    def journal(self) -> Journal:
        """The record of all trials."""
        return Journal(self.path / "trials.jsonl")

    @property
    def cluster(self) -> Path:
        """What the chief and the workers of a cluster need to know of each other."""
        return self.path / "cluster"

    @property
    def logs(self) -> Path:
        """What the workers of a cluster said, a file each."""
        return self.path / "logs"

    def model(self, trial: str) -> Path:
        """Return the file of a retrained network."""
        return self.path / "models" / f"{trial}.keras"

    def normalization(self) -> Normalization:
        """Read the statistics that all networks of the run share."""
        return Normalization.load(self._normalization_file)

    def save_normalization(self, normalization: Normalization) -> None:
        """Write the statistics that all networks of the run share."""
        normalization.save(self._normalization_file)

    @property
    def _normalization_file(self) -> Path:
        return self.path / "normalization.json"

    @property
    def exists(self) -> bool:
        """Whether a run was begun here."""
        return self.project_file.exists()

    @property
    def finished(self) -> bool:
        """Whether both steps are done."""
        return self.step2_table.exists()

    @property
    def step1_table(self) -> Path:
        """All trials of Step 1."""
        return self.path / "step1.csv"

    @property
    def step2_table(self) -> Path:
        """The retrained networks with their errors on the holdout."""
        return self.path / "step2.csv"

    def read(self) -> dict[str, Any]:
        """Read `project.toml`.

        Raises
        ------
        AeroactError
            If there is no run, or its file is damaged.
        """
        try:
            return tomllib.loads(self.project_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise AeroactError(
                f"{self.path}: no run is here; start one with aeroact-hpo run --out {self.path}"
            ) from None
        except tomllib.TOMLDecodeError as error:
            raise AeroactError(f"{self.project_file}: damaged ({error})") from error

    def released(self) -> dict[str, Any]:
        """Return what `project.toml` says, for others: of the data's path the name alone."""
        content = self.read()
        if "data" in content["project"]:
            content["project"]["data"] = Path(content["project"]["data"]).name
        return content

    def project(self) -> Project:
        """Return the settings of the run."""
        return project_of(self.read()["project"])

    def data_file(self) -> Path:
        """Return the run's dataset.

        Raises
        ------
        AeroactError
            If it is gone.
        """
        path = self.project().data or self.own_data
        if not path.is_file():
            raise AeroactError(
                f"{path}: the data of run {self.path} are gone; put the file back there, or name "
                f"its new place under data in {self.project_file}"
            )
        return path

    def begin(self, project: Project) -> None:
        """Write `project.toml` for a new run."""
        content = {
            "project": _settings(project),
            "versions": {name: version(name) for name in _PACKAGES}
            | {"python": platform.python_version(), "machine": platform.machine()},
        }
        write_text(self.project_file, tomli_w.dumps(content))

    def change(self, project: Project) -> None:
        """Write other settings into `project.toml`."""
        write_text(self.project_file, tomli_w.dumps(self.read() | {"project": _settings(project)}))

    def claim_data(self, path: Path, rows: int) -> None:
        """Note which data the run uses, or see that they are still the same.

        Raises
        ------
        AeroactError
            If the file has changed since the run began.
        """
        content = self.read()
        found = {"rows": rows, "sha256": sha256(path)}
        if "data" not in content:
            write_text(self.project_file, tomli_w.dumps(content | {"data": found}))
        elif content["data"] != found:
            raise AeroactError(
                f"{path}: is not the file that run {self.path} began with; put that one back, "
                "or start another run with --out"
            )


def _settings(project: Project) -> dict[str, Any]:
    return {k: v for k, v in project.model_dump(mode="json").items() if v is not None}
