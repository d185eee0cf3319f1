"""What an activation calculation returns: the fraction, the supersaturation and a status."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Status(IntEnum):
    """How the calculation of one row ended."""

    OK = 0
    """The row has an answer."""
    NO_PEAK = 1
    """Supersaturation reached no maximum within the ascent and the limit of the parcel model."""
    INVALID = 2
    """An input is NaN or out of bounds (`constants.VALID_RANGE`), or water would boil."""
    FAILED = 3
    """The solver gave up."""


@dataclass(frozen=True)
class Trajectory:
    """What happens to one parcel as it rises, from its start to 50 m above its peak.

    Where there is no peak it goes to where the ascent was given up.

    Attributes
    ----------
    height : ndarray of float64, shape (nsteps,)
        Height above the start, m; 0 first, and increasing.
    tair : ndarray of float64, shape (nsteps,)
        Temperature, K.
    pressure : ndarray of float64, shape (nsteps,)
        Pressure, hPa.
    supersaturation : ndarray of float64, shape (nsteps,)
        Over liquid water, 1.
    dry_radius : ndarray of float64, shape (nbins,)
        Dry radius of the particles of every bin, um.
    wet_radius : ndarray of float64, shape (nsteps, nbins)
        Their wet radius, um.
    number : ndarray of float64, shape (nbins,)
        Their number at the start, cm-3.
    mode : ndarray of int8, shape (nbins,)
        The mode that a bin belongs to, from 0 to 3.
    """

    height: NDArray[np.float64]
    tair: NDArray[np.float64]
    pressure: NDArray[np.float64]
    supersaturation: NDArray[np.float64]
    dry_radius: NDArray[np.float64]
    wet_radius: NDArray[np.float64]
    number: NDArray[np.float64]
    mode: NDArray[np.int8]


@dataclass(frozen=True)
class Activation:
    """Activated fraction of every mode, with the supersaturation that decides it.

    Attributes
    ----------
    fn : ndarray of float64, shape (n, 4)
        Activated number fraction by mode, 1; NaN where `status` is not OK.
    smax : ndarray of float64, shape (n,)
        Maximum supersaturation, 1 (0.01 is 1 %); NaN where `status` is not OK.
    status : ndarray of int8, shape (n,)
        Codes of `Status`.
    fn_kinetic : ndarray of float64, shape (n, 4), or None
        Fraction of every mode that is larger than its critical radius 50 m above the peak, 1;
        NaN where `status` is not OK, and None unless asked for.
    trajectory : Trajectory or None
        Of the one parcel for which it was asked; None where its status is INVALID.
    steps : ndarray of int64, shape (n,), or None
        Steps of the solver for the parcel model: what the row has cost.
    """

    fn: NDArray[np.float64]
    smax: NDArray[np.float64]
    status: NDArray[np.int8]
    fn_kinetic: NDArray[np.float64] | None = None
    trajectory: Trajectory | None = None
    steps: NDArray[np.int64] | None = None

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Rows that have an answer, shape (n,)."""
        return self.status == Status.OK
