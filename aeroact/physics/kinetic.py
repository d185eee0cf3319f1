"""The kinetic label: the particles that are larger than their critical radius above the peak.

Equilibrium says that a particle activates if its critical supersaturation is reached.  But large
particles take so long to grow to their critical radius that they may still be haze when the
supersaturation has its peak, and particles that were supersaturated too briefly shrink again.
So the parcel is followed to 50 m above the peak, and the dry radii at which a particle of a mode
has just its critical radius there divide the mode into activated and not activated intervals:
usually one activated interval, from a small radius to, for kinetic limitation, a large one.

Between two bins that differ, the dry radius is interpolated.  The fraction is that of the
lognormal distribution in the activated intervals, however many there are, the outermost bins
standing for all beyond them.

References
----------
Nenes, A., et al., 2001: Kinetic limitations on cloud droplet formation and impact on cloud
albedo. doi:10.3402/tellusb.v53i2.16569
"""

import math
from typing import Final

import numpy as np
from numba import njit

from .activation import Status
from .ascent import WORK, rise
from .bins import MAX_CRITICAL, fill, part_above
from .koehler import critical_volume, kelvin_length

BEYOND: Final = 50.0
"""Height above the peak at which the particles are judged, m."""

_OK = int(Status.OK)


@njit(cache=True, nogil=True, error_model="numpy")
def kinetic_fractions(  # type: ignore[no-untyped-def]
    tair, pressure, rh, updraft, num_aer, r_aer, kappa, quadrature, physics, rtol, peak, fractions
):
    """Set `fractions` to the kinetically activated part of each mode of one parcel.

    Parameters
    ----------
    tair, pressure, rh, updraft : float
        Start: K, Pa, 1 (above 0 and below 1), and m s-1.
    num_aer, r_aer, kappa : ndarray of float64, shape (4,)
        Number (m-3), median dry radius (m) and hygroscopicity of the modes.
    quadrature : Quadrature
        Bins of the modes.
    physics : Physics
        Constants.
    rtol : float
        Relative error of a step of the solver.
    peak : float
        Maximum supersaturation, 1.
    fractions : ndarray of float64, shape (4,)
        Where the answer goes, 1; left alone unless OK is returned.

    Returns
    -------
    int
        `Status`.
    """
    memory = np.empty((6, quadrature.relative_radius.size))
    bins = fill(
        num_aer, r_aer, kappa, kelvin_length(tair, physics),
        peak, MAX_CRITICAL, quadrature, True, memory,
    )  # fmt: skip
    code, _, tpeak, _, _ = rise(
        tair, pressure, rh, updraft, bins, np.empty((WORK, bins.dry.size)),
        physics, rtol, BEYOND, np.empty((0, 0)),
    )  # fmt: skip
    if code != _OK:
        return code
    kelvin = kelvin_length(tpeak, physics)
    fractions[:] = 0.0
    mode, last = -1, 0.0
    for i in range(bins.dry.size):
        growth = bins.excess[i] / bins.dry[i]
        volume = growth * (3.0 + growth * (3.0 + growth))
        # Above 0 where the particle is larger than at the maximum of its Koehler curve.
        beyond = math.log(volume / critical_volume(kelvin / bins.dry[i], bins.kappa[i]))
        if bins.mode[i] != mode:
            mode = int(bins.mode[i])
            fractions[mode] = 1.0 if beyond > 0.0 else 0.0
        elif (beyond > 0.0) != (last > 0.0):
            position = last / (last - beyond)
            border = bins.dry[i - 1] * (bins.dry[i] / bins.dry[i - 1]) ** position
            above = part_above(border, r_aer[mode], quadrature.ln_sigma[mode])
            fractions[mode] += above if beyond > 0.0 else -above
        last = beyond
    for mode in range(fractions.size):
        fractions[mode] = min(max(fractions[mode], 0.0), 1.0)  # rounding
    return code
