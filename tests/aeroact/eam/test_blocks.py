"""Every layer of a history is read once, with its place, in little memory."""

import math
import tracemalloc
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeroact.eam import blocks
from aeroact.eam.blocks import read_blocks, windows
from aeroact.eam.history import open_history
from tests.eam_file import FIELDS, edit, read_all, write_eam

# Windows

sizes = st.integers(1, 9)
arrays = st.integers(1, 4).flatmap(
    lambda d: st.tuples(
        st.lists(sizes, min_size=d, max_size=d).map(tuple),
        st.lists(sizes, min_size=d, max_size=d).map(tuple),
    )
)


@given(array=arrays, cells=st.integers(1, 3000))
def test_windows_cover_an_array_once_and_hold_whole_chunks_where_they_can(
    array: tuple[tuple[int, ...], tuple[int, ...]], cells: int
) -> None:
    shape, chunks = array
    seen = np.zeros(shape, int)
    whole = math.prod(min(c, s) for c, s in zip(chunks, shape, strict=True)) <= cells
    for window in windows(shape, chunks, cells):
        assert 0 < seen[window].size <= cells
        seen[window] += 1
        for part, chunk, size in zip(window, chunks, shape, strict=True):
            if whole:
                assert part.start % chunk == 0
                assert part.stop % chunk == 0 or part.stop == size
    assert (seen == 1).all()


def test_windows_are_about_as_large_as_they_may_be() -> None:
    # Contiguous, as classic files are: whole columns, then levels, then times.
    assert len(list(windows((10, 72, 1000), (1, 1, 1), 72_000))) == 10
    assert len(list(windows((10, 72, 1000), (1, 1, 1), 150_000))) == 5
    assert len(list(windows((10, 72, 1000), (1, 1, 1), 24_000))) == 30


# Reading

LAYOUTS: dict[str, dict[str, Any]] = {
    "ncol": {"columns": (23,)},
    "lat-lon": {"columns": (5, 6)},
    "NetCDF-4": {"columns": (23,), "format": "NETCDF4", "zlib": True, "chunksizes": (1, 3, 10)},
    "long chunks": {"columns": (23,), "format": "NETCDF4", "chunksizes": (3, 8, 23)},
    "CDF-2": {"columns": (23,), "format": "NETCDF3_64BIT_OFFSET"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layer_is_read_once_with_its_place(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Windows and blocks that cut through times, levels and columns.
    monkeypatch.setattr(blocks, "WINDOW", 4 * len(FIELDS) * 50)
    monkeypatch.setattr(blocks, "BLOCK", 17)
    first = write_eam(tmp_path / "a.nc", times=3, **LAYOUTS[layout])
    second = write_eam(tmp_path / "b.nc", times=2, first_time=9.0, seed=1, **LAYOUTS[layout])
    block = read_all(first, second)
    order = np.argsort(block.index)
    np.testing.assert_array_equal(block.index[order], np.arange(5 * 8 * (block.index.size // 40)))

    expected: dict[str, list[np.ndarray]] = {name: [] for name in (*FIELDS, "PMID", "time", "lat")}
    for path in (first, second):
        with netCDF4.Dataset(path) as file:
            shape = file["T"].shape
            for name in FIELDS:
                expected[name].append(file[name][:].ravel())
            a, b = (file[k][:].reshape(-1, *[1] * (len(shape) - 2)) for k in ("hyam", "hybm"))
            pressure = 1e5 * a + b * file["PS"][:][:, None]
            expected["PMID"].append(pressure.ravel())
            for name, axis in (("time", 0), ("lat", 2)):
                along = file[name][:].reshape([-1 if d == axis else 1 for d in range(len(shape))])
                expected[name].append(np.broadcast_to(along, shape).ravel())
    for name in (*FIELDS, "PMID"):
        found = block.values[name][order]
        np.testing.assert_allclose(found, np.concatenate(expected[name]), rtol=1e-6, err_msg=name)
    np.testing.assert_array_equal(block.time[order], np.concatenate(expected["time"]))
    np.testing.assert_array_equal(block.lat[order], np.concatenate(expected["lat"]))
    assert set(block.step.tolist()) == set(range(5))


def test_pmid_is_read_where_it_is_there(tmp_path: Path) -> None:
    path = write_eam(tmp_path / "a.nc", fields=[*FIELDS, "PMID"])
    edit(path, lambda file: file["PMID"].__setitem__(..., 54_321.0))
    assert (read_all(path).values["PMID"] == 54_321.0).all()


def test_levels_that_are_always_above_the_pressure_are_not_read(tmp_path: Path) -> None:
    path = write_eam(tmp_path / "a.nc", levels=20)
    everything, low = read_all(path), read_all(path, min_pressure=30_000.0)
    assert low.index.size == 0.75 * everything.index.size
    np.testing.assert_array_equal(
        np.sort(everything.values["PMID"][everything.values["PMID"] >= 30_000.0]),
        np.sort(low.values["PMID"][low.values["PMID"] >= 30_000.0]),
    )
    # Chunks are not cut for it.
    chunked = write_eam(
        tmp_path / "b.nc", levels=20, format="NETCDF4", chunksizes=(1, 16, 12), zlib=True
    )
    assert read_all(chunked, min_pressure=30_000.0).index.size == everything.index.size


def test_fill_values_are_nan(tmp_path: Path) -> None:
    path = write_eam(tmp_path / "a.nc", format="NETCDF4", fill_value=np.float32(1e20))
    edit(path, lambda file: file["Q"].__setitem__((0, 2, 3), 1e20))
    assert np.flatnonzero(np.isnan(read_all(path).values["Q"])).tolist() == [2 * 12 + 3]


def test_packed_values_are_unpacked(tmp_path: Path) -> None:
    path = write_eam(tmp_path / "a.nc", fields=[name for name in FIELDS if name != "T"])
    with netCDF4.Dataset(path, "a") as file:
        packed = file.createVariable("T", "i2", ("time", "lev", "ncol"))
        packed.setncatts({"units": "K", "scale_factor": 0.01, "add_offset": 273.15})
        packed[:] = 280.0
    np.testing.assert_allclose(read_all(path).values["T"], 280.0, atol=0.005)


def test_times_in_other_units_become_those_of_the_first_file(tmp_path: Path) -> None:
    first = write_eam(tmp_path / "a.nc", times=1)
    second = write_eam(tmp_path / "b.nc", times=1, first_time=2.0)
    edit(second, lambda file: file["time"].setncattr("units", "days since 0002-01-01 00:00:00"))
    assert set(read_all(first, second).time.tolist()) == {0.0, 367.0}


def test_memory_is_that_of_a_window_whatever_the_size_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_eam(tmp_path / "a.nc", times=20, levels=20, columns=(300,))
    assert path.stat().st_size > 13e6
    monkeypatch.setattr(blocks, "WINDOW", 1 << 20)
    monkeypatch.setattr(blocks, "BLOCK", 1 << 10)
    history = open_history([path])
    tracemalloc.start()
    try:
        n = sum(len(block.index) for block in read_blocks(history, 0.0))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert n == history.layers == 20 * 20 * 300
    # One window, a little for what is read into it, and one block.
    assert peak < 1.5e6
