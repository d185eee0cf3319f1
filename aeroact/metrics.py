"""Errors of a prediction, accumulated block by block: MSE, R2, and how their sizes spread."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeroact.schema import N_OUTPUTS


@dataclass
class Errors:
    """Sums over all rows seen so far, from which the errors follow.

    The truth is summed as its difference from the first row: it then cancels no digits,
    and a truth that never varies has a spread of exactly zero.

    "Pooled" takes every mode of every row as one sample, as Yu et al. (2024) do.
    R2 is the coefficient of determination, 1 - SSE / SST; it is NaN where the truth
    does not vary, because nothing is there to be explained.
    """

    rows: int = 0
    _squared_error: NDArray[np.float64] = field(default_factory=lambda: np.zeros(N_OUTPUTS))
    _first: NDArray[np.float64] = field(default_factory=lambda: np.zeros(N_OUTPUTS))
    _shifted: NDArray[np.float64] = field(default_factory=lambda: np.zeros(N_OUTPUTS))
    _squared: NDArray[np.float64] = field(default_factory=lambda: np.zeros(N_OUTPUTS))

    def add(self, truth: NDArray[np.floating], prediction: NDArray[np.floating]) -> None:
        """Take in a block of rows.

        Parameters
        ----------
        truth, prediction : ndarray, shape (n, 4)
            Activated fractions.

        Raises
        ------
        ValueError
            If a shape is another, or a value is not finite: one NaN would hide every error.
        """
        if truth.shape != prediction.shape:
            raise ValueError(f"truth {truth.shape} and prediction {prediction.shape} differ")
        if truth.ndim != 2 or truth.shape[1] != N_OUTPUTS:
            raise ValueError(f"fractions have shape {truth.shape}; they need (n, {N_OUTPUTS})")
        y, p = np.asarray(truth, np.float64), np.asarray(prediction, np.float64)
        if not (np.isfinite(y).all() and np.isfinite(p).all()):
            raise ValueError("an activated fraction is not finite")
        if self.rows == 0 and len(y):
            self._first = y[0].copy()
        shifted = y - self._first
        self.rows += len(y)
        self._squared_error += ((p - y) ** 2).sum(axis=0)
        self._shifted += shifted.sum(axis=0)
        self._squared += (shifted**2).sum(axis=0)

    @property
    def mse_by_mode(self) -> NDArray[np.float64]:
        """Mean squared error of each mode, shape (4,)."""
        return self._squared_error / self.rows

    @property
    def mse(self) -> float:
        """Mean squared error over all modes."""
        return float(self.mse_by_mode.mean())

    @property
    def r2_by_mode(self) -> NDArray[np.float64]:
        """Coefficient of determination of each mode, shape (4,)."""
        return _r2(self._squared_error, self._spread)

    @property
    def r2(self) -> float:
        """Coefficient of determination over all modes."""
        mean = self._first + self._shifted / self.rows
        # Within the modes, and between them.
        spread = self._spread.sum() + self.rows * ((mean - mean.mean()) ** 2).sum()
        return float(_r2(self._squared_error.sum(), spread))

    @property
    def _spread(self) -> NDArray[np.float64]:
        """Squared differences of the truth from its mean, summed, shape (4,)."""
        return self._squared - self._shifted**2 / self.rows


def _r2(squared_error: Any, spread: Any) -> NDArray[np.float64]:
    constant = spread <= 0
    return np.where(constant, np.nan, 1 - squared_error / np.where(constant, 1.0, spread))


_BINS_PER_DECADE = 1000
_SMALLEST, _LARGEST = 1e-12, 1e6  # what is beyond is counted with these
_N_BINS = round(np.log10(_LARGEST / _SMALLEST)) * _BINS_PER_DECADE + 1


@dataclass
class Magnitudes:
    """Distribution of absolute values, in logarithmic bins.

    Attributes
    ----------
    largest : float
        Exactly.
    """

    largest: float = 0.0
    _counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_N_BINS, np.int64))

    @property
    def count(self) -> int:
        """Values seen so far."""
        return int(self._counts.sum())

    def add(self, values: NDArray[np.floating]) -> None:
        """Take in values of any sign and shape."""
        if not values.size:
            return
        sizes = np.abs(np.asarray(values, np.float64)).ravel()
        self.largest = max(self.largest, float(sizes.max()))
        decades = np.log10(np.clip(sizes, _SMALLEST, _LARGEST) / _SMALLEST)
        bins = np.ceil(decades * _BINS_PER_DECADE).astype(np.int64)
        self._counts += np.bincount(bins, minlength=_N_BINS)

    def percentile(self, percent: float) -> float:
        """Return what that many percent of the magnitudes do not exceed.

        The upper edge of a logarithmic bin: at most 0.24 % too large.
        """
        below = np.cumsum(self._counts)
        place = int(np.searchsorted(below, percent / 100 * below[-1]))
        return min(self.largest, _SMALLEST * 10 ** (place / _BINS_PER_DECADE))
