"""Activation from a cloud parcel model: the truth that an emulator learns.

A parcel of air with four lognormal modes of particles, in equilibrium with their humidity, rises
at a constant speed until its supersaturation is at its maximum.  The activated fraction of a mode
is the part of it above the dry radius whose exact Koehler critical supersaturation is that
maximum.  It is taken from the lognormal distribution itself: to count bins would make steps of it.

References
----------
Rothenberg, D., and C. Wang, 2016: Metamodeling of droplet activation for global climate models.
doi:10.1175/JAS-D-15-0223.1
"""

import math
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from .activation import Activation, Status
from .ascent import rise
from .bins import fill, standard_bins
from .constants import MAM4_SIGMA_G, preset
from .koehler import kelvin_from_critical, kelvin_length
from .rows import broadcast, within_bounds

__all__ = ["MAX_START_RH", "Activation", "Status", "simulate"]

MAX_START_RH: Final = 0.999
"""Relative humidity from which a parcel starts at the most, 1: just below saturation."""

_OK, _FAILED = int(Status.OK), int(Status.FAILED)


def simulate(
    tair: ArrayLike,
    pressure: ArrayLike,
    rh: ArrayLike,
    wbar: ArrayLike,
    num_aer: ArrayLike,
    r_aer: ArrayLike,
    kappa: ArrayLike,
    *,
    physics: str = "default",
    bins: int = 50,
    rtol: float = 1e-4,
) -> Activation:
    """Activated fractions of four aerosol modes in rising parcels of air.

    Arguments broadcast: a scalar stands for every parcel, an array of shape (4,) for the modes
    of every parcel.

    Parameters
    ----------
    tair : array_like, shape (n,)
        Temperature at the start, K.
    pressure : array_like, shape (n,)
        Pressure at the start, hPa.
    rh : array_like, shape (n,)
        Relative humidity over liquid water at the start, 1.  Above `MAX_START_RH`, and above
        saturation, the parcel starts at `MAX_START_RH`.
    wbar : array_like, shape (n,)
        Updraft velocity, cm s-1.
    num_aer : array_like, shape (n, 4)
        Number of particles, cm-3.  A mode of none takes no part, but has its fraction.
    r_aer : array_like, shape (n, 4)
        Number-median dry radius, um.
    kappa : array_like, shape (n, 4)
        Hygroscopicity, 1.
    physics : str
        Preset of constants: ``"default"``, or ``"pyrcel"`` for those of pyrcel 2.0.
    bins : int
        Bins to a mode.
    rtol : float
        Relative error of a step of the solver.

    Returns
    -------
    Activation
        `fn` of shape (n, 4), `smax` and `status` of shape (n,).  The status is INVALID where an
        input is NaN or out of `constants.VALID_RANGE`, or water would boil; NO_PEAK where the
        supersaturation has no maximum within 3 km of ascent, above 0 and below 15 %; FAILED where
        the solver gave up.  `fn` and `smax` are NaN in all three.

    Raises
    ------
    ValueError
        If shapes do not broadcast, `physics` is unknown, or `bins` or `rtol` makes no sense.

    Notes
    -----
    The kernel does not hold Python's global lock, so threads run in parallel.
    """
    constants = preset(physics)
    if not 10 <= bins <= 2000:
        raise ValueError(f"bins must be between 10 and 2000, not {bins}")
    if not 1e-10 <= rtol <= 1e-2:
        raise ValueError(f"rtol must be between 1e-10 and 1e-2, not {rtol}")
    bulk, modes = broadcast(
        {"tair": tair, "pressure": pressure, "rh": rh, "wbar": wbar},
        {"num_aer": num_aer, "r_aer": r_aer, "kappa": kappa},
    )
    n = bulk["tair"].size
    valid = within_bounds(bulk | modes)
    status = np.where(valid, _OK, Status.INVALID).astype(np.int8)
    fn = np.full((n, 4), np.nan)
    smax = np.full(n, np.nan)

    centres, fractions = standard_bins(bins)
    ln_sigma = np.log(MAM4_SIGMA_G)
    _simulate(
        bulk["tair"],
        bulk["pressure"] * 100.0,
        np.minimum(bulk["rh"], MAX_START_RH),
        bulk["wbar"] * 0.01,
        modes["num_aer"] * 1e6,
        modes["r_aer"] * 1e-6,
        modes["kappa"],
        np.exp(ln_sigma[:, None] * centres),
        fractions,
        ln_sigma,
        constants,
        float(rtol),
        fn,
        smax,
        status,
    )
    return Activation(fn, smax, status)


@njit(cache=True, nogil=True, error_model="numpy")
def _simulate(  # type: ignore[no-untyped-def]
    tair, pressure, rh, updraft, num_aer, r_aer, kappa,
    relative_radius, fractions, ln_sigma, physics, rtol, fn, smax, status,
):  # fmt: skip
    """Fill `fn`, `smax` and `status` of the rows whose status is OK; everything in SI units."""
    bin_memory = np.empty((5, relative_radius.size))
    solver_memory = np.empty((12, relative_radius.size))
    for row in range(tair.size):
        if status[row] != _OK:
            continue
        bins = fill(
            num_aer[row], r_aer[row], kappa[row], kelvin_length(tair[row], physics),
            relative_radius, fractions, bin_memory,
        )  # fmt: skip
        code, peak, tpeak, _ = rise(
            tair[row], pressure[row], rh[row], updraft[row], bins, solver_memory, physics, rtol
        )
        status[row] = code
        if code != _OK:
            continue
        smax[row] = peak
        kelvin = kelvin_length(tpeak, physics)
        for mode in range(ln_sigma.size):
            dry = kelvin / kelvin_from_critical(peak, kappa[row, mode])
            distance = math.log(dry / r_aer[row, mode]) / ln_sigma[mode]
            fn[row, mode] = 0.5 * math.erfc(distance / math.sqrt(2.0))
        if not math.isfinite(fn[row].sum()):
            status[row] = _FAILED
            smax[row] = math.nan
            fn[row, :] = math.nan
