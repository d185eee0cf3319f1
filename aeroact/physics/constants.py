"""Physical constants, as two immutable presets, and the bounds of valid input.

References
----------
.. [BIPM] SI Brochure, 9th edition (2019), with CODATA 2018 for the molar gas constant.
.. [Bolton1980] Bolton, D., 1980: doi:10.1175/1520-0493(1980)108<1046:TCOEPT>2.0.CO;2
.. [PK1997] Pruppacher, H. R., and J. D. Klett, 1997: Microphysics of Clouds and Precipitation,
   doi:10.1007/978-0-306-48100-0
.. [RW2016] Rothenberg, D., and C. Wang, 2016 (pyrcel): doi:10.1175/JAS-D-15-0223.1
.. [Liu2016] Liu, X., et al., 2016 (MAM4): doi:10.5194/gmd-9-505-2016
"""

from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAM4_SIGMA_G: Final = (1.8, 1.6, 1.8, 1.6)
"""Geometric standard deviation of accumulation, Aitken, coarse and primary carbon [Liu2016]_."""

MELTING_POINT: Final = 273.15
"""0 degrees Celsius in K."""

STANDARD_PRESSURE: Final = 101325.0
"""One standard atmosphere in Pa."""


class Bounds(NamedTuple):
    """The values of one input that have a physical meaning: `low` to `high`, both in unless said.

    Attributes
    ----------
    low, high : float
        In the units of the schema.
    low_inclusive : bool
        Whether `low` itself is valid.
    """

    low: float
    high: float
    low_inclusive: bool = True

    def contain(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Tell which values are within; NaN is not.

        Parameters
        ----------
        values : array_like
            In the units of the schema.

        Returns
        -------
        ndarray of bool
            In the shape of `values`.
        """
        array = np.asarray(values)
        above = array >= self.low if self.low_inclusive else array > self.low
        return np.asarray(above & (array <= self.high))


VALID_RANGE: Final = MappingProxyType(
    {
        "tair": Bounds(180.0, 330.0),
        "pressure": Bounds(50.0, 1100.0),
        "rh": Bounds(0.0, 1.1, low_inclusive=False),
        "wbar": Bounds(0.0, 5000.0, low_inclusive=False),
        "num_aer": Bounds(0.0, 1e6),
        "r_aer": Bounds(1e-4, 100.0),
        "kappa": Bounds(0.0, 2.0),
    }
)
"""Bounds of every input: K, hPa, 1, cm s-1, cm-3, um, 1.  Outside, or NaN, a row is INVALID.

Relative humidity may exceed 1, as the grid means of climate models do; the parcel model then
starts just below saturation.  A hygroscopicity of 0 is an insoluble, wettable particle.
"""


class Physics(NamedTuple):
    """Constants of the parcel model.  Immutable; compiled code takes it as it is.

    Attributes
    ----------
    name : str
        Name of the preset.
    gravity : float
        Acceleration of gravity, m s-2.
    heat_capacity : float
        Specific heat of dry air at constant pressure, J kg-1 K-1.
    gas_constant : float
        Molar gas constant, J mol-1 K-1.
    molar_mass_water, molar_mass_air : float
        kg mol-1.
    water_density : float
        kg m-3.
    latent_heat : float
        Latent heat of vaporization at 273.15 K, J kg-1.
    latent_heat_slope : float
        Its change with temperature, J kg-1 K-1.
    diffusivity : float
        Diffusivity of water vapour in air at 273.15 K and 101325 Pa, m2 s-1.
    mass_accommodation, thermal_accommodation : float
        Accommodation coefficients of water vapour and of heat, 1.
    number_per_mass : bool
        Whether the number of particles per mass of dry air is conserved as the parcel expands
        (True), or the number per volume (False).
    exact_humidity : bool
        Whether the tendency of S follows from those of vapour, temperature and pressure without
        approximation (True), or for a humidity near 1 and a vapour pressure far below that of
        the air (False); see `ascent`.
    even_bins : bool
        Whether modes are cut into bins of one width (True), as in pyrcel, or into such that are
        narrow where particles just activate (False); see `bins`.
    """

    name: str
    gravity: float
    heat_capacity: float
    gas_constant: float
    molar_mass_water: float
    molar_mass_air: float
    water_density: float
    latent_heat: float
    latent_heat_slope: float
    diffusivity: float
    mass_accommodation: float
    thermal_accommodation: float
    number_per_mass: bool
    exact_humidity: bool
    even_bins: bool

    def attributes(self) -> dict[str, str | float]:
        """Return every constant as a global attribute for NetCDF.

        Returns
        -------
        dict of str to str or float
            ``physics_preset`` with the name, and ``physics_<constant>`` for each constant.
        """
        constants = self._asdict()
        name = constants.pop("name")
        return {"physics_preset": name} | {f"physics_{k}": float(v) for k, v in constants.items()}


PRESETS: Final = MappingProxyType(
    {
        "default": Physics(
            name="default",
            gravity=9.80665,  # standard gravity [BIPM]_
            heat_capacity=1005.7,  # [Bolton1980]_
            gas_constant=8.314462618,  # [BIPM]_
            molar_mass_water=0.01801528,  # [PK1997]_
            molar_mass_air=0.0289647,  # [PK1997]_
            water_density=1000.0,
            latent_heat=2.501e6,  # [Bolton1980]_, eq. 2
            latent_heat_slope=-2370.0,
            diffusivity=0.211e-4,  # [PK1997]_, eq. 13-3
            mass_accommodation=1.0,
            thermal_accommodation=0.96,
            number_per_mass=True,
            exact_humidity=True,
            even_bins=False,
        ),
        # pyrcel 2.0 [RW2016]_.  It refers the diffusivity to 273 K and converts pressure to
        # atmospheres with 1.01325e-5 where 1/101325 is meant, which makes it 2.6 % too low.
        "pyrcel": Physics(
            name="pyrcel",
            gravity=9.81,
            heat_capacity=1004.0,
            gas_constant=8.314,
            molar_mass_water=0.018,
            molar_mass_air=0.0289,
            water_density=1000.0,
            latent_heat=2.25e6,
            latent_heat_slope=0.0,
            diffusivity=0.211e-4
            / (STANDARD_PRESSURE * 1.01325e-5)
            * (MELTING_POINT / 273.0) ** 1.94,
            mass_accommodation=1.0,
            thermal_accommodation=0.96,
            number_per_mass=False,
            exact_humidity=False,
            even_bins=True,
        ),
    }
)
"""The presets by name."""


def preset(name: str) -> Physics:
    """Look up a preset of physical constants.

    Parameters
    ----------
    name : str
        ``"default"``, or ``"pyrcel"`` for the constants of pyrcel 2.0, for validation against it.

    Returns
    -------
    Physics
        The constants.

    Raises
    ------
    ValueError
        If there is no such preset.
    """
    try:
        return PRESETS[name]
    except KeyError:
        valid = ", ".join(sorted(PRESETS))
        raise ValueError(f"unknown physics preset {name!r}; valid presets: {valid}") from None


def resolve(physics: str | Physics, accommodation: float | None = None) -> Physics:
    """Say which constants a name or a changed preset stands for.

    Parameters
    ----------
    physics : str or Physics
        The name of a preset, or constants, which are taken as they are:
        ``preset("default")._replace(name="my-physics", heat_capacity=1004.0)``.
    accommodation : float, optional
        Mass accommodation coefficient in place of the preset's; the name stays.

    Returns
    -------
    Physics
        The constants.

    Raises
    ------
    ValueError
        If there is no such preset, or an accommodation coefficient is not above 0 and at most 1.
    """
    constants = preset(physics) if isinstance(physics, str) else physics
    if accommodation is not None:
        constants = constants._replace(mass_accommodation=float(accommodation))
    for name in ("mass_accommodation", "thermal_accommodation"):
        value = getattr(constants, name)
        if not 0.0 < value <= 1.0:
            raise ValueError(f"{name} must be above 0 and at most 1, not {value}")
    return constants
