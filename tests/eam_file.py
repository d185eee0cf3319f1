"""Small files like those that E3SM's atmosphere writes: its names, dimensions and units."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest

from aeroact.eam.blocks import Block, read_blocks
from aeroact.eam.history import open_history
from aeroact.errors import AeroactError

# As EAM names them: the four modes and the species that each of them holds.
MODES: dict[int, tuple[str, ...]] = {
    1: ("so4", "pom", "soa", "bc", "dst", "ncl", "mom"),
    2: ("so4", "soa", "ncl", "mom"),
    3: ("dst", "ncl", "so4", "bc", "pom", "soa", "mom"),
    4: ("pom", "bc", "mom"),
}
MASSES = [f"{species}_a{mode}" for mode, held in MODES.items() for species in held]
NUMBERS = [f"num_a{mode}" for mode in MODES]
AEROSOL = [*NUMBERS, *MASSES]
FIELDS = ["T", "Q", "WSUB", "CLOUD", *AEROSOL]

# Of a clean continent: number in 1/kg, and mass of a species in kg/kg.
TYPICAL_NUMBER = {1: 3e8, 2: 1.5e9, 3: 4e4, 4: 1e8}
TYPICAL_MASS = {1: 3e-10, 2: 2e-11, 3: 3e-10, 4: 3e-11}

UNITS = {
    "T": "K",
    "Q": "kg/kg",
    "RELHUM": "percent",
    "PMID": "Pa",
    "WSUB": "m/s",
    "CLOUD": "fraction",
    "CLDLIQ": "kg/kg",
}


def write_eam(
    path: Path,
    *,
    times: int = 2,
    levels: int = 8,
    columns: tuple[int, ...] = (12,),
    fields: Sequence[str] = FIELDS,
    first_time: float = 0.0,
    seed: int = 0,
    period: int | None = None,
    format: Any = "NETCDF3_64BIT_DATA",
    **storage: Any,
) -> Path:
    """Write a history file of random but plausible layers.

    Parameters
    ----------
    columns : tuple of int
        Sizes of (ncol,) or (lat, lon).
    fields : sequence of str
        Layered variables; the pressure follows from PS, hyam, hybm and P0.
    period : int, optional
        All times and every so many columns are alike, so that a large file is soon written.
    storage : Any
        Handed on to `createVariable` for layered fields.
    """
    rng = np.random.default_rng(seed)
    horizontal = ("ncol",) if len(columns) == 1 else ("lat", "lon")
    edges = np.linspace(0.0, 1.0, levels + 1)
    middle = 0.5 * (edges[1:] + edges[:-1])
    with netCDF4.Dataset(path, "w", format=format) as file:
        file.createDimension("time", None)
        file.createDimension("lev", levels)
        for name, size in zip(horizontal, columns, strict=True):
            file.createDimension(name, size)
        time = file.createVariable("time", "f8", ("time",))
        time.setncatts({"units": "days since 0001-01-01 00:00:00", "calendar": "noleap"})
        time[:] = first_time + 0.25 * np.arange(times)
        file.createVariable("P0", "f8", ())[...] = 1e5
        file.createVariable("hyam", "f8", ("lev",))[:] = 0.05 * (1.0 - middle)
        file.createVariable("hybm", "f8", ("lev",))[:] = middle
        if horizontal == ("ncol",):
            # Evenly over the sphere.
            place = (np.arange(*columns) + 0.5) / columns[0]
            lat, lon = np.degrees(np.arcsin(2.0 * place - 1.0)), 360.0 * ((0.618 * place) % 1.0)
            file.createVariable("lat", "f8", ("ncol",))[:] = lat
            file.createVariable("lon", "f8", ("ncol",))[:] = lon
        else:
            file.createVariable("lat", "f8", ("lat",))[:] = np.linspace(-90.0, 90.0, columns[0])
            file.createVariable("lon", "f8", ("lon",))[:] = (
                360.0 / columns[1] * np.arange(columns[1])
            )
        shape = (1 if period else times, levels, period or int(np.prod(columns)))
        surface = 98_000.0 + 5_000.0 * rng.random((shape[0], shape[2]))
        pressure = 5_000.0 * (1.0 - middle)[:, None] + middle[:, None] * surface[:, None, :]
        values = {"T": 288.0 * (pressure / 101_325.0) ** 0.19 + 10.0 * rng.standard_normal(shape)}
        saturation = 611.2 * np.exp(17.67 * (values["T"] - 273.15) / (values["T"] - 29.65))
        values["Q"] = 0.622 * rng.uniform(0.1, 1.04, shape) * saturation / pressure
        values["PMID"] = pressure
        values["RELHUM"] = rng.uniform(1.0, 103.0, shape)
        values["WSUB"] = rng.gamma(1.0, 0.3, shape)
        values["CLOUD"] = np.maximum(0.0, rng.uniform(-1.0, 1.0, shape))
        values["CLDLIQ"] = np.maximum(0.0, rng.uniform(-1e-4, 1e-4, shape))
        for mode, held in MODES.items():
            spread = 10.0 ** rng.uniform(-2.0, 1.0, shape)
            values[f"num_a{mode}"] = TYPICAL_NUMBER[mode] * spread * 10.0 ** rng.normal(0, 1, shape)
            for species in held:
                amount = 10.0 ** rng.normal(0.0, 0.5, shape)
                values[f"{species}_a{mode}"] = TYPICAL_MASS[mode] * spread * amount
        repeat = -(-int(np.prod(columns)) // shape[2])

        def put(
            name: str, dims: tuple[str, ...], units: str, array: np.ndarray, **storage: Any
        ) -> None:
            variable = file.createVariable(name, "f4", dims, **storage)
            variable.setncatts({"units": units, "long_name": name})
            whole = np.tile(array, repeat)[..., : int(np.prod(columns))].astype(np.float32)
            whole = whole.reshape(*whole.shape[:-1], *columns)
            for step in range(times):
                variable[step] = whole[step % len(whole)]

        put("PS", ("time", *horizontal), "Pa", surface)
        for name in fields:
            units = " 1/kg" if name.startswith("num") else UNITS.get(name, "kg/kg")
            put(name, ("time", "lev", *horizontal), units, values[name], **storage)
    return path


def read_all(*paths: Path, min_pressure: float = 0.0) -> Block:
    """Read a history at once."""
    parts = list(read_blocks(open_history(paths), min_pressure))
    values = {k: np.concatenate([part.values[k] for part in parts]) for k in parts[0].values}
    where = ("index", "step", "time", "lat", "lon")
    return Block(values, *(np.concatenate([getattr(p, name) for p in parts]) for name in where))


def refusal(*paths: Path) -> str:
    """Return the one line with which files that cannot be read are refused."""
    with pytest.raises(AeroactError) as error:
        read_all(*paths)
    assert "\n" not in str(error.value)
    return str(error.value)


def edit(path: Path, change: Callable[[Any], object]) -> Path:
    """Change a file in place."""
    with netCDF4.Dataset(path, "a") as file:
        change(file)
    return path
