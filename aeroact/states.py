"""Initial states of the cloud parcel, sampled to look like those of E3SM.

Each variable lies within fixed bounds, so that an emulator's domain is known. The
bounds follow E3SM's MAM4 and the layers below the 300-hPa level where its clouds form.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from aeroact import schema
from aeroact.dataset import from_arrays

if TYPE_CHECKING:
    import xarray as xr

BLOCK = 4096
"""Rows drawn from one random stream; a larger sample starts with the smaller one's rows."""


@dataclass(frozen=True)
class LogBeta:
    """A beta distribution of the logarithm between two bounds."""

    low: float
    high: float
    a: float
    b: float

    def draw(self, rng: Generator, n: int) -> NDArray[np.float64]:
        """Draw n values, shape (n,), in the units of the bounds."""
        return self.low * (self.high / self.low) ** rng.beta(self.a, self.b, n)


# E3SM floors the updraft of activation at 0.1 m/s; convective cores reach 10 m/s.
WBAR = LogBeta(10.0, 1000.0, 1.0, 2.5)

# Number of each mode (cm-3): from the cleanest upper troposphere to a polluted city.
NUM_AER = (
    LogBeta(1.0, 1e4, 3.0, 3.0),
    LogBeta(1.0, 3e4, 3.0, 2.5),
    LogBeta(1e-5, 30.0, 4.0, 2.5),
    LogBeta(0.1, 5e3, 3.5, 2.5),
)

# Dry radius of each mode (um): the bounds that MAM4 enforces on the number-median
# diameter (E3SM, modal_aero_data), halved.
R_AER = (
    LogBeta(0.02675, 0.22, 2.0, 2.4),
    LogBeta(0.00435, 0.026, 2.2, 1.0),
    LogBeta(0.5, 2.0, 0.9, 2.5),
    LogBeta(0.005, 0.05, 2.5, 0.7),
)

# Hygroscopicity of MAM4's species in E3SM: sulfate, primary and secondary organics,
# black carbon, sea salt, dust, marine organics.
SPECIES_KAPPA = {
    "so4": 0.507,
    "pom": 1e-10,
    "soa": 0.14,
    "bc": 1e-10,
    "ncl": 1.16,
    "dst": 0.068,
    "mom": 0.1,
}

# Dirichlet weights of the species' volume in the modes that are internal mixtures.
VOLUME = (
    {"so4": 1.6, "pom": 0.6, "soa": 1.0, "bc": 0.3, "ncl": 0.5, "dst": 0.3, "mom": 0.2},
    {"so4": 1.8, "soa": 1.0, "ncl": 0.3, "mom": 0.2},
    {"dst": 0.8, "ncl": 1.2, "so4": 0.4, "bc": 0.05, "pom": 0.1, "soa": 0.15, "mom": 0.1},
)

# Primary carbon holds black carbon and primary organics, which do not take up water,
# and a volume fraction of marine organics that spans eight orders of magnitude.
MARINE_IN_PRIMARY_CARBON = LogBeta(1e-8, 1.0, 0.8, 2.0)


def sample(n: int, seed: int) -> "xr.Dataset":
    """Sample initial states.

    Parameters
    ----------
    n : int
        Number of states.
    seed : int
        Same seed, same states; the first rows do not depend on `n`.

    Returns
    -------
    xarray.Dataset
        In the schema, without `fn`.
    """
    return from_arrays(sample_rows(0, n, seed))


def sample_rows(start: int, stop: int, seed: int) -> NDArray[np.float64]:
    """Sample rows `start` to `stop` of the endless sequence that a seed defines.

    Returns
    -------
    ndarray, shape (stop - start, 16)
        States in schema units.
    """
    first, last = start // BLOCK, -(-stop // BLOCK)
    drawn = [_block(np.random.default_rng([seed, 0x57A7E, k])) for k in range(first, last)]
    rows = np.concatenate([np.empty((0, schema.N_INPUTS)), *drawn])
    return rows[start - first * BLOCK : stop - first * BLOCK]


def _block(rng: Generator) -> NDArray[np.float64]:
    pressure, tair = _thermodynamics(rng)
    columns = [tair, pressure, _humidity(rng), WBAR.draw(rng, BLOCK)]
    columns += [number.draw(rng, BLOCK) for number in NUM_AER]
    columns += [radius.draw(rng, BLOCK) for radius in R_AER]
    columns += [_mixed_kappa(rng, weights) for weights in VOLUME]
    columns.append(_primary_carbon_kappa(rng))
    return np.stack(columns, axis=1)


def _thermodynamics(rng: Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pressure of 300 to 1040 hPa, and a temperature that goes with it.

    The middle of the range is the U.S. Standard Atmosphere (1976) in the troposphere;
    222 K is a little below where supercooled droplets freeze by themselves.
    """
    pressure = 300.0 + 740.0 * rng.beta(1.6, 1.0, BLOCK)
    standard = 288.15 * (pressure / 1013.25) ** 0.1903
    low, high = np.maximum(standard - 32.0, 222.0), standard + 22.0
    return pressure, low + (high - low) * rng.beta(2.0, 2.0, BLOCK)


def _humidity(rng: Generator) -> NDArray[np.float64]:
    """Relative humidity from 0.6 to 1; half of the parcels start above 0.95."""
    return 1.0 - 0.4 * rng.random(BLOCK) ** 3


def _mixed_kappa(rng: Generator, weights: dict[str, float]) -> NDArray[np.float64]:
    """Volume-weighted hygroscopicity of an internal mixture (Petters & Kreidenweis, 2007)."""
    volume = rng.dirichlet(list(weights.values()), BLOCK)
    return volume @ np.array([SPECIES_KAPPA[name] for name in weights])


def _primary_carbon_kappa(rng: Generator) -> NDArray[np.float64]:
    marine = MARINE_IN_PRIMARY_CARBON.draw(rng, BLOCK)
    return marine * SPECIES_KAPPA["mom"] + (1 - marine) * SPECIES_KAPPA["pom"]
