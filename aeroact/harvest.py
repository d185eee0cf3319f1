"""States harvested from the history files of E3SM's atmosphere: all, or an even subsample.

Evenly means: the layers are sorted into strata, and each stratum gives the same number of
rows, or all that it has (see `aeroact.subsample`).  The strata are the combinations of

- `time`: up to 24 spells of consecutive time steps;
- `space`: 10 bands of latitude of the same area, and layers of 100 hPa, that is of the same mass;
- `cloud`: clear (cloud fraction below 0.01), up to a third, up to two thirds, and cloudier; by
  liquid water content where there is no cloud fraction.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aeroact import dataset, schema, subsample
from aeroact.console import Progress
from aeroact.eam import layers
from aeroact.eam.blocks import Block, read_blocks
from aeroact.eam.history import History
from aeroact.errors import AeroactError
from aeroact.physics.rows import within_bounds
from aeroact.subsample import Reservoir, Rows

if TYPE_CHECKING:
    import xarray as xr

ASPECTS: Final = ("time", "space", "cloud")
"""Over what a subsample can be even."""

_SPELLS = 24
_BANDS = 10
_DEPTH = 100.0  # hPa


class _Cloud(NamedTuple):
    """What tells how cloudy a layer is: its name in the dataset, and where the strata part."""

    name: str
    attrs: dict[str, str]
    edges: tuple[float, ...]


_CLOUD = {
    "CLOUD": _Cloud(
        "cloud_fraction", {"units": "1", "long_name": "cloud fraction"}, (0.01, 1 / 3, 2 / 3)
    ),
    "CLDLIQ": _Cloud(
        "cloud_water",
        {"units": "kg kg-1", "long_name": "cloud liquid water, mean of the layer"},
        (1e-8, 1e-6, 1e-5),
    ),
}


@dataclass(frozen=True)
class Plan:
    """What to harvest.

    Attributes
    ----------
    n : int or None
        Rows of an even subsample, which is held in memory; by default all usable rows, which
        are not.
    seed : int
        Of the subsample.
    even : tuple of str
        Those of `ASPECTS` over which it is even; a plain random sample if there are none.
    min_pressure : float
        Layers above this level are left out, hPa.
    """

    n: int | None = None
    seed: int = 1
    even: tuple[str, ...] = ASPECTS
    min_pressure: float = 300.0


@dataclass
class Tally:
    """How many layers there were.

    Attributes
    ----------
    layers, usable, written : int
        In the files, fit for the parcel model, and in the dataset made.
    unusable : Counter of str
        The others by the first reason that was found.
    """

    layers: int = 0
    usable: int = 0
    written: int = 0
    unusable: Counter[str] = field(default_factory=Counter)

    def reject(self, reason: str, rows: int) -> None:
        """Count unusable layers."""
        if rows:
            self.unusable[reason] += rows


def harvest(history: History, path: Path, plan: Plan, *, progress: Progress | None = None) -> Tally:
    """Write the states of a history as a dataset without labels.

    Parameters
    ----------
    history : History
        Opened history files.
    path : Path
        The NetCDF file to make.
    plan : Plan
        What to take.
    progress : Progress, optional
        Is told the number of layers that were looked at.

    Returns
    -------
    Tally
        What became of every layer.

    Raises
    ------
    AeroactError
        If `path` exists, a file cannot be read, or no layer is usable.
    """
    if path.exists():
        raise AeroactError(f"{path}: exists; remove it or choose another --out")
    tally = Tally(layers=history.layers)
    rows = _usable_rows(history, plan, tally, progress)
    if plan.n is not None:
        rows = _subsample(rows, plan.n)
    attrs = _provenance(history, plan)
    dataset.write_blocks(
        path,
        (_as_dataset(some, history) for some in _counted(rows, tally, attrs)),
        title="States of E3SM's atmosphere for the activation of aerosol",
        command=_command(history, plan),
        attrs=attrs,
    )
    return tally


def _usable_rows(
    history: History, plan: Plan, tally: Tally, progress: Progress | None
) -> Iterator[Rows]:
    """Yield the usable rows of each block, and count the others."""
    seen = 0
    above = f"above the {plan.min_pressure:g}-hPa level"
    for block in read_blocks(history, 100.0 * plan.min_pressure):
        seen += len(block.index)
        # What is above is not worth computing.
        low = ~(block.values["PMID"] < 100.0 * plan.min_pressure)
        tally.reject(above, int(np.count_nonzero(~low)))
        if low.any():
            yield from _rows_of(_part(block, low), history, plan, tally)
        if progress:
            progress(seen)
    tally.reject(above, history.layers - seen)
    if progress:
        progress(history.layers)
    if not tally.usable:
        found = "; ".join(f"{reason} {n:,}" for reason, n in tally.unusable.most_common())
        raise AeroactError(
            f"{history.files[0].path}: no usable layer among {history.layers:,} ({found})"
        )


def _part(block: Block, chosen: NDArray[np.bool_]) -> Block:
    values = {name: value[chosen] for name, value in block.values.items()}
    others = (getattr(block, name)[chosen] for name in ("index", "step", "time", "lat", "lon"))
    return Block(values, *others)


def _rows_of(block: Block, history: History, plan: Plan, tally: Tally) -> Iterator[Rows]:
    """Yield the usable rows among layers that are low enough, if there are any."""
    x = layers.states(block.values)
    cloud = _cloudiness(block, history)
    good = np.ones(len(x), bool)
    for reason, bad in _flaws(x, cloud):
        tally.reject(reason, int(np.count_nonzero(good & bad)))
        good &= ~bad
    if not good.any():
        return
    tally.usable += int(np.count_nonzero(good))
    lat, lon = (column.astype(np.float32) for column in (block.lat, block.lon))
    rows: Rows = {"x": x, "time": block.time, "lat": lat, "lon": lon, "cloud": cloud}
    if plan.n is not None:
        rows["index"] = block.index
        rows["key"] = subsample.keys(block.index, plan.seed)
        rows["stratum"] = strata(block, x, cloud, history, plan)
    yield {name: values[good] for name, values in rows.items()}


def _cloudiness(block: Block, history: History) -> NDArray[np.float32]:
    """Return what tells how cloudy each layer is; 0 if nothing does, shape (n,)."""
    if history.fields.cloud is None:
        return np.zeros(len(block.index), np.float32)
    return block.values[history.fields.cloud]


def _flaws(
    x: NDArray[np.float32], cloud: NDArray[np.float32]
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield why rows cannot be used, and which."""
    finite = np.isfinite(np.column_stack([x, cloud]))
    yield "values missing (NaN or fill)", np.any(~finite, axis=1)
    yield from dataset.problems(x.astype(np.float64))
    state = schema.split_state(x)
    yield "no aerosol in any mode", np.all(state["num_aer"] == 0, axis=1)
    # Its bounds are looked at already: what else the parcel model asks of air.
    air = {name: state[name].astype(np.float64) for name in ("tair", "pressure")}
    yield "water would boil", ~within_bounds(air)


def strata(
    block: Block,
    x: NDArray[np.float32],
    cloud: NDArray[np.float32],
    history: History,
    plan: Plan,
) -> NDArray[np.int64]:
    """Return to which stratum each row belongs, shape (n,)."""
    stratum = np.zeros(len(x), np.int64)
    if "time" in plan.even:
        stratum += block.step * _SPELLS // history.steps
    if "space" in plan.even:
        area = 0.5 + 0.5 * np.sin(np.radians(block.lat))  # from south to north, of the sphere
        stratum = stratum * _BANDS + np.minimum((area * _BANDS).astype(np.int64), _BANDS - 1)
        depth = x[:, schema.COLUMNS.index("pressure")] - plan.min_pressure
        # Below 900 hPa there is one layer, for there is little below 1000 hPa.
        deepest = max(1, int((1000.0 - plan.min_pressure) // _DEPTH)) - 1
        level = np.clip(np.nan_to_num(depth) // _DEPTH, 0, deepest).astype(np.int64)
        stratum = stratum * (deepest + 1) + level
    if "cloud" in plan.even and history.fields.cloud is not None:
        edges = _CLOUD[history.fields.cloud].edges
        stratum = stratum * (len(edges) + 1) + np.digitize(cloud, edges)
    return stratum


def _subsample(rows: Iterator[Rows], n: int) -> Iterator[Rows]:
    reservoir = Reservoir(n)
    for some in rows:
        reservoir.add(some)
    sample = reservoir.sample()
    for start in range(0, len(sample["key"]), dataset.BLOCK):
        yield {name: values[start : start + dataset.BLOCK] for name, values in sample.items()}


def _counted(rows: Iterator[Rows], tally: Tally, attrs: dict[str, object]) -> Iterator[Rows]:
    """Count the rows, and add the counts to the attributes once they are all known."""
    for some in rows:
        tally.written += len(some["x"])
        yield some
    attrs.update(_counts(tally))


def _as_dataset(rows: Rows, history: History) -> "xr.Dataset":
    first = history.files[0]
    extra = {
        "time": {"units": first.time_units, "calendar": first.calendar, "standard_name": "time"},
        "lat": {"units": "degrees_north", "standard_name": "latitude"},
        "lon": {"units": "degrees_east", "standard_name": "longitude"},
    }
    columns = {name: rows[name] for name in extra}
    if history.fields.cloud is not None:
        name, attrs, _ = _CLOUD[history.fields.cloud]
        extra[name], columns[name] = attrs, rows["cloud"]
    ds = dataset.from_arrays(rows["x"], **columns)
    for name, attrs in extra.items():
        ds[name].attrs = attrs
    return ds


def _command(history: History, plan: Plan) -> str:
    """Return the command that makes the dataset, with the files' names only."""
    options = f" --seed {plan.seed} --even {','.join(plan.even) or 'nothing'}"
    chosen = "" if plan.n is None else f" -n {plan.n}{options}"
    names = " ".join(file.path.name for file in history.files)
    return f"aeroact-data harvest {names}{chosen} --min-pressure {plan.min_pressure:g}"


def _provenance(history: History, plan: Plan) -> dict[str, object]:
    sources = [
        f"{file.path.name} ({file.path.stat().st_size} bytes, {len(file.time)} times from "
        f"{file.time[0]:g} to {file.time[-1]:g})"
        for file in history.files
    ]
    return {
        "harvest_sources": "; ".join(sources),
        "harvest_fields": ", ".join(history.fields.layered),
        "harvest_species_left_out": ", ".join(history.fields.left_out) or "none",
        "harvest_notes": "; ".join(history.notes) or "none",
        "harvest_min_pressure_hpa": plan.min_pressure,
        "harvest_even": "all rows" if plan.n is None else ", ".join(plan.even) or "nothing",
        "seed": plan.seed,
    }


def _counts(tally: Tally) -> dict[str, object]:
    # As text: NetCDF's own integers of 64 bits are not readable everywhere.
    return {
        "harvest_layers": str(tally.layers),
        "harvest_usable": str(tally.usable),
        "harvest_unusable": "; ".join(f"{why}: {n}" for why, n in tally.unusable.most_common()),
    }
