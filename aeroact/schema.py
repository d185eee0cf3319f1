"""The activation problem: 16 numbers in, 4 out, their names, units, bounds and order.

This is the one place that knows the variables. A *state* is a row of 16 columns,
`COLUMNS`; its *label* is the activated fraction `fn` of each of the four modes of
the Modal Aerosol Module (MAM4).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aeroact.physics.constants import MAM4_SIGMA_G, VALID_RANGE, Bounds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCHEMA_VERSION = "1"

SAMPLE_DIM = "nsamples"
MODE_DIM = "nmodes"

MODES = ("accum", "aitken", "coarse", "pcarbon")
"""Accumulation, Aitken, coarse and primary-carbon mode, in this order everywhere."""

MODE_NAMES = ("accumulation", "Aitken", "coarse", "primary carbon")
"""What a reader calls them."""

SIGMA_G = MAM4_SIGMA_G
"""Geometric standard deviation of each mode's lognormal number distribution (1)."""


@dataclass(frozen=True)
class Variable:
    """A variable of the schema.

    Attributes
    ----------
    name : str
        Name in code and in files, where it is found in any case: the paper of
        Yu et al. writes ``Tair`` and ``Pressure``.
    units : str
        UDUNITS string of the schema.
    long_name : str
        CF attribute ``long_name``.
    per_mode : bool
        Whether it has a value for each mode, shape (nsamples, nmodes).
    bounds : Bounds
        The values, in `units`, that make physical sense.
    conversions : dict of str to float
        Accepted spellings of units, each with the factor to `units`.
    """

    name: str
    units: str
    long_name: str
    per_mode: bool
    bounds: Bounds
    conversions: dict[str, float]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its columns in the state: one, or one a mode."""
        return tuple(f"{self.name}_{mode}" for mode in MODES) if self.per_mode else (self.name,)


_ONE = {"1": 1.0, "": 1.0, "-": 1.0, "%": 0.01, "percent": 0.01}
_TEMPERATURE = {"K": 1.0, "kelvin": 1.0}
_PRESSURE = {"hPa": 1.0, "mbar": 1.0, "mb": 1.0, "millibar": 1.0, "Pa": 0.01}
_SPEED = {"cm s-1": 1.0, "cm/s": 1.0, "cm s^-1": 1.0, "m s-1": 100.0, "m/s": 100.0, "m s^-1": 100.0}
_NUMBER = {"cm-3": 1.0, "1/cm3": 1.0, "cm^-3": 1.0, "#/cm3": 1.0, "m-3": 1e-6, "1/m3": 1e-6}
_NUMBER |= {"m^-3": 1e-6, "#/m3": 1e-6}
_LENGTH = {"um": 1.0, "micron": 1.0, "micrometer": 1.0, "m": 1e6, "nm": 1e-3}


def _variable(
    name: str,
    long_name: str,
    per_mode: bool,
    conversions: dict[str, float],
) -> Variable:
    units = next(iter(conversions))
    return Variable(name, units, long_name, per_mode, VALID_RANGE[name], conversions)


TAIR = _variable("tair", "air temperature", False, _TEMPERATURE)
PRESSURE = _variable("pressure", "air pressure", False, _PRESSURE)
RH = _variable("rh", "relative humidity over liquid at the parcel's start", False, _ONE)
WBAR = _variable("wbar", "updraft velocity", False, _SPEED)
NUM_AER = _variable("num_aer", "aerosol number concentration", True, _NUMBER)
R_AER = _variable("r_aer", "geometric-mean dry radius of the aerosol", True, _LENGTH)
KAPPA = _variable("kappa", "hygroscopicity of the aerosol", True, _ONE)
FN = Variable("fn", "1", "activated number fraction", True, Bounds(0.0, 1.0), _ONE)

INPUTS = (TAIR, PRESSURE, RH, WBAR, NUM_AER, R_AER, KAPPA)

COLUMNS = tuple(column for variable in INPUTS for column in variable.columns)
"""The 16 columns of the state vector, in order."""

OUTPUTS = FN.columns
"""The 4 columns of the label, in order."""

N_INPUTS = len(COLUMNS)
N_OUTPUTS = len(OUTPUTS)


def variable_of(column: str) -> Variable:
    """Return the variable to which a column of the state belongs."""
    return next(variable for variable in INPUTS if column in variable.columns)


COLUMN_UNITS = tuple(variable_of(column).units for column in COLUMNS)


def column_slice(variable: Variable) -> slice:
    """Return where the columns of an input variable stand in the state vector."""
    first = COLUMNS.index(variable.columns[0])
    return slice(first, first + len(variable.columns))


def split_state(x: "NDArray[np.floating]") -> "dict[str, NDArray[np.floating]]":
    """Take states apart into the arguments of `aeroact.simulate`.

    Parameters
    ----------
    x : ndarray, shape (n, 16)
        States in schema units and column order.

    Returns
    -------
    dict of str to ndarray, shape (n,) or (n, 4)
        The input variables by name.
    """
    columns = {variable.name: x[:, column_slice(variable)] for variable in INPUTS}
    return {v.name: columns[v.name] if v.per_mode else columns[v.name][:, 0] for v in INPUTS}
