"""States of the parcel from the layers of E3SM: its aerosol as `loadaer` sees it, its humidity.

Pure functions of arrays, with the names and units of EAM's history files.

References
----------
`loadaer` of `ndrop.F90`, `modal_aero_data.F90`, `physconst.F90`, `wv_saturation.F90` and the
diagnostic RELHUM of `cam_diagnostics.F90` in E3SM, `components/eam/src`, BSD-3-Clause.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aeroact import schema
from aeroact.mam4 import MIN_UPDRAFT, MODE_SPECIES, NOMINAL_RADIUS, RADIUS_BOUNDS, SPECIES
from aeroact.physics.saturation_table import TABLE, TABLE_START
from aeroact.physics.thermo import saturation_vapour_pressure

from .fields import mass, number

Array = NDArray[np.float64]

_MOLAR_MASS_AIR = 28.966  # kg kmol-1, as the constants below E3SM's own (`shr_const_mod`)
RAIR: Final = 6.02214e26 * 1.38065e-23 / _MOLAR_MASS_AIR
"""E3SM's gas constant of dry air, J kg-1 K-1, with which `loadaer` takes the density of air."""

EPSILON: Final = 18.016 / _MOLAR_MASS_AIR
"""E3SM's ratio of the molar masses of water and dry air."""

MIN_VOLUME: Final = 1e-30
"""A mode of no more volume than this, m3 kg-1, is empty for `loadaer`."""


@np.errstate(all="ignore")  # what is out of all bounds may overflow; its value tells
def states(values: Mapping[str, NDArray[np.floating]]) -> NDArray[np.float32]:
    """Return the states of layers, NaN where a value is missing.

    Parameters
    ----------
    values : mapping of str to ndarray, shape (n,)
        By EAM's names: ``T`` (K), ``PMID`` (Pa), ``Q`` (kg kg-1) or ``RELHUM`` (%), ``WSUB``
        (m s-1), the mixing ratios ``num_a1`` to ``num_a4`` (kg-1) and those of the species'
        masses (kg kg-1).  A species that is not there counts as absent.

    Returns
    -------
    ndarray of float32, shape (n, 16)
        In schema units and order; the updraft is at least E3SM's floor, `mam4.MIN_UPDRAFT`.
    """
    tair, pressure, updraft = (np.asarray(values[k], np.float64) for k in ("T", "PMID", "WSUB"))
    if "Q" in values:
        vapour = np.asarray(values["Q"], np.float64)
    else:
        vapour = specific_humidity(np.asarray(values["RELHUM"], np.float64), tair, pressure)
    air_density = pressure / (RAIR * tair)
    aerosol = []
    for mode in schema.MODES:
        masses = {s: values[mass(s, mode)] for s in MODE_SPECIES[mode] if mass(s, mode) in values}
        aerosol.append(loadaer(mode, values[number(mode)], masses, air_density))
    columns = [
        tair,
        pressure / 100.0,
        relative_humidity(vapour, tair, pressure),
        np.maximum(100.0 * updraft, MIN_UPDRAFT),
        *(column for variable in zip(*aerosol, strict=True) for column in variable),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


@np.errstate(divide="ignore", invalid="ignore")  # of empty modes
def loadaer(
    mode: str,
    number_mixing_ratio: NDArray[np.floating],
    masses: Mapping[str, NDArray[np.floating]],
    air_density: Array,
) -> tuple[Array, Array, Array]:
    """Return number, size and hygroscopicity of a mode, as E3SM gives them to its activation.

    The volume is that of the species (negative mixing ratios count as none), the hygroscopicity
    their mean by volume.  The number is raised or lowered so that the number-median radius lies
    in `mam4.RADIUS_BOUNDS`.  An empty mode has the number 0, as in E3SM; its radius is the
    nominal one and its hygroscopicity that of the mode's first species, so that the row is valid.

    Parameters
    ----------
    mode : str
        One of `schema.MODES`.
    number_mixing_ratio : ndarray, shape (n,)
        kg-1.
    masses : mapping of str to ndarray, shape (n,)
        Mass mixing ratio by species, kg kg-1.
    air_density : ndarray, shape (n,)
        kg m-3.

    Returns
    -------
    number, radius, kappa : ndarray, shape (n,)
        cm-3, um, 1.
    """
    volume = np.zeros_like(air_density)  # m3 kg-1
    weighted = np.zeros_like(air_density)
    for name, mixing_ratio in masses.items():
        species = SPECIES[name]
        part = np.maximum(np.asarray(mixing_ratio, np.float64), 0.0) / species.density
        volume += part
        weighted += species.kappa * part
    empty = volume <= MIN_VOLUME
    main = SPECIES[MODE_SPECIES[mode][0]]
    kappa = np.where(empty, main.kappa, weighted / volume)
    volume = np.where(empty, 0.0, volume * air_density)  # m3 m-3
    least, greatest = (_particle_volume(mode, radius) for radius in RADIUS_BOUNDS[mode])
    per_volume = np.asarray(number_mixing_ratio, np.float64) * air_density  # m-3
    per_volume = np.clip(per_volume, volume / greatest, volume / least)
    ratio = volume / (per_volume * _particle_volume(mode, 1.0))
    radius = np.where(empty, NOMINAL_RADIUS[mode], np.cbrt(ratio))
    return 1e-6 * per_volume, radius, kappa


def _particle_volume(mode: str, radius: float) -> float:
    """Mean volume (m3) of lognormally distributed particles of number-median radius (um)."""
    log_sigma = np.log(schema.SIGMA_G[schema.MODES.index(mode)])
    return float(4.0 / 3.0 * np.pi * (1e-6 * radius) ** 3 * np.exp(4.5 * log_sigma**2))


def relative_humidity(vapour: Array, tair: Array, pressure: Array) -> Array:
    """Relative humidity over liquid water, by the parcel model's own saturation pressure.

    Parameters
    ----------
    vapour : ndarray, shape (n,)
        Specific humidity, kg kg-1.
    tair : ndarray, shape (n,)
        K.
    pressure : ndarray, shape (n,)
        Pa.

    Returns
    -------
    ndarray, shape (n,)
        With which the parcel holds as much vapour as the layer.
    """
    partial = vapour * pressure / (EPSILON + (1.0 - EPSILON) * vapour)
    return np.asarray(partial / saturation_vapour_pressure(tair))


def specific_humidity(relhum: Array, tair: Array, pressure: Array) -> Array:
    """Specific humidity from E3SM's RELHUM, which below 0 °C is not one over liquid water.

    RELHUM (%) is specific humidity over that of saturation from E3SM's table, which goes from
    liquid water to ice between 0 °C and -20 °C.  Shapes (n,); K, Pa; kg kg-1.
    """
    entries = TABLE_START + np.arange(TABLE.size)
    saturation = np.interp(tair, entries, TABLE)
    return 0.01 * relhum * EPSILON * saturation / (pressure - (1.0 - EPSILON) * saturation)
