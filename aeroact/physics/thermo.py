"""Properties of moist air and of water, for numbers, arrays and compiled code; SI units.

References
----------
.. [Bolton1980] doi:10.1175/1520-0493(1980)108<1046:TCOEPT>2.0.CO;2
.. [PK1997] Pruppacher and Klett, 1997, doi:10.1007/978-0-306-48100-0
.. [SP2006] Seinfeld and Pandis, 2006: Atmospheric Chemistry and Physics, 2nd edition.
"""

from typing import Any

import numpy as np
from numba.extending import register_jitable

from .constants import MELTING_POINT, STANDARD_PRESSURE, Physics
from .stale import drop_stale_kernels

# Here, because every module with a kernel imports this one.
drop_stale_kernels()

_FloatOrArray = Any  # float in and float out, or arrays


@register_jitable
def saturation_vapour_pressure(tair: _FloatOrArray) -> _FloatOrArray:
    """Over liquid water, Pa [Bolton1980]_, eq. 10."""
    celsius = tair - MELTING_POINT
    return 611.2 * np.exp(17.67 * celsius / (celsius + 243.5))


@register_jitable
def latent_heat(tair: _FloatOrArray, physics: Physics) -> _FloatOrArray:
    """Of vaporization, J kg-1 [Bolton1980]_, eq. 2."""
    return physics.latent_heat + physics.latent_heat_slope * (tair - MELTING_POINT)


@register_jitable
def vapour_diffusivity(
    tair: _FloatOrArray, pressure: _FloatOrArray, physics: Physics
) -> _FloatOrArray:
    """In the continuum regime, m2 s-1 [PK1997]_, eq. 13-3."""
    return physics.diffusivity * (STANDARD_PRESSURE / pressure) * (tair / MELTING_POINT) ** 1.94


@register_jitable
def air_conductivity(tair: _FloatOrArray) -> _FloatOrArray:
    """Thermal conductivity of air in the continuum regime, W m-1 K-1 [SP2006]_, eq. 17.71."""
    return 1e-3 * (4.39 + 0.071 * tair)


@register_jitable
def surface_tension(tair: _FloatOrArray) -> _FloatOrArray:
    """Of water against air, N m-1: linear fit of [PK1997]_, eq. 5-12."""
    return 0.0761 - 1.55e-4 * (tair - MELTING_POINT)


@register_jitable
def saturation_slope(tair: _FloatOrArray) -> _FloatOrArray:
    """Give the slope by temperature of ln(es), es of `saturation_vapour_pressure`, K-1."""
    celsius = tair - MELTING_POINT
    return 17.67 * 243.5 / (celsius + 243.5) ** 2


@register_jitable
def lifting_condensation_temperature(tair: _FloatOrArray, rh: _FloatOrArray) -> _FloatOrArray:
    """Temperature in K at which rising air becomes saturated [Bolton1980]_, eq. 22."""
    return 55.0 + 1.0 / (1.0 / (tair - 55.0) - np.log(rh) / 2840.0)
