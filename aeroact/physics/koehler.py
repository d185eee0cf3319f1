"""Kappa-Koehler theory: a particle in equilibrium with the water vapour around it.

A particle of dry radius ``rd``, wet radius ``r = rd (1 + growth)`` and hygroscopicity ``kappa`` is
in equilibrium at the supersaturation

    s(r) = (r^3 - rd^3) / (r^3 - rd^3 (1 - kappa)) exp(A / r) - 1,

where ``A`` is the Kelvin length.  All is computed from the growth ``v = (r^3 - rd^3) / rd^3`` of
the volume, or that of the radius: neither loses digits where a nearly insoluble particle carries
a very thin film.

References
----------
Petters, M. D., and S. M. Kreidenweis, 2007: A single parameter representation of hygroscopic
growth and cloud condensation nucleus activity. doi:10.5194/acp-7-1961-2007, eq. 6.
"""

import math
from typing import Any, Final

import numpy as np
from numba import njit, vectorize
from numba.extending import register_jitable
from numpy.typing import ArrayLike, NDArray

from .constants import VALID_RANGE, Physics, resolve
from .thermo import surface_tension

_ITERATIONS = 100  # of Newton's method; it needs fewer than ten unless rounding ends it
_CONVERGED = 1e-14
_CONVERGED_WET = 1e-8  # the next step of Newton's method would be about its square

MAX_EXPONENT: Final = 0.75
"""Kelvin length over dry radius up to which wet radii are computed: particles of 1.7 nm."""


@register_jitable
def kelvin_length(tair: Any, physics: Physics) -> Any:
    """Kelvin length A in m, of a temperature or an array of them: 2 Mw sigma / (R T rho_w)."""
    return (
        2.0
        * physics.molar_mass_water
        * surface_tension(tair)
        / (physics.gas_constant * tair * physics.water_density)
    )


@njit(cache=True, nogil=True)
def critical_volume(kelvin: float, kappa: float) -> float:
    """Growth ``v`` of the volume at the maximum of the Koehler curve; `kappa` above 0.

    The maximum is where ``kelvin v (v + kappa) = 3 kappa (1 + v)^(4/3)``, solved by Newton's
    method for ln(v), in which it is nearly a straight line.
    """
    log_v = 0.5 * math.log(3.0 * kappa / kelvin)
    for _ in range(_ITERATIONS):
        v = math.exp(log_v)
        value = (
            math.log(kelvin / (3.0 * kappa))
            + log_v
            + math.log(v + kappa)
            - 4.0 / 3.0 * math.log1p(v)
        )
        step = value / (1.0 + v / (v + kappa) - 4.0 / 3.0 * v / (1.0 + v))
        log_v -= step
        if abs(step) < _CONVERGED * max(1.0, abs(log_v)):
            break
    return math.exp(log_v)


@njit(cache=True, nogil=True)
def critical_from_kelvin(kelvin: float, kappa: float) -> float:
    """Maximum of the Koehler curve, from the Kelvin length over the dry radius."""
    if kappa == 0.0:
        return math.expm1(kelvin)
    v = critical_volume(kelvin, kappa)
    return (v * math.expm1(kelvin * (1.0 + v) ** (-1.0 / 3.0)) - kappa) / (v + kappa)


@njit(cache=True, nogil=True)
def kelvin_from_critical(supersaturation: float, kappa: float) -> float:
    """Inverse of `critical_from_kelvin`: Kelvin length over the dry radius that just activates.

    At the maximum the Kelvin exponent is ``3 kappa (1 + v) / (v (v + kappa))``, so that the
    Koehler equation is one in ``v`` alone; Newton's method for ln(v) again.
    """
    target = math.log1p(supersaturation)
    if kappa == 0.0:
        return target
    v = (kappa + math.sqrt(kappa * kappa + 3.0 * kappa * target)) / target
    for _ in range(_ITERATIONS):
        exponent = 3.0 * kappa * (1.0 + v) / (v * (v + kappa))
        value = exponent - math.log1p(kappa / v)
        slope = exponent * (v / (1.0 + v) - 1.0 - v / (v + kappa)) + kappa / (v + kappa)
        step = value * math.log(value / target) / slope
        v *= math.exp(-step)
        if abs(step) < _CONVERGED:
            break
    return 3.0 * kappa * (1.0 + v) ** (4.0 / 3.0) / (v * (v + kappa))


@register_jitable
def expm1_series(x: float) -> float:
    """exp(x) - 1 by its Taylor series, in a form that vectorizes.

    The relative error is below 1e-11 up to x = 0.1 and 4e-7 at `MAX_EXPONENT`.
    """
    p = 1.0 / 40320.0
    p = p * x + 1.0 / 5040.0
    p = p * x + 1.0 / 720.0
    p = p * x + 1.0 / 120.0
    p = p * x + 1.0 / 24.0
    p = p * x + 1.0 / 6.0
    p = p * x + 0.5
    return x * (p * x + 1.0)


@njit(
    cache=True,
    forceinline=True,
    nogil=True,
    error_model="numpy",
    fastmath={"reassoc", "contract", "nsz", "arcp"},
)
def equilibrate(kelvin, kappa, rh, growth):  # type: ignore[no-untyped-def]
    """Set `growth` to the growth ``g = (r - rd) / rd`` in equilibrium with a humidity below 1.

    Newton's method for

        v (exp(kelvin / (1 + g)) - rh) = kappa rh,    v = g (3 + 3 g + g^2),

    from above, where the curve is convex, for all particles at once so that it vectorizes.

    Parameters
    ----------
    kelvin : ndarray of float64, shape (n,)
        Kelvin length over dry radius, up to `MAX_EXPONENT`.
    kappa, rh : ndarray of float64, shape (n,)
        Hygroscopicity, above 0, and relative humidity, above 0 and below 1.
    growth : ndarray of float64, shape (n,)
        Where the answer goes.

    Returns
    -------
    bool
        Whether it has converged.
    """
    for i in range(growth.size):
        volume = kappa[i] * rh[i] / (1.0 - rh[i])  # without the Kelvin effect, so too large
        growth[i] = min(volume / 3.0, volume ** (1.0 / 3.0))
    for _ in range(_ITERATIONS):
        change = 0.0
        for i in range(growth.size):
            g = growth[i]
            r = 1.0 + g
            exponent = kelvin[i] / r
            drive = expm1_series(exponent) + (1.0 - rh[i])
            volume = g * (3.0 + g * (3.0 + g))
            value = volume * drive - kappa[i] * rh[i]
            slope = 3.0 * r * r * drive - volume * (drive + rh[i]) * exponent / r
            step = value / (slope * g)
            growth[i] = g * (1.0 - step)
            change = change + step * step
        if change < _CONVERGED_WET**2:
            return True
    return False


@vectorize(cache=True)
def _critical(kelvin: float, kappa: float) -> float:
    return critical_from_kelvin(kelvin, kappa)


@vectorize(cache=True)
def _kelvin(supersaturation: float, kappa: float) -> float:
    return kelvin_from_critical(supersaturation, kappa)


def equilibrium_supersaturation(
    wet_radius: ArrayLike,
    dry_radius: ArrayLike,
    kappa: ArrayLike,
    tair: ArrayLike,
    *,
    physics: str | Physics = "default",
) -> NDArray[np.float64]:
    """Supersaturation in equilibrium with a particle: the Koehler curve.

    Parameters
    ----------
    wet_radius, dry_radius : array_like
        Radii in m, the wet one at least the dry one.
    kappa : array_like
        Hygroscopicity, 0 to 2.
    tair : array_like
        Temperature in K.
    physics : str or Physics
        Constants, or the name of their preset.

    Returns
    -------
    ndarray of float64
        Supersaturation, 1, in the shape to which the arguments broadcast.

    Raises
    ------
    ValueError
        If an argument is out of bounds.
    """
    dry, kap, temperature = _particle(dry_radius, kappa, tair)
    wet = np.asarray(wet_radius, float)
    if not np.all(wet >= dry):
        raise ValueError("wet_radius must be at least dry_radius")
    growth = (wet - dry) / dry
    volume = growth * (3.0 + growth * (3.0 + growth))
    total = volume + kap
    activity = np.divide(volume, total, out=np.ones_like(total), where=kap > 0.0)
    kelvin = np.expm1(kelvin_length(temperature, resolve(physics)) / wet)
    return np.asarray(activity * kelvin - (1.0 - activity))


def critical_supersaturation(
    dry_radius: ArrayLike, kappa: ArrayLike, tair: ArrayLike, *, physics: str | Physics = "default"
) -> NDArray[np.float64]:
    """Supersaturation at which a particle activates: the exact maximum of its Koehler curve.

    Parameters
    ----------
    dry_radius : array_like
        Dry radius in m.
    kappa : array_like
        Hygroscopicity, 0 to 2.
    tair : array_like
        Temperature in K.
    physics : str or Physics
        Constants, or the name of their preset.

    Returns
    -------
    ndarray of float64
        Supersaturation, 1, in the shape to which the arguments broadcast.

    Raises
    ------
    ValueError
        If an argument is out of bounds.
    """
    dry, kap, temperature = _particle(dry_radius, kappa, tair)
    return np.asarray(_critical(kelvin_length(temperature, resolve(physics)) / dry, kap))


def activating_dry_radius(
    supersaturation: ArrayLike,
    kappa: ArrayLike,
    tair: ArrayLike,
    *,
    physics: str | Physics = "default",
) -> NDArray[np.float64]:
    """Dry radius of the smallest particle that activates: inverse of `critical_supersaturation`.

    Parameters
    ----------
    supersaturation : array_like
        Supersaturation, 1, above 0.
    kappa : array_like
        Hygroscopicity, 0 to 2.
    tair : array_like
        Temperature in K.
    physics : str or Physics
        Constants, or the name of their preset.

    Returns
    -------
    ndarray of float64
        Dry radius in m, in the shape to which the arguments broadcast.

    Raises
    ------
    ValueError
        If an argument is out of bounds.
    """
    _, kap, temperature = _particle(1.0, kappa, tair)
    peak = np.asarray(supersaturation, float)
    if not np.all(peak > 0.0):
        raise ValueError("supersaturation must be above 0")
    return np.asarray(kelvin_length(temperature, resolve(physics)) / _kelvin(peak, kap))


def equilibrium_wet_radius(
    dry_radius: ArrayLike,
    kappa: ArrayLike,
    rh: ArrayLike,
    tair: ArrayLike,
    *,
    physics: str | Physics = "default",
) -> NDArray[np.float64]:
    """Wet radius in equilibrium with a relative humidity below 1.

    Parameters
    ----------
    dry_radius : array_like
        Dry radius in m, at least 2 nm.
    kappa : array_like
        Hygroscopicity, 0 to 2; an insoluble particle stays dry.
    rh : array_like
        Relative humidity, 1, above 0 and below 1.
    tair : array_like
        Temperature in K.
    physics : str or Physics
        Constants, or the name of their preset.

    Returns
    -------
    ndarray of float64
        Wet radius in m, in the shape to which the arguments broadcast.

    Raises
    ------
    ValueError
        If an argument is out of bounds.
    ArithmeticError
        If the solver has not converged.
    """
    dry, kap, temperature = _particle(dry_radius, kappa, tair)
    humidity = np.asarray(rh, float)
    if not np.all((humidity > 0.0) & (humidity < 1.0)):
        raise ValueError("rh must be above 0 and below 1")
    kelvin = kelvin_length(temperature, resolve(physics)) / dry
    if not np.all(kelvin <= MAX_EXPONENT):
        raise ValueError("dry_radius must be at least 2 nm")
    dry, kelvin, kap, humidity = np.broadcast_arrays(dry, kelvin, kap, humidity)
    growth = np.zeros(dry.shape)
    soluble = kap > 0.0
    wet = np.empty(np.count_nonzero(soluble))
    if not equilibrate(kelvin[soluble], kap[soluble], humidity[soluble], wet):
        raise ArithmeticError("the wet radius has not converged")
    growth[soluble] = wet
    return np.asarray(dry * (1.0 + growth))


def _particle(
    dry_radius: ArrayLike, kappa: ArrayLike, tair: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Arguments common to the functions above, as arrays within bounds."""
    dry, kap, temperature = (np.asarray(x, float) for x in (dry_radius, kappa, tair))
    if not np.all((dry > 0.0) & np.isfinite(dry)):
        raise ValueError("dry_radius must be above 0")
    if not np.all((kap >= 0.0) & (kap <= VALID_RANGE["kappa"].high)):
        raise ValueError(f"kappa must be between 0 and {VALID_RANGE['kappa'].high}")
    if not np.all((temperature > 0.0) & np.isfinite(temperature)):
        raise ValueError("tair must be above 0")
    return dry, kap, temperature
