"""The record of a run: `trials.jsonl`, a line for each change of a trial, append-only.

Only one process writes. A line torn by a crash is dropped when the file is read, and
cut off before the next one is written.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from aeroact.errors import AeroactError
from aeroact.hpo.space import Architecture, Candidate, n_params

Status = Literal["RUNNING", "COMPLETED", "PRUNED", "FAILED"]


@dataclass(frozen=True)
class Trial:
    """One training of one architecture.

    Attributes
    ----------
    step : int
        1 on the subset, 2 on all training rows.
    name : str
        Number of the trial in Step 1, with leading zeros; Step 2 keeps it.
    widths : tuple of int
        Nodes of each hidden layer.
    status : str
        ``RUNNING``, ``COMPLETED``, ``PRUNED`` (ended before its time because others were
        better, see `aeroact.hpo.prune`) or ``FAILED``.
    learning_rate, batch_size : float, int or None
        Where the space varies them; None: as the project says.
    worker : int
        Which worker ran it.
    message : str
        Why it failed.
    started, ended : float
        When (Unix time, s).
    seconds : float
        Wall time of the training.
    inference_us : float
        Measured time of a prediction on one core, microseconds a sample (batch 1024).
    mse, val_mse : list of float
        Training and validation MSE of each epoch.
    holdout : dict
        Errors on the holdout (Step 2): ``mse``, ``r2``, ``mse_by_mode``, ``rows``.
    """

    step: int
    name: str
    widths: Architecture
    status: Status
    learning_rate: float | None = None
    batch_size: int | None = None
    worker: int = 0
    message: str = ""
    started: float = 0.0
    ended: float = 0.0
    seconds: float = 0.0
    inference_us: float = 0.0
    mse: list[float] = field(default_factory=list)
    val_mse: list[float] = field(default_factory=list)
    holdout: dict[str, Any] = field(default_factory=dict)

    @property
    def candidate(self) -> Candidate:
        """What it tries."""
        return Candidate(self.widths, self.learning_rate, self.batch_size)

    @property
    def params(self) -> int:
        """Learnable parameters."""
        return n_params(self.widths)

    @property
    def best_val_mse(self) -> float:
        """Lowest validation MSE of all epochs; infinite for a trial without one."""
        return min(self.val_mse, default=float("inf"))

    @property
    def best_epoch(self) -> int:
        """The epoch, counted from 1, of the lowest validation MSE."""
        return self.val_mse.index(self.best_val_mse) + 1


class Journal:
    """The trials of a run, on disk.

    Parameters
    ----------
    path : Path
        ``trials.jsonl``; made with the first record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, trial: Trial) -> None:
        """Record a change of a trial; it is on the disk when this returns."""
        line = json.dumps(_record(trial), allow_nan=False) + "\n"
        with self.path.open("ab+") as handle:
            _cut_torn_line(handle)
            handle.write(line.encode())
            handle.flush()
            os.fsync(handle.fileno())

    def records(self) -> Iterator[Trial]:
        """Read all changes of all trials, in the order in which they happened.

        Raises
        ------
        AeroactError
            If a line other than a torn last one cannot be understood.
        """
        if not self.path.exists():
            return
        whole, _, _ = self.path.read_bytes().rpartition(b"\n")
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                record = json.loads(line)
                yield Trial(**{**record, "widths": tuple(record["widths"])})
            except (ValueError, TypeError, KeyError) as error:
                raise AeroactError(
                    f"{self.path}: line {number} is damaged ({error}); remove that line, and its "
                    "trial is run again"
                ) from error

    def read(self) -> dict[tuple[int, str], Trial]:
        """Return the last record of each trial, by step and name."""
        return {(trial.step, trial.name): trial for trial in self.records()}

    def finished(self, step: int) -> dict[str, Trial]:
        """Return the finished trials of a step by name, failed ones included."""
        return {
            name: trial
            for (of_step, name), trial in self.read().items()
            if of_step == step and trial.status != "RUNNING"
        }


_DEFAULTS = {
    f.name: f.default if f.default_factory is MISSING else f.default_factory()
    for f in fields(Trial)
}


def _record(trial: Trial) -> dict[str, Any]:
    """Return what there is to say of a trial: ten thousand of them should stay a small file."""
    values = vars(trial)
    return {name: values[name] for name in values if values[name] != _DEFAULTS[name]}


def _cut_torn_line(handle: Any) -> None:
    end = handle.seek(0, os.SEEK_END)
    if end == 0:
        return
    handle.seek(-1, os.SEEK_END)
    if handle.read(1) == b"\n":
        return
    handle.seek(0)
    handle.truncate(handle.read().rfind(b"\n") + 1)
