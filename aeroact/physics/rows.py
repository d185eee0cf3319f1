"""Rows of input: the shapes to which they broadcast, and whether their values are valid."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .constants import MAM4_SIGMA_G, VALID_RANGE
from .thermo import saturation_vapour_pressure

_MODES = len(MAM4_SIGMA_G)

Columns = dict[str, NDArray[np.float64]]


def broadcast(
    bulk: Mapping[str, ArrayLike], modes: Mapping[str, ArrayLike]
) -> tuple[Columns, Columns]:
    """Bring columns to the shapes (n,) and (n, 4).

    Parameters
    ----------
    bulk : mapping of str to array_like
        Columns with one value a row: scalars or of shape (n,).
    modes : mapping of str to array_like
        Columns with one value a row and mode: scalars, or of shape (4,) or (n, 4) or (n, 1).

    Returns
    -------
    bulk, modes : dict of str to ndarray of float64
        The same, contiguous, of shapes (n,) and (n, 4).

    Raises
    ------
    ValueError
        If a column has another shape; the message names it.
    """
    flat = {name: np.asarray(values, np.float64) for name, values in bulk.items()}
    wide = {name: np.asarray(values, np.float64) for name, values in modes.items()}
    lengths = set()
    for name, column in flat.items():
        if column.ndim > 1:
            raise ValueError(f"{name} must be a scalar or of shape (n,), not {column.shape}")
        lengths |= set(column.shape)
    for name, column in wide.items():
        if column.ndim > 2 or column.shape[-1:] not in ((), (1,), (_MODES,)):
            raise ValueError(
                f"{name} must be a scalar or of shape ({_MODES},) or (n, {_MODES}), "
                f"not {column.shape}"
            )
        lengths |= set(column.shape[:-1])
    lengths.discard(1)
    if len(lengths) > 1:
        shapes = ", ".join(f"{name} {c.shape}" for name, c in (flat | wide).items())
        raise ValueError(f"arguments do not broadcast to the same number of rows: {shapes}")
    n = lengths.pop() if lengths else 1
    # Copies, for compiled code is compiled anew for an array that is not writable.
    return (
        {k: np.broadcast_to(c, (n,)).copy() for k, c in flat.items()},
        {k: np.broadcast_to(c, (n, _MODES)).copy() for k, c in wide.items()},
    )


def within_bounds(columns: Mapping[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
    """Find the rows whose every value is within `constants.VALID_RANGE`.

    Where temperature and pressure are both among them, water must not boil either.

    Parameters
    ----------
    columns : mapping of str to ndarray of float64, shape (n,) or (n, 4)
        Columns by the name they have in `VALID_RANGE`.

    Returns
    -------
    ndarray of bool, shape (n,)
        False where a value is NaN or out of bounds.
    """
    valid = np.array(True)
    for name, column in columns.items():
        good = VALID_RANGE[name].contain(column)
        valid = valid & (good.all(axis=1) if good.ndim == 2 else good)
    if {"tair", "pressure"} <= columns.keys():
        # Where the temperature itself is invalid its saturation has no meaning, nor a say.
        tair = np.where(VALID_RANGE["tair"].contain(columns["tair"]), columns["tair"], 273.15)
        valid &= saturation_vapour_pressure(tair) < 100.0 * columns["pressure"]
    return np.asarray(valid)
