"""History files of EAM: what is chosen of them, and what is wrong with those that are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aeroact.eam.fields import mass, number
from aeroact.eam.history import open_history
from aeroact.mam4 import MODE_SPECIES
from tests.eam_file import AEROSOL, FIELDS, edit, refusal, write_eam

# What is chosen


def test_the_names_of_mixing_ratios_are_those_of_eam() -> None:
    names = [number(mode) for mode in MODE_SPECIES]
    names += [mass(s, mode) for mode, held in MODE_SPECIES.items() for s in held]
    assert sorted(names) == sorted(AEROSOL)


def test_organics_may_be_missing_and_that_is_said(tmp_path: Path) -> None:
    fields = [name for name in FIELDS if name[:3] not in ("mom", "soa")]
    history = open_history([write_eam(tmp_path / "a.nc", fields=fields)])
    assert history.fields.left_out == ("mom", "soa")
    assert history.notes == ["no mom, soa in the files: left out of volume and hygroscopicity"]
    assert not {name for name in history.fields.layered if name[:3] in ("mom", "soa")}


def test_a_complete_file_needs_no_notes(tmp_path: Path) -> None:
    assert open_history([write_eam(tmp_path / "a.nc")]).notes == []


def test_humidity_and_cloudiness_have_second_choices_that_are_said(tmp_path: Path) -> None:
    path = write_eam(tmp_path / "a.nc", fields=["T", "RELHUM", "WSUB", "CLDLIQ", *AEROSOL])
    history = open_history([path])
    assert (history.fields.humidity, history.fields.cloud) == ("RELHUM", "CLDLIQ")
    assert len(history.notes) == 1
    assert "RELHUM" in history.notes[0]
    path = write_eam(tmp_path / "b.nc", fields=["T", "Q", "WSUB", *AEROSOL])
    assert open_history([path]).fields.cloud is None
    assert "cloudiness" in open_history([path]).notes[0]


def test_means_over_time_are_told(tmp_path: Path) -> None:
    path = write_eam(tmp_path / "a.nc")
    edit(path, lambda file: file["T"].setncattr("cell_methods", "time: mean"))
    (note,) = open_history([path]).notes
    assert "mean over time" in note


# What is refused


def test_all_that_is_missing_is_named_with_the_line_that_brings_it(tmp_path: Path) -> None:
    fields = [n for n in FIELDS if n not in ("Q", "num_a3", "so4_a1", "mom_a4")]
    line = refusal(write_eam(tmp_path / "a.nc", fields=fields))
    assert line.startswith(f"{tmp_path}/a.nc: has no num_a3, so4_a1, mom_a4, Q; ")
    assert line.endswith("fincl1 = 'num_a3', 'so4_a1', 'mom_a4', 'Q'")


def test_pressure_needs_pmid_or_ps_with_coefficients(tmp_path: Path) -> None:
    path = edit(write_eam(tmp_path / "a.nc"), lambda file: file.renameVariable("PS", "psl"))
    assert "has no PS;" in refusal(path)
    edit(path, lambda file: file.renameVariable("hyam", "coeff"))
    assert "has no PMID;" in refusal(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f["num_a1"].setncattr("units", "1/m3"), "num_a1 has the unit '1/m3', needs"),
        (lambda f: f["T"].setncattr("units", "degC"), "T has the unit 'degC', needs 'K'"),
        (lambda f: f["PS"].setncattr("units", "hPa"), "PS has the unit 'hPa', needs 'Pa'"),
        (lambda f: f["so4_a1"].setncattr("units", "ug/m3"), "so4_a1 has the unit 'ug/m3'"),
        (lambda f: f.renameVariable("time", "when"), "has no variable time"),
        (lambda f: f.renameVariable("lat", "y"), "has no variable lat"),
        (lambda f: f.renameDimension("lev", "plev"), "T has dimensions (time, plev, ncol), needs"),
        (lambda f: f["time"].__setitem__(0, np.nan), "time is missing for some of its 2 steps"),
        (lambda f: f["lat"].__setitem__(0, np.nan), "lat is missing for some columns"),
    ],
    ids=["num", "T", "PS", "mass", "time", "lat", "lev", "time-nan", "lat-nan"],
)
def test_a_file_that_is_not_eams_is_refused_by_name(
    change: Callable[[Any], object], message: str, tmp_path: Path
) -> None:
    path = edit(write_eam(tmp_path / "a.nc"), change)
    line = refusal(path)
    assert line.startswith(f"{path}: ")
    assert message in line


def test_a_field_of_other_dimensions_is_refused(tmp_path: Path) -> None:
    path = write_eam(tmp_path / "a.nc", fields=[name for name in FIELDS if name != "WSUB"])
    edit(path, lambda file: file.createVariable("WSUB", "f4", ("time", "ncol")))
    assert "WSUB has dimensions (time, ncol), needs (time, lev, ncol)" in refusal(path)


def test_a_file_without_times_is_refused(tmp_path: Path) -> None:
    path = write_eam(tmp_path / "a.nc", times=0)
    assert "its dimension time is of size 0" in refusal(path)


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    first = write_eam(tmp_path / "a.nc")
    assert "given twice" in refusal(first, tmp_path / "." / "a.nc")
    other = write_eam(tmp_path / "b.nc", columns=(13,))
    assert f"is not that of {first}" in refusal(first, other)
    moved = edit(
        write_eam(tmp_path / "c.nc"), lambda file: file["lon"].__setitem__(..., np.arange(12))
    )
    assert f"{moved}: its grid" in refusal(first, moved)
    fewer = write_eam(tmp_path / "d.nc", fields=[n for n in FIELDS if not n.startswith("soa")])
    assert "soa_a1, soa_a2, soa_a3" in refusal(first, fewer)
    clock = edit(
        write_eam(tmp_path / "e.nc"), lambda file: file["time"].setncattr("units", "fortnights")
    )
    assert f"{clock}: its time, in 'fortnights'" in refusal(first, clock)


def test_what_is_no_file_or_not_netcdf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.nc").write_text("hello")
    assert f"{tmp_path}/text.nc: not a NetCDF file" in refusal(tmp_path / "text.nc")
    assert f"{tmp_path}: a folder, not a file" in refusal(tmp_path)
    assert f"{tmp_path}/none.nc: no such file" in refusal(tmp_path / "none.nc")


@pytest.mark.parametrize("file_format", ["NETCDF3_64BIT_DATA", "NETCDF3_64BIT_OFFSET", "NETCDF4"])
@pytest.mark.parametrize("part", [0.001, 0.3, 0.7, 0.99])
def test_a_torn_file_is_refused(file_format: str, part: float, tmp_path: Path) -> None:
    path = write_eam(tmp_path / "a.nc", times=4, format=file_format)
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    assert "torn" in refusal(path)


def test_a_damaged_chunk_is_refused(tmp_path: Path) -> None:
    path = write_eam(
        tmp_path / "a.nc", columns=(500,), format="NETCDF4", zlib=True, fletcher32=True
    )
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    assert "cannot be read" in refusal(path)
