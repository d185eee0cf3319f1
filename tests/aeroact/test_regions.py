"""Errors by region, against sums written out in plain NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeroact import schema
from aeroact.regions import AXES, Breakdown
from aeroact.states import sample_rows


def rows(n, seed=0):
    random = np.random.default_rng(seed)
    x = sample_rows(0, n, seed=seed + 1).astype(np.float32)
    fn = random.random((n, 4)).astype(np.float32)
    error = 10.0 ** random.uniform(-7, -1, (n, 4)) * random.choice([-1, 1], (n, 4))
    return x, fn, (fn + error).astype(np.float32)


def broken_down(x, fn, prediction, cuts=()):
    found = Breakdown()
    for block in np.split(np.arange(len(x)), cuts):
        found.add(x[block], fn[block], prediction[block])
    return found


def test_each_region_has_the_errors_of_its_rows():
    x, fn, prediction = rows(5_000)
    found = broken_down(x, fn, prediction, cuts=[700, 3000])
    difference = prediction.astype(float) - fn
    total_number = x[:, 4:8].sum(axis=1)
    # Written out here, not taken from AXES.
    chosen = {
        ("tair", 0): x[:, 0] < 253,
        ("tair", 2): (x[:, 0] >= 273) & (x[:, 0] < 293),
        ("pressure", 3): x[:, 1] >= 850,
        ("rh", 2): (x[:, 2] >= np.float32(0.8)) & (x[:, 2] < 0.95),
        ("wbar", 1): (x[:, 3] >= 20) & (x[:, 3] < 50),
        ("number", 1): (total_number >= 100) & (total_number < 1000),
        ("fn_accum", 3): fn[:, 0] >= 0.95,
    }
    for (key, place), where in chosen.items():
        region = found.regions[key][place]
        assert 0 < region.errors.rows == where.sum() < len(x)
        squared = difference[where] ** 2
        assert region.errors.mse == pytest.approx(squared.mean(), rel=1e-9)
        np.testing.assert_allclose(region.errors.mse_by_mode, squared.mean(axis=0), rtol=1e-9)
        assert region.bias == pytest.approx(difference[where].mean(), rel=1e-6)
        spread = ((fn[where] - fn[where].astype(float).mean()) ** 2).sum()
        assert region.errors.r2 == pytest.approx(1 - squared.sum() / spread, rel=1e-9)


def test_every_row_is_in_one_region_of_each_axis():
    x, fn, prediction = rows(2_000)
    found = broken_down(x, fn, prediction)
    for axis in AXES:
        regions = found.regions[axis.key]
        assert len(regions) == len(axis.intervals) == len(axis.edges) + 1
        assert sum(region.errors.rows for region in regions) == 2_000


def test_a_lower_edge_belongs_to_its_region():
    x, fn, prediction = rows(3)
    x[:, 0] = [np.nextafter(np.float32(273), np.float32(0)), 273, 293]
    found = broken_down(x, fn, prediction)
    assert [region.errors.rows for region in found.regions["tair"]] == [0, 1, 1, 1]


def test_an_empty_region_has_no_errors():
    x, fn, prediction = rows(20)
    x[:, 0] = 300.0
    cold, *_, warm = broken_down(x, fn, prediction).regions["tair"]
    assert cold.as_dict() is None
    assert warm.as_dict() is not None


def test_blocks_without_rows_change_nothing():
    x, fn, prediction = rows(50)
    whole, cut = broken_down(x, fn, prediction), broken_down(x, fn, prediction, cuts=[0, 0, 50])
    assert whole.total.errors.mse == cut.total.errors.mse
    assert whole.sizes.percentile(99) == cut.sizes.percentile(99)


@given(st.integers(1, 3_000), st.integers(0, 50), st.sampled_from([50.0, 99.0, 99.9]))
def test_percentiles_are_those_of_the_sorted_errors(n, seed, percent):
    x, fn, prediction = rows(n, seed)
    found = broken_down(x, fn, prediction, cuts=[n // 3])
    sizes = np.abs(prediction.astype(float) - fn)
    exact = np.percentile(sizes, percent, method="inverted_cdf")
    assert exact * (1 - 1e-9) <= found.sizes.percentile(percent) <= exact * 1.0024
    assert found.sizes.largest == sizes.max()


def test_a_perfect_emulator_has_no_error():
    x, fn, _ = rows(10)
    found = broken_down(x, fn, fn.copy())
    assert found.sizes.largest == found.sizes.percentile(99.9) == 0.0
    assert found.total.bias == 0.0


def test_a_nan_is_not_averaged_away():
    x, fn, prediction = rows(10)
    prediction[3, 2] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        broken_down(x, fn, prediction)


def test_edges_are_in_the_units_of_the_schema():
    for axis in AXES:
        variables = [v for v in (*schema.INPUTS, schema.FN) if v.name == axis.key]
        for variable in variables:
            assert axis.units == variable.units
            assert all(variable.bounds.low < edge < variable.bounds.high for edge in axis.edges)
