"""The aerosol of E3SM's MAM4: its species, its modes, and the sizes that it allows.

References
----------
Liu, X., et al., 2016: Description and evaluation of a new four-mode version of the Modal Aerosol
Module (MAM4). doi:10.5194/gmd-9-505-2016.  The numbers are those of E3SM's physical-property
files (`mam4_mode*_rrtmg_*.nc`) and `modal_aero_data.F90`, BSD-3-Clause.
"""

from types import MappingProxyType
from typing import Final, NamedTuple

from aeroact.schema import MODES


class Species(NamedTuple):
    """A chemical species of the aerosol.

    Attributes
    ----------
    kappa : float
        Hygroscopicity, 1.
    density : float
        kg m-3.
    """

    kappa: float
    density: float


SPECIES: Final = MappingProxyType(
    {
        "so4": Species(0.507, 1770.0),  # sulfate
        "pom": Species(1e-10, 1000.0),  # primary organic matter
        "soa": Species(0.14, 1000.0),  # secondary organic aerosol
        "bc": Species(1e-10, 1700.0),  # black carbon
        "ncl": Species(1.16, 1900.0),  # sea salt
        "dst": Species(0.068, 2600.0),  # dust
        "mom": Species(0.1, 1601.0),  # marine organic matter
    }
)
"""Species by E3SM's name."""

MODE_SPECIES: Final = MappingProxyType(
    {
        "accum": ("so4", "pom", "soa", "bc", "dst", "ncl", "mom"),
        "aitken": ("so4", "soa", "ncl", "mom"),
        "coarse": ("dst", "ncl", "so4", "bc", "pom", "soa", "mom"),
        "pcarbon": ("pom", "bc", "mom"),
    }
)
"""Species that each mode holds; E3SM numbers the modes 1 to 4 in this order."""

assert tuple(MODE_SPECIES) == MODES

RADIUS_BOUNDS: Final = MappingProxyType(
    {
        "accum": (0.02675, 0.22),
        "aitken": (0.00435, 0.026),
        "coarse": (0.5, 2.0),
        "pcarbon": (0.005, 0.05),
    }
)
"""Least and greatest number-median dry radius in um, half of E3SM's bounds of the diameter."""

NOMINAL_RADIUS: Final = MappingProxyType(
    {"accum": 0.055, "aitken": 0.013, "coarse": 1.0, "pcarbon": 0.025}
)
"""Number-median dry radius in um, half of E3SM's nominal diameter; stands for an empty mode's."""

MIN_UPDRAFT: Final = 10.0
"""E3SM's floor of the updraft that activates aerosol, cm s-1."""
