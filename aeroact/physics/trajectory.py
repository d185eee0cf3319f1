"""The recorded ascent of one parcel."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .activation import Trajectory
from .ascent import WORK, rise
from .bins import MAX_CRITICAL, Quadrature, fill
from .constants import Physics
from .kinetic import BEYOND
from .koehler import kelvin_length


class Parcel(NamedTuple):
    """The start of one parcel, in SI units.

    Attributes
    ----------
    tair, pressure, rh, updraft : float
        K, Pa, 1 (above 0 and below 1), and m s-1.
    num_aer, r_aer, kappa : ndarray of float64, shape (4,)
        Number (m-3), median dry radius (m) and hygroscopicity of the modes.
    """

    tair: float
    pressure: float
    rh: float
    updraft: float
    num_aer: NDArray[np.float64]
    r_aer: NDArray[np.float64]
    kappa: NDArray[np.float64]


def follow(
    parcel: Parcel, quadrature: Quadrature, physics: Physics, rtol: float, peak: float
) -> Trajectory:
    """Record the ascent of a parcel to 50 m above its peak.

    Parameters
    ----------
    parcel : Parcel
        Its start.
    quadrature : Quadrature
        Bins of the modes; all up to `bins.MAX_CRITICAL` are followed.
    physics : Physics
        Constants.
    rtol : float
        Relative error of a step of the solver.
    peak : float
        Maximum supersaturation that is expected, 1.

    Returns
    -------
    Trajectory
        Of every bin, in the units of the schema.
    """
    bins = fill(
        *parcel[4:],
        kelvin_length(parcel.tair, physics),
        peak,
        MAX_CRITICAL,
        quadrature,
        False,
        np.empty((6, quadrature.relative_radius.size)),
    )
    start = (*parcel[:4], bins, np.empty((WORK, bins.dry.size)))
    settings = (physics, rtol, BEYOND)
    # The first ascent only tells how much there is to record.
    *_, points = rise(*start, *settings, np.empty((0, 0)))
    record = np.empty((points, 4 + bins.dry.size))
    rise(*start, *settings, record)
    return Trajectory(
        height=record[:, 0].copy(),
        supersaturation=record[:, 1].copy(),
        tair=record[:, 2].copy(),
        pressure=0.01 * record[:, 3],
        dry_radius=1e6 * bins.dry,
        wet_radius=1e6 * (bins.dry + record[:, 4:]),
        number=1e-6 * bins.number,
        mode=bins.mode.astype(np.int8),
    )
