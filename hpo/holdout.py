"""The holdout of a run: the rows that its search never saw."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeroact import dataset
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.run import split_of

if TYPE_CHECKING:
    import xarray as xr


class Holdout:
    """The holdout rows of a finished run, read block by block.

    Parameters
    ----------
    folder : RunFolder
        A run whose data file is there.

    Raises
    ------
    AeroactError
        If the data are gone, or are not those of the run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.path = folder.data_file()
        self.ds: xr.Dataset = dataset.open_dataset(self.path)
        report = dataset.check(self.ds)
        folder.claim_data(self.path, report.rows)
        split = split_of(report, folder.project())
        self._rows, self._training = split.holdout, split.training

    def __len__(self) -> int:
        return int(self._rows.sum())

    @property
    def physics(self) -> str:
        """The parcel model's preset, as the file has it."""
        return str(self.ds.attrs.get("physics_preset", "not stated in the file"))

    @property
    def job(self) -> dict[str, Any] | None:
        """What `aeroact-data generate` was asked for; None if the file is not of its making."""
        job = self.ds.attrs.get("aeroact_job")
        found: dict[str, Any] | None = None if job is None else json.loads(str(job))
        return found

    @property
    def sampled(self) -> bool:
        """Whether the states were sampled by `aeroact.states`."""
        return self.job is not None and self.job["states"] == "sampled"

    @property
    def training_rows(self) -> int:
        """Rows that Step 2 trains on."""
        return len(self._training)

    def blocks(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Yield states (m, 16) in schema units and simulated fractions (m, 4)."""
        yield from dataset.stream(self.ds, self._rows)

    def first(self, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the first n rows, or all where there are fewer."""
        return self._first(self._rows, n)

    def training(self, n: int) -> NDArray[np.float32]:
        """Return states of up to n training rows, drawn at random: none of the holdout."""
        rows = np.zeros_like(self._rows)
        rows[self._training[:n]] = True
        return self._first(rows, n)[0]

    def _first(
        self, rows: NDArray[np.bool_], n: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        states, fractions, read = [], [], 0
        for x, fn in dataset.stream(self.ds, rows):
            states.append(x)
            fractions.append(fn)
            read += len(x)
            if read >= n:
                break
        return np.concatenate(states)[:n], np.concatenate(fractions)[:n]
