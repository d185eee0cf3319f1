"""How much of a torn file in NetCDF's classic formats is missing."""

from pathlib import Path
from typing import Any

import netCDF4
import pytest

from aeroact.eam.classic import missing_bytes

FORMATS = ("NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA")
# Name, type, dimensions.
LAYOUTS: dict[str, list[tuple[str, Any, tuple[str, ...]]]] = {
    "fixed": [("fixed", "f4", ("x",))],
    "records": [("a", "f4", ("t", "x")), ("b", "f8", ("t",))],
    "one record variable, unpadded": [("a", "i2", ("t", "x"))],
    "short records are padded": [("a", "i2", ("t",)), ("b", "i1", ("t", "x"))],
    "both": [("fixed", "f8", ("x",)), ("a", "f4", ("t", "x")), ("scalar", "f8", ())],
}


def write(path: Path, layout: str, file_format: Any) -> None:
    with netCDF4.Dataset(path, "w", format=file_format) as file:
        file.title = "abcde"
        file.createDimension("t", None)
        file.createDimension("x", 5)
        for name, kind, dims in LAYOUTS[layout]:
            variable = file.createVariable(name, kind, dims)
            variable.units = "m"
            variable.limits = [1.5, 2.5]
            variable[:3] = 1


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("file_format", FORMATS)
def test_a_whole_file_lacks_nothing_and_a_torn_one_what_was_torn_off(
    file_format: str, layout: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.nc"
    write(path, layout, file_format)
    whole = path.read_bytes()
    assert missing_bytes(path) == 0
    # Up to three bytes at the end are padding, which nobody misses.
    for torn in (4, 8):
        path.write_bytes(whole[:-torn])
        assert torn - 3 <= missing_bytes(path) <= torn


def test_a_header_cut_off_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    write(path, "both", "NETCDF3_64BIT_DATA")
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(OSError, match="header"):
        missing_bytes(path)


def test_a_file_of_another_format_is_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    path.write_bytes(b"\x89HDF\r\n")
    assert missing_bytes(path) == 0
