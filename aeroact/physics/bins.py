"""Particles by bin, and how the lognormal modes of a parcel become bins.

A bin stands for the particles about one dry radius, as many as its width times the density of the
mode there, both in the standard normal variable ``z = ln(r / r_median) / ln(sigma_g)``: the
midpoint rule, which for a smooth integrand under a Gaussian is exact to many digits with bins of
half a standard deviation.  But the water that particles take up has a step at the dry radius that
just activates, and there the error is the width of the bin.  So bins are narrow about that radius,
which must be known well, and wide elsewhere: with

    z = wide k - (wide - narrow) c tanh(k / c),    k = ..., -3/2, -1/2, 1/2, 3/2, ...

counted from that radius.  (`Physics.even_bins` asks for bins of one width instead, as pyrcel's
users choose them.)
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numba.extending import register_jitable
from numpy.typing import NDArray

from .constants import MAM4_SIGMA_G
from .koehler import kelvin_from_critical

WIDTH: Final = 4.0
"""Half width of the part of a mode that even bins cover, in geometric standard deviations."""

MAX_CRITICAL: Final = 0.15
"""Critical supersaturation of the particles that are followed at the most."""

MIN_KAPPA: Final = 1e-7
"""Hygroscopicity of the particles that are followed at the least.

One of a smaller hygroscopicity is stood in for by one of this, so much smaller that it has the
same critical supersaturation: its film of solution is less stiff, and takes up no notable water
either.
"""

LOWEST, HIGHEST = -4.0, 5.0  # z of the bins; large particles hold water out of all proportion
_FARTHEST = 6.0  # z of the narrowest bins; farther out all are wide anyway
_WIDE, _NARROW, _REACH = 30.0, 2.0, 0.16  # the first two over, the last times the number of bins


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
    mode : ndarray
        The mode that it belongs to, 0 to 3.
    """

    dry: NDArray[np.float64]
    kappa: NDArray[np.float64]
    solute: NDArray[np.float64]
    number: NDArray[np.float64]
    excess: NDArray[np.float64]
    mode: NDArray[np.float64]


class Quadrature(NamedTuple):
    """The bins of all parcels, about a centre that each mode of a parcel has for itself.

    Attributes
    ----------
    offsets : ndarray of float64, shape (count,)
        Middles of the bins, z from the centre.
    widths : ndarray of float64, shape (count,)
        Their widths, z.
    relative_radius : ndarray of float64, shape (4, count)
        Their dry radius over that of the centre, by mode.
    ln_sigma : ndarray of float64, shape (4,)
        Logarithm of the geometric standard deviation of the modes.
    even : bool
        Whether the centre is the median radius, not the one that just activates.
    """

    offsets: NDArray[np.float64]
    widths: NDArray[np.float64]
    relative_radius: NDArray[np.float64]
    ln_sigma: NDArray[np.float64]
    even: bool


def even_quadrature(count: int) -> Quadrature:
    """Cut modes into `count` bins of one width from -4 to 4 standard deviations."""
    width = 2.0 * WIDTH / count
    middles = np.asarray(width * (np.arange(count) + 0.5) - WIDTH)
    return _quadrature(middles, np.full(count, width), even=True)


def graded_quadrature(count: int) -> Quadrature:
    """Cut modes into up to about `count` bins, narrow about the radius that just activates."""
    wide, narrow, reach = min(_WIDE / count, 1.0), _NARROW / count, _REACH * count
    half = math.ceil((HIGHEST - LOWEST + _FARTHEST) / wide + reach)
    k = np.arange(-half, half) + 0.5
    offsets = wide * k - (wide - narrow) * reach * np.tanh(k / reach)
    widths = wide - (wide - narrow) / np.cosh(k / reach) ** 2
    return _quadrature(offsets, widths, even=False)


def _quadrature(
    offsets: NDArray[np.float64], widths: NDArray[np.float64], *, even: bool
) -> Quadrature:
    ln_sigma = np.log(MAM4_SIGMA_G)
    return Quadrature(offsets, widths, np.exp(ln_sigma[:, None] * offsets), ln_sigma, even)


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_mode(  # type: ignore[no-untyped-def]
    number, radius, kappa, mode, kelvin_length, peak, max_critical, quadrature, memory, n
):
    """Add a mode of a parcel to its first `n` bins, and return how many there are then."""
    soluble = max(kappa, MIN_KAPPA)
    smallest = kelvin_length / kelvin_from_critical(max_critical, soluble)
    stand_in = 1.0
    if soluble > kappa or not quadrature.even:
        exponent = kelvin_from_critical(peak, kappa)
        stand_in = exponent / kelvin_from_critical(peak, soluble)
    centre = 0.0
    if not quadrature.even:
        centre = math.log(kelvin_length / exponent / radius) / quadrature.ln_sigma[mode]
        centre = min(max(centre, -_FARTHEST), _FARTHEST)
    scale = stand_in * radius * math.exp(quadrature.ln_sigma[mode] * centre)
    for i in range(quadrature.offsets.size):
        z = centre + quadrature.offsets[i]
        dry = scale * quadrature.relative_radius[mode, i]
        if LOWEST < z < HIGHEST and dry >= smallest:
            density = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
            memory[0, n] = dry
            memory[1, n] = soluble
            memory[2, n] = soluble * dry * dry * dry
            memory[3, n] = number * quadrature.widths[i] * density
            memory[5, n] = mode
            n += 1
    return n


@register_jitable
def _bins_in(memory, n):  # type: ignore[no-untyped-def]
    """Return the first `n` bins in a memory."""
    return Bins(
        memory[0, :n], memory[1, :n], memory[2, :n], memory[3, :n], memory[4, :n], memory[5, :n]
    )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def fill(num_aer, r_aer, kappa, kelvin_length, peak, max_critical, quadrature, empty_modes, memory):  # type: ignore[no-untyped-def]
    """Bin the modes of one parcel.

    Parameters
    ----------
    num_aer, r_aer, kappa : ndarray of float64, shape (4,)
        Number (m-3), median dry radius (m) and hygroscopicity of the modes.
    kelvin_length : float
        m.
    peak : float
        Maximum supersaturation that is expected: the particles that it just activates are at the
        centre of the quadrature.
    max_critical : float
        Particles with a higher critical supersaturation are left out; up to `MAX_CRITICAL`.
    quadrature : Quadrature
        The bins.
    empty_modes : bool
        Whether a mode of no particles gets bins too.
    memory : ndarray of float64, shape (6, at least 4 * count)
        Where the bins are kept.

    Returns
    -------
    Bins
        The particles, with their `excess` not yet set.
    """
    n = 0
    for mode in range(num_aer.size):
        if num_aer[mode] > 0.0 or empty_modes:
            n = _fill_mode(
                num_aer[mode], r_aer[mode], kappa[mode], mode,
                kelvin_length, peak, max_critical, quadrature, memory, n,
            )  # fmt: skip
    return _bins_in(memory, n)


@njit(cache=True, nogil=True)
def part_above(dry, radius, ln_sigma):  # type: ignore[no-untyped-def]
    """Part of a lognormal mode above a dry radius (m), given its median (m) and ln(sigma_g)."""
    return 0.5 * math.erfc(math.log(dry / radius) / (ln_sigma * math.sqrt(2.0)))
