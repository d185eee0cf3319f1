"""A survey tells what NumPy would tell of the whole file at once."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from aeroact import dataset, schema, states, survey
from aeroact.survey import PERCENTILES, Survey


@pytest.fixture
def labelled() -> xr.Dataset:
    """Return 1,000 states with labels, two of them without."""
    x = states.sample_rows(0, 1000, 4).astype(np.float32)
    fn = np.random.default_rng(4).random((1000, 4)).astype(np.float32)
    status = np.zeros(1000, np.int8)
    status[[5, 700]] = 1, 3
    fn[[5, 700]] = np.nan
    ds = dataset.from_arrays(x, fn, smax=fn[:, 0], status=status, twice=2 * fn)
    ds["status"].attrs = {"flag_values": np.array([0, 1], np.int8), "flag_meanings": "OK NO_PEAK"}
    ds["twice"].attrs["units"] = "2"
    return ds


def survey_of(ds: xr.Dataset, folder: Path) -> Survey:
    dataset.write(ds, folder / "a.nc", title="t", command="c")
    return survey.survey(folder / "a.nc")


def in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "BLOCK", 37)
    monkeypatch.setattr(survey, "HASHES", 300)


@pytest.mark.parametrize("pieces", ["whole", "small"])
def test_distributions_are_those_of_numpy(
    pieces: str, labelled: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if pieces == "small":
        in_small_pieces(monkeypatch)
    found = survey_of(labelled, tmp_path)
    smax, twice = labelled["smax"].values[:, None], labelled["twice"].values
    values = np.concatenate(
        [dataset.states(labelled), dataset.fractions(labelled), smax, twice], axis=1
    )
    assert [d.column for d in found.distributions] == [
        *schema.COLUMNS,
        *schema.OUTPUTS,
        "smax",
        *(f"twice_{mode}" for mode in schema.MODES),
    ]
    assert [d.units for d in found.distributions] == [
        *schema.COLUMN_UNITS, *"1111", "", *"2222"
    ]  # fmt: skip
    for j, d in enumerate(found.distributions):
        column = values[:, j]
        column = column[np.isfinite(column)].astype(np.float64)
        assert d.finite == len(column)
        assert (d.min, d.max) == (column.min(), column.max())
        assert d.mean == pytest.approx(column.mean(), rel=1e-12)
        assert d.std == pytest.approx(column.std(), rel=1e-10)
        np.testing.assert_array_equal(d.percentiles, np.percentile(column, PERCENTILES))
    assert {d.finite for d in found.distributions} == {1000, 998}


@pytest.mark.parametrize("block", [37, 1 << 18])
def test_percentiles_of_a_large_file_are_those_of_evenly_spaced_rows(
    block: int, labelled: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "BLOCK", block)
    monkeypatch.setattr(survey, "QUANTILE_ROWS", 150)
    (tair, *_) = survey_of(labelled, tmp_path).distributions
    expected = np.percentile(labelled["tair"].values[::7].astype(np.float64), PERCENTILES)
    np.testing.assert_array_equal(tair.percentiles, expected)


def test_variables_are_told_as_the_file_has_them(labelled: xr.Dataset, tmp_path: Path) -> None:
    labelled["pressure"] = (labelled["pressure"] * 100.0).astype(np.float64)
    labelled["pressure"].attrs["units"] = "Pa"
    found = survey_of(labelled, tmp_path)
    variables = {v.name: (v.dims, v.dtype, v.units) for v in found.variables}
    assert variables["pressure"] == (("nsamples",), "float64", "Pa")
    assert variables["num_aer"] == (("nsamples", "nmodes"), "float32", "cm-3")
    assert variables["status"] == (("nsamples",), "int8", "")
    assert set(variables) == {*labelled.data_vars}
    assert (found.findings.rows, found.modes) == (1000, 4)
    assert found.bytes == (tmp_path / "a.nc").stat().st_size
    # The distribution is in the schema's units, so that columns compare between files.
    pressure = next(d for d in found.distributions if d.column == "pressure")
    assert pressure.units == "hPa"
    assert pressure.max == labelled["pressure"].values.max() * 0.01


def test_the_type_of_a_variable_with_fill_values_is_that_in_the_file(tmp_path: Path) -> None:
    ds = states.sample(10, 1)
    ds["status"] = ("nsamples", np.zeros(10))
    ds.to_netcdf(tmp_path / "a.nc", encoding={"status": {"dtype": "i2", "_FillValue": -9}})
    found = survey.survey(tmp_path / "a.nc")
    assert {v.name: v.dtype for v in found.variables}["status"] == "int16"
    assert found.statuses == {"0": 10}


def test_statuses_have_the_names_that_the_file_gives(labelled: xr.Dataset, tmp_path: Path) -> None:
    found = survey_of(labelled, tmp_path)
    assert found.statuses == {"OK": 998, "NO_PEAK": 1, "3": 1}
    assert survey_of(labelled.drop_vars("status").fillna(0.5), tmp_path).statuses is None


def test_findings_are_those_of_the_check(labelled: xr.Dataset, tmp_path: Path) -> None:
    labelled["r_aer"][{"nsamples": slice(3)}] = 0.0
    labelled["kappa"][{"nsamples": 900}] = np.nan
    found, report = survey_of(labelled, tmp_path).findings, dataset.check(labelled)
    for name in ("rows", "n_usable", "flagged", "reasons"):
        assert getattr(found, name) == getattr(report, name)
    assert found.reasons.total() == 4


@settings(max_examples=30)
@given(
    rows=st.lists(st.integers(0, 30), min_size=1, max_size=150),
    block=st.integers(1, 200),
    hashes=st.integers(1, 200),
)
def test_repeated_states_are_counted_whatever_the_order_and_the_memory(
    rows: list[int], block: int, hashes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    x = states.sample_rows(0, 31, 9)[rows]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(survey, "BLOCK", block)
        monkeypatch.setattr(survey, "HASHES", hashes)
        found = survey_of(dataset.from_arrays(x), tmp_path_factory.mktemp("repeated"))
    assert found.repeated == len(rows) - len(set(rows))


def test_states_that_differ_in_one_bit_of_one_column_are_not_repeated(tmp_path: Path) -> None:
    x = np.repeat(states.sample_rows(0, 1, 9).astype(np.float32), 17, axis=0)
    for column in range(16):
        x[column, column] = np.nextafter(x[column, column], np.float32(np.inf))
    assert survey_of(dataset.from_arrays(x), tmp_path).repeated == 0


def test_zero_is_zero_whatever_its_sign_and_not_a_number_is_no_state(tmp_path: Path) -> None:
    x = np.repeat(states.sample_rows(0, 1, 9), 5, axis=0)
    x[:, 4] = 0.0, -0.0, np.nan, np.nan, 1.0
    assert survey_of(dataset.from_arrays(x), tmp_path).repeated == 1


def test_hashes_of_many_states_do_not_coincide() -> None:
    x = states.sample_rows(0, 200_000, 3).astype(np.float32).astype(np.float64)
    assert len(np.unique(survey._hashes_of(x))) == len(np.unique(x, axis=0))


def test_a_survey_is_json_though_nothing_is_finite(tmp_path: Path) -> None:
    x = states.sample_rows(0, 3, 9)
    found = survey_of(dataset.from_arrays(x, np.full((3, 4), np.nan)), tmp_path)
    record = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    fn = record["distributions"][16]
    assert (fn["column"], fn["finite"], fn["mean"]) == ("fn_accum", 0, None)
    assert fn["percentiles"] == [None] * 5
    assert record["percentiles"] == [1, 25, 50, 75, 99]
    assert record["findings"]["reasons"] == {"fn is not finite": 3}


def test_a_dataset_without_rows_is_surveyed_too(tmp_path: Path) -> None:
    found = survey_of(dataset.from_arrays(np.empty((0, 16))), tmp_path)
    assert (found.findings.rows, found.repeated) == (0, 0)
    assert found.distributions[0].max is None
