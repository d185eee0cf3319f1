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
from .ascent import WORK, rise
from .bins import MAX_CRITICAL, even_quadrature, fill, graded_quadrature, part_above
from .constants import Physics, resolve
from .kinetic import kinetic_fractions
from .koehler import kelvin_from_critical, kelvin_length
from .rows import broadcast, within_bounds
from .trajectory import Parcel, follow

__all__ = ["MAX_START_RH", "Activation", "Status", "simulate"]

MAX_START_RH: Final = 0.999
"""Relative humidity from which a parcel starts at the most, 1: just below saturation."""

_USUAL_PEAK = 0.01  # 1, where nothing better is known
_ESTIMATE_BINS, _ESTIMATE_RTOL = 8, 2e-3  # of the coarse ascent: smax to 2 %, 10 % at worst
_TRUSTED = 0.15  # relative change of smax from one ascent to the next that is small enough
_FOLLOWED = 6.0  # critical supersaturation of the particles that are followed, over smax
_ATTEMPTS = 5

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
    physics: str | Physics = "default",
    accommodation: float | None = None,
    bins: int = 50,
    rtol: float = 1e-4,
    kinetic: bool = False,
    trajectory: bool = False,
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
    physics : str or Physics
        Preset of constants: ``"default"``, or ``"pyrcel"`` for those of pyrcel 2.0; or constants
        of one's own, such as ``preset("default")._replace(...)``.
    accommodation : float, optional
        Mass accommodation coefficient in place of the preset's, above 0 and at most 1.
    bins : int
        Bins to a mode, about: they are narrow where its particles just activate; see `bins`.
    rtol : float
        Relative error of a step of the solver.
    kinetic : bool
        Whether to follow the parcels to 50 m above their peak, for `Activation.fn_kinetic`.
    trajectory : bool
        Whether to record the ascent, of one parcel, as `Activation.trajectory`.

    Returns
    -------
    Activation
        `fn` of shape (n, 4), `smax` and `status` of shape (n,).  The status is INVALID where an
        input is NaN or out of `constants.VALID_RANGE`, or water would boil; NO_PEAK where the
        supersaturation has no maximum above 0 and below 15 %, within 3 km above the cloud base
        and above 150 K; FAILED where the solver gave up.  `fn` and `smax` are NaN in all three.

    Raises
    ------
    ValueError
        If shapes do not broadcast, `physics` is unknown, `accommodation`, `bins` or `rtol` makes
        no sense, or the trajectory of other than one parcel is asked for.

    Notes
    -----
    The kernel does not hold Python's global lock, so threads run in parallel.
    """
    constants = resolve(physics, accommodation)
    if not 10 <= bins <= 2000:
        raise ValueError(f"bins must be between 10 and 2000, not {bins}")
    if not 1e-10 <= rtol <= 1e-2:
        raise ValueError(f"rtol must be between 1e-10 and 1e-2, not {rtol}")
    bulk, modes = broadcast(
        {"tair": tair, "pressure": pressure, "rh": rh, "wbar": wbar},
        {"num_aer": num_aer, "r_aer": r_aer, "kappa": kappa},
    )
    n = bulk["tair"].size
    if trajectory and n != 1:
        raise ValueError(f"a trajectory is that of one parcel, not of {n}")
    valid = within_bounds(bulk | modes)
    status = np.where(valid, _OK, Status.INVALID).astype(np.int8)
    fn = np.full((n, 4), np.nan)
    smax = np.full(n, np.nan)

    fn_kinetic = np.full((n if kinetic else 0, 4), np.nan)
    parcels = (
        bulk["tair"],
        bulk["pressure"] * 100.0,
        np.minimum(bulk["rh"], MAX_START_RH),
        bulk["wbar"] * 0.01,
        modes["num_aer"] * 1e6,
        modes["r_aer"] * 1e-6,
        modes["kappa"],
    )
    cut = even_quadrature if constants.even_bins else graded_quadrature
    steps = np.zeros(n, np.int64)
    _simulate(
        *parcels, cut(bins), even_quadrature(_ESTIMATE_BINS), graded_quadrature(2 * bins),
        constants, float(rtol), fn, smax, status, steps, fn_kinetic,
    )  # fmt: skip
    path = None
    if trajectory and valid[0]:
        peak = smax[0] if status[0] == _OK else _USUAL_PEAK
        parcel = Parcel(*(column[0] for column in parcels))
        path = follow(parcel, cut(bins), constants, float(rtol), peak)
    return Activation(fn, smax, status, fn_kinetic if kinetic else None, path, steps)


@njit(cache=True, nogil=True, error_model="numpy")
def _simulate(  # type: ignore[no-untyped-def]
    tair, pressure, rh, updraft, num_aer, r_aer, kappa, quadrature, coarse, fine,
    physics, rtol, fn, smax, status, steps, fn_kinetic,
):  # fmt: skip
    """Fill the last five for the rows whose status is OK; everything in SI units.

    `fn_kinetic`, from the bins `fine`, is left alone if it has no rows.
    """
    ln_sigma = quadrature.ln_sigma
    size = max(quadrature.relative_radius.size, coarse.relative_radius.size)
    memory = np.empty((6, size))
    work = np.empty((WORK, size))
    for row in range(tair.size):
        if status[row] != _OK:
            continue
        code, peak, tpeak, steps[row] = _peak(
            tair[row], pressure[row], rh[row], updraft[row], num_aer[row], r_aer[row], kappa[row],
            quadrature, coarse, physics, rtol, memory, work,
        )  # fmt: skip
        if code == _OK and fn_kinetic.size > 0:
            code = kinetic_fractions(
                tair[row], pressure[row], rh[row], updraft[row],
                num_aer[row], r_aer[row], kappa[row], fine, physics, rtol, peak, fn_kinetic[row],
            )  # fmt: skip
        status[row] = code
        if code != _OK:
            continue
        smax[row] = peak
        kelvin = kelvin_length(tpeak, physics)
        for mode in range(ln_sigma.size):
            dry = kelvin / kelvin_from_critical(peak, kappa[row, mode])
            fn[row, mode] = part_above(dry, r_aer[row, mode], ln_sigma[mode])
        if not math.isfinite(fn[row].sum()):
            status[row] = _FAILED
            smax[row] = math.nan
            fn[row, :] = math.nan


@njit(cache=True, nogil=True, error_model="numpy")
def _peak(  # type: ignore[no-untyped-def]
    tair, pressure, rh, updraft, num_aer, r_aer, kappa,
    quadrature, coarse, physics, rtol, memory, work,
):  # fmt: skip
    """Return the status, the maximum supersaturation, its temperature and the steps of a parcel.

    A coarse ascent tells about where the maximum is, and so which particles just activate.
    """
    kelvin = kelvin_length(tair, physics)
    no_record = np.empty((0, 0))
    expected, followed, steps = _USUAL_PEAK, MAX_CRITICAL, 0
    for attempt in range(_ATTEMPTS):
        is_estimate = attempt == 0 and not quadrature.even
        bins = fill(
            num_aer, r_aer, kappa, kelvin, expected, followed,
            coarse if is_estimate else quadrature, False, memory,
        )  # fmt: skip
        code, peak, tpeak, more, _ = rise(
            tair, pressure, rh, updraft, bins, work, physics,
            max(rtol, _ESTIMATE_RTOL) if is_estimate else rtol, 0.0, no_record,
        )  # fmt: skip
        steps += more
        if quadrature.even:
            break
        if code == _OK:
            as_expected = abs(math.log(peak / expected)) < _TRUSTED
            expected, followed = peak, min(_FOLLOWED * peak, MAX_CRITICAL)
            if as_expected and not is_estimate:
                break
        elif followed == MAX_CRITICAL and not is_estimate:
            break
        else:
            followed = MAX_CRITICAL
    return code, peak, tpeak, steps
