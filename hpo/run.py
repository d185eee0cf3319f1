"""A whole search: data, Step 1, Step 2, tables; begun anew or continued."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aeroact import console, dataset, normalization
from aeroact.errors import AeroactError
from aeroact.files import locked, make_folder
from aeroact.generate import Job, generate
from aeroact.hpo import step1, step2, tables
from aeroact.hpo.config import Project, project_of
from aeroact.hpo.cost import Cost, cost_of
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.journal import Trial
from aeroact.hpo.training import TrainingData

_MIN_TRAINING_ROWS = 100


@dataclass(frozen=True)
class Result:
    """What a search found.

    Attributes
    ----------
    project : Project
        What was asked for.
    step1, step2 : dict of str to Trial
        The trials of each step by name.
    cost : Cost
        What they took.
    """

    project: Project
    step1: dict[str, Trial]
    step2: dict[str, Trial]
    cost: Cost


def run(path: Path, settings: dict[str, Any], n_workers: int) -> Result:
    """Do a two-step search, or go on with the one that a folder holds.

    Parameters
    ----------
    path : Path
        The run's folder.
    settings : dict
        Settings that were asked for; a run that exists must agree with them, and gives
        all others.
    n_workers : int
        Processes that train.

    Returns
    -------
    Result
        Also written to the folder.

    Raises
    ------
    AeroactError
        If the data are unsound, the folder holds another run, or too many trials fail.
    """
    folder = RunFolder(path)
    if settings.get("data") is not None:
        settings = settings | {"data": Path(settings["data"]).resolve()}
    project = _agreed(folder, settings) if folder.exists else project_of(settings)
    finished, report = folder.finished, None
    if project.data is not None and not finished:
        # Before anything is written: a bad file must leave no trace.
        report = _check(project.data)
    with locked(path):
        if not folder.exists:
            folder.begin(project)
        if not finished:
            _prepare(folder, project, report or _simulate(folder, project, n_workers))
        return _search(folder, project, n_workers)


def _agreed(folder: RunFolder, settings: dict[str, Any]) -> Project:
    """Return the settings of a run that exists, if those asked for now do not differ."""
    project = folder.project()
    asked = project_of(project.model_dump() | settings)
    for name in type(project).model_fields:
        was, now = getattr(project, name), getattr(asked, name)
        if was != now:
            raise AeroactError(
                f"{folder.path}: holds a run with {name} = {was}, not {now}; choose another "
                "--out, or leave that setting out to go on with this one"
            )
    return project


def _check(path: Path) -> dataset.Report:
    with dataset.open_dataset(path) as ds:
        report = dataset.check(ds)
        dataset.require_sound(path, report)
        if "fn" not in ds:
            raise AeroactError(
                f"{path}: variable fn is missing; aeroact-data generate --states {path} computes it"
            )
    return report


def _simulate(folder: RunFolder, project: Project, n_workers: int) -> dataset.Report:
    path, job = folder.own_data, Job(n=project.samples, seed=project.seed)
    generate(path, job, workers=n_workers, progress=console.progress)
    return _check(path)


def _prepare(folder: RunFolder, project: Project, report: dataset.Report) -> None:
    """Read, split and normalize the checked data, and lay the rows out for the workers."""
    path = folder.data_file()
    folder.claim_data(path, report.rows)
    parts = split_of(report, project)
    if len(parts.training) * project.p_subset < _MIN_TRAINING_ROWS:
        raise AeroactError(
            f"{path}: {report.usable.sum():,} usable rows leave "
            f"{len(parts.training) * project.p_subset:.0f} to train on in Step 1, fewer than "
            f"{_MIN_TRAINING_ROWS}; give more data, or raise --p-subset"
        )
    with dataset.open_dataset(path) as ds:
        x, fn = dataset.take(ds, parts.training)
        x_val, fn_val = dataset.take(ds, parts.validation)
    statistics = normalization.fit([x], normalization.PRESETS[project.transform])
    folder.save_normalization(statistics)
    make_folder(folder.cache)
    TrainingData(statistics.apply(x), fn, statistics.apply(x_val), fn_val).save(folder.cache)
    np.save(folder.cache / "holdout.npy", parts.holdout)


def _search(folder: RunFolder, project: Project, n_workers: int) -> Result:
    done = len(folder.journal.finished(1))
    with console.progress("Step 1, trials", project.trials, done) as progress:
        first = step1.run(project, folder, n_workers, progress)
    tables.write_step1(folder.step1_table, first)

    chosen = step2.shortlist(first, project.retrain)
    done = len(folder.journal.finished(2))
    with console.progress("Step 2, retraining", len(chosen), done) as progress:
        second = step2.run(project, folder, chosen, n_workers, progress)
    # The last file of a run: with it, the run is finished.
    tables.write_step2(folder.step2_table, f"P{project.p_subset:.2f}", first, second)
    shutil.rmtree(folder.cache, ignore_errors=True)
    return Result(project, first, second, cost_of(project, first.values(), second.values()))


def split_of(report: dataset.Report, project: Project) -> dataset.Split:
    """Share out a checked dataset as the project says."""
    return dataset.split(
        report.usable, holdout=project.holdout, validation=project.validation, seed=project.seed
    )
