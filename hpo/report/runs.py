"""What the folders of one or several searches hold, finished or not."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aeroact.errors import AeroactError
from aeroact.hpo.config import Project
from aeroact.hpo.cost import Cost, cost_of
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.journal import Trial
from aeroact.hpo.step1 import settled


@dataclass(frozen=True)
class Run:
    """A search as it stands.

    Attributes
    ----------
    name : str
        What the report calls it: P0.05 for a subset of 5 %, as the paper does.
    folder : RunFolder
        Where it is.
    content : dict
        Of its `project.toml`: settings, versions, the data's rows and sum.
    project : Project
        Its settings.
    step1, step2 : dict of str to Trial
        Finished trials by name, failed ones included.
    running : int
        Trials that were begun and have no result.
    """

    name: str
    folder: RunFolder
    content: dict[str, Any]
    project: Project
    step1: dict[str, Trial]
    step2: dict[str, Trial]
    running: int

    @property
    def cost(self) -> Cost:
        """What its trainings took."""
        return cost_of(self.project, self.step1.values(), self.step2.values())

    @property
    def missing(self) -> list[str]:
        """What is not there yet, in words."""
        if not self.folder.step1_table.exists():
            done, of = len(self.step1), self.project.trials
            return [f"{self.name}: Step 1 has {done} of {of} trials; Step 2 has not begun"]
        if not self.step2:
            return [f"{self.name}: Step 1 is done, Step 2 has not begun"]
        if not self.folder.finished:
            done, of = len(self.step2), min(self.project.retrain, len(self.step1))
            return [f"{self.name}: Step 2 has {done} of {of} trials"]
        return []


def read(paths: Sequence[Path]) -> list[Run]:
    """Read runs, the smallest subset first.

    Parameters
    ----------
    paths : sequence of Path
        Their folders.

    Raises
    ------
    AeroactError
        If there is no run in one, it is damaged, or it was named twice.
    """
    resolved = Counter(path.resolve() for path in paths)
    twice = [str(path) for path, times in resolved.items() if times > 1]
    if twice:
        raise AeroactError(f"{', '.join(twice)}: named twice; name each run once")
    folders = [RunFolder(path) for path in paths]
    projects = {folder: folder.project() for folder in folders}
    folders.sort(key=lambda folder: (projects[folder].p_subset, folder.path.name))
    subsets = Counter(f"P{projects[folder].p_subset:.2f}" for folder in folders)
    return [_read(folder, projects[folder], subsets) for folder in folders]


def _read(folder: RunFolder, project: Project, subsets: Counter[str]) -> Run:
    name = f"P{project.p_subset:.2f}"
    if subsets[name] > 1:
        name = f"{name} {folder.path.resolve().name}"
    by_step: dict[int, dict[str, Trial]] = {1: {}, 2: {}}
    running = 0
    for (step, trial_name), trial in folder.journal.read().items():
        if trial.status == "RUNNING":
            running += 1
        else:
            by_step[step][trial_name] = trial
    step1 = settled(by_step[1], project)
    return Run(name, folder, folder.read(), project, step1, by_step[2], running)
