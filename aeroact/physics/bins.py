"""Particles by bin, and how the lognormal modes of a parcel become bins.

Every mode is cut into the same intervals of the standard normal variable
``ln(r / r_median) / ln(sigma_g)``, from -4 to 4.  A bin holds particles of the radius at its
middle, as many as its width times the density there: the midpoint rule, which is far more
accurate for a Gaussian than the exact number between the edges would be.
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .koehler import kelvin_from_critical

WIDTH: Final = 4.0
"""Half width of the binned part of a mode, in geometric standard deviations."""

MAX_CRITICAL: Final = 0.15
"""Critical supersaturation of the particles that are followed at the most."""

MIN_KAPPA: Final = 1e-12
"""Hygroscopicity of the particles that are followed at the least: a film on an insoluble one."""


class Bins(NamedTuple):
    """Particles of a parcel by bin; every attribute is an array of shape (nbins,).

    Attributes
    ----------
    dry : ndarray
        Dry radius, m.
    kappa : ndarray
        Hygroscopicity, 1, above 0.
    solute : ndarray
        Its product with the cube of the dry radius, m3.
    number : ndarray
        Number at the start of the ascent, m-3.
    excess : ndarray
        Wet minus dry radius, m; part of the state, so it changes as the parcel rises.
    """

    dry: NDArray[np.float64]
    kappa: NDArray[np.float64]
    solute: NDArray[np.float64]
    number: NDArray[np.float64]
    excess: NDArray[np.float64]


def standard_bins(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cut the standard normal distribution into bins.

    Parameters
    ----------
    count : int
        Number of bins.

    Returns
    -------
    centres : ndarray of float64, shape (count,)
        Middles of the bins, in standard deviations.
    fractions : ndarray of float64, shape (count,)
        Part of the distribution in each bin.
    """
    width = 2.0 * WIDTH / count
    centres = np.asarray(width * (np.arange(count) + 0.5) - WIDTH)
    density = np.exp(-0.5 * centres**2) / math.sqrt(2.0 * math.pi)
    return centres, np.asarray(width * density)


@njit(cache=True, nogil=True, error_model="numpy")
def fill(num_aer, r_aer, kappa, kelvin_length, relative_radius, fractions, memory):  # type: ignore[no-untyped-def]
    """Bin the modes of one parcel.

    Parameters
    ----------
    num_aer, r_aer, kappa : ndarray of float64, shape (4,)
        Number (m-3), median dry radius (m) and hygroscopicity of the modes; an empty mode gets
        no bins.
    kelvin_length : float
        m; particles with a critical supersaturation above `MAX_CRITICAL` are left out.
    relative_radius : ndarray of float64, shape (4, count)
        Radius of the bins over the median radius, by mode.
    fractions : ndarray of float64, shape (count,)
        Part of a mode in each bin.
    memory : ndarray of float64, shape (5, 4 * count)
        Where the bins are kept.

    Returns
    -------
    Bins
        The particles, with their `excess` not yet set.
    """
    n = 0
    for mode in range(num_aer.size):
        if num_aer[mode] == 0.0:
            continue
        soluble = max(kappa[mode], MIN_KAPPA)
        smallest = kelvin_length / kelvin_from_critical(MAX_CRITICAL, soluble)
        for i in range(fractions.size):
            dry = r_aer[mode] * relative_radius[mode, i]
            if dry >= smallest:
                memory[0, n] = dry
                memory[1, n] = soluble
                memory[2, n] = soluble * dry * dry * dry
                memory[3, n] = num_aer[mode] * fractions[i]
                n += 1
    return Bins(memory[0, :n], memory[1, :n], memory[2, :n], memory[3, :n], memory[4, :n])
