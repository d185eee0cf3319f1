"""EAM's history files: opened, checked, and found to belong together.

E3SM's atmosphere writes layered fields as (time, lev, ncol), or (time, lev, lat, lon) once
they are remapped.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import netCDF4
import numpy as np
from numpy.typing import NDArray

from aeroact.errors import AeroactError

from .fields import Fields, choose, known_units
from .netcdf import opened, read

HORIZONTAL: Final = (("ncol",), ("lat", "lon"))
"""Dimensions that a field of the surface has after the time."""


@dataclass(frozen=True)
class HistoryFile:
    """One history file.

    Attributes
    ----------
    path : Path
        Where it is.
    fields : Fields
        What is read of it.
    shape : tuple of int
        Of its layered fields: times, levels, columns, where these may have two dimensions.
    chunks : tuple of int
        Which part of such a field is stored together.
    time : ndarray, shape (times,)
        In the units of the history's first file.
    time_units, calendar : str
        CF attributes of its own time.
    lat, lon : ndarray, shape (columns,)
        Degrees north and east.
    hybrid : ndarray, shape (2, levels), or None
        The pressure of a level is hybrid[0] + hybrid[1] PS, Pa.
    time_mean : bool
        Whether it holds means over time, not states.
    """

    path: Path
    fields: Fields
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    time: NDArray[np.float64]
    time_units: str
    calendar: str
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    hybrid: NDArray[np.float64] | None
    time_mean: bool


@dataclass(frozen=True)
class History:
    """History files of the same variables on the same grid."""

    files: tuple[HistoryFile, ...]

    @property
    def fields(self) -> Fields:
        """What is read of each file."""
        return self.files[0].fields

    @property
    def layers(self) -> int:
        """Layers in all: times, levels and columns."""
        return sum(math.prod(file.shape) for file in self.files)

    @property
    def steps(self) -> int:
        """Times in all."""
        return sum(len(file.time) for file in self.files)

    @property
    def notes(self) -> list[str]:
        """What a user should know of these files, a line each."""
        notes = []
        if self.fields.left_out:
            species = ", ".join(self.fields.left_out)
            notes.append(f"no {species} in the files: left out of volume and hygroscopicity")
        if self.fields.humidity == "RELHUM":
            notes.append("no Q in the files: rh over liquid follows from RELHUM and T")
        if self.fields.cloud is None:
            notes.append("neither CLOUD nor CLDLIQ in the files: cloudiness is not known")
        if any(file.time_mean for file in self.files):
            notes.append(
                "T is a mean over time, smoother than any state; have E3SM write instantaneous "
                "fields (avgflag_pertape = 'I')"
            )
        return notes


def open_history(paths: Iterable[Path]) -> History:
    """Look at history files without reading their layers.

    Raises
    ------
    AeroactError
        If one is missing or not NetCDF, lacks a variable, has another unit or other
        dimensions, or differs from the first one in its grid or variables.
    """
    files: list[HistoryFile] = []
    for path in paths:
        if any(path.resolve() == file.path.resolve() for file in files):
            raise AeroactError(f"{path}: given twice; name each file once")
        files.append(_inspect(path, files[0] if files else None))
    return History(tuple(files))


def _inspect(path: Path, first: HistoryFile | None) -> HistoryFile:
    with opened(path) as handle:
        fields = choose(path, set(handle.variables))
        shape, surface = _check(path, handle, fields)
        time = handle["time"]
        units = str(getattr(time, "units", ""))
        calendar = str(getattr(time, "calendar", "standard"))
        chunks = handle["T"].chunking()
        file = HistoryFile(
            path=path,
            fields=fields,
            shape=shape,
            chunks=tuple(chunks) if isinstance(chunks, list) else (1,) * len(shape),
            time=_times(path, read(path, handle, "time", ...), units, calendar, first),
            time_units=units,
            calendar=calendar,
            lat=_coordinate(path, handle, "lat", surface),
            lon=_coordinate(path, handle, "lon", surface),
            hybrid=_hybrid(path, handle),
            time_mean="mean" in getattr(handle["T"], "cell_methods", ""),
        )
    if first is not None:
        _compare(file, first)
    return file


def _check(path: Path, handle: Any, fields: Fields) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """See that units and dimensions are EAM's; returns the shape of T and its columns' dims."""
    possible = [("time", "lev", *columns) for columns in HORIZONTAL]
    dims = handle["T"].dimensions
    if dims not in possible:
        accepted = " or ".join(f"({', '.join(d)})" for d in possible)
        raise AeroactError(f"{path}: T has dimensions ({', '.join(dims)}), needs {accepted}")
    of = dict.fromkeys(fields.layered, dims) | {"time": ("time",)}
    if fields.pressure == "PS":
        of |= {"PS": ("time", *dims[2:]), "hyam": ("lev",), "hybm": ("lev",)}
    for name, needed in of.items():
        variable = handle[name]
        if variable.dimensions != needed:
            raise AeroactError(
                f"{path}: {name} has dimensions ({', '.join(variable.dimensions)}), "
                f"needs ({', '.join(needed)})"
            )
        if name in fields.layered or name == "PS":
            known = known_units(name)
            units = str(getattr(variable, "units", known[0])).strip()
            if units not in known:
                raise AeroactError(
                    f"{path}: {name} has the unit {units!r}, needs {known[0]!r}, as EAM "
                    "writes it; is this EAM's own history?"
                )
    shape = handle["T"].shape
    if 0 in shape:
        empty = ", ".join(d for d, size in zip(dims, shape, strict=True) if size == 0)
        raise AeroactError(f"{path}: holds nothing; its dimension {empty} is of size 0")
    return shape, dims[2:]


def _times(
    path: Path, time: NDArray[np.float64], units: str, calendar: str, first: HistoryFile | None
) -> NDArray[np.float64]:
    """Return times in the units of the first file."""
    if not np.isfinite(time).all():
        raise AeroactError(f"{path}: time is missing for some of its {len(time)} steps")
    if first is None or (units, calendar) == (first.time_units, first.calendar):
        return time
    try:
        dates = netCDF4.num2date(time, units, calendar)
        return np.asarray(netCDF4.date2num(dates, first.time_units, first.calendar), np.float64)
    except ValueError as error:
        raise AeroactError(
            f"{path}: its time, in {units!r} ({calendar}), cannot be told in that of "
            f"{first.path}, {first.time_units!r} ({first.calendar})"
        ) from error


def _coordinate(
    path: Path, handle: Any, name: str, columns: tuple[str, ...]
) -> NDArray[np.float64]:
    """Return latitude or longitude of each column."""
    needed = columns if columns == ("ncol",) else (name,)
    if handle[name].dimensions != needed:
        raise AeroactError(f"{path}: {name} needs the dimension {needed[0]}")
    values = read(path, handle, name, ...)
    if not np.isfinite(values).all():
        raise AeroactError(f"{path}: {name} is missing for some columns")
    if columns == ("ncol",):
        return values
    shape = tuple(handle.dimensions[d].size for d in columns)
    along = values[:, None] if name == "lat" else values[None, :]
    return np.broadcast_to(along, shape).ravel()


def _hybrid(path: Path, handle: Any) -> NDArray[np.float64] | None:
    """Return what turns surface pressure into that of each level, if the file has it."""
    for name in ("hyam", "hybm"):
        if name not in handle.variables or handle[name].dimensions != ("lev",):
            return None
    reference = float(read(path, handle, "P0", ...)) if "P0" in handle.variables else 1e5
    hyam, hybm = (read(path, handle, name, ...) for name in ("hyam", "hybm"))
    return np.stack([hyam * reference, hybm])


def _compare(file: HistoryFile, first: HistoryFile) -> None:
    """See that a file fits to the first one."""
    other = f"is not that of {first.path}; harvest them one by one"
    same_place = file.shape[1:] == first.shape[1:] and all(
        np.array_equal(a, b) for a, b in ((file.lat, first.lat), (file.lon, first.lon))
    )
    if not same_place:
        raise AeroactError(f"{file.path}: its grid {file.shape[1:]} {other}")
    if file.fields != first.fields:
        differing = set(file.fields.layered) ^ set(first.fields.layered)
        named = ", ".join(sorted(differing)) or f"{file.fields.pressure}"
        raise AeroactError(f"{file.path}: its set of variables (see {named}) {other}")
