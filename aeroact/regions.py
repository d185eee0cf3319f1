"""Where in state space an emulator errs, and how far: errors by region, streamed over rows.

A mean over all states hides the ones that matter to someone: cold air, weak updrafts,
polluted plumes, states where half of the particles activate.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeroact import schema
from aeroact.console import Progress
from aeroact.metrics import Errors

Rows = NDArray[np.floating]
Predict = Callable[[NDArray[np.float32]], Rows]


@dataclass(frozen=True)
class Axis:
    """A quantity by which states are sorted into regions.

    Attributes
    ----------
    key, title, units : str
        Name in the card, name in words, and units of `edges`.
    edges : tuple of float
        Inner edges: a region has its lower edge and not its upper one.
    of : callable
        From states (n, 16) and simulated fractions (n, 4) to the quantity, shape (n,).
    """

    key: str
    title: str
    units: str
    edges: tuple[float, ...]
    of: Callable[[Rows, Rows], Rows]

    @property
    def intervals(self) -> list[tuple[float | None, float | None]]:
        """Lower and upper edge of each region; None where it is open."""
        return list(pairwise((None, *self.edges, None)))


def _column(variable: schema.Variable, title: str, edges: tuple[float, ...]) -> Axis:
    column = schema.column_slice(variable).start
    return Axis(variable.name, title, variable.units, edges, lambda x, fn: x[:, column])


_NUMBERS = schema.column_slice(schema.NUM_AER)

AXES = (
    _column(schema.TAIR, "temperature", (253.0, 273.0, 293.0)),
    _column(schema.PRESSURE, "pressure", (500.0, 700.0, 850.0)),
    _column(schema.RH, "relative humidity", (0.5, 0.8, 0.95, 1.0)),
    _column(schema.WBAR, "updraft", (20.0, 50.0, 100.0, 300.0)),
    Axis(
        "number",
        "total aerosol number",
        schema.NUM_AER.units,
        (100.0, 1000.0, 10000.0),
        lambda x, fn: x[:, _NUMBERS].sum(axis=1),
    ),
    Axis(
        schema.OUTPUTS[0],
        "accumulation mode's simulated fraction",
        schema.FN.units,
        (0.05, 0.5, 0.95),
        lambda x, fn: fn[:, 0],
    ),
)
"""Edges where physics changes or a user would ask; a simulated fraction near 0, near 1, or
in the steep part between."""


@dataclass
class Region:
    """Errors of the rows of one region."""

    errors: Errors = field(default_factory=Errors)
    _signed: float = 0.0

    def add(self, fn: Rows, prediction: Rows) -> None:
        """Take in rows."""
        self.errors.add(fn, prediction)
        self._signed += float((prediction.astype(np.float64) - fn).sum())

    @property
    def bias(self) -> float:
        """Mean of prediction minus simulation over all modes."""
        return self._signed / (self.errors.rows * schema.N_OUTPUTS)

    def as_dict(self) -> dict[str, Any] | None:
        """Return the errors, or None where there is no row to have any."""
        if not self.errors.rows:
            return None
        return {
            "mse": self.errors.mse,
            "mse_by_mode": self.errors.mse_by_mode.tolist(),
            "r2": self.errors.r2,
            "bias": self.bias,
        }


_BINS_PER_DECADE = 1000
_SMALLEST = 1e-12  # of an error; what is less is counted with it


class Breakdown:
    """Errors over all rows, by region, and the distribution of their size.

    Attributes
    ----------
    total : Region
        All rows.
    regions : dict of str to list of Region
        By the axis' key, in the order of its intervals.
    largest : float
        Largest absolute error of any mode.
    """

    def __init__(self) -> None:
        self.total = Region()
        self.regions = {axis.key: [Region() for _ in axis.intervals] for axis in AXES}
        self.largest = 0.0
        self._counts = np.zeros(round(-np.log10(_SMALLEST)) * _BINS_PER_DECADE + 1, np.int64)

    def add(self, x: Rows, fn: Rows, prediction: Rows) -> None:
        """Take in a block of rows.

        Parameters
        ----------
        x : ndarray, shape (n, 16)
            States in schema units.
        fn, prediction : ndarray, shape (n, 4)
            Simulated and predicted fractions.

        Raises
        ------
        ValueError
            If a fraction is not finite.
        """
        if not len(x):
            return
        self.total.add(fn, prediction)
        for axis in AXES:
            places = np.searchsorted(np.array(axis.edges), axis.of(x, fn), side="right")
            for place in np.unique(places):
                rows = places == place
                self.regions[axis.key][place].add(fn[rows], prediction[rows])
        sizes = np.abs(prediction.astype(np.float64) - fn).ravel()
        self.largest = max(self.largest, float(sizes.max()))
        decades = np.log10(np.maximum(sizes, _SMALLEST) / _SMALLEST)
        bins = np.ceil(decades * _BINS_PER_DECADE).astype(np.int64)
        self._counts += np.bincount(
            bins.clip(max=len(self._counts) - 1), minlength=len(self._counts)
        )

    def percentile(self, percent: float) -> float:
        """Return what that many percent of the absolute errors do not exceed.

        The upper edge of a logarithmic bin: at most 0.24 % too large.
        """
        below = np.cumsum(self._counts)
        place = int(np.searchsorted(below, percent / 100 * below[-1]))
        return min(self.largest, _SMALLEST * 10 ** (place / _BINS_PER_DECADE))


def breakdowns(
    blocks: Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]],
    predictors: Mapping[str, Predict],
    progress: Progress | None = None,
) -> dict[str, Breakdown]:
    """Return the errors of several predictions in one pass over the rows.

    Parameters
    ----------
    blocks : iterable of pairs of ndarray, shapes (m, 16) and (m, 4)
        States in schema units and simulated fractions.
    predictors : mapping of str to callable
        Each takes states, shape (m, 16), and returns fractions, shape (m, 4).
    progress : Progress, optional
        Is told the finished rows.
    """
    found, done = {name: Breakdown() for name in predictors}, 0
    for x, fn in blocks:
        for name, predict in predictors.items():
            found[name].add(x, fn, predict(x))
        done += len(x)
        if progress:
            progress(done)
    return found
