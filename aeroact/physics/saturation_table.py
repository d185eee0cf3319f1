"""E3SM's saturation vapour pressure: Goff and Gratch, blended towards ice, from a table.

Below the melting point the curve goes from liquid water to ice over 20 K, and E3SM interpolates
linearly between whole kelvins.  Both change activated fractions of mixed-phase clouds, up to 0.01.

References
----------
Goff, J. A., and S. Gratch, 1946: Transactions of the American Society of Heating and Ventilating
Engineers 52, 95-121; as coded in E3SM, `components/eam/src/physics/cam/wv_saturation.F90`,
BSD-3-Clause.
"""

from typing import Final

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from .constants import MELTING_POINT

TABLE_START: Final = 127.16
"""Temperature of the first entry, K; the entries are 1 K apart."""

_TABLE_SIZE = 249
_BOILING_POINT = 373.16
_TRIPLE_POINT = 273.16
_BLEND = 20.0  # K below the melting point where it is all ice


def _over_water(tair: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio = _BOILING_POINT / tair
    exponent = (
        -7.90298 * (ratio - 1.0)
        + 5.02808 * np.log10(ratio)
        - 1.3816e-7 * (10.0 ** (11.344 * (1.0 - 1.0 / ratio)) - 1.0)
        + 8.1328e-3 * (10.0 ** (-3.49149 * (ratio - 1.0)) - 1.0)
        + np.log10(1013.246)
    )
    return np.asarray(100.0 * 10.0**exponent)


def _over_ice(tair: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio = _TRIPLE_POINT / tair
    exponent = (
        -9.09718 * (ratio - 1.0)
        - 3.56654 * np.log10(ratio)
        + 0.876793 * (1.0 - 1.0 / ratio)
        + np.log10(6.1071)
    )
    return np.asarray(100.0 * 10.0**exponent)


def _table() -> NDArray[np.float64]:
    tair = TABLE_START + np.arange(_TABLE_SIZE, dtype=np.float64)
    ice = np.clip((MELTING_POINT - tair) / _BLEND, 0.0, 1.0)
    return np.asarray(ice * _over_ice(tair) + (1.0 - ice) * _over_water(tair))


TABLE: Final = _table()
"""Saturation vapour pressure at the entries, Pa."""


@register_jitable
def blended_saturation_vapour_pressure(tair: float) -> float:
    """Saturation vapour pressure in Pa at a temperature within the table, 127.16 to 375.16 K."""
    position = tair - TABLE_START
    entry = int(position)
    part = position - entry
    return (1.0 - part) * TABLE[entry] + part * TABLE[entry + 1]
