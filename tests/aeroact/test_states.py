"""Sampled states are bounded, reproducible, and look like those of a climate model."""

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aeroact import dataset, schema
from aeroact.physics.constants import VALID_RANGE
from aeroact.states import BLOCK, NUM_AER, R_AER, WBAR, LogBeta, sample, sample_rows

COLUMN_STATES = Path(__file__).resolve().parents[3] / "shared" / "e3sm" / "e3sm_column_states.csv"


@cache
def many() -> NDArray[np.float64]:
    return sample_rows(0, 3 * BLOCK, seed=11)


def column(name: str) -> NDArray[np.float64]:
    return many()[:, schema.COLUMNS.index(name)]


def test_every_state_is_valid_input_of_the_parcel_model() -> None:
    for variable in schema.INPUTS:
        values = many()[:, schema.column_slice(variable)]
        assert VALID_RANGE[variable.name].contain(values).all(), variable.name
        # Stored and simulated in float32, it must still be valid.
        assert VALID_RANGE[variable.name].contain(values.astype(np.float32)).all(), variable.name


def test_a_sample_is_a_sound_dataset_without_labels() -> None:
    ds = sample(500, seed=1)
    report = dataset.check(dataset.in_schema(ds))
    assert not report.reasons
    assert report.usable.all()
    assert "fn" not in ds


@pytest.mark.parametrize(
    ("variable", "bounds"),
    [(schema.NUM_AER, NUM_AER), (schema.R_AER, R_AER), (schema.WBAR, (WBAR,))],
    ids=lambda v: getattr(v, "name", ""),
)
def test_sizes_numbers_and_updrafts_fill_their_bounds_and_stay_within(
    variable: schema.Variable, bounds: tuple[LogBeta, ...]
) -> None:
    for name, bound in zip(variable.columns, bounds, strict=True):
        values = column(name)
        assert values.min() >= bound.low
        assert values.max() <= bound.high
        # Much of the interval, on the logarithmic axis on which it is drawn, is used.
        used = np.log(values.max() / values.min()) / np.log(bound.high / bound.low)
        assert used > 0.8, name


def test_thermodynamic_ranges() -> None:
    assert 300 <= column("pressure").min() < column("pressure").max() <= 1040
    assert 222 <= column("tair").min() < column("tair").max() <= 315
    assert 0.6 <= column("rh").min() < column("rh").max() <= 1.0
    # Warm air is not drawn in the upper troposphere.
    high_up = column("pressure") < 400
    assert column("tair")[high_up].max() < column("tair")[~high_up].max() - 20


def test_hygroscopicity_is_a_mixture_of_its_species() -> None:
    assert 0 < column("kappa_accum").min() < column("kappa_accum").max() <= 1.16
    assert column("kappa_aitken").min() >= 0.1
    assert 0 < column("kappa_pcarbon").min() < 1e-8
    assert 1e-2 < column("kappa_pcarbon").max() <= 0.1


@settings(max_examples=30)
@given(st.integers(0, 2 * BLOCK), st.integers(0, 2 * BLOCK), st.integers(0, 3))
def test_a_smaller_sample_is_the_beginning_of_a_larger_one(n: int, m: int, seed: int) -> None:
    small, large = sorted((n, m))
    rows = sample_rows(0, large, seed)
    assert rows.shape == (large, 16)
    np.testing.assert_array_equal(sample_rows(0, small, seed), rows[:small])


@settings(max_examples=30)
@given(st.integers(0, 3 * BLOCK), st.integers(0, 3 * BLOCK))
def test_any_cut_of_the_sequence_is_what_stands_there(start: int, stop: int) -> None:
    start, stop = sorted((start, stop))
    np.testing.assert_array_equal(sample_rows(start, stop, 11), many()[start:stop])


def test_no_two_rows_are_alike() -> None:
    assert len(np.unique(many(), axis=0)) == len(many())


def test_seeds_give_different_states() -> None:
    assert not np.any(sample_rows(0, 100, 1) == sample_rows(0, 100, 2))


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (4.0, 0.5)])
def test_log_beta_is_a_beta_distribution_of_the_logarithm(a: float, b: float) -> None:
    values = LogBeta(1e-3, 1e3, a, b).draw(np.random.default_rng(1), 20_000)
    place = (np.log10(values) + 3) / 6
    assert place.mean() == pytest.approx(a / (a + b), abs=0.01)
    assert place.var() == pytest.approx(a * b / ((a + b) ** 2 * (a + b + 1)), rel=0.05)


# Left out: relative humidity, as half of these layers are drier than those in which clouds form.
COMPARED = {
    "tair_K": (222.0, 315.0),
    "pressure_hPa": (300.0, 1040.0),
    "wsub_ms": (WBAR.low / 100, WBAR.high / 100),
    **{f"num_aer_{m}_cm3": (b.low, b.high) for m, b in zip(schema.MODES, NUM_AER, strict=True)},
    **{f"r_aer_{m}_um": (b.low, b.high) for m, b in zip(schema.MODES, R_AER, strict=True)},
}


def column_states(header: str) -> NDArray[np.float64]:
    """Return what E3SM columns at four places hold, between 300 hPa and the ground."""
    with COLUMN_STATES.open(newline="") as handle:
        values = np.array([float(row[header]) for row in csv.DictReader(handle) if row[header]])
    assert len(values) > 500
    # E3SM activates with an updraft of at least 0.1 m/s.
    return np.maximum(values, 0.1) if header == "wsub_ms" else values


needs_column_states = pytest.mark.skipif(
    not COLUMN_STATES.exists(),
    reason="needs the states of E3SM columns, which are not ours to copy",
)


@needs_column_states
@pytest.mark.parametrize("header", COMPARED)
def test_states_of_e3sm_columns_lie_within_the_bounds(header: str) -> None:
    low, high = COMPARED[header]
    # They are printed from single precision: 0.05 um stands there as 0.0500000016.
    assert low * (1 - 1e-6) <= column_states(header).min()
    assert column_states(header).max() <= high * (1 + 1e-6)


@needs_column_states
@pytest.mark.parametrize("name", schema.KAPPA.columns)
def test_hygroscopicities_of_e3sm_columns_lie_within_the_sampled_ones(name: str) -> None:
    theirs, ours = column_states(name), column(name)
    assert ours.min() <= theirs.min()
    assert theirs.max() <= ours.max()
