"""NetCDF datasets of states and activated fractions: open, check, read, write, split.

A dataset is an `xarray.Dataset` with the names of `aeroact.schema`. It is read in
blocks of rows, so that a file may be larger than memory.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import aeroact
from aeroact import schema
from aeroact.errors import AeroactError
from aeroact.files import replacing, writing_netcdf
from aeroact.schema import MODE_DIM, SAMPLE_DIM, Variable

if TYPE_CHECKING:
    import xarray as xr

BLOCK = 1 << 18
"""Rows read at a time, and rows of a chunk in the files that are written."""

_CHUNK_CACHE = 8 << 20  # bytes a variable: one chunk of the largest


def open_dataset(path: Path) -> "xr.Dataset":
    """Open a dataset without reading its rows.

    Parameters
    ----------
    path : Path
        A NetCDF file.

    Returns
    -------
    xarray.Dataset
        Lazily loaded, with schema names; values keep the file's units until they are read.

    Raises
    ------
    AeroactError
        If the file is missing or not NetCDF, or an input variable is missing, has an
        unknown unit, or the wrong dimensions.
    """
    import netCDF4
    import xarray as xr

    # The library's own 64 MiB for each variable would add up; a file is read from end to end.
    netCDF4.set_chunk_cache(_CHUNK_CACHE)
    if not path.is_file():
        raise AeroactError(f"{path}: {'a folder, not a file' if path.is_dir() else 'no such file'}")
    try:
        ds = xr.open_dataset(path, engine="netcdf4", decode_times=False)
    except (OSError, ValueError) as error:
        raise AeroactError(f"{path}: not a NetCDF file that can be read ({error})") from error
    try:
        return in_schema(ds)
    except AeroactError as error:
        ds.close()
        raise AeroactError(f"{path}: {error}") from error


def in_schema(ds: "xr.Dataset") -> "xr.Dataset":
    """Give a dataset the schema's names, and see that it can be read as one.

    Raises
    ------
    AeroactError
        If a variable is missing, has an unknown unit or the wrong dimensions.
    """
    known = [*schema.INPUTS, schema.FN]
    by_lower = {str(name).lower(): name for name in ds.variables}
    aliases = {v.name: by_lower.get(v.name) for v in known if v.name not in ds}
    ds = ds.rename({alias: name for name, alias in aliases.items() if alias is not None})
    missing = [v.name for v in schema.INPUTS if v.name not in ds]
    if missing:
        raise AeroactError(
            f"variable {', '.join(missing)} is missing; a dataset needs "
            + ", ".join(v.name for v in schema.INPUTS)
        )
    for variable in known:
        if variable.name in ds:
            _factor(ds, variable)
            _check_array(ds, variable)
    return ds


def _check_array(ds: "xr.Dataset", variable: Variable) -> None:
    if ds[variable.name].dtype.kind not in "fiu":
        raise AeroactError(f"{variable.name}: holds {ds[variable.name].dtype}, needs numbers")
    dims = {SAMPLE_DIM, MODE_DIM} if variable.per_mode else {SAMPLE_DIM}
    found = ds[variable.name].dims
    if set(found) != dims:
        raise AeroactError(f"{variable.name}: has dimensions {found}, needs {tuple(sorted(dims))}")
    if variable.per_mode and ds.sizes[MODE_DIM] != len(schema.MODES):
        raise AeroactError(
            f"{variable.name}: has {ds.sizes[MODE_DIM]} modes, needs {len(schema.MODES)} "
            f"({', '.join(schema.MODES)})"
        )


def _factor(ds: "xr.Dataset", variable: Variable) -> float:
    """Return what turns a variable's values into schema units; no attribute means those."""
    units = str(ds[variable.name].attrs.get("units", variable.units)).strip()
    if units not in variable.conversions:
        raise AeroactError(
            f"{variable.name}: unknown unit {units!r}; known are "
            + ", ".join(repr(u) for u in variable.conversions if u)
        )
    return variable.conversions[units]


def _columns(ds: "xr.Dataset", variable: Variable) -> NDArray[np.float64]:
    array = ds[variable.name]
    if variable.per_mode:
        array = array.transpose(SAMPLE_DIM, MODE_DIM)
    values = np.asarray(array.values, np.float64).reshape(ds.sizes[SAMPLE_DIM], -1)
    factor = _factor(ds, variable)
    return values if factor == 1.0 else values * factor


def states(ds: "xr.Dataset") -> NDArray[np.float64]:
    """Return the state vectors of a dataset, shape (n, 16), in schema units and order."""
    return np.concatenate([_columns(ds, variable) for variable in schema.INPUTS], axis=1)


def fractions(ds: "xr.Dataset") -> NDArray[np.float64]:
    """Return the activated fractions of a dataset, shape (n, 4).

    Raises
    ------
    AeroactError
        If it has none.
    """
    if schema.FN.name not in ds:
        raise AeroactError("variable fn is missing; `aeroact-data generate --states` computes it")
    return _columns(ds, schema.FN)


def flagged(ds: "xr.Dataset") -> NDArray[np.bool_]:
    """Return which rows the parcel model marked as having no label, shape (n,)."""
    if "status" in ds:
        return np.asarray(ds["status"].values != 0)
    return np.zeros(ds.sizes[SAMPLE_DIM], bool)


def blocks(ds: "xr.Dataset", size: int = BLOCK) -> Iterator[tuple[int, "xr.Dataset"]]:
    """Cut a dataset into blocks of rows; yields the first row's index and the block."""
    for start in range(0, ds.sizes[SAMPLE_DIM], size):
        yield start, ds.isel({SAMPLE_DIM: slice(start, start + size)})


def problems(
    x: NDArray[np.float64], fn: NDArray[np.float64] | None = None
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Find rows that cannot be right.

    Parameters
    ----------
    x : ndarray, shape (n, 16)
        States in schema units.
    fn : ndarray, shape (n, 4), optional
        Activated fractions.

    Yields
    ------
    str
        What is wrong, with the variable's name.
    ndarray of bool, shape (n,)
        The rows where it is; only where there are any.
    """
    values = [(v, x[:, schema.column_slice(v)]) for v in schema.INPUTS]
    if fn is not None:
        values.append((schema.FN, fn))
    for variable, columns in values:
        low, high, low_inclusive = variable.bounds
        bad = ~np.isfinite(columns)
        outside = ~bad & ~variable.bounds.contain(columns)
        opening = "[" if low_inclusive else "("
        interval = f"{opening}{low:g}, {high:g}] {variable.units}"
        for reason, mask in (
            (f"{variable.name} is not finite", bad),
            (f"{variable.name} is outside {interval}", outside),
        ):
            rows: NDArray[np.bool_] = np.any(mask, axis=1)
            if rows.any():
                yield reason, rows


@dataclass
class Findings:
    """What a check of a dataset found, by number of rows.

    Attributes
    ----------
    rows : int
        Rows in all.
    n_usable : int
        Rows with nothing wrong and, where the dataset has labels, with one.
    flagged : int
        Rows that the parcel model itself marked as having no label.
    reasons : Counter of str
        Rows by what is wrong with them; a row can have several reasons.
    """

    rows: int = 0
    n_usable: int = 0
    flagged: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def look_at(self, block: "xr.Dataset") -> NDArray[np.bool_]:
        """Count the rows of a block in; returns which of them are usable, shape (rows,)."""
        marked = flagged(block)
        good = ~marked
        # A flagged row may hold anything: its state is why it is flagged.
        fn = fractions(block)[good] if schema.FN.name in block else None
        bad = np.zeros(int(good.sum()), bool)
        for reason, rows in problems(states(block)[good], fn):
            self.reasons[reason] += int(rows.sum())
            bad |= rows
        good[np.flatnonzero(good)[bad]] = False
        self.rows += len(good)
        self.n_usable += int(good.sum())
        self.flagged += int(marked.sum())
        return good


@dataclass
class Report(Findings):
    """Findings of a check, with the rows that are usable.

    Attributes
    ----------
    usable : ndarray of bool, shape (rows,)
        Which rows `n_usable` counts.
    """

    usable: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))


def check(ds: "xr.Dataset") -> Report:
    """Look at every row of a dataset, block by block."""
    report = Report(usable=np.empty(ds.sizes[SAMPLE_DIM], bool))
    for start, block in blocks(ds):
        good = report.look_at(block)
        report.usable[start : start + len(good)] = good
    return report


def require_sound(path: Path, findings: Findings) -> None:
    """Refuse a dataset with rows that cannot be right.

    Raises
    ------
    AeroactError
        Naming the file, every reason and its number of rows.
    """
    if findings.reasons:
        found = "; ".join(f"{reason} in {n:,} rows" for reason, n in findings.reasons.items())
        raise AeroactError(f"{path}: {found}; mend or drop these rows (aeroact-data check {path})")
    if not findings.n_usable:
        raise AeroactError(f"{path}: no usable row among {findings.rows:,}")


@dataclass(frozen=True)
class Split:
    """Which rows of a dataset serve for what.

    Attributes
    ----------
    training, validation : ndarray of int
        Rows of the search part in a random order: the first `p` of them are the
        subset of that size, so that subsets are nested.
    holdout : ndarray of bool, shape (rows,)
        Rows that neither step of the search ever sees.
    """

    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    holdout: NDArray[np.bool_]


def split(
    usable: NDArray[np.bool_], *, holdout: float = 0.8, validation: float = 0.2, seed: int
) -> Split:
    """Share out the usable rows of a dataset at random, as Yu et al. (2024) do.

    Parameters
    ----------
    usable : ndarray of bool, shape (rows,)
        Rows to share out.
    holdout : float
        Fraction kept for the final test.
    validation : float
        Fraction of the rest that measures a network while it is searched.
    seed : int
        Same seed, same split.
    """
    order = np.random.default_rng([seed, 0x5B117]).permutation(np.flatnonzero(usable))
    n_search = round((1 - holdout) * len(order))
    n_validation = round(validation * n_search)
    held = np.zeros(len(usable), bool)
    held[order[n_search:]] = True
    return Split(order[n_validation:n_search], order[:n_validation], held)


def take(
    ds: "xr.Dataset",
    rows: NDArray[np.int64],
    out: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Read chosen rows, in the order given, in one pass over the file.

    Parameters
    ----------
    ds : xarray.Dataset
        An opened dataset with labels.
    rows : ndarray of int, shape (n,)
        Row numbers, each at most once.
    out : tuple of ndarray, optional
        What to fill and return: files mapped into memory, where the rows are too many for it.

    Returns
    -------
    x, fn : ndarray of float32, shapes (n, 16) and (n, 4)
        States in schema units and activated fractions.
    """
    place = np.full(ds.sizes[SAMPLE_DIM], -1)
    place[rows] = np.arange(len(rows))
    x, fn = out or (
        np.empty((len(rows), schema.N_INPUTS), np.float32),
        np.empty((len(rows), schema.N_OUTPUTS), np.float32),
    )
    for start, block in blocks(ds):
        target = place[start : start + block.sizes[SAMPLE_DIM]]
        chosen = target >= 0
        x[target[chosen]] = states(block)[chosen]
        fn[target[chosen]] = fractions(block)[chosen]
    return x, fn


def stream(
    ds: "xr.Dataset", chosen: NDArray[np.bool_], size: int = BLOCK
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Read chosen rows in the file's order, block by block.

    Parameters
    ----------
    ds : xarray.Dataset
        An opened dataset with labels.
    chosen : ndarray of bool, shape (rows,)
        The rows to read.
    size : int
        Rows of the file looked at at a time.

    Yields
    ------
    x, fn : ndarray of float32, shapes (m, 16) and (m, 4)
        States in schema units and activated fractions.
    """
    for start, block in blocks(ds, size):
        rows = chosen[start : start + block.sizes[SAMPLE_DIM]]
        if rows.any():
            x, fn = states(block)[rows], fractions(block)[rows]
            yield x.astype(np.float32), fn.astype(np.float32)


def from_arrays(
    x: NDArray[np.floating], fn: NDArray[np.floating] | None = None, **extra: NDArray
) -> "xr.Dataset":
    """Make a dataset in the schema, with CF attributes.

    Parameters
    ----------
    x : ndarray, shape (n, 16)
        States in schema units.
    fn : ndarray, shape (n, 4), optional
        Activated fractions.
    **extra : ndarray, shape (n,) or (n, 4)
        More variables by name, such as ``smax``; the second shape is one with modes.
    """
    import xarray as xr

    ds = xr.Dataset(coords={MODE_DIM: (MODE_DIM, list(schema.MODES), {"long_name": "MAM4 mode"})})
    values = schema.split_state(x) | ({} if fn is None else {schema.FN.name: fn})
    for variable in (*schema.INPUTS, schema.FN):
        if variable.name in values:
            dims = (SAMPLE_DIM, MODE_DIM) if variable.per_mode else (SAMPLE_DIM,)
            attrs = {"units": variable.units, "long_name": variable.long_name}
            ds[variable.name] = (dims, values[variable.name], attrs)
    for name, value in extra.items():
        ds[name] = ((SAMPLE_DIM, MODE_DIM)[: value.ndim], value)
    return ds


def write(ds: "xr.Dataset", path: Path, *, title: str, command: str) -> None:
    """Write a dataset as `write_blocks` does; its global attributes are kept."""
    rows = ds.sizes[SAMPLE_DIM]
    parts = (block for _, block in blocks(ds)) if rows else iter([ds])
    write_blocks(path, parts, rows=rows, title=title, command=command, attrs=ds.attrs)


def write_blocks(
    path: Path,
    blocks: "Iterable[xr.Dataset]",
    *,
    title: str,
    command: str,
    rows: int | None = None,
    attrs: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """Write a dataset as compressed NetCDF-4 from its blocks in turn, whole or not at all.

    The same rows give the same file, byte for byte, however they are cut into blocks.

    Parameters
    ----------
    path : Path
        The file to make or replace.
    blocks : iterable of xarray.Dataset
        At least one, of any number of rows, as `from_arrays` makes them: with the same
        variables. The first one's types and attributes are the file's, and whatever it has
        without the dimension `nsamples`.
    title : str
        Global attribute ``title``.
    command : str
        What made it, for ``history``.
    rows : int, optional
        Rows in all. Where they are not known beforehand, `nsamples` is an unlimited dimension.
    attrs : mapping of str to object
        More global attributes; looked at after the last block, so that they may tell of them.

    Raises
    ------
    AeroactError
        If it cannot be written, on a full disk for example, or other than `rows` rows came.
    """
    own: dict[str, object] = {
        "Conventions": "CF-1.10",
        "title": title,
        # Without a date: the same command gives the same file, byte for byte.
        "history": command,
        "source": f"aeroact {aeroact.__version__}",
        "aeroact_schema_version": schema.SCHEMA_VERSION,
    }
    with replacing(path) as part:
        with writing_netcdf(path):
            written = _write_file(part, iter(blocks), rows, [attrs, own])
        if rows is not None and written != rows:
            raise AeroactError(f"{path}: {written:,} rows came, {rows:,} were announced")


def _write_file(
    path: Path, blocks: "Iterator[xr.Dataset]", rows: int | None, attrs: list[Mapping[str, object]]
) -> int:
    """Write the blocks into a new file; returns the number of rows."""
    import netCDF4

    first = next(blocks)
    sampled = [str(name) for name, array in first.variables.items() if SAMPLE_DIM in array.dims]
    chunk = BLOCK if rows is None else max(1, min(rows, BLOCK))
    with netCDF4.Dataset(path, "w", format="NETCDF4") as file:
        for dim, size in first.sizes.items():
            file.createDimension(str(dim), rows if dim == SAMPLE_DIM else size)
        for name, array in first.variables.items():
            whole = name not in sampled
            if not whole:
                array = array.transpose(SAMPLE_DIM, ...)
            kind: Any = str if array.dtype.kind in "OU" else array.dtype
            storage = {} if whole else _storage((chunk, *array.shape[1:]))
            variable = file.createVariable(str(name), kind, [*map(str, array.dims)], **storage)
            variable.setncatts(array.attrs)
            if whole:
                variable[...] = array.values
        start = 0
        for columns in _regrouped(sampled, chain([first], blocks), chunk):
            stop = start + len(columns[sampled[0]])
            if rows is not None and stop > rows:
                return stop
            for name, values in columns.items():
                file[name][start:stop] = values
            start = stop
        for some in attrs:
            file.setncatts(some)
    return start


def _storage(chunks: tuple[int, ...]) -> dict[str, Any]:
    """Return how a variable's rows are stored: in compressed chunks, each written once."""
    return {
        "compression": "zlib",
        "complevel": 1,
        "shuffle": True,
        "chunksizes": chunks,
        "chunk_cache": 1,  # byte: by default each variable keeps 64 MiB of chunks
    }


def _regrouped(
    names: list[str], blocks: "Iterator[xr.Dataset]", size: int
) -> Iterator[dict[str, NDArray]]:
    """Join blocks and cut them anew into `size` rows each; the last one has what is left."""
    pending: list[dict[str, NDArray]] = []
    n_pending = 0
    for block in blocks:
        pending.append({name: block[name].transpose(SAMPLE_DIM, ...).values for name in names})
        n_pending += block.sizes[SAMPLE_DIM]
        if n_pending >= size:
            joined = {name: np.concatenate([part[name] for part in pending]) for name in names}
            whole = n_pending - n_pending % size
            for start in range(0, whole, size):
                yield {name: values[start : start + size] for name, values in joined.items()}
            pending = [{name: values[whole:].copy() for name, values in joined.items()}]
            n_pending -= whole
    yield {name: np.concatenate([part[name] for part in pending]) for name in names}
