"""The rows of a search, normalized once and laid out for its workers as NumPy files.

A worker maps the files into memory, so that all of them share one copy.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from aeroact import dataset, normalization
from aeroact.normalization import Normalization
from aeroact.schema import N_INPUTS, N_OUTPUTS

if TYPE_CHECKING:
    import xarray as xr

HOLDOUT = "holdout.npy"
"""Mask of the rows of the dataset that neither step sees."""


def lay_out(ds: "xr.Dataset", parts: dataset.Split, transform: str, folder: Path) -> Normalization:
    """Write the training and validation rows, normalized, and the mask of the holdout.

    Parameters
    ----------
    ds : xarray.Dataset
        An opened dataset with labels.
    parts : Split
        Its rows.
    transform : str
        A name of `normalization.PRESETS`.
    folder : Path
        Gets ``x.npy``, ``fn.npy`` (float32, shapes (n, 16) and (n, 4)) for training,
        ``x_val.npy``, ``fn_val.npy`` for validation, and ``holdout.npy``.

    Returns
    -------
    Normalization
        Fitted on all the training rows, whatever fraction of them Step 1 uses.
    """
    np.save(folder / HOLDOUT, parts.holdout)
    x = _take(ds, parts.training, folder / "x.npy", folder / "fn.npy")
    x_val = _take(ds, parts.validation, folder / "x_val.npy", folder / "fn_val.npy")
    statistics = normalization.fit(_blocks(x), normalization.PRESETS[transform])
    for array in (x, x_val):
        for block in _blocks(array):
            block[...] = statistics.apply(block)
        array.flush()
    return statistics


def _take(ds: "xr.Dataset", rows: NDArray[np.int64], x_file: Path, fn_file: Path) -> np.memmap:
    x = open_memmap(x_file, "w+", np.float32, (len(rows), N_INPUTS))
    fn = open_memmap(fn_file, "w+", np.float32, (len(rows), N_OUTPUTS))
    dataset.take(ds, rows, out=(x, fn))
    fn.flush()
    return x


def _blocks(x: np.memmap) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(x), dataset.BLOCK):
        yield x[start : start + dataset.BLOCK]
