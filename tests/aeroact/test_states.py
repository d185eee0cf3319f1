"""Sampled states are bounded, reproducible, and look like those of a climate model."""

import csv
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import spearmanr

import aeroact
from aeroact import dataset, schema, states
from aeroact.mam4 import MIN_UPDRAFT, MODE_SPECIES, RADIUS_BOUNDS, SPECIES
from aeroact.physics.activation import Status
from aeroact.physics.constants import VALID_RANGE
from aeroact.physics.rows import within_bounds
from aeroact.states import BLOCK, BOUNDS, SOBOL_NET, Method, Quantiles, sample, sample_rows

COLUMN_STATES = Path(__file__).resolve().parents[3] / "shared" / "e3sm" / "e3sm_column_states.csv"

METHODS: tuple[Method, ...] = ("random", "sobol")
both_methods = pytest.mark.parametrize("method", METHODS)


@cache
def many(method: Method = "random") -> NDArray[np.float64]:
    return sample_rows(0, 3 * BLOCK, 11, method)


def column(name: str, method: Method = "random") -> NDArray[np.float64]:
    return many(method)[:, schema.COLUMNS.index(name)]


@both_methods
def test_every_state_is_valid_input_of_the_parcel_model(method: Method) -> None:
    by_name = schema.split_state(many(method))
    assert within_bounds({name: x.astype(np.float64) for name, x in by_name.items()}).all()


@both_methods
def test_every_state_is_within_the_bounds(method: Method) -> None:
    assert tuple(BOUNDS) == schema.COLUMNS
    for name in schema.COLUMNS:
        assert BOUNDS[name].contain(column(name, method)).all(), name
        valid = VALID_RANGE[schema.variable_of(name).name]
        assert valid.contain([BOUNDS[name].low, BOUNDS[name].high]).all(), name


@both_methods
def test_states_are_stored_without_rounding(method: Method) -> None:
    np.testing.assert_array_equal(many(method), many(method).astype(np.float32))


@both_methods
def test_a_sample_is_a_sound_dataset_without_labels(method: Method) -> None:
    ds = sample(500, seed=1, method=method)
    report = dataset.check(dataset.in_schema(ds))
    assert not report.reasons
    assert report.usable.all()
    assert "fn" not in ds


def test_an_unknown_method_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"'halton'; valid methods: random, sobol"):
        sample(10, seed=1, method="halton")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    [*schema.WBAR.columns, *schema.NUM_AER.columns, *schema.R_AER.columns, "kappa_pcarbon"],
)
def test_sizes_numbers_and_updrafts_fill_their_bounds(name: str) -> None:
    used = np.log(column(name).max() / column(name).min())
    assert used > 0.9 * np.log(BOUNDS[name].high / BOUNDS[name].low)


def test_sizes_and_updrafts_are_bounded_as_in_mam4() -> None:
    for mode, bounds in RADIUS_BOUNDS.items():
        assert BOUNDS[f"r_aer_{mode}"] == pytest.approx((*bounds, True), rel=1e-6)
    assert BOUNDS["wbar"].low == MIN_UPDRAFT


@pytest.mark.parametrize(
    ("name", "end", "percent"),
    [("wbar", "low", 20), ("r_aer_aitken", "high", 10), ("r_aer_pcarbon", "high", 40)],
)
def test_what_e3sm_clips_stands_at_the_bound(name: str, end: str, percent: float) -> None:
    at_bound = column(name) == getattr(BOUNDS[name], end)
    assert 100 * at_bound.mean() == pytest.approx(percent, abs=1)


def test_thermodynamic_ranges() -> None:
    assert 300 <= column("pressure").min() < column("pressure").max() <= 1040
    assert 222 <= column("tair").min() < column("tair").max() <= 315
    assert 0.1 <= column("rh").min() < column("rh").max() <= 1.05
    # Warm air is not drawn in the upper troposphere.
    high_up = column("pressure") < 400
    assert column("tair")[high_up].max() < column("tair")[~high_up].max() - 20


def test_half_of_the_states_are_near_saturation_and_few_above() -> None:
    assert np.mean(column("rh") > 0.9) == pytest.approx(0.55, abs=0.02)
    assert np.mean(column("rh") > 1.0) == pytest.approx(0.10, abs=0.01)


def test_hygroscopicity_is_a_mixture_of_its_species() -> None:
    for mode, species in states.ABUNDANCE.items():
        assert sorted(species) == sorted(MODE_SPECIES[mode])
    assert 0 < column("kappa_accum").min() < column("kappa_accum").max() <= 1.16
    assert column("kappa_aitken").min() >= 0.1
    assert 0 < column("kappa_pcarbon").min() < 1e-8
    assert 1e-2 < column("kappa_pcarbon").max() <= 0.1


def test_a_mode_may_be_of_one_species() -> None:
    first = 5 + 2 * len(schema.MODES)
    axes = [(mode, name) for mode, species in states.ABUNDANCE.items() for name in species]
    for axis, (mode, name) in enumerate(axes, first):
        point = np.full((1, states.N_AXES), 1 - 2.0**-40)
        point[0, axis] = 0.1
        (kappa,) = states.states_of(point)[:, schema.COLUMNS.index(f"kappa_{mode}")]
        assert kappa == pytest.approx(SPECIES[name].kappa, rel=1e-6), (mode, name)


def test_primary_carbon_is_mostly_insoluble() -> None:
    assert np.mean(column("kappa_pcarbon") <= 1e-6) == pytest.approx(0.75, abs=0.02)
    assert np.mean(column("kappa_pcarbon") > 1e-3) == pytest.approx(0.10, abs=0.01)


def test_numbers_fall_with_height_and_share_their_pollution() -> None:
    names = ["pressure", *schema.NUM_AER.columns]
    correlation = spearmanr(np.stack([column(name) for name in names], axis=1)).statistic
    assert np.all(correlation[0, 1:] > 0.25)
    assert correlation[1, 4] > 0.45  # accumulation mode and primary carbon
    assert correlation[1, 2] > 0.3
    assert correlation[1, 3] < 0.2  # not the coarse mode, but for height


@pytest.mark.parametrize("mode", schema.MODES)
def test_correlated_numbers_keep_their_quantiles(mode: str) -> None:
    for percent, value in states.NUM_AER[mode].values.items():
        below = np.mean(column(f"num_aer_{mode}") <= value)
        assert 100 * below == pytest.approx(percent, abs=1)


@both_methods
@settings(max_examples=15)
@given(st.integers(0, 2 * BLOCK), st.integers(0, 2 * BLOCK), st.integers(0, 3))
def test_a_smaller_sample_is_the_beginning_of_a_larger_one(
    method: Method, n: int, m: int, seed: int
) -> None:
    small, large = sorted((n, m))
    rows = sample_rows(0, large, seed, method)
    assert rows.shape == (large, 16)
    np.testing.assert_array_equal(sample_rows(0, small, seed, method), rows[:small])


@both_methods
@settings(max_examples=15)
@given(st.integers(0, 3 * BLOCK), st.integers(0, 3 * BLOCK))
def test_any_cut_of_the_sequence_is_what_stands_there(
    method: Method, start: int, stop: int
) -> None:
    start, stop = sorted((start, stop))
    np.testing.assert_array_equal(sample_rows(start, stop, 11, method), many(method)[start:stop])


@both_methods
@pytest.mark.parametrize("seam", [SOBOL_NET, 2**17 * BLOCK], ids=["net", "billion"])
def test_rows_far_on_do_not_depend_on_the_cut_either(method: Method, seam: int) -> None:
    whole = sample_rows(seam - 5, seam + 5, 3, method)
    halves = sample_rows(seam - 5, seam, 3, method), sample_rows(seam, seam + 5, 3, method)
    np.testing.assert_array_equal(whole, np.concatenate(halves))
    assert len(np.unique(whole, axis=0)) == 10


@both_methods
def test_threads_draw_the_same_rows_in_any_order(method: Method) -> None:
    starts = [k * 1000 for k in (7, 0, 3, 6, 1, 5, 2, 4)]
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda k: sample_rows(k, k + 1000, 11, method), starts))
    for start, rows in zip(starts, drawn, strict=True):
        np.testing.assert_array_equal(rows, many(method)[start : start + 1000])


@both_methods
def test_no_two_rows_are_alike(method: Method) -> None:
    assert len(np.unique(many(method), axis=0)) == len(many(method))


@both_methods
def test_seeds_give_different_states(method: Method) -> None:
    same = sample_rows(0, 100, 1, method) == sample_rows(0, 100, 2, method)
    # Alike are only values at a bound, such as the floor of the updraft.
    at_bound = [name in ("wbar", "kappa_pcarbon", *schema.R_AER.columns) for name in schema.COLUMNS]
    assert not same[:, ~np.array(at_bound)].any()
    assert not same.all(axis=0).any()


@given(
    st.lists(st.floats(1e-8, 1e6), min_size=4, max_size=4).map(sorted),
    st.lists(st.integers(1, 99), min_size=2, max_size=2, unique=True).map(sorted),
)
def test_quantiles_are_met_and_values_between_them_rise(
    values: list[float], inner: list[int]
) -> None:
    percents = [0, *inner, 100]
    quantiles = Quantiles(dict(zip(percents, values, strict=True)))
    np.testing.assert_allclose(quantiles.at(np.array(percents) / 100), values, rtol=1e-6)
    between = quantiles.at(np.linspace(0, 1, 200))
    assert np.all(np.diff(between) >= -1e-12 * between[:-1])
    assert quantiles.ends == (values[0], values[-1])


def test_two_equal_quantiles_hold_all_the_rows_between_them() -> None:
    values = Quantiles({0: 10.0, 25: 10.0, 100: 1000.0}).at((np.arange(1000) + 0.5) / 1000)
    assert np.mean(values < 10.0 * (1 + 1e-12)) == 0.25


@given(st.integers(0, 2**32), st.integers(0, 10))
@settings(max_examples=20)
def test_sobol_points_hold_one_of_every_equal_part_of_every_axis(seed: int, k: int) -> None:
    strata = np.sort(states.sobol_points(0, seed)[: 2**k] * 2**k // 1, axis=0)
    np.testing.assert_array_equal(strata, np.arange(2**k)[:, None] * np.ones(states.N_AXES))


def test_each_net_of_sobol_points_is_scrambled_anew() -> None:
    last = SOBOL_NET // BLOCK
    assert not np.any(states.sobol_points(0, 1) == states.sobol_points(last, 1))


def test_means_over_sobol_states_converge_faster_than_over_random_ones() -> None:
    """The means of 4,096 states scatter less, in every column, from seed to seed."""

    def means(method: Method) -> NDArray[np.float64]:
        return np.stack([np.log(sample_rows(0, 4096, s, method)).mean(0) for s in range(12)])

    random, sobol = means("random").std(axis=0), means("sobol").std(axis=0)
    assert np.median(random / sobol) > 30
    assert np.all(random / sobol > 5)


def test_the_parcel_model_solves_the_states() -> None:
    status = aeroact.simulate(*schema.split_state(many()[:2000]).values()).status
    assert not np.any((status == Status.INVALID) | (status == Status.FAILED))
    # Air so polluted that a weak updraft never makes it supersaturated.
    assert np.mean(status == Status.NO_PEAK) < 0.03


HEADERS = {
    "tair": "tair_K",
    "pressure": "pressure_hPa",
    "rh": "rh_liquid",
    "wbar": "wsub_ms",
    **{name: f"{name}_cm3" for name in schema.NUM_AER.columns},
    **{name: f"{name}_um" for name in schema.R_AER.columns},
    **{name: name for name in schema.KAPPA.columns},
}
"""Name in the file of E3SM's columns by name of the column of the state."""


@cache
def layers() -> NDArray[np.float32]:
    """Return layers of E3SM columns at four places, from 300 hPa down; NaN where not stored."""
    with COLUMN_STATES.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    x = np.array([[float(row[HEADERS[c]] or "nan") for c in schema.COLUMNS] for row in rows])
    wbar = schema.COLUMNS.index("wbar")
    x[:, wbar] = np.maximum(x[:, wbar] * 100, MIN_UPDRAFT)
    assert len(x) == 1794
    # They are printed from single precision: 0.05 um stands there as 0.0500000016.
    return x.astype(np.float32)


needs_column_states = pytest.mark.skipif(
    not COLUMN_STATES.exists(),
    reason="needs the states of E3SM columns, which are not ours to copy",
)


@needs_column_states
def test_layers_of_e3sm_columns_lie_within_the_bounds_in_every_variable() -> None:
    inside = [
        np.isnan(values) | BOUNDS[name].contain(values)
        for name, values in zip(schema.COLUMNS, layers().T, strict=True)
    ]
    assert np.mean(np.all(inside, axis=0)) >= 0.99


@needs_column_states
@pytest.mark.parametrize("name", schema.COLUMNS)
def test_layers_of_e3sm_columns_are_among_the_frequent_states(name: str) -> None:
    """Each part of what E3SM has in a variable is seen often: no tail is at the very edge."""
    theirs = layers()[:, schema.COLUMNS.index(name)]
    low, high = np.nanpercentile(theirs, [5, 95])
    assert np.mean(column(name) <= low) > 0.02
    assert np.mean(column(name) >= high) > 0.02


@needs_column_states
@pytest.mark.parametrize("left_out", [(), ("rh", "wbar")], ids=["all", "without rh and wbar"])
def test_no_layer_of_e3sm_columns_is_in_a_corner_without_samples(left_out: tuple[str, ...]) -> None:
    """The nearest of our states is as near to an E3SM layer as to another of our states.

    Distance in all variables together, each (logarithm) divided by its standard deviation.  Most
    layers have neither humidity nor updraft stored.
    """
    chosen = [name not in left_out for name in schema.COLUMNS]
    ours, theirs = np.log(many()[:, chosen]), np.log(layers()[:, chosen])
    theirs = theirs[~np.isnan(theirs).any(axis=1)]
    assert len(theirs) == (1794 if left_out else 576)
    scale = ours.std(axis=0)
    tree = cKDTree(ours[1000:] / scale)
    among_ours = tree.query(ours[:1000] / scale)[0]
    to_theirs = tree.query(theirs[::3] / scale)[0]
    assert np.median(to_theirs) < np.median(among_ours)
    assert to_theirs.max() < np.percentile(among_ours, 99)
