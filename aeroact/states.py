"""Initial states of the cloud parcel, sampled to look like those of E3SM.

A point of the unit cube becomes a state; random and Sobol points differ in nothing else.

- Every variable is given by a few quantiles, and is uniform in between.  They follow E3SM's MAM4
  and the layers below the 300-hPa level where its clouds form, with room on both sides.
- Some values are frequent, as in E3SM: updrafts at their floor, radii at the bounds to which E3SM
  clips them, primary carbon without any marine organic matter.
- Temperature depends on pressure; numbers fall with height, and all but the coarse mode's (sea
  salt and dust) share their pollution; hygroscopicities are mixtures of MAM4's species.
- All else is independent, so that no corner that a climate may reach is empty.

`BOUNDS` says how far each variable goes, and so where an emulator of these states holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from aeroact import schema
from aeroact.dataset import from_arrays
from aeroact.mam4 import MIN_UPDRAFT, MODE_SPECIES, RADIUS_BOUNDS, SPECIES
from aeroact.physics.constants import Bounds

if TYPE_CHECKING:
    import xarray as xr

Method = Literal["random", "sobol"]
"""Independent random points, or a scrambled Sobol sequence, which fills the cube more evenly."""

BLOCK: Final = 8192
"""Rows that are drawn at a time; a larger sample starts with the smaller one's rows."""

SOBOL_NET: Final = 2**20
"""Rows of one Sobol sequence; the next rows are those of one scrambled anew.

To go to a row of a sequence takes time in proportion to its number, so it must not be endless.
"""


@dataclass(frozen=True)
class Quantiles:
    """A distribution by some of its quantiles, uniform between one and the next.

    Attributes
    ----------
    values : mapping of float to float
        Value by percent of the rows that lie below it, from 0 to 100.  Percents with the same
        value have all the rows between them at this value.
    log : bool
        Whether it is uniform on a logarithmic axis.
    """

    values: Mapping[float, float]
    log: bool = True

    @property
    def ends(self) -> tuple[float, float]:
        """Least and greatest value."""
        return self.values[0], self.values[100]

    def at(self, rank: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values below which the shares `rank` (0 to 1) of the rows lie."""
        percent, values = list(self.values), list(self.values.values())
        if not self.log:
            return np.interp(100.0 * rank, percent, values)
        return np.exp(np.interp(100.0 * rank, percent, np.log(values)))


def _radius(
    mode: str, clipped_low: float, middle: Mapping[float, float], clipped_high: float
) -> Quantiles:
    """Return a mode's dry radius, with the percents of the rows that are at MAM4's bounds."""
    low, high = RADIUS_BOUNDS[mode]
    return Quantiles({0: low, clipped_low: low, **middle, 100 - clipped_high: high, 100: high})


PRESSURE: Final = Quantiles({0: 300.0, 40: 700.0, 100: 1040.0}, log=False)
"""hPa; from the highest clouds of liquid water to the ground."""

COLDEST: Final = 222.0
"""K; some way below 235 K, where supercooled droplets freeze by themselves."""

TAIR_DEPARTURE: Final = (-40.0, 24.0)
"""Coldest and warmest air at a pressure, K from the U.S. Standard Atmosphere."""

# Half of the rows are near saturation, where clouds form. A climate model's means exceed it.
RH: Final = Quantiles({0: 0.1, 45: 0.9, 90: 1.0, 100: 1.05}, log=False)

# cm s-1; convective cores reach 10 m/s.
WBAR: Final = Quantiles({0: MIN_UPDRAFT, 20: MIN_UPDRAFT, 60: 50.0, 95: 300.0, 100: 1000.0})

# Number of each mode (cm-3): from the cleanest upper troposphere to a polluted city.
NUM_AER: Final = {
    "accum": Quantiles({0: 1.0, 5: 10.0, 25: 60.0, 50: 200.0, 75: 700.0, 95: 3e3, 100: 1e4}),
    "aitken": Quantiles({0: 1.0, 5: 15.0, 25: 90.0, 50: 300.0, 75: 1e3, 95: 8e3, 100: 3e4}),
    "coarse": Quantiles({0: 1e-5, 5: 2e-3, 25: 0.03, 50: 0.12, 75: 0.5, 95: 5.0, 100: 30.0}),
    "pcarbon": Quantiles({0: 0.1, 5: 1.0, 25: 15.0, 50: 70.0, 75: 300.0, 95: 1.5e3, 100: 5e3}),
}

HEIGHT_SHARE: Final = {"accum": 0.4, "aitken": 0.3, "coarse": 0.3, "pcarbon": 0.4}
"""Correlation of each mode's number with pressure (of their normal scores)."""

POLLUTION_SHARE: Final = {"accum": 0.6, "aitken": 0.4, "coarse": 0.0, "pcarbon": 0.6}
"""Correlation of each mode's number with a pollution that they share (of normal scores)."""

# Dry radius of each mode (um). E3SM has most of its primary carbon at the upper bound.
R_AER: Final = {
    "accum": _radius("accum", 2, {10: 0.045, 50: 0.07, 90: 0.11}, 2),
    "aitken": _radius("aitken", 2, {10: 0.009, 50: 0.015}, 10),
    "coarse": _radius("coarse", 5, {50: 0.62, 90: 1.0}, 2),
    "pcarbon": _radius("pcarbon", 2, {10: 0.02, 50: 0.045}, 40),
}

# Primary carbon is black carbon and primary organic matter, which take up no water, with marine
# organic matter: most often traces of it, seldom much.
KAPPA_PCARBON: Final = Quantiles(
    {
        0: SPECIES["bc"].kappa,
        10: SPECIES["bc"].kappa,
        75: 1e-6,
        90: 1e-3,
        100: SPECIES["mom"].kappa,
    }
)

ABUNDANCE: Final = {
    "accum": {"so4": 1.0, "pom": 0.5, "soa": 0.7, "bc": 0.2, "dst": 0.3, "ncl": 0.5, "mom": 0.2},
    "aitken": {"so4": 1.0, "soa": 0.6, "ncl": 0.2, "mom": 0.1},
    "coarse": {
        "dst": 0.7, "ncl": 2.0, "so4": 0.3, "bc": 0.05, "pom": 0.1, "soa": 0.1, "mom": 0.1,
    },
}  # fmt: skip
"""Typical volume of each species in the modes that are internal mixtures, relative."""

N_AXES: Final = 5 + 2 * len(schema.MODES) + sum(map(len, ABUNDANCE.values())) + 1
"""Axes of the unit cube: four variables of the air, pollution; number and radius of each mode;
species of the mixtures; primary carbon's hygroscopicity."""


def _temperature(pressure: NDArray[np.float64], rank: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a temperature (K), uniform between the coldest and warmest air at a pressure (hPa)."""
    standard = 288.15 * (pressure / 1013.25) ** 0.190263  # U.S. Standard Atmosphere, 1976
    low = np.maximum(standard + TAIR_DEPARTURE[0], COLDEST)
    return np.asarray(low + (standard + TAIR_DEPARTURE[1] - low) * rank)


def _bounds() -> dict[str, Bounds]:
    warmest = _temperature(np.array(PRESSURE.ends[1]), np.array(1.0))
    ends = {"tair": (COLDEST, float(warmest)), "pressure": PRESSURE.ends}
    ends |= {"rh": RH.ends, "wbar": WBAR.ends}
    for mode in schema.MODES:
        kappas = [SPECIES[name].kappa for name in MODE_SPECIES[mode]]
        ends[f"num_aer_{mode}"] = NUM_AER[mode].ends
        ends[f"r_aer_{mode}"] = R_AER[mode].ends
        ends[f"kappa_{mode}"] = min(kappas), max(kappas)
    single = {name: np.array(ends[name], np.float32).tolist() for name in schema.COLUMNS}
    return {name: Bounds(low, high) for name, (low, high) in single.items()}


BOUNDS: Final[Mapping[str, Bounds]] = MappingProxyType(_bounds())
"""Least and greatest value of each column, in schema units and order, as single precision."""


def sample(n: int, seed: int, method: Method = "random") -> "xr.Dataset":
    """Sample initial states.

    Parameters
    ----------
    n : int
        Number of states.
    seed : int
        Same seed, same states; the first rows do not depend on `n`.
    method : str
        ``"random"`` or ``"sobol"``; see `Method`.

    Returns
    -------
    xarray.Dataset
        In the schema, without `fn`.

    Raises
    ------
    ValueError
        If there is no such method.
    """
    return from_arrays(sample_rows(0, n, seed, method))


def sample_rows(start: int, stop: int, seed: int, method: Method = "random") -> NDArray[np.float64]:
    """Sample rows `start` to `stop` of the endless sequence that a seed and method define.

    Threads may call it at the same time: it keeps no state.

    Parameters
    ----------
    start, stop : int
        First row, and the one after the last; fastest at multiples of `BLOCK`.
    seed : int
        Same seed, same states.
    method : str
        ``"random"`` or ``"sobol"``; see `Method`.

    Returns
    -------
    ndarray, shape (stop - start, 16)
        States in schema units and column order, within `BOUNDS`.

    Raises
    ------
    ValueError
        If there is no such method.
    """
    if method not in get_args(Method):
        valid = ", ".join(get_args(Method))
        raise ValueError(f"unknown sampling method {method!r}; valid methods: {valid}")
    points = random_points if method == "random" else sobol_points
    rows = np.empty((stop - start, schema.N_INPUTS))
    for block in range(start // BLOCK, -(-stop // BLOCK)):
        # Always a whole block: vector instructions may round the end of an array otherwise.
        states = states_of(points(block, seed))
        first = block * BLOCK
        low, high = max(start, first), min(stop, first + BLOCK)
        rows[low - start : high - start] = states[low - first : high - first]
    return rows


def random_points(block: int, seed: int) -> NDArray[np.float64]:
    """Draw a block of independent points, shape (BLOCK, N_AXES)."""
    return np.random.default_rng([seed, 0x57A7E, block]).random((BLOCK, N_AXES))


def sobol_points(block: int, seed: int) -> NDArray[np.float64]:
    """Draw a block of a scrambled Sobol sequence, shape (BLOCK, N_AXES)."""
    from scipy.stats.qmc import Sobol

    net, first = divmod(block * BLOCK, SOBOL_NET)
    # 32 bits, for beyond them SciPy cannot go forward.
    sequence = Sobol(N_AXES, bits=32, rng=np.random.default_rng([seed, 0x50B01, net]))
    if first:
        sequence.fast_forward(first)
    return np.asarray(sequence.random(BLOCK))


def states_of(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn points of the unit cube into states.

    Parameters
    ----------
    points : ndarray, shape (n, N_AXES)
        From 0 to below 1.

    Returns
    -------
    ndarray, shape (n, 16)
        States in schema units and column order: numbers of single precision, as they are stored.
    """
    # A rank of exactly 0 would be infinitely far away.
    axes = iter(np.maximum(points.T, 2.0**-53, order="C"))
    of_pressure, of_tair, of_rh, of_wbar, of_pollution = islice(axes, 5)

    pressure = PRESSURE.at(of_pressure)
    columns = [_temperature(pressure, of_tair), pressure, RH.at(of_rh), WBAR.at(of_wbar)]
    for mode in schema.MODES:
        rank = _number_rank(mode, of_pressure, of_pollution, next(axes))
        columns.append(NUM_AER[mode].at(rank))
    columns += [R_AER[mode].at(next(axes)) for mode in schema.MODES]
    for mode in ("accum", "aitken", "coarse"):
        species = ABUNDANCE[mode]
        columns.append(_mixed_kappa(species, np.stack(list(islice(axes, len(species))))))
    columns.append(KAPPA_PCARBON.at(next(axes)))
    return np.stack(columns, axis=1).astype(np.float32).astype(np.float64)


def _number_rank(
    mode: str,
    pressure: NDArray[np.float64],
    pollution: NDArray[np.float64],
    own: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Correlate the rank of a mode's number with those of pressure and pollution.

    Ranks become normal scores, whose weighted sum is normal again (a Gaussian copula).
    """
    height, polluted = HEIGHT_SHARE[mode], POLLUTION_SHARE[mode]
    rest = np.sqrt(1.0 - height**2 - polluted**2)
    score = height * ndtri(pressure) + polluted * ndtri(pollution) + rest * ndtri(own)
    return np.asarray(ndtr(score))


def _mixed_kappa(abundance: Mapping[str, float], ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the volume-weighted hygroscopicity of an internal mixture, shape (n,).

    The mixing rule is that of Petters & Kreidenweis (2007), doi:10.5194/acp-7-1961-2007.  Volumes
    are squares of exponential variates, which often leave one or two species to dominate.
    """
    volume = np.array(list(abundance.values()))[:, None] * np.log(ranks) ** 2
    kappa = np.array([SPECIES[name].kappa for name in abundance])[:, None]
    return np.asarray((volume * kappa).sum(axis=0) / volume.sum(axis=0))
