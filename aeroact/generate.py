"""Labels for many states: the parcel model over shards, resumable, on all cores.

Each finished shard is a file of its own in a folder beside the dataset; when all are
there they become the dataset and the folder goes. Rows depend on the seed and on
their number alone, so the same job gives the same file however it was run.
"""

import json
import os
import shutil
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

import aeroact
from aeroact import dataset, schema
from aeroact.console import Progress
from aeroact.errors import AeroactError
from aeroact.files import locked, replacing, sha256, write_text
from aeroact.physics.constants import preset
from aeroact.physics.parcel import Status, simulate
from aeroact.states import sample_rows

SHARD = 2 * 4096
"""Rows of a shard: a second or two of one core's work."""

# The NetCDF library crashes when two threads enter it.
_READING = Lock()


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
    physics : str
        Preset of the parcel model.
    bins : int
        Size bins a mode.
    rtol : float
        Relative tolerance of the integration.
    version : str
        Of aeroact, because another one may compute otherwise.
    """

    n: int
    seed: int
    states: str = "sampled"
    physics: str = "default"
    bins: int = 50
    rtol: float = 1e-4
    version: str = aeroact.__version__


def generate(
    path: Path,
    job: Job,
    *,
    states_file: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
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
    progress : Progress, optional
        Is told the number of finished rows.

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
    folder = _shard_folder(path)
    if path.exists():
        return _finished(path, job)
    with locked(folder):
        _claim(folder, job)
        _run_shards(
            folder, job, states_file, workers or os.cpu_count() or 1, rows_done(path, job), progress
        )
        statuses = _assemble(folder, path, job)
    shutil.rmtree(folder)
    return statuses


def rows_done(path: Path, job: Job) -> int:
    """Return how many rows of a job earlier, interrupted calls have finished."""
    if path.exists():
        return job.n
    starts = (s for s in range(0, job.n, SHARD) if _shard(_shard_folder(path), s).exists())
    return sum(min(SHARD, job.n - start) for start in starts)


def job_for_states(states_file: Path, n: int | None, **settings: object) -> Job:
    """Return the job that labels the first `n` states of a file, all by default.

    Raises
    ------
    AeroactError
        If the file has unsound states, or fewer than asked for.
    """
    with dataset.open_dataset(states_file) as ds:
        rows = ds.sizes[schema.SAMPLE_DIM]
        dataset.require_sound(states_file, dataset.check(ds.drop_vars("fn", errors="ignore")))
    if n is not None and n > rows:
        raise AeroactError(f"{states_file}: has {rows:,} states, fewer than the {n:,} asked for")
    return Job(n=n or rows, states=sha256(states_file), **settings)  # type: ignore[arg-type]


def _finished(path: Path, job: Job) -> Counter[str]:
    with dataset.open_dataset(path) as ds:
        if ds.attrs.get("aeroact_job") != json.dumps(asdict(job)):
            raise AeroactError(f"{path}: exists and is not this job's; remove it or choose --out")
        return _count(ds["status"].values)


def _claim(folder: Path, job: Job) -> None:
    """Mark a folder of shards as this job's, or refuse another job's."""
    record, text = folder / "job.json", json.dumps(asdict(job), indent=1)
    if record.exists() and record.read_text() != text:
        raise AeroactError(
            f"{folder}: holds an unfinished job with other settings; finish it or remove it"
        )
    write_text(record, text)


def _run_shards(
    folder: Path,
    job: Job,
    states_file: Path | None,
    workers: int,
    done: int,
    progress: Progress | None,
) -> None:
    starts = range(0, job.n, SHARD)
    todo = [start for start in starts if not _shard(folder, start).exists()]

    def run(start: int) -> int:
        stop = min(start + SHARD, job.n)
        _simulate_shard(_shard(folder, start), _states(job, states_file, start, stop), job)
        return stop - start

    pool = ThreadPoolExecutor(workers)
    try:
        queue = iter(todo)
        running: set[Future[int]] = set()
        while True:
            # Only as many as there are threads: an interruption then waits for few.
            running |= {pool.submit(run, s) for s in islice(queue, workers - len(running))}
            if not running:
                break
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            done += sum(future.result() for future in finished)
            if progress:
                progress(done)
    finally:
        pool.shutdown(cancel_futures=True)


def _shard_folder(path: Path) -> Path:
    return path.with_name(f".{path.name}.shards")


def _shard(folder: Path, start: int) -> Path:
    return folder / f"{start:012d}.npz"


def _states(job: Job, states_file: Path | None, start: int, stop: int) -> NDArray[np.float32]:
    """Return the states of a shard in float32, the precision in which they are stored."""
    if states_file is None:
        return sample_rows(start, stop, job.seed).astype(np.float32)
    with _READING, dataset.open_dataset(states_file) as ds:
        return dataset.states(ds.isel(nsamples=slice(start, stop))).astype(np.float32)


def _simulate_shard(path: Path, x: NDArray[np.float32], job: Job) -> None:
    state = schema.split_state(x.astype(np.float64))
    result = simulate(**state, physics=job.physics, bins=job.bins, rtol=job.rtol)
    with replacing(path) as part, part.open("wb") as handle:
        np.savez(
            handle,
            x=x,
            fn=result.fn.astype(np.float32),
            smax=result.smax.astype(np.float32),
            status=result.status.astype(np.int8),
        )


def _assemble(folder: Path, path: Path, job: Job) -> Counter[str]:
    shards = [np.load(_shard(folder, start)) for start in range(0, job.n, SHARD)]
    x, fn, smax, status = (
        np.concatenate([shard[name] for shard in shards]) for name in ("x", "fn", "smax", "status")
    )
    ds = dataset.from_arrays(x, fn, smax=smax, status=status)
    ds["smax"].attrs = {"units": "1", "long_name": "maximum supersaturation of the parcel"}
    ds["status"].attrs = {
        "long_name": "status of the parcel model; rows that are not OK have no fn",
        "flag_values": np.array([int(s) for s in Status], np.int8),
        "flag_meanings": " ".join(s.name for s in Status),
    }
    ds.attrs = {
        **preset(job.physics).attributes(),
        "seed": job.seed,
        "aeroact_job": json.dumps(asdict(job)),
    }
    dataset.write(
        ds,
        path,
        title="Activated fraction of aerosol in a rising cloud parcel",
        command=_command(job),
    )
    return _count(status)


def _command(job: Job) -> str:
    """Return the command that makes the dataset, with the states' sum in place of their file."""
    states = "" if job.states == "sampled" else f" --states sha256:{job.states}"
    return (
        f"aeroact-data generate -n {job.n}{states} --seed {job.seed} --physics {job.physics}"
        f" --bins {job.bins} --rtol {job.rtol:g}"
    )


def _count(status: NDArray[np.integer]) -> Counter[str]:
    return Counter({s.name: int((status == s).sum()) for s in Status if (status == s).any()})
