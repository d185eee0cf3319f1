"""What is in a dataset: its variables, faults, repeated states and distributions.

One pass over the file tells all but the repeated states; those take further passes where
their hashes do not fit into memory at once. Nothing that is kept grows with the file.
"""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aeroact import console, dataset, schema
from aeroact.console import ProgressBar
from aeroact.dataset import Findings
from aeroact.schema import MODE_DIM, SAMPLE_DIM

if TYPE_CHECKING:
    import xarray as xr

PERCENTILES = (1, 25, 50, 75, 99)

QUANTILE_ROWS = 200_000
"""Rows at most from which percentiles are taken, evenly spaced over a larger dataset."""

BLOCK = 1 << 16
"""Rows looked at at a time: a part of a chunk, because every row is several columns and copies."""

HASHES = 1 << 25
"""State hashes held in memory at a time, 8 bytes each."""


@dataclass(frozen=True)
class FileVariable:
    """A variable as it is in the file."""

    name: str
    dims: tuple[str, ...]
    dtype: str
    units: str


@dataclass(frozen=True)
class Distribution:
    """How the finite values of one column are distributed.

    Attributes
    ----------
    column, units : str
        Name of the column, and the schema's units where it is one of the schema.
    finite : int
        Finite values; where there are none, all that follows is None.
    min, max, mean, std : float or None
        Over all of them (ddof = 0).
    percentiles : tuple of float or None
        At `PERCENTILES`, from all rows or `QUANTILE_ROWS` evenly spaced ones.
    """

    column: str
    units: str
    finite: int
    min: float | None
    max: float | None
    mean: float | None
    std: float | None
    percentiles: tuple[float | None, ...]


@dataclass(frozen=True)
class Survey:
    """All that a survey of a dataset tells.

    Attributes
    ----------
    file : str
        As it was named.
    bytes : int
        Its size on disk.
    modes : int
        Modes of the aerosol.
    variables : list of FileVariable
        In the order of the file.
    findings : Findings
        Rows, and what is wrong with them.
    statuses : dict of str to int, or None
        Rows by status of the parcel model, where the file has it.
    repeated : int
        Rows whose state stands in an earlier row, too.
    distributions : list of Distribution
        Of all columns: states, labels, and whatever numbers else the file has.
    """

    file: str
    bytes: int
    modes: int
    variables: list[FileVariable]
    findings: Findings
    statuses: dict[str, int] | None
    repeated: int
    distributions: list[Distribution]

    def as_dict(self) -> dict[str, object]:
        """Return the survey for JSON."""
        # asdict() mistakes the pairs of a Counter for its keys.
        findings = vars(self.findings) | {"reasons": dict(self.findings.reasons)}
        return asdict(self) | {"findings": findings, "percentiles": PERCENTILES}


def survey(path: Path, progress: ProgressBar = console.no_progress) -> Survey:
    """Read a dataset from end to end and say what is in it.

    Parameters
    ----------
    path : Path
        A NetCDF file.
    progress : ProgressBar, optional
        Shows how far the reading has come.

    Raises
    ------
    AeroactError
        If it cannot be read as a dataset.
    """
    with dataset.open_dataset(path) as ds:
        rows = ds.sizes[SAMPLE_DIM]
        columns, extras = _columns(ds), _extras(ds)
        findings, statuses = Findings(), Counter[float]()
        moments, sample = _Moments(len(columns)), _Sample(rows, len(columns))
        n_passes = max(1, -(-rows // HASHES))
        hashes = _Hashes(rows, n_passes)
        with progress("Checking", n_passes * rows, after=2.0) as show:
            for start, lazy in dataset.blocks(ds, BLOCK):
                block = lazy.load()
                findings.look_at(block)
                if "status" in ds:
                    codes, counts = np.unique(block["status"].values, return_counts=True)
                    statuses.update(dict(zip(codes.tolist(), counts.tolist(), strict=True)))
                values = _values(block, extras)
                moments.add(values)
                sample.add(start, values)
                hashes.add(values[:, : schema.N_INPUTS])
                show(start + len(values))
            for done in range(1, n_passes):
                hashes.next_part()
                for start, block in dataset.blocks(ds, BLOCK):
                    x = dataset.states(block)
                    hashes.add(x)
                    show(done * rows + start + len(x))
        return Survey(
            file=str(path),
            bytes=path.stat().st_size,
            modes=ds.sizes[MODE_DIM],
            variables=[_file_variable(ds, str(name)) for name in ds.data_vars],
            findings=findings,
            statuses=_by_name(ds, statuses) if "status" in ds else None,
            repeated=hashes.repeated(),
            distributions=_distributions(columns, moments, sample),
        )


def _file_variable(ds: "xr.Dataset", name: str) -> FileVariable:
    array = ds[name]
    # Where a fill value is masked, the type in memory is another one.
    dtype = array.encoding.get("dtype", array.dtype)
    return FileVariable(
        name, tuple(map(str, array.dims)), str(dtype), str(array.attrs.get("units", ""))
    )


def _by_name(ds: "xr.Dataset", statuses: Counter[float]) -> dict[str, int]:
    """Name status codes by the variable's CF attributes."""
    attrs = ds["status"].attrs
    codes = np.atleast_1d(attrs.get("flag_values", [])).tolist()
    names = dict(zip(codes, str(attrs.get("flag_meanings", "")).split(), strict=False))
    return {names.get(code, f"{code:g}"): statuses[code] for code in sorted(statuses)}


def _extras(ds: "xr.Dataset") -> list[str]:
    """Return the variables with numbers that are neither of the schema nor a status."""
    known = {variable.name for variable in (*schema.INPUTS, schema.FN)} | {"status"}
    return [
        str(name)
        for name, array in ds.data_vars.items()
        if name not in known
        and array.dtype.kind in "fiu"
        and array.dims in ((SAMPLE_DIM,), (SAMPLE_DIM, MODE_DIM))
    ]


def _columns(ds: "xr.Dataset") -> list[tuple[str, str]]:
    """Return name and units of every column, as `_values` has them."""
    columns = list(zip(schema.COLUMNS, schema.COLUMN_UNITS, strict=True))
    if schema.FN.name in ds:
        columns += [(column, schema.FN.units) for column in schema.FN.columns]
    for name in _extras(ds):
        units = str(ds[name].attrs.get("units", ""))
        modes = [f"_{mode}" for mode in schema.MODES] if MODE_DIM in ds[name].dims else [""]
        columns += [(f"{name}{mode}", units) for mode in modes]
    return columns


def _values(block: "xr.Dataset", extras: list[str]) -> NDArray[np.float64]:
    """Return the values of every column, shape (n, columns)."""
    parts = [dataset.states(block)]
    if schema.FN.name in block:
        parts.append(dataset.fractions(block))
    n = len(parts[0])
    parts += [block[name].values.reshape(n, -1).astype(np.float64) for name in extras]
    return np.concatenate(parts, axis=1)


def _distributions(
    columns: list[tuple[str, str]], moments: "_Moments", sample: "_Sample"
) -> list[Distribution]:
    std = np.sqrt(moments.squares / np.maximum(moments.count, 1))
    found = []
    for j, (column, units) in enumerate(columns):
        ends = [moments.low[j], moments.high[j], moments.mean[j], std[j]]
        low, high, mean, deviation = (float(value) if moments.count[j] else None for value in ends)
        found.append(
            Distribution(
                column,
                units,
                int(moments.count[j]),
                low,
                high,
                mean,
                deviation,
                sample.percentiles(j),
            )
        )
    return found


class _Moments:
    """Number, extremes, mean and sum of squared deviations of the finite values, by column.

    Blocks are merged as by Chan, Golub and LeVeque (1983), doi:10.2307/2683386.
    """

    def __init__(self, width: int) -> None:
        self.count = np.zeros(width, np.int64)
        self.low, self.high = np.full(width, np.inf), np.full(width, -np.inf)
        self.mean, self.squares = np.zeros(width), np.zeros(width)

    def add(self, values: NDArray[np.float64]) -> None:
        finite = np.isfinite(values)
        n = finite.sum(axis=0)
        self.low = np.minimum(self.low, values.min(axis=0, initial=np.inf, where=finite))
        self.high = np.maximum(self.high, values.max(axis=0, initial=-np.inf, where=finite))
        mean = values.sum(axis=0, where=finite) / np.maximum(n, 1)
        squares = np.square(values - mean).sum(axis=0, where=finite)
        total = self.count + n
        shift, share = mean - self.mean, n / np.maximum(total, 1)
        self.mean = self.mean + shift * share
        self.squares = self.squares + squares + shift**2 * share * self.count
        self.count = total


class _Sample:
    """Evenly spaced rows, from which percentiles are taken."""

    def __init__(self, rows: int, width: int) -> None:
        self.stride = max(1, -(-rows // QUANTILE_ROWS))
        self.values = np.empty((-(-rows // self.stride), width))

    def add(self, start: int, values: NDArray[np.float64]) -> None:
        first = -(-start // self.stride)
        chosen = values[first * self.stride - start :: self.stride]
        self.values[first : first + len(chosen)] = chosen

    def percentiles(self, column: int) -> tuple[float | None, ...]:
        values = self.values[:, column]
        values = values[np.isfinite(values)]
        if not len(values):
            return tuple(None for _ in PERCENTILES)
        return tuple(np.percentile(values, PERCENTILES).tolist())


class _Hashes:
    """Counts the states that stand in an earlier row, too, one part of all hashes at a time.

    Two of 10^8 different states have the same 64-bit hash with a probability of 3e-4.
    """

    def __init__(self, rows: int, n_parts: int) -> None:
        self._n_parts, self._part = n_parts, 0
        # Enough for a part's share of the hashes and its scatter, once repeated ones are folded.
        self._buffer = np.empty(min(rows, HASHES + HASHES // 4), np.uint64)
        self._n = self._n_repeated = 0

    def next_part(self) -> None:
        """Turn to the next part of the hashes; all states are to be added again."""
        self._fold()
        self._n = 0
        self._part += 1

    def add(self, x: NDArray[np.float64]) -> None:
        """Add states, shape (n, 16); one that is not finite is passed over."""
        hashes = _hashes_of(x[np.isfinite(x).all(axis=1)])
        hashes = hashes[(hashes >> np.uint64(32)) % np.uint64(self._n_parts) == self._part]
        if self._n + len(hashes) > len(self._buffer):
            self._fold()
        stop = self._n + len(hashes)
        if stop > len(self._buffer):
            self._buffer = np.resize(self._buffer, stop)
        self._buffer[self._n : stop] = hashes
        self._n = stop

    def repeated(self) -> int:
        """Return how many states there were that had come before."""
        self._fold()
        return self._n_repeated

    def _fold(self) -> None:
        """Count the repeated hashes, and keep each once."""
        held = self._buffer[: self._n]
        held.sort()
        new = np.ones(self._n, bool)
        np.not_equal(held[1:], held[:-1], out=new[1:])
        n = int(new.sum())
        if n < self._n:
            self._n_repeated += self._n - n
            held[:n] = held[new]
            self._n = n


def _hashes_of(x: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each state, shape (n,): multiply and xorshift, column by column."""
    bits = (x + 0.0).view(np.uint64)  # -0.0 becomes 0.0, its equal
    hashes = np.full(len(x), 0x9E3779B97F4A7C15, np.uint64)
    for column in bits.T:
        hashes = (hashes ^ column) * np.uint64(0xBF58476D1CE4E5B9)
        hashes ^= hashes >> np.uint64(31)
    return hashes
