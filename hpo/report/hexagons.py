"""A two-dimensional histogram of hexagons over the unit square, filled block by block."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

ACROSS = 60
"""Hexagons along the x axis."""

_DOWN = int(ACROSS / np.sqrt(3))
_FIRST = (ACROSS + 1, _DOWN + 1)
_SECOND = (ACROSS, _DOWN)

OUTLINE = np.array([[1, -1], [1, 1], [0, 2], [-1, 1], [-1, -1], [0, -2]]) / [2 * ACROSS, 6 * _DOWN]
"""Corners of a hexagon around its centre, shape (6, 2)."""


@dataclass
class Hexagons:
    """Points counted in hexagonal bins (Carr et al., 1987, J. Am. Stat. Assoc. 82, 424-436).

    The centres are two rectangular lattices, one of them shifted by half a cell; a point
    belongs to the nearer of the two centres that are nearest to it in their lattices. These
    are the bins of `matplotlib.axes.Axes.hexbin`, which needs all points at once.
    """

    _first: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_FIRST, np.int64))
    _second: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_SECOND, np.int64))

    def add(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> None:
        """Take in points, shapes (n,), each within [0, 1]."""
        i, j = np.asarray(x, np.float64) * ACROSS, np.asarray(y, np.float64) * _DOWN
        i1, j1 = np.round(i).astype(int), np.round(j).astype(int)
        # A point on the far edge lies between two cells of the shifted lattice: it has none there.
        i2, j2 = np.floor(i).astype(int), np.floor(j).astype(int)
        to_first = (i - i1) ** 2 + 3 * (j - j1) ** 2
        to_second = (i - i2 - 0.5) ** 2 + 3 * (j - j2 - 0.5) ** 2
        in_second = (to_second <= to_first) & (i2 < ACROSS) & (j2 < _DOWN)
        for counts, a, b, here in (
            (self._first, i1, j1, ~in_second),
            (self._second, i2, j2, in_second),
        ):
            places = np.ravel_multi_index((a[here], b[here]), counts.shape)
            counts += np.bincount(places, minlength=counts.size).reshape(counts.shape)

    @property
    def bins(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Centres and counts of the bins that are not empty: x, y and count, shapes (m,)."""
        parts = []
        for counts, shift in ((self._first, 0.0), (self._second, 0.5)):
            i, j = np.nonzero(counts)
            parts.append(((i + shift) / ACROSS, (j + shift) / _DOWN, counts[i, j]))
        x, y, count = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return x, y, count
