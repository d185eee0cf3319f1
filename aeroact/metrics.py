"""Errors of a prediction, accumulated block by block: MSE and R2, per mode and pooled."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aeroact.schema import N_OUTPUTS


@dataclass
class Errors:
    """Sums over all rows seen so far, from which the errors follow.

    "Pooled" takes every mode of every row as one sample, as Yu et al. (2024) do.
    R2 is the coefficient of determination, 1 - SSE / SST; it is NaN where the truth
    does not vary, because nothing is there to be explained.
    """

    rows: int = 0
    _squared_error: NDArray[np.float64] = field(default_factory=lambda: np.zeros(N_OUTPUTS))
    _truth: NDArray[np.float64] = field(default_factory=lambda: np.zeros(N_OUTPUTS))
    _squared_truth: NDArray[np.float64] = field(default_factory=lambda: np.zeros(N_OUTPUTS))

    def add(self, truth: NDArray[np.floating], prediction: NDArray[np.floating]) -> None:
        """Take in a block of rows.

        Parameters
        ----------
        truth, prediction : ndarray, shape (n, 4)
            Activated fractions.

        Raises
        ------
        ValueError
            If the shapes differ, or a value is not finite: one NaN would hide every error.
        """
        if truth.shape != prediction.shape:
            raise ValueError(f"truth {truth.shape} and prediction {prediction.shape} differ")
        y, p = np.asarray(truth, np.float64), np.asarray(prediction, np.float64)
        if not (np.isfinite(y).all() and np.isfinite(p).all()):
            raise ValueError("an activated fraction is not finite")
        self.rows += len(y)
        self._squared_error += ((p - y) ** 2).sum(axis=0)
        self._truth += y.sum(axis=0)
        self._squared_truth += (y**2).sum(axis=0)

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
        return _r2(self._squared_error, self._truth, self._squared_truth, self.rows)

    @property
    def r2(self) -> float:
        """Coefficient of determination over all modes."""
        sums = (self._squared_error, self._truth, self._squared_truth)
        error, truth, squared = (np.atleast_1d(part.sum()) for part in sums)
        return float(_r2(error, truth, squared, self.rows * N_OUTPUTS)[0])


def _r2(
    squared_error: NDArray[np.float64],
    truth: NDArray[np.float64],
    squared_truth: NDArray[np.float64],
    n: int,
) -> NDArray[np.float64]:
    spread = squared_truth - truth**2 / n
    # Fractions lie in [0, 1], so these sums carry a rounding error of about n * 1e-16.
    constant = spread <= 1e-14 * n
    return np.where(constant, np.nan, 1 - squared_error / np.where(constant, 1.0, spread))
