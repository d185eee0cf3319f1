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
    """

    fn: NDArray[np.float64]
    smax: NDArray[np.float64]
    status: NDArray[np.int8]

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Rows that have an answer, shape (n,)."""
        return self.status == Status.OK
