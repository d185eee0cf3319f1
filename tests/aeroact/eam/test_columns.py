"""Columns of E3SM from a CSV file."""

from pathlib import Path

import numpy as np
import pytest

from aeroact import schema
from aeroact.eam import columns
from aeroact.errors import AeroactError

SHARED = Path(__file__).resolve().parents[4] / "shared" / "e3sm" / "e3sm_column_states.csv"


def write(path, rows, headers=None):
    headers = ["place", *(headers or reversed(columns.headers()))]
    lines = [",".join(headers)] + [",".join([f"row {i}", *row]) for i, row in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_whole_rows_come_in_schema_units_and_order(tmp_path):
    values = [f"{v}" for v in range(16, 0, -1)]
    values[columns.headers()[::-1].index("wsub_ms")] = "0.02"
    lacking = values.copy()
    lacking[3] = ""
    fast = values.copy()
    fast[columns.headers()[::-1].index("wsub_ms")] = "2.5"
    x = columns.read(write(tmp_path / "columns.csv", [values, lacking, fast]))
    wbar = schema.COLUMNS.index("wbar")
    assert x.shape == (2, 16)
    np.testing.assert_allclose(x[:, wbar], [10.0, 250.0])  # E3SM's floor, and m/s in cm/s
    np.testing.assert_allclose(x[0, [0, 1, 2, 4, 15]], [1.0, 2.0, 3.0, 5.0, 16.0])


@pytest.mark.parametrize(
    ("rows", "headers", "message"),
    [
        ([], None, "no row has all of tair_K"),
        ([["1"] * 15 + ["cold"]], None, "cold"),
        ([["1"] * 15], columns.headers()[1:], "has no column tair_K"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path, rows, headers, message):
    path = write(tmp_path / "columns.csv", rows, headers)
    with pytest.raises(AeroactError, match=message) as error:
        columns.read(path)
    assert str(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AeroactError, match="cannot read"):
        columns.read(tmp_path / "none.csv")


@pytest.mark.skipif(not SHARED.exists(), reason="E3SM's columns are not beside the project")
def test_e3sms_own_columns_can_be_read():
    x = columns.read(SHARED)
    assert 500 < len(x) < 1795
    assert np.isfinite(x).all()
