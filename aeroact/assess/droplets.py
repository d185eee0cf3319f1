"""Error of the number of droplets, which is what a cloud's optics and rain see of all modes."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aeroact import schema
from aeroact.metrics import Magnitudes

Rows = NDArray[np.floating]

FEWEST = 1.0
"""Droplets (cm-3) from which on a relative error means something."""

_NUMBERS = schema.column_slice(schema.NUM_AER)


def droplet_number(x: Rows, fn: Rows) -> NDArray[np.float64]:
    """Return the droplets (cm-3), shape (n,), of states (n, 16) with fractions (n, 4)."""
    return np.einsum("ij,ij->i", np.asarray(x[:, _NUMBERS], np.float64), np.asarray(fn, np.float64))


@dataclass
class DropletErrors:
    """Sums over all rows seen so far, from which the errors follow."""

    rows: int = 0
    _number: float = 0.0
    _signed: float = 0.0
    _absolute: float = 0.0
    _relative: Magnitudes = field(default_factory=Magnitudes)

    def add(self, x: Rows, fn: Rows, prediction: Rows) -> None:
        """Take in rows: states (n, 16), simulated and predicted fractions (n, 4)."""
        truth, error = droplet_number(x, fn), droplet_number(x, prediction - fn)
        self.rows += len(x)
        self._number += float(truth.sum())
        self._signed += float(error.sum())
        self._absolute += float(np.abs(error).sum())
        some = truth >= FEWEST
        self._relative.add(error[some] / truth[some])

    def as_dict(self) -> dict[str, float | int | None]:
        """Return all errors in per cent of the parcel model's droplets.

        Returns
        -------
        dict
            ``bias`` and ``absolute``: sums of the error and of its size, over the sum of the
            droplets.  ``median``, ``p95``, ``p99`` and ``largest``: size of a state's own error,
            of the states with at least `FEWEST` droplets; None where there is no such state.
        """
        sums = [100 * s / self._number if self._number else None for s in self._sums]
        sizes = {"median": 50.0, "p95": 95.0, "p99": 99.0, "largest": 100.0}
        some = self._relative.count > 0
        return {
            "rows": self.rows,
            "bias": sums[0],
            "absolute": sums[1],
            **{
                name: 100 * self._relative.percentile(percent) if some else None
                for name, percent in sizes.items()
            },
        }

    @property
    def _sums(self) -> tuple[float, float]:
        return self._signed, self._absolute
