"""Datasets: what is read is what was written, and what is wrong is named."""

import itertools
import resource
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import aeroact
from aeroact import dataset, schema
from aeroact.errors import AeroactError
from aeroact.states import sample_rows

N = 50


def labelled(n: int = N) -> xr.Dataset:
    """Return sound states in the precision of a file, with labels made up."""
    x = sample_rows(0, n, seed=3).astype(np.float32)
    fn = np.random.default_rng(4).random((n, 4), np.float32)
    return dataset.from_arrays(x, fn, smax=np.linspace(0.001, 0.1, n))


def saved(ds: xr.Dataset, folder: Path) -> Path:
    """Write a dataset as somebody else's program would."""
    path = folder / "theirs.nc"
    ds.to_netcdf(path, engine="netcdf4")
    return path


def arrays(ds: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return dataset.states(ds), dataset.fractions(ds)


def in_blocks_of(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "blocks", partial(dataset.blocks, size=rows))


# Writing and opening


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    ds = labelled().assign_attrs(seed=3)
    dataset.write(ds, tmp_path / "a.nc", title="A title", command="a command")
    with dataset.open_dataset(tmp_path / "a.nc") as again:
        for name in ds.variables:
            np.testing.assert_array_equal(again[name].values, ds[name].values)
            assert again[name].dtype == ds[name].dtype
        assert again.attrs["seed"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc"]


def test_files_describe_themselves_by_the_climate_and_forecast_conventions(tmp_path: Path) -> None:
    dataset.write(labelled(), tmp_path / "a.nc", title="A title", command="a command")
    with xr.open_dataset(tmp_path / "a.nc") as ds:
        assert ds.attrs["Conventions"] == "CF-1.10"
        assert ds.attrs["title"] == "A title"
        assert ds.attrs["history"] == "a command"
        assert ds.attrs["source"] == f"aeroact {aeroact.__version__}"
        assert ds.attrs["aeroact_schema_version"] == schema.SCHEMA_VERSION
        for variable in (*schema.INPUTS, schema.FN):
            array = ds[variable.name]
            dims = ("nsamples", "nmodes") if variable.per_mode else ("nsamples",)
            assert array.dims == dims
            assert array.attrs["units"] == variable.units
            assert array.attrs["long_name"] == variable.long_name
        assert list(ds["nmodes"].values) == ["accum", "aitken", "coarse", "pcarbon"]


def test_the_same_dataset_is_the_same_file_byte_for_byte(tmp_path: Path) -> None:
    for name in ("a.nc", "b.nc"):
        dataset.write(labelled(), tmp_path / name, title="t", command="c")
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_states_without_labels_have_no_fn(tmp_path: Path) -> None:
    dataset.write(labelled().drop_vars("fn"), tmp_path / "a.nc", title="t", command="c")
    with dataset.open_dataset(tmp_path / "a.nc") as ds:
        assert dataset.states(ds).shape == (N, 16)
        with pytest.raises(AeroactError, match=r"fn is missing; .*--states"):
            dataset.fractions(ds)


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    target = tmp_path / "a.nc"
    target.write_bytes(b"old")
    ds = labelled()
    ds["odd"] = (schema.SAMPLE_DIM, np.array([object()] * N))
    with pytest.raises((TypeError, ValueError)):
        dataset.write(ds, target, title="t", command="c")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc"]


def test_a_disk_that_takes_no_more_is_an_error_that_says_where(tmp_path: Path) -> None:
    target = tmp_path / "a.nc"
    target.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises((AeroactError, OSError), match=r"/a\.nc"):
            dataset.write(labelled(3000), target, title="t", command="c")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc"]


@settings(max_examples=20)
@given(cuts=st.lists(st.integers(0, 60), max_size=4))
def test_the_cuts_between_blocks_do_not_show(
    cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, ds = tmp_path_factory.mktemp("cuts"), labelled(60)
    edges = [0, *sorted(cuts), 60]
    blocks = [ds.isel(nsamples=slice(*edge)) for edge in itertools.pairwise(edges)]
    with pytest.MonkeyPatch.context() as monkeypatch:
        in_blocks_of(16, monkeypatch)
        dataset.write(ds, folder / "a.nc", title="t", command="c")
        dataset.write_blocks(folder / "b.nc", blocks, rows=60, title="t", command="c")
        dataset.write_blocks(folder / "c.nc", iter(blocks), title="t", command="c")
    assert (folder / "b.nc").read_bytes() == (folder / "a.nc").read_bytes()
    with xr.open_dataset(folder / "c.nc") as c, xr.open_dataset(folder / "a.nc") as a:
        assert c.encoding["unlimited_dims"] == {"nsamples"}
        xr.testing.assert_identical(c, a)


def test_blocks_have_the_attributes_of_the_first_and_those_of_the_file(tmp_path: Path) -> None:
    ds = labelled(10)
    ds["smax"].attrs["units"] = "1"
    parts = [ds.isel(nsamples=slice(5)), ds.isel(nsamples=slice(5, None)).drop_attrs()]
    dataset.write_blocks(
        tmp_path / "a.nc", parts, rows=10, title="t", command="c", attrs={"seed": 5, "title": "no"}
    )
    with xr.open_dataset(tmp_path / "a.nc") as made:
        assert made["smax"].attrs == {"units": "1"}
        assert (made.attrs["seed"], made.attrs["title"], made.attrs["history"]) == (5, "t", "c")
        assert made["fn"].encoding["chunksizes"] == (10, 4)
        assert made["fn"].encoding["zlib"]
        np.testing.assert_array_equal(made["nmodes"], list(schema.MODES))


def test_more_variables_may_have_modes(tmp_path: Path) -> None:
    ds = dataset.from_arrays(sample_rows(0, 8, 1), lat=np.arange(8.0), other=np.ones((8, 4)))
    dataset.write(ds, tmp_path / "a.nc", title="t", command="c")
    with dataset.open_dataset(tmp_path / "a.nc") as made:
        assert made["lat"].dims == ("nsamples",)
        assert made["other"].dims == ("nsamples", "nmodes")


@pytest.mark.parametrize("announced", [9, 11])
def test_other_rows_than_announced_are_an_error_and_no_file(announced: int, tmp_path: Path) -> None:
    with pytest.raises(AeroactError, match=rf"a\.nc: .* rows came, {announced} were announced"):
        dataset.write_blocks(
            tmp_path / "a.nc", [labelled(10)], rows=announced, title="t", command="c"
        )
    assert list(tmp_path.iterdir()) == []


def test_no_rows_are_a_dataset_too(tmp_path: Path) -> None:
    dataset.write(labelled(0), tmp_path / "a.nc", title="t", command="c")
    with dataset.open_dataset(tmp_path / "a.nc") as ds:
        report = dataset.check(ds)
    assert (report.rows, report.reasons) == (0, Counter())


def test_columns_stand_in_the_order_of_the_schema() -> None:
    x = np.arange(32.0).reshape(2, 16)
    ds = dataset.from_arrays(x)
    np.testing.assert_array_equal(dataset.states(ds), x)
    assert ds["wbar"].values.tolist() == [3.0, 19.0]
    assert ds["r_aer"].sel(nmodes="coarse").values.tolist() == [10.0, 26.0]


# Other people's files


@pytest.mark.parametrize(
    "names",
    [{"tair": "Tair", "pressure": "Pressure"}, {"fn": "Fn", "num_aer": "NUM_AER"}],
)
def test_names_are_found_in_any_case(names: dict[str, str], tmp_path: Path) -> None:
    with dataset.open_dataset(saved(labelled().rename(names), tmp_path)) as ds:
        for found, expected in zip(arrays(ds), arrays(labelled()), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_of_two_spellings_the_schemas_own_is_read(tmp_path: Path) -> None:
    ds = labelled()
    ds["Tair"] = ds["tair"] - 273.15
    with dataset.open_dataset(saved(ds, tmp_path)) as again:
        np.testing.assert_array_equal(dataset.states(again)[:, 0], ds["tair"].values)


@pytest.mark.parametrize(
    ("name", "units", "per_schema_unit"),
    [
        ("pressure", "Pa", 100.0),
        ("pressure", "mbar", 1.0),
        ("wbar", "m s-1", 0.01),
        ("wbar", "m/s", 0.01),
        ("num_aer", "m-3", 1e6),
        ("num_aer", "1/m3", 1e6),
        ("r_aer", "m", 1e-6),
        ("r_aer", "nm", 1e3),
        ("r_aer", "micron", 1.0),
        ("rh", "%", 100.0),
        ("kappa", "percent", 100.0),
        ("fn", "%", 100.0),
        ("tair", "kelvin", 1.0),
        ("tair", " K ", 1.0),
    ],
)
def test_units_are_converted_by_their_attribute(
    name: str, units: str, per_schema_unit: float, tmp_path: Path
) -> None:
    ds = labelled().astype(np.float64)
    ds[name] = (ds[name] * per_schema_unit).assign_attrs(units=units)
    with dataset.open_dataset(saved(ds, tmp_path)) as again:
        for found, expected in zip(arrays(again), arrays(labelled()), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12)
        assert not dataset.check(again).reasons


def test_without_a_unit_values_are_in_those_of_the_schema(tmp_path: Path) -> None:
    ds = labelled()
    for name in ds.data_vars:
        ds[name].attrs.clear()
    with dataset.open_dataset(saved(ds, tmp_path)) as again:
        np.testing.assert_array_equal(dataset.states(again), dataset.states(labelled()))


@pytest.mark.parametrize(("name", "units"), [("tair", "degC"), ("r_aer", "inch"), ("fn", "kg")])
def test_an_unknown_unit_is_an_error_that_names_file_variable_and_unit(
    name: str, units: str, tmp_path: Path
) -> None:
    ds = labelled()
    ds[name].attrs["units"] = units
    with pytest.raises(AeroactError, match=rf"theirs\.nc: {name}: unknown unit '{units}'; known"):
        dataset.open_dataset(saved(ds, tmp_path))


@pytest.mark.parametrize("name", [v.name for v in schema.INPUTS])
def test_a_missing_variable_is_an_error_that_names_it(name: str, tmp_path: Path) -> None:
    path = saved(labelled().drop_vars(name), tmp_path)
    with pytest.raises(AeroactError, match=rf"theirs\.nc: variable {name} is missing"):
        dataset.open_dataset(path)


def test_all_missing_variables_are_named_at_once(tmp_path: Path) -> None:
    path = saved(labelled().drop_vars(["rh", "kappa"]), tmp_path)
    with pytest.raises(AeroactError, match=r"variable rh, kappa is missing"):
        dataset.open_dataset(path)


def test_dimensions_may_stand_in_either_order(tmp_path: Path) -> None:
    path = saved(labelled().transpose("nmodes", "nsamples"), tmp_path)
    with dataset.open_dataset(path) as ds:
        assert ds["num_aer"].dims == ("nmodes", "nsamples")
        for found, expected in zip(arrays(ds), arrays(labelled()), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("name", "values", "complaint"),
    [
        ("kappa", ("nsamples", np.ones(N)), r"kappa: has dimensions \('nsamples',\)"),
        ("rh", (("nsamples", "nmodes"), np.ones((N, 4))), r"rh: has dimensions"),
        ("rh", ("time", np.ones(N)), r"rh: has dimensions \('time',\)"),
        ("rh", ((), 1.0), r"rh: has dimensions \(\)"),
        ("fn", ("nsamples", np.ones(N)), r"fn: has dimensions"),
    ],
)
def test_other_dimensions_are_an_error_that_names_the_variable(
    name: str, values: tuple, complaint: str, tmp_path: Path
) -> None:
    ds = labelled()
    ds[name] = values
    with pytest.raises(AeroactError, match=complaint):
        dataset.open_dataset(saved(ds, tmp_path))


def test_another_number_of_modes_is_an_error(tmp_path: Path) -> None:
    path = saved(labelled().isel(nmodes=slice(3)), tmp_path)
    with pytest.raises(AeroactError, match=r"has 3 modes, needs 4 \(accum, aitken"):
        dataset.open_dataset(path)


def test_text_in_place_of_numbers_is_an_error_that_names_the_variable(tmp_path: Path) -> None:
    ds = labelled()
    ds["tair"] = ("nsamples", np.full(N, "warm"))
    path = saved(ds, tmp_path)
    with pytest.raises(AeroactError, match="tair"), dataset.open_dataset(path) as again:
        dataset.check(again)


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(AeroactError, match=r"missing\.nc: no such file"):
        dataset.open_dataset(tmp_path / "missing.nc")


def test_a_folder_is_not_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(AeroactError, match=r": .*(folder|directory)"):
        dataset.open_dataset(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not NetCDF", b"CDF\x01", b"\x89HDF\r\n\x1a\n" * 9])
def test_a_file_of_another_kind_is_one_clear_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd.nc"
    path.write_bytes(content)
    with pytest.raises(AeroactError, match=r"odd\.nc: not a NetCDF file that can be read"):
        dataset.open_dataset(path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_torn_file_is_one_clear_error(kept: float, tmp_path: Path) -> None:
    path = tmp_path / "torn.nc"
    dataset.write(labelled(), path, title="t", command="c")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(AeroactError, match=r"torn\.nc: not a NetCDF file that can be read"):
        dataset.open_dataset(path)


# Checking

UNSOUND = [
    ("tair", 100.0, "tair is outside [180, 330] K"),
    ("tair", np.nan, "tair is not finite"),
    ("pressure", 101325.0, "pressure is outside [50, 1100] hPa"),
    ("rh", 0.0, "rh is outside (0, 1.1] 1"),
    ("rh", 95.0, "rh is outside (0, 1.1] 1"),
    ("wbar", 0.0, "wbar is outside (0, 5000] cm s-1"),
    ("wbar", -10.0, "wbar is outside (0, 5000] cm s-1"),
    ("num_aer", -1e-9, "num_aer is outside [0, 1e+06] cm-3"),
    ("num_aer", np.nan, "num_aer is not finite"),
    ("r_aer", 0.0, "r_aer is outside [0.0001, 100] um"),
    ("r_aer", np.inf, "r_aer is not finite"),
    ("kappa", 2.5, "kappa is outside [0, 2] 1"),
    ("kappa", -np.inf, "kappa is not finite"),
    ("fn", -0.01, "fn is outside [0, 1] 1"),
    ("fn", 1.01, "fn is outside [0, 1] 1"),
    ("fn", np.nan, "fn is not finite"),
]


@pytest.mark.parametrize(("name", "value", "reason"), UNSOUND)
def test_rows_that_cannot_be_right_are_counted_by_reason(
    name: str, value: float, reason: str
) -> None:
    ds = labelled()
    ds[name][{"nsamples": [5, 30, 31]}] = value
    report = dataset.check(ds)
    assert report.reasons == {reason: 3}
    assert np.flatnonzero(~report.usable).tolist() == [5, 30, 31]
    assert (report.rows, report.flagged) == (N, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_aer", 0), ("kappa", 0), ("fn", 0), ("fn", 1), ("rh", 1.05), ("r_aer", 1e-4)],
)
def test_values_at_the_edge_of_sense_are_sound(name: str, value: float) -> None:
    ds = labelled().astype(np.float64)
    ds[name][{"nsamples": 5}] = value
    report = dataset.check(ds)
    assert not report.reasons
    assert report.usable.all()


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, 3), st.sampled_from(UNSOUND))),
    st.integers(1, N + 5),
)
def test_counts_do_not_depend_on_the_blocks_in_which_rows_are_read(
    faults: list[tuple[int, int, tuple[str, float, str]]], rows: int
) -> None:
    ds = labelled()
    expected: dict[str, set[int]] = {}
    values: dict[tuple[str, int, int], str] = {}
    for row, mode, (name, value, reason) in faults:
        place = {"nsamples": row} | ({"nmodes": mode} if ds[name].ndim == 2 else {})
        ds[name][place] = value
        # A later fault in the same place takes the place of an earlier one.
        values[name, row, mode if ds[name].ndim == 2 else 0] = reason
    for (_, row, _), reason in values.items():
        expected.setdefault(reason, set()).add(row)
    with pytest.MonkeyPatch.context() as monkeypatch:
        in_blocks_of(rows, monkeypatch)
        report = dataset.check(ds)
    assert report.reasons == {reason: len(where) for reason, where in expected.items()}
    bad = set().union(*expected.values())
    assert set(np.flatnonzero(~report.usable)) == bad


def test_a_sound_dataset_is_let_through() -> None:
    dataset.require_sound(Path("a.nc"), dataset.check(labelled()))


def test_an_unsound_dataset_is_refused_with_every_reason_and_its_rows() -> None:
    ds = labelled()
    ds["r_aer"][{"nsamples": slice(3)}] = 0.0
    ds["num_aer"][{"nsamples": [7], "nmodes": [1]}] = np.nan
    with pytest.raises(AeroactError) as caught:
        dataset.require_sound(Path("a.nc"), dataset.check(ds))
    message = str(caught.value)
    assert message.startswith("a.nc: ")
    assert "r_aer is outside [0.0001, 100] um in 3 rows" in message
    assert "num_aer is not finite in 1 rows" in message
    assert "aeroact-data check a.nc" in message
    assert "\n" not in message


def test_rows_without_a_label_by_the_parcel_models_status_are_left_out_quietly() -> None:
    ds = labelled()
    ds["status"] = ("nsamples", np.zeros(N, np.int8))
    ds["status"][[4, 9]] = [1, 2]
    ds["fn"][{"nsamples": [4, 9]}] = np.nan
    ds["tair"][{"nsamples": [9]}] = np.nan
    report = dataset.check(ds)
    assert (report.flagged, report.reasons) == (2, Counter())
    assert np.flatnonzero(~report.usable).tolist() == [4, 9]
    dataset.require_sound(Path("a.nc"), report)


def test_unsound_rows_are_found_among_rows_without_a_label() -> None:
    ds = labelled()
    ds["status"] = ("nsamples", np.zeros(N, np.int8))
    ds["status"][[4, 9, 20]] = 1
    ds["rh"][{"nsamples": [3, 15, 40]}] = np.nan
    report = dataset.check(ds)
    assert (report.flagged, report.reasons) == (3, {"rh is not finite": 3})
    assert np.flatnonzero(~report.usable).tolist() == [3, 4, 9, 15, 20, 40]


def test_a_missing_label_that_no_status_explains_is_an_error() -> None:
    ds = labelled()
    ds["status"] = ("nsamples", np.zeros(N, np.int8))
    ds["fn"][{"nsamples": [4]}] = np.nan
    assert dataset.check(ds).reasons == {"fn is not finite": 1}


def test_a_dataset_without_a_usable_row_is_refused() -> None:
    ds = labelled()
    ds["status"] = ("nsamples", np.full(N, 3))
    with pytest.raises(AeroactError, match=r"a\.nc: no usable row among 50"):
        dataset.require_sound(Path("a.nc"), dataset.check(ds))


# Splitting

fractions = st.floats(0, 1)


@given(st.lists(st.booleans(), max_size=300), fractions, fractions, st.integers(0, 99))
def test_a_split_shares_out_every_usable_row_exactly_once(
    mask: list[bool], holdout: float, validation: float, seed: int
) -> None:
    usable = np.array(mask, bool)
    split = dataset.split(usable, holdout=holdout, validation=validation, seed=seed)
    shared = np.concatenate([split.training, split.validation, np.flatnonzero(split.holdout)])
    np.testing.assert_array_equal(np.sort(shared), np.flatnonzero(usable))
    # Each part is its fraction, but for rounding to whole rows.
    search = len(split.training) + len(split.validation)
    assert abs(split.holdout.sum() - holdout * usable.sum()) <= 0.5 + 1e-9
    assert abs(len(split.validation) - validation * search) <= 0.5 + 1e-9


def test_a_split_keeps_four_fifths_for_the_final_test_by_default() -> None:
    split = dataset.split(np.ones(1000, bool), seed=1)
    assert split.holdout.sum() == 800
    assert (len(split.training), len(split.validation)) == (160, 40)


def test_a_split_depends_on_its_seed_alone() -> None:
    usable = np.random.default_rng(1).random(1000) < 0.9
    one, again = (dataset.split(usable, seed=1) for _ in range(2))
    other = dataset.split(usable, seed=2)
    for name in ("training", "validation", "holdout"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
        assert not np.array_equal(getattr(one, name), getattr(other, name))


def test_the_holdout_does_not_depend_on_how_the_rest_is_shared() -> None:
    usable = np.ones(1000, bool)
    one, other = (dataset.split(usable, validation=v, seed=1) for v in (0.1, 0.5))
    np.testing.assert_array_equal(one.holdout, other.holdout)


def test_the_first_rows_of_the_training_part_are_a_fair_sample_of_the_file() -> None:
    n = 100_000
    split = dataset.split(np.ones(n, bool), holdout=0.2, seed=1)
    for size in (100, 1_000, 10_000):
        # The mean of uniform numbers, within five of its standard deviations.
        assert abs(split.training[:size].mean() / n - 0.5) < 5 / np.sqrt(12 * size)


# Reading chosen rows


@settings(max_examples=40)
@given(st.permutations(range(N)), st.integers(0, N), st.integers(1, N + 5))
def test_chosen_rows_come_in_the_order_asked_for(order: list[int], n: int, size: int) -> None:
    ds, rows = labelled(), np.array(order[:n], np.int64)
    with pytest.MonkeyPatch.context() as monkeypatch:
        in_blocks_of(size, monkeypatch)
        found = dataset.take(ds, rows)
    for array, expected in zip(found, arrays(ds), strict=True):
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, expected[rows])


@settings(max_examples=40)
@given(st.lists(st.booleans(), min_size=N, max_size=N), st.integers(1, N + 5))
def test_a_stream_is_what_is_taken_at_once(mask: list[bool], size: int) -> None:
    ds, chosen = labelled(), np.array(mask)
    blocks = list(dataset.stream(ds, chosen, size))
    assert all(len(x) == len(fn) > 0 for x, fn in blocks)
    for k, expected in enumerate(dataset.take(ds, np.flatnonzero(chosen))):
        parts = [np.empty((0, expected.shape[1]), np.float32), *(block[k] for block in blocks)]
        assert {part.dtype for part in parts} == {np.dtype(np.float32)}
        np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_rows_are_taken_in_schema_units(tmp_path: Path) -> None:
    ds = labelled().astype(np.float64)
    ds["pressure"] = (ds["pressure"] * 100).assign_attrs(units="Pa")
    with dataset.open_dataset(saved(ds, tmp_path)) as again:
        x, _ = dataset.take(again, np.array([3, 1]))
    np.testing.assert_allclose(x[:, 1], labelled()["pressure"].values[[3, 1]], rtol=1e-6)


@given(st.integers(1, N + 5))
def test_blocks_tile_the_rows(size: int) -> None:
    ds = labelled()
    starts, parts = zip(*dataset.blocks(ds, size), strict=True)
    assert list(starts) == list(range(0, N, size))
    np.testing.assert_array_equal(
        np.concatenate([part["tair"].values for part in parts]), ds["tair"].values
    )
