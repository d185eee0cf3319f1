"""Activation by the parameterization of Abdul-Razzak and Ghan, as E3SM computes it.

The numbers are those of `activate_modal` in E3SM, with one updraft, MAM4's four modes and
``fix_g1_err_ndrop = .true.``: its constants, its table of saturation vapour pressure, its ways
with an empty mode.

References
----------
Abdul-Razzak, H., and S. J. Ghan, 2000: A parameterization of aerosol activation. 2. Multiple
aerosol types. doi:10.1029/1999JD901161
Ghan, S. J., et al., 2011: Droplet nucleation: Physically-based parameterizations and comparative
evaluation. doi:10.1029/2011MS000074
E3SM, `components/eam/src/physics/cam/ndrop.F90`, BSD-3-Clause.
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from .activation import Activation, Status
from .constants import MAM4_SIGMA_G
from .rows import broadcast, within_bounds
from .saturation_table import blended_saturation_vapour_pressure

__all__ = ["Activation", "Status", "arg2000", "prepared"]

# E3SM's constants, SI.
_GRAVITY: Final = 9.80616
_HEAT_CAPACITY: Final = 1004.64
_LATENT_HEAT: Final = 2.501e6
_RV: Final = 461.5046398
_RD: Final = 287.0423114
_WATER_DENSITY: Final = 1000.0
_T0: Final = 273.0
_P0: Final = 101325.0
_KELVIN_LENGTH: Final = 2.0 * 18.016 * 0.076 / (8314.467591 * _T0 * _WATER_DENSITY)
_EPSILON: Final = 18.016 / 28.966
_NO_PARTICLES: Final = 1e-39  # m-3
_INSOLUBLE: Final = 1e-10
_MAX_UPDRAFT: Final = 10.0  # m s-1, of an updraft spectrum; it only enters for an empty mode

_LN_SIGMA: Final = np.log(MAM4_SIGMA_G)
_F1: Final = 0.5 * np.exp(2.5 * _LN_SIGMA**2)
_F2: Final = 1.0 + 0.25 * _LN_SIGMA

_OK = int(Status.OK)


def arg2000(
    tair: ArrayLike,
    pressure: ArrayLike,
    wbar: ArrayLike,
    num_aer: ArrayLike,
    r_aer: ArrayLike,
    kappa: ArrayLike,
) -> Activation:
    """Activated fractions of four aerosol modes, as E3SM parameterizes them.

    Arguments broadcast: a scalar stands for every row, an array of shape (4,) for the modes of
    every row.

    Parameters
    ----------
    tair : array_like, shape (n,)
        Temperature, K.
    pressure : array_like, shape (n,)
        Pressure, hPa.
    wbar : array_like, shape (n,)
        Updraft velocity, cm s-1.  Where it is 0 or below nothing activates, as in E3SM.
    num_aer : array_like, shape (n, 4)
        Number of particles, cm-3.
    r_aer : array_like, shape (n, 4)
        Number-median dry radius, um.
    kappa : array_like, shape (n, 4)
        Hygroscopicity, 1.

    Returns
    -------
    Activation
        `fn` of shape (n, 4), `smax` and `status` of shape (n,).  The status is INVALID, and `fn`
        and `smax` are NaN, where an input is NaN or out of `constants.VALID_RANGE`, or water
        would boil.

    Raises
    ------
    ValueError
        If shapes do not broadcast.
    """
    return prepared(tair, pressure, wbar, num_aer, r_aer, kappa)()


def prepared(
    tair: ArrayLike,
    pressure: ArrayLike,
    wbar: ArrayLike,
    num_aer: ArrayLike,
    r_aer: ArrayLike,
    kappa: ArrayLike,
) -> Callable[[], Activation]:
    """Do all that `arg2000` does once for its arguments, and leave the compiled kernel.

    Parameters
    ----------
    tair, pressure, wbar, num_aer, r_aer, kappa : array_like
        As of `arg2000`.

    Returns
    -------
    callable
        Runs the kernel alone, to be timed; each call fills and returns the same arrays.

    Raises
    ------
    ValueError
        If shapes do not broadcast.
    """
    bulk, modes = broadcast(
        {"tair": tair, "pressure": pressure, "wbar": wbar},
        {"num_aer": num_aer, "r_aer": r_aer, "kappa": kappa},
    )
    wbar = bulk.pop("wbar")
    valid = within_bounds(bulk | modes) & within_bounds({"wbar": np.maximum(wbar, 1.0)})
    n = valid.size
    status = np.where(valid, _OK, Status.INVALID).astype(np.int8)
    fn = np.full((n, 4), np.nan)
    smax = np.full(n, np.nan)
    temperature, pressure = bulk["tair"], bulk["pressure"]
    number, radius, hygroscopicity = modes["num_aer"], modes["r_aer"], modes["kappa"]

    def run() -> Activation:
        _activate(temperature, pressure, wbar, number, radius, hygroscopicity, status, fn, smax)
        return Activation(fn, smax, status)

    return run


@njit(cache=True, nogil=True, error_model="numpy")
def _activate(tair, pressure, wbar, num_aer, r_aer, kappa, status, fn, smax):  # type: ignore[no-untyped-def]
    """Fill `fn` and `smax` of the rows whose status is OK; units of the schema."""
    zeta, eta, critical = np.empty(4), np.empty(4), np.empty(4)
    for row in range(tair.size):
        if status[row] != _OK:
            continue
        w = wbar[row] * 0.01
        if w <= 0.0:
            smax[row] = 0.0
            fn[row, :] = 0.0
            continue
        t, p = tair[row], pressure[row] * 100.0
        density = p / (_RD * t)
        diffusivity = 0.211e-4 * (_P0 / p) * (t / _T0) ** 1.94
        conductivity = (5.69 + 0.017 * (t - _T0)) * 4.186e-3
        es = blended_saturation_vapour_pressure(t)
        qs = _EPSILON * es / (p - (1.0 - _EPSILON) * es)
        latent = _LATENT_HEAT / (_RV * t)
        alpha = _GRAVITY / t * (latent / _HEAT_CAPACITY - 1.0 / _RD)
        gamma = (1.0 + _LATENT_HEAT / _HEAT_CAPACITY * latent / t * qs) / (density * qs)
        growth = 1.0 / (
            _WATER_DENSITY / (diffusivity * density * qs)
            + _LATENT_HEAT * _WATER_DENSITY / (conductivity * t) * (latent - 1.0)
        )
        sqrt_growth = math.sqrt(growth)
        beta = 2.0 * math.pi * _WATER_DENSITY * growth * gamma
        forcing = alpha * w
        sqrt_forcing = math.sqrt(forcing)
        for m in range(4):
            number, radius = num_aer[row, m] * 1e6, r_aer[row, m] * 1e-6
            zeta[m] = 2.0 / 3.0 * _KELVIN_LENGTH * sqrt_forcing / sqrt_growth
            if number <= _NO_PARTICLES:
                critical[m] = 1.0
                # A large eta, so that the mode takes no water.
                eta[m] = forcing * sqrt_forcing * 1e10 / (alpha * _MAX_UPDRAFT) ** 1.5
                continue
            eta[m] = forcing * sqrt_forcing / (number * beta * sqrt_growth)
            critical[m] = 100.0
            if kappa[row, m] > _INSOLUBLE:
                kelvin = _KELVIN_LENGTH / radius
                critical[m] = 2.0 * kelvin * math.sqrt(kelvin / (27.0 * kappa[row, m]))
        peak = maximum_supersaturation(zeta, eta, critical, _F1, _F2)
        smax[row] = peak
        for m in range(4):
            u = 2.0 / 3.0 * math.log(critical[m] / peak) / (math.sqrt(2.0) * _LN_SIGMA[m])
            fn[row, m] = 0.5 * (1.0 - math.erf(u))


@njit(cache=True, nogil=True, error_model="numpy")
def maximum_supersaturation(zeta, eta, critical, f1, f2):  # type: ignore[no-untyped-def]
    """Maximum supersaturation of competing modes: E3SM's `maxsat`.

    Parameters
    ----------
    zeta, eta : ndarray of float64, shape (nmodes,)
        The two dimensionless numbers of Abdul-Razzak and Ghan.
    critical : ndarray of float64, shape (nmodes,)
        Critical supersaturation of a particle of the median radius, 1.
    f1, f2 : ndarray of float64, shape (nmodes,)
        Their functions of the geometric standard deviation.

    Returns
    -------
    float
        Maximum supersaturation, 1.
    """
    weak = True
    for m in range(zeta.size):
        if zeta[m] <= 1e5 * eta[m] and critical[m] * critical[m] <= 1e5 * eta[m]:
            weak = False
    if weak:
        return 1e-20
    total = 0.0
    for m in range(zeta.size):
        if eta[m] > 1e-20:
            ratio = zeta[m] / eta[m]
            g1 = ratio * math.sqrt(ratio)
            ratio = critical[m] / math.sqrt(eta[m] + 3.0 * zeta[m])
            g2 = ratio * math.sqrt(ratio)
            total += (f1[m] * g1 + f2[m] * g2) / (critical[m] * critical[m])
        else:
            total = 1e20
    return 1.0 / math.sqrt(total)
