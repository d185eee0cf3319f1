"""The fields of EAM's history that make a state: names, units, and which may be missing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aeroact.errors import AeroactError
from aeroact.mam4 import MODE_SPECIES, SPECIES
from aeroact.schema import MODES

OPTIONAL_SPECIES: Final = ("mom", "soa")
"""Species that not every configuration of E3SM has; the others are needed."""

_PER_MASS = ("kg/kg", "kg kg-1", "kg kg^-1")
_PER_KILOGRAM = ("1/kg", "#/kg", "/kg", "kg-1", "# kg-1", "kg^-1")
_UNITS = {
    "T": ("K",),
    "PS": ("Pa",),
    "PMID": ("Pa",),
    "RELHUM": ("percent", "%"),
    "WSUB": ("m/s", "m s-1"),
    "CLOUD": ("fraction", "1"),
}


def number(mode: str) -> str:
    """Return EAM's name of a mode's number mixing ratio, ``num_a1`` for the first one."""
    return f"num_a{MODES.index(mode) + 1}"


def mass(species: str, mode: str) -> str:
    """Return EAM's name of the mass mixing ratio of a species in a mode, such as ``so4_a1``."""
    return f"{species}_a{MODES.index(mode) + 1}"


NUMBERS: Final = [number(mode) for mode in MODES]
"""Names of the number mixing ratios."""


@dataclass(frozen=True)
class Fields:
    """The variables of a history file that are read.

    Attributes
    ----------
    pressure : str
        ``PMID``, or ``PS`` from which it follows with ``hyam``, ``hybm`` and ``P0``.
    humidity : str
        ``Q``, or ``RELHUM`` where that is all there is.
    cloud : str or None
        What tells how cloudy a layer is: ``CLOUD``, or ``CLDLIQ``, or nothing.
    left_out : tuple of str
        Species of `OPTIONAL_SPECIES` that are not there.
    """

    pressure: str
    humidity: str
    cloud: str | None
    left_out: tuple[str, ...]

    @property
    def layered(self) -> list[str]:
        """Names of the fields that have levels."""
        bulk = ["T", self.humidity, "WSUB"]
        bulk += [name for name in (self.pressure, self.cloud) if name not in ("PS", None)]
        species = [name for name in SPECIES if name not in self.left_out]
        return bulk + NUMBERS + [name for one in species for name in _masses(one)]


def _masses(species: str) -> list[str]:
    return [mass(species, mode) for mode, held in MODE_SPECIES.items() if species in held]


def choose(path: Path, found: set[str]) -> Fields:
    """Choose what is read, or say all that is missing and how E3SM writes it."""
    left_out = [s for s in OPTIONAL_SPECIES if not found.intersection(_masses(s))]
    needed = ["T", "WSUB", *NUMBERS]
    needed += [name for s in SPECIES if s not in left_out for name in _masses(s)]
    hybrid = {"PS", "hyam", "hybm"}
    if "PMID" not in found and not hybrid <= found:
        needed.append("PS" if {"hyam", "hybm"} <= found else "PMID")
    if not {"Q", "RELHUM"} & found:
        needed.append("Q")
    missing = [name for name in needed if name not in found]
    if missing:
        written = ", ".join(f"'{name}'" for name in missing)
        raise AeroactError(
            f"{path}: has no {', '.join(missing)}; E3SM writes them with this line in "
            f"user_nl_eam: fincl1 = {written}"
        )
    axes = [name for name in ("time", "lat", "lon") if name not in found]
    if axes:
        raise AeroactError(f"{path}: has no variable {', '.join(axes)}, as every EAM file has")
    return Fields(
        pressure="PMID" if "PMID" in found else "PS",
        humidity="Q" if "Q" in found else "RELHUM",
        cloud=next((name for name in ("CLOUD", "CLDLIQ") if name in found), None),
        left_out=tuple(left_out),
    )


def known_units(name: str) -> tuple[str, ...]:
    """Return how EAM and others write the unit of a field; EAM's own is the first."""
    return _PER_KILOGRAM if name in NUMBERS else _UNITS.get(name, _PER_MASS)
