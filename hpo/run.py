"""A whole search: data, Step 1, Step 2, tables; begun anew or continued."""

import shutil
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aeroact import console, dataset
from aeroact.errors import AeroactError
from aeroact.files import locked, remove_parts, replacing_folder
from aeroact.generate import Job, generate
from aeroact.hpo import cache, screen, step1, step2, tables
from aeroact.hpo.config import STEP2_ONLY, TRAINING_OF_STEP2, WITHOUT_EFFECT, Project, project_of
from aeroact.hpo.cost import Cost, cost_of
from aeroact.hpo.crew import Crew, Hire, Processes
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.journal import Trial
from aeroact.hpo.shortlist import shortlist
from aeroact.hpo.standing import Standing
from aeroact.hpo.watcher import Watcher
from aeroact.schema import SAMPLE_DIM

if TYPE_CHECKING:
    import xarray as xr

    from aeroact.hpo.tensorboard import Board

_MIN_TRAINING_ROWS = 100


@dataclass(frozen=True)
class Request:
    """How a search is to be run, apart from its settings.

    Attributes
    ----------
    n_workers : int
        Processes of this machine that simulate and train.
    steps : set of int
        Which steps to do: 1, 2 or both.
    retry_failed : bool
        Whether failed trials are run again.
    tensorboard : bool
        Whether TensorBoard's files are written.
    hire : callable or None
        Who trains in place of these processes.
    """

    n_workers: int
    steps: Set[int] = field(default_factory=lambda: frozenset({1, 2}))
    retry_failed: bool = False
    tensorboard: bool = False
    hire: Hire | None = None


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


def run(path: Path, settings: dict[str, Any], request: Request) -> Result:
    """Do a two-step search, or go on with the one that a folder holds.

    Parameters
    ----------
    path : Path
        The run's folder.
    settings : dict
        What was asked for. A folder that holds a run must agree with them, and gives
        all others; settings of Step 2 may change where that step alone is asked for.
    request : Request
        Which steps, and how.

    Returns
    -------
    Result
        Also written to the folder.

    Raises
    ------
    AeroactError
        If the data are unsound, the folder holds another run, or too many trials fail.
    """
    folder, report = RunFolder(path), None
    project = _asked(folder, settings, request.steps)
    if project.data is not None and not folder.exists:
        # Before anything is written: a bad file must leave no trace.
        report = _check(project.data)
    with locked(path):
        _write_down(folder, project)
        hire = request.hire or Processes.hire(request.n_workers)
        with _board(folder, request) as board, hire(folder) as crew:
            return _Search(folder, project, request, crew, board, report).run()


def begin(path: Path, settings: dict[str, Any], steps: Set[int]) -> Project:
    """Write down what a search is to do, and leave it at that; `run` without settings does it.

    Parameters
    ----------
    path, settings
        As for `run`.
    steps : set of int
        Which are to be done.

    Returns
    -------
    Project
        All settings.

    Raises
    ------
    AeroactError
        If the data cannot be read or have no labels (their rows are checked later), or the
        folder holds another run.
    """
    folder = RunFolder(path)
    project = _asked(folder, settings, steps)
    if project.data is not None and not folder.exists:
        with dataset.open_dataset(project.data) as ds:
            _require_labels(project.data, ds)
    with locked(path):
        _write_down(folder, project)
    return project


def _asked(folder: RunFolder, settings: dict[str, Any], steps: Set[int]) -> Project:
    if settings.get("data") is not None:
        settings = settings | {"data": Path(settings["data"]).resolve()}
    if folder.exists:
        return _agreed(folder, settings, steps)
    if 1 not in steps:
        raise AeroactError(
            f"{folder.path}: no run is here; start one with aeroact-hpo step1 --out {folder.path}"
        )
    return project_of(settings)


def _write_down(folder: RunFolder, project: Project) -> None:
    if not folder.exists:
        folder.begin(project)
    elif folder.project() != project:
        folder.change(project)


def _agreed(folder: RunFolder, settings: dict[str, Any], steps: Set[int]) -> Project:
    """Return the settings of a run that exists, with what may still change as asked for now."""
    project = folder.project()
    asked = project_of(project.model_dump() | settings)
    free = WITHOUT_EFFECT if 1 in steps else WITHOUT_EFFECT | STEP2_ONLY
    for name in type(project).model_fields:
        was, now = getattr(project, name), getattr(asked, name)
        if was == now:
            continue
        if name not in free:
            way = "ask aeroact-hpo step2 for that" if name in STEP2_ONLY else "choose another --out"
            raise AeroactError(
                f"{folder.path}: holds a run with {name} = {was}, not {now}; {way}, or leave that "
                "setting out to go on with this one"
            )
        if name in TRAINING_OF_STEP2 and folder.journal.finished(2):
            raise AeroactError(
                f"{folder.path}: its networks were retrained with {name} = {was}, not {now}; leave "
                "that setting out, or ask for it in a new run with --out"
            )
    return asked


def _check(path: Path) -> dataset.Report:
    with dataset.open_dataset(path) as ds:
        report = dataset.check(ds)
        dataset.require_sound(path, report)
        _require_labels(path, ds)
    return report


def _require_labels(path: Path, ds: "xr.Dataset") -> None:
    if "fn" not in ds:
        raise AeroactError(
            f"{path}: variable fn is missing; aeroact-data generate --states {path} computes it"
        )


@contextmanager
def _board(folder: RunFolder, request: Request) -> Iterator["Board | None"]:
    if not request.tensorboard:
        yield None
        return
    from aeroact.hpo.tensorboard import Board

    board = Board(folder.path / "tensorboard")
    try:
        yield board
    finally:
        board.close()


@dataclass
class _Search:
    """A run of the command on a folder that no other process works on."""

    folder: RunFolder
    project: Project
    request: Request
    crew: Crew
    board: "Board | None"
    report: dataset.Report | None

    def run(self) -> Result:
        folder, project = self.folder, self.project
        first, second = (folder.journal.finished(step) for step in (1, 2))
        if 1 in self.request.steps:
            first = self._step1(first)
        elif not folder.step1_table.exists():
            raise AeroactError(
                f"{folder.path}: Step 1 has {len(first)} of {project.trials} trials; finish it "
                f"with aeroact-hpo step1 --out {folder.path}"
            )
        first = step1.settled(first, project)
        if 1 in self.request.steps:
            tables.write_step1(folder.step1_table, first)
        if 2 in self.request.steps:
            second = self._step2(first, self._kept(second))
            # The last file of a run: with it, the run is finished.
            tables.write_step2(folder.step2_table, f"P{project.p_subset:.2f}", first, second)
        shutil.rmtree(folder.cache, ignore_errors=True)
        return Result(project, first, second, cost_of(project, first.values(), second.values()))

    def _kept(self, finished: dict[str, Trial]) -> dict[str, Trial]:
        """Return the trials that need not be run again."""
        if self.request.retry_failed:
            return {name: trial for name, trial in finished.items() if trial.status != "FAILED"}
        return finished

    def _step1(self, finished: dict[str, Trial]) -> dict[str, Trial]:
        kept, table = self._kept(finished), self.folder.step1_table
        if len(kept) < len(finished):
            table.unlink(missing_ok=True)
        # A table says that the step is done: in a small space, with fewer trials than asked for.
        if table.exists() or len(kept) == self.project.trials:
            return kept
        self._prepare()
        standing = Standing.of(1, self.project.trials, kept.values())
        with screen.watch(screen.TITLES[1], standing) as show:
            watcher = Watcher(show, self.board)
            return step1.run(self.project, self.folder, kept, self.crew, watcher)

    def _step2(self, first: dict[str, Trial], finished: dict[str, Trial]) -> dict[str, Trial]:
        chosen = shortlist(first, self.project)
        names = {trial.name for trial in chosen} | finished.keys()
        if names - finished.keys():
            self._prepare()
        standing = Standing.of(2, len(names), finished.values())
        with screen.watch(screen.TITLES[2], standing) as show:
            watcher = Watcher(show, self.board)
            return step2.run(self.project, self.folder, chosen, finished, self.crew, watcher)

    def _prepare(self) -> None:
        """Read, split and normalize the data, and lay the rows out for the workers."""
        folder, project = self.folder, self.project
        if project.data is None:
            job = Job(n=project.samples, seed=project.seed)
            workers, progress = self.request.n_workers, console.progress
            generate(folder.own_data, job, workers=workers, progress=progress)
        path = folder.data_file()
        with dataset.open_dataset(path) as ds:
            folder.claim_data(path, ds.sizes[SAMPLE_DIM])
            if folder.cache.exists():
                return
            remove_parts(folder.cache)
            parts = split_of(self.report or _check(path), project)
            rows = len(parts.training) * project.p_subset
            if rows < _MIN_TRAINING_ROWS:
                raise AeroactError(
                    f"{path}: its usable rows leave {rows:.0f} to train on in Step 1, fewer than "
                    f"{_MIN_TRAINING_ROWS}; give more data, or raise --p-subset"
                )
            with replacing_folder(folder.cache) as part:
                folder.save_normalization(cache.lay_out(ds, parts, project.transform, part))


def split_of(report: dataset.Report, project: Project) -> dataset.Split:
    """Share out a checked dataset as the project says."""
    return dataset.split(
        report.usable, holdout=project.holdout, validation=project.validation, seed=project.seed
    )
