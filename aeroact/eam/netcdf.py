"""NetCDF files that are opened and read with an error of one line for what can go wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from aeroact.errors import AeroactError

from .classic import missing_bytes


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a file for reading windows of whole chunks; gives a `netCDF4.Dataset`.

    Raises
    ------
    AeroactError
        If it is missing, torn or not NetCDF.
    """
    if not path.is_file():
        raise AeroactError(f"{path}: {'a folder, not a file' if path.is_dir() else 'no such file'}")
    try:
        torn = missing_bytes(path)
        handle = None if torn else netCDF4.Dataset(path)
    except OSError as error:
        raise AeroactError(
            f"{path}: not a NetCDF file that can be read ({error.strerror}); is it torn?"
        ) from error
    if handle is None:
        raise AeroactError(f"{path}: torn: {torn:,} bytes are missing at its end; copy it anew")
    with handle:
        for variable in handle.variables.values():
            # A window holds whole chunks, and the library would keep up to 64 MiB a variable.
            if handle.data_model.startswith("NETCDF4"):
                variable.set_var_chunk_cache(size=1)
        yield handle


def read(path: Path, handle: Any, name: str, where: Any) -> Any:
    """Read a part of a variable, in double precision if it is no layered field."""
    try:
        values = handle[name][where]
    except (RuntimeError, OSError, IndexError) as error:
        raise AeroactError(
            f"{path}: {name} cannot be read ({error}); the file is torn or damaged: copy it anew"
        ) from error
    if handle[name].ndim > 2:
        values = values.astype(np.float32, copy=False)
    else:
        values = values.astype(np.float64)
    return np.ma.filled(values, np.nan)
