"""The holdout of a run: the rows that its search never saw."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aeroact import dataset, schema
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.run import split_of
from aeroact.physics.arg2000 import arg2000

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


def predict_arg2000(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return what E3SM's parameterization makes of states (n, 16): fractions (n, 4)."""
    state = schema.split_state(x.astype(np.float64))
    del state["rh"]  # ARG2000 starts at saturation
    return arg2000(**state).fn
