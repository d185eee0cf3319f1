"""Where in state space an emulator errs, and how far: errors by region, streamed over rows.

A mean over all states hides the ones that matter to someone: cold air, weak updrafts,
polluted plumes, states where half of the particles activate.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeroact import schema
from aeroact.console import Progress
from aeroact.metrics import Errors, Magnitudes

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


def deciles(x: Rows, fn: Rows) -> tuple[Axis, ...]:
    """Return axes whose regions have a tenth of the states each, as far as these go.

    Parameters
    ----------
    x : ndarray, shape (n, 16)
        States in schema units, enough of them to know their distribution.
    fn : ndarray, shape (n, 4)
        Their simulated fractions.

    Returns
    -------
    tuple of Axis
        For updraft, temperature, total number, and the hygroscopicity of each mode.  Where many
        states have the same value, as updrafts at their floor have, deciles fall together.
    """
    by = {axis.key: axis for axis in AXES}
    axes = [by[schema.WBAR.name], by[schema.TAIR.name], by["number"]]
    for column, mode in zip(schema.KAPPA.columns, schema.MODE_NAMES, strict=True):
        axes.append(_of_column(column, f"hygroscopicity, {mode}"))
    found = []
    for axis in axes:
        values = axis.of(x, fn)
        # Four digits, as they are written.
        edges = np.unique([float(f"{e:.4g}") for e in np.percentile(values, range(10, 100, 10))])
        inner = tuple(edges[edges > values.min()].tolist())
        found.append(replace(axis, key=f"{axis.key}_deciles", edges=inner))
    return tuple(found)


def _of_column(column: str, title: str) -> Axis:
    place = schema.COLUMNS.index(column)
    return Axis(column, title, schema.variable_of(column).units, (), lambda x, fn: x[:, place])


class Breakdown:
    """Errors over all rows, by region, and the distribution of their size.

    Parameters
    ----------
    axes : tuple of Axis
        By which states are sorted into regions.

    Attributes
    ----------
    total : Region
        All rows.
    regions : dict of str to list of Region
        By the axis' key, in the order of its intervals.
    sizes : Magnitudes
        Of all errors, of every mode.
    """

    def __init__(self, axes: Sequence[Axis] = AXES) -> None:
        self.axes = axes
        self.total = Region()
        self.regions = {axis.key: [Region() for _ in axis.intervals] for axis in axes}
        self.sizes = Magnitudes()

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
        for axis in self.axes:
            places = np.searchsorted(np.array(axis.edges), axis.of(x, fn), side="right")
            for place in np.unique(places):
                rows = places == place
                self.regions[axis.key][place].add(fn[rows], prediction[rows])
        self.sizes.add(prediction.astype(np.float64) - fn)


def breakdowns(
    blocks: Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]],
    predictors: Mapping[str, Predict],
    progress: Progress | None = None,
    axes: Sequence[Axis] = AXES,
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
    axes : sequence of Axis
        By which the states are sorted into regions.
    """
    found, done = {name: Breakdown(axes) for name in predictors}, 0
    for x, fn in blocks:
        for name, predict in predictors.items():
            found[name].add(x, fn, predict(x))
        done += len(x)
        if progress:
            progress(done)
    return found


def records(errors: Breakdown, reference: Breakdown) -> list[dict[str, Any]]:
    """Return the errors of an emulator, and those of ARG2000 beside them, by region.

    Parameters
    ----------
    errors, reference : Breakdown
        By the same axes.

    Returns
    -------
    list of dict
        ``by``, ``title``, ``low``, ``high``, ``range`` in words, ``rows``, and as ``emulator``
        and ``arg2000`` what `Region.as_dict` returns.
    """
    return [
        {
            "by": axis.key,
            "title": axis.title,
            "low": low,
            "high": high,
            "range": interval(axis, low, high),
            "rows": emulator.errors.rows,
            "emulator": emulator.as_dict(),
            "arg2000": parameterized.as_dict(),
        }
        for axis in errors.axes
        for (low, high), emulator, parameterized in zip(
            axis.intervals, errors.regions[axis.key], reference.regions[axis.key], strict=True
        )
    ]


def interval(axis: Axis, low: float | None, high: float | None) -> str:
    """Return a region in words, such as ``253 to 273 K``."""
    units = "" if axis.units == "1" else f" {axis.units}"
    if low is None:
        return f"below {high:g}{units}"
    if high is None:
        return f"{low:g}{units} and above"
    return f"{low:g} to {high:g}{units}"
