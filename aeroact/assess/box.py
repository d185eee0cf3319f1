"""The box of states within an emulator's training bounds, as a unit cube."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aeroact.normalization import LOG_WIDE

_IS_LOG = np.array([transform == "log" for transform in LOG_WIDE])


@dataclass(frozen=True)
class Box:
    """All states whose columns lie between two bounds, each by itself.

    Columns that span orders of magnitude are measured by their logarithm.

    Attributes
    ----------
    low, high : ndarray, shape (16,)
        Bounds in schema units.
    """

    low: NDArray[np.floating]
    high: NDArray[np.floating]

    def states(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the states (n, 16) at points (n, 16) of the unit cube."""
        low, high = self._ends
        t = low + np.asarray(points, np.float64) * (high - low)
        t[:, _IS_LOG] = np.exp(t[:, _IS_LOG])
        # Rounding must not lead out of the box.
        return np.clip(t, self.low, self.high).astype(np.float32)

    def points(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return where states (n, 16) are in the unit cube; those outside go to its face."""
        low, high = self._ends
        t = np.clip(np.asarray(x, np.float64), self.low, self.high)
        t[:, _IS_LOG] = np.log(t[:, _IS_LOG])
        width = np.where(high > low, high - low, 1.0)
        return np.asarray(np.clip((t - low) / width, 0.0, 1.0))

    def holds(self, x: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Say which states (n, 16) lie within the box, shape (n,)."""
        return np.asarray(np.all((x >= self.low) & (x <= self.high), axis=1))

    @property
    def _ends(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        low, high = np.array(self.low, np.float64), np.array(self.high, np.float64)
        for end in (low, high):
            end[_IS_LOG] = np.log(np.maximum(end[_IS_LOG], _SMALLEST))
        return low, high


_SMALLEST = 1e-12  # below every bound that a sampled or harvested state has
