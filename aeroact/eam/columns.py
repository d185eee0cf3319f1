"""Layers of E3SM columns from a CSV file, as other tools have written them out."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aeroact import schema
from aeroact.errors import AeroactError
from aeroact.mam4 import MIN_UPDRAFT

HEADERS = {"tair": "tair_K", "pressure": "pressure_hPa", "rh": "rh_liquid", "wbar": "wsub_ms"}
"""Of the columns of the air; the updraft there is in m s-1."""

_SUFFIX = {"num_aer": "_cm3", "r_aer": "_um", "kappa": ""}
_UPDRAFT = schema.COLUMNS.index(schema.WBAR.name)


def headers() -> list[str]:
    """Return the header of each column of the state."""
    return [HEADERS.get(c, c + _SUFFIX.get(schema.variable_of(c).name, "")) for c in schema.COLUMNS]


def read(path: Path) -> NDArray[np.float64]:
    """Read the layers that have all of a state.

    Parameters
    ----------
    path : Path
        A CSV file with the headers `headers()`, in any order, and perhaps more.

    Returns
    -------
    ndarray, shape (n, 16)
        States in schema units and column order; updrafts are at least E3SM's 10 cm/s.  Rows that
        leave one of the columns empty are left out.

    Raises
    ------
    AeroactError
        If it cannot be read, lacks a column, has no whole row or holds what is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in headers() if name not in (reader.fieldnames or [])]
            if missing:
                needed = ", ".join(headers())
                raise AeroactError(f"{path}: has no column {missing[0]}; it needs {needed}")
            rows = [[row[name] for name in headers()] for row in reader]
        whole = np.array([row for row in rows if all(row)], np.float64)
    except OSError as error:
        raise AeroactError(f"{path}: cannot read ({error.strerror})") from error
    except ValueError as error:
        raise AeroactError(f"{path}: {error}") from error
    if not len(whole):
        raise AeroactError(f"{path}: no row has all of {', '.join(headers())}")
    whole[:, _UPDRAFT] = np.maximum(100.0 * whole[:, _UPDRAFT], MIN_UPDRAFT)
    return whole
