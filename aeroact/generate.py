"""Labels for many states: the parcel model over shards, resumable, on all cores.

Each finished shard is a file of its own in a folder beside the dataset; when all are
there they become the dataset, block by block, and the folder goes. Rows depend on the
seed and on their number alone, so the same job gives the same file however it was run.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import aeroact
from aeroact import console, dataset, schema
from aeroact.console import Progress, ProgressBar
from aeroact.errors import AeroactError
from aeroact.files import locked, remove_parts, sha256
from aeroact.physics.activation import Status
from aeroact.physics.constants import resolve
from aeroact.physics.parcel import simulate
from aeroact.shards import Shards, owner_of
from aeroact.states import Method, sample_rows

if TYPE_CHECKING:
    import xarray as xr

SHARD = 2 * 4096
"""Rows of a shard: a second or two of one core's work."""

_CALL = 512
"""Rows of a call of the parcel model: an interruption waits for no more."""

# The NetCDF library crashes when two threads enter it.
_READING = Lock()

States = Callable[[int, int], NDArray[np.float64]]
"""Returns the states from one row to before another, shape (n, 16)."""


@dataclass(frozen=True)
class Job:
    """Everything that decides what is in a generated dataset.

    Attributes
    ----------
    n : int
        Rows.
    seed : int
        Of the sampled states.
    states : str
        SHA-256 sum of the file that gives the states, or ``sampled``.
    method : str
        How states are sampled: ``random`` or ``sobol``.
    physics : str
        Preset of the parcel model.
    accommodation : float, optional
        Mass accommodation coefficient in place of the preset's, 1.
    bins : int
        Size bins a mode.
    rtol : float
        Relative tolerance of the integration.
    kinetic : bool
        Whether there is ``fn_kinetic`` beside ``fn``.
    version : str
        Of aeroact, because another one may compute otherwise.
    """

    n: int
    seed: int
    states: str = "sampled"
    method: Method = "random"
    physics: str = "default"
    accommodation: float | None = None
    bins: int = 50
    rtol: float = 1e-4
    kinetic: bool = False
    version: str = aeroact.__version__

    def __str__(self) -> str:
        """Return the job as JSON, as files record it."""
        return json.dumps(asdict(self))

    @property
    def command(self) -> str:
        """The command that makes the dataset, with the states' sum in place of their file."""
        options = {
            "-n": self.n,
            "--states": None if self.states == "sampled" else f"sha256:{self.states}",
            "--seed": self.seed,
            "--sampling": self.method,
            "--physics": self.physics,
            "--accommodation": self.accommodation,
            "--bins": self.bins,
            "--rtol": f"{self.rtol:g}",
        }
        given = [f"{name} {value}" for name, value in options.items() if value is not None]
        return " ".join(["aeroact-data generate", *given, *["--kinetic"] * self.kinetic])


def generate(
    path: Path,
    job: Job,
    *,
    states_file: Path | None = None,
    workers: int | None = None,
    progress: ProgressBar = console.no_progress,
) -> Counter[str]:
    """Simulate a dataset, going on from where an interrupted call of the same job stopped.

    Parameters
    ----------
    path : Path
        The NetCDF file to make.
    job : Job
        What is in it.
    states_file : Path, optional
        A dataset that gives the states; sampled by default.
    workers : int, optional
        Threads; one a core by default. The kernel releases the interpreter's lock.
    progress : ProgressBar, optional
        Shows how far the work has come, such as `aeroact.console.progress`.

    Returns
    -------
    Counter of str
        Rows by status of the parcel model.

    Raises
    ------
    AeroactError
        If `path` or its unfinished shards belong to another job, or the states are unsound.
    """
    if path.is_dir():
        raise AeroactError(f"{path}: is a folder; name the file to make")
    folder = path.with_name(f".{path.name}.shards")
    if not path.exists():
        with locked(folder):
            # Another process may just have finished.
            if not path.exists():
                with _open_states(job, states_file) as states:
                    _make(path, folder, job, states, workers, progress)
    statuses = _statuses(path, job)
    # Another job's shards can only be here if somebody moved files about.
    if owner_of(folder) in (None, str(job)):
        shutil.rmtree(folder, ignore_errors=True)
    return statuses


def job_for_states(
    states_file: Path,
    n: int | None,
    *,
    progress: ProgressBar = console.no_progress,
    **settings: object,
) -> Job:
    """Return the job that labels the first `n` states of a file, all by default.

    Parameters
    ----------
    states_file : Path
        A dataset; its labels, where it has any, are of no account.
    n : int or None
        Rows to label.
    progress : ProgressBar, optional
        Shows how far the file has been read.
    **settings
        More of the job's attributes.

    Raises
    ------
    AeroactError
        If the file has unsound states, or fewer than asked for.
    """
    findings = dataset.Findings()
    with dataset.open_dataset(states_file) as ds:
        rows = ds.sizes[schema.SAMPLE_DIM]
        if n is not None and n > rows:
            raise AeroactError(
                f"{states_file}: has {rows:,} states, fewer than the {n:,} asked for"
            )
        with progress("Checking states", rows, after=2.0) as show:
            for _, block in dataset.blocks(ds.drop_vars("fn", errors="ignore")):
                findings.look_at(block)
                show(findings.rows)
            dataset.require_sound(states_file, findings)
            show(rows, "checksum")
            checksum = sha256(states_file)
    return Job(n=n or rows, states=checksum, **settings)  # type: ignore[arg-type]


def _statuses(path: Path, job: Job) -> Counter[str]:
    """Count the rows of a finished dataset by status, or refuse another job's."""
    with dataset.open_dataset(path) as ds:
        if ds.attrs.get("aeroact_job") != str(job):
            raise AeroactError(f"{path}: exists and is not this job's; remove it or choose --out")
        counts = np.zeros(len(Status), int)
        for _, block in dataset.blocks(ds[["status"]]):
            counts += np.bincount(block["status"].values, minlength=len(Status))
    return Counter({status.name: int(counts[status]) for status in Status if counts[status]})


@contextmanager
def _open_states(job: Job, states_file: Path | None) -> Iterator[States]:
    """Give what returns the states from one row to another, sampled or from a file."""
    if states_file is None:
        yield lambda start, stop: sample_rows(start, stop, job.seed, job.method)
        return
    # Once, because many shards lie in one compressed chunk, which the open file keeps.
    with dataset.open_dataset(states_file) as ds:

        def read(start: int, stop: int) -> NDArray[np.float64]:
            with _READING:
                return dataset.states(ds.isel(nsamples=slice(start, stop)))

        yield read


def _make(
    path: Path,
    folder: Path,
    job: Job,
    states: States,
    workers: int | None,
    progress: ProgressBar,
) -> None:
    shards = Shards(folder, job.n, SHARD, _row(job))
    shards.claim(str(job))
    remove_parts(path)
    finished = shards.finished()
    done = sum(shards.stop(start) - start for start in np.array(shards.starts)[finished])
    with progress("Parcels", job.n, done, unit="parcels") as show:
        todo = (start for start, there in zip(shards.starts, finished, strict=True) if not there)
        _run_shards(todo, shards, job, states, workers or _cores(), show, done)
    with progress("Writing", job.n, after=2.0) as show:
        dataset.write_blocks(
            path,
            _blocks(shards, job, states, show),
            rows=job.n,
            title="Activated fraction of aerosol in a rising cloud parcel",
            command=job.command,
            attrs=_attributes(job),
        )


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _run_shards(
    todo: Iterator[int],
    shards: Shards,
    job: Job,
    states: States,
    workers: int,
    show: Progress,
    done: int,
) -> None:
    stopping = Event()

    def run(start: int) -> int:
        rows = _simulated(start, shards.stop(start), job, states, stopping)
        shards.write(start, rows)
        return len(rows)

    pool = ThreadPoolExecutor(workers)
    try:
        running: set[Future[int]] = set()
        while True:
            # Only as many as there are threads: there may be millions.
            running |= {pool.submit(run, start) for start in islice(todo, workers - len(running))}
            if not running:
                break
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            done += sum(future.result() for future in finished)
            show(done)
    finally:
        stopping.set()
        pool.shutdown(cancel_futures=True)


def _row(job: Job) -> np.dtype:
    """Return the type of a row: a state, and what the parcel model made of it."""
    per_mode = (schema.N_OUTPUTS,)
    fields: list[Any] = [("x", np.float32, (schema.N_INPUTS,)), ("fn", np.float32, per_mode)]
    fields += [("smax", np.float32), ("status", np.int8)]
    return np.dtype(fields + [("fn_kinetic", np.float32, per_mode)] * job.kinetic)


def _simulated(
    start: int, stop: int, job: Job, states: States, stopping: Event | None = None
) -> NDArray:
    """Return the rows `start` to `stop` of a job; gives up once `stopping` is set."""
    rows = np.empty(stop - start, _row(job))
    # In float32, the precision in which they are stored.
    rows["x"] = states(start, stop)
    for first in range(0, len(rows), _CALL):
        if stopping and stopping.is_set():
            raise CancelledError
        part = rows[first : first + _CALL]
        state = schema.split_state(part["x"].astype(np.float64))
        result = simulate(
            *state.values(),
            physics=job.physics,
            accommodation=job.accommodation,
            bins=job.bins,
            rtol=job.rtol,
            kinetic=job.kinetic,
        )
        for name in (rows.dtype.names or ())[1:]:
            part[name] = getattr(result, name)
    return rows


def _blocks(shards: Shards, job: Job, states: States, show: Progress) -> "Iterator[xr.Dataset]":
    """Turn shards into blocks of the dataset; a damaged one is simulated anew."""
    for start in shards.starts:
        stop = shards.stop(start)
        rows = shards.read(start)
        if rows is None:
            console.warn(f"{shards.path(start)}: damaged; its parcels are simulated anew")
            rows = _simulated(start, stop, job, states)
            shards.write(start, rows)
        values = {name: rows[name] for name in rows.dtype.names or ()}
        block = dataset.from_arrays(values.pop("x"), values.pop("fn"), **values)
        for name in values:
            block[name].attrs = _VARIABLE_ATTRIBUTES[name]
        yield block
        show(stop)


def _attributes(job: Job) -> dict[str, object]:
    """Return the global attributes: the physics with all its numbers, and the job."""
    physics = resolve(job.physics, job.accommodation)
    return {**physics.attributes(), "seed": job.seed, "aeroact_job": str(job)}


_VARIABLE_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "smax": {"units": "1", "long_name": "maximum supersaturation of the parcel"},
    "status": {
        "long_name": "status of the parcel model; rows that are not OK have no fn",
        "flag_values": np.array([int(status) for status in Status], np.int8),
        "flag_meanings": " ".join(status.name for status in Status),
    },
    "fn_kinetic": {
        "units": "1",
        "long_name": "number fraction that is activated 50 m above the maximum supersaturation",
    },
}
