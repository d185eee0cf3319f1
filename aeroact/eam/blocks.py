"""The layers of a history, read in blocks: files may be larger than memory.

They are read in windows of all variables at the same place, which follow the files' chunks.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeroact.physics.constants import VALID_RANGE

from .history import History, HistoryFile
from .netcdf import opened, read

WINDOW: Final = 192 << 20
"""Bytes read at a time, of all variables together."""

BLOCK: Final = 1 << 17
"""Layers handed on at a time."""

# No surface pressure is higher, Pa; so it is known which levels can never be low enough.
_HIGHEST_PRESSURE = 100.0 * VALID_RANGE["pressure"].high


@dataclass(frozen=True)
class Block:
    """Some layers of a history.

    Attributes
    ----------
    values : dict of str to ndarray of float32, shape (n,)
        The layered fields by EAM's name, NaN where a value is missing; ``PMID`` always (Pa).
    index : ndarray of int, shape (n,)
        Number of each layer among all of the history.
    step : ndarray of int, shape (n,)
        Number of its time among all of the history.
    time, lat, lon : ndarray, shape (n,)
        Where and when it is.
    """

    values: dict[str, NDArray[np.float32]]
    index: NDArray[np.int64]
    step: NDArray[np.int64]
    time: NDArray[np.float64]
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]


def read_blocks(history: History, min_pressure: float) -> Iterator[Block]:
    """Read the layers of a history, but not those of levels that are always above a pressure.

    Parameters
    ----------
    history : History
        Opened files.
    min_pressure : float
        Pa.

    Yields
    ------
    Block
        Up to `BLOCK` layers.

    Raises
    ------
    AeroactError
        If a file cannot be read to its end.
    """
    first_layer = first_step = 0
    for file in history.files:
        for block in _file_blocks(file, min_pressure):
            index, step = block.index + first_layer, block.step + first_step
            yield replace(block, index=index, step=step)
        first_layer += math.prod(file.shape)
        first_step += len(file.time)


def _levels(file: HistoryFile, min_pressure: float) -> slice:
    """Return the levels that can reach a pressure, from a boundary between chunks on."""
    if file.hybrid is None:
        return slice(0, file.shape[1])
    highest = file.hybrid[0] + file.hybrid[1] * _HIGHEST_PRESSURE
    reached = np.flatnonzero(~(highest < min_pressure))
    if not len(reached):
        return slice(0, 0)
    return slice(int(reached[0]) // file.chunks[1] * file.chunks[1], int(reached[-1]) + 1)


def _file_blocks(file: HistoryFile, min_pressure: float) -> Iterator[Block]:
    levels = _levels(file, min_pressure)
    shape = (file.shape[0], levels.stop - levels.start, *file.shape[2:])
    cells = WINDOW // (4 * len(file.fields.layered))
    with opened(file.path) as handle:
        for time, level, *columns in windows(shape, file.chunks, cells):
            level = slice(level.start + levels.start, level.stop + levels.start)
            place = (time, level, *columns)
            # Not kept by a name here, so that there is only one window in memory.
            yield from _cut(file, place, _read_window(file, handle, place))


def _read_window(
    file: HistoryFile, handle: Any, place: tuple[slice, ...]
) -> dict[str, NDArray[np.float32]]:
    values = {name: read(file.path, handle, name, place) for name in file.fields.layered}
    if file.hybrid is not None and file.fields.pressure == "PS":
        time, level, *columns = place
        surface = read(file.path, handle, "PS", (time, *columns))
        a, b = (part[level].reshape(-1, *[1] * len(columns)) for part in file.hybrid)
        values["PMID"] = (a + b * surface[:, None]).astype(np.float32)
    return {name: value.ravel() for name, value in values.items()}


def _cut(
    file: HistoryFile, place: tuple[slice, ...], values: dict[str, NDArray[np.float32]]
) -> Iterator[Block]:
    """Cut a window into blocks, and say where and when each layer is."""
    inside = tuple(part.stop - part.start for part in place)
    for start in range(0, math.prod(inside), BLOCK):
        stop = min(start + BLOCK, math.prod(inside))
        at = np.unravel_index(np.arange(start, stop), inside)
        full = tuple(i + part.start for i, part in zip(at, place, strict=True))
        column = np.ravel_multi_index(full[2:], file.shape[2:])
        yield Block(
            # Copies: a block in use must not hold its whole window.
            values={name: value[start:stop].copy() for name, value in values.items()},
            index=np.ravel_multi_index(full, file.shape),
            step=full[0],
            time=file.time[full[0]],
            lat=file.lat[column],
            lon=file.lon[column],
        )


def windows(
    shape: tuple[int, ...], chunks: tuple[int, ...], cells: int
) -> Iterator[tuple[slice, ...]]:
    """Cut an array into windows that hold whole chunks, in the array's order.

    Parameters
    ----------
    shape, chunks : tuple of int
        Of the array and of its chunks.
    cells : int
        A window has no more; where a chunk has, windows cut it.

    Yields
    ------
    tuple of slice
        A window; together they cover the array once.
    """
    size = [min(c, s) for c, s in zip(chunks, shape, strict=True)]
    for d in range(len(size)):
        size[d] = max(1, min(size[d], size[d] * cells // max(1, math.prod(size))))
    for d in reversed(range(len(size))):
        size[d] = min(shape[d], size[d] * max(1, cells // max(1, math.prod(size))))
    counts = [-(-s // w) for s, w in zip(shape, size, strict=True)]
    for corner in np.ndindex(*counts):
        yield tuple(
            slice(i * w, min((i + 1) * w, s)) for i, w, s in zip(corner, size, shape, strict=True)
        )
