"""The unit cube of an emulator's bounds."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aeroact import schema
from aeroact.assess.box import Box
from aeroact.states import BOUNDS, sample_rows

LOW, HIGH = (np.array([getattr(b, side) for b in BOUNDS.values()]) for side in ("low", "high"))
BOX = Box(LOW, HIGH)


def test_corners_are_the_bounds():
    corners = BOX.states(np.array([[0.0] * 16, [1.0] * 16]))
    np.testing.assert_allclose(corners, [LOW, HIGH], rtol=1e-6)
    assert BOX.holds(corners).all()


@given(st.integers(0, 1000))
def test_points_and_states_are_each_others_inverse(seed):
    points = np.random.default_rng(seed).random((20, 16))
    np.testing.assert_allclose(BOX.points(BOX.states(points)), points, atol=1e-5)


def test_sampled_states_are_within_and_their_points_lead_back():
    x = sample_rows(0, 500, seed=3)
    assert BOX.holds(x).all()
    np.testing.assert_allclose(BOX.states(BOX.points(x)), x, rtol=1e-5)


def test_wide_columns_are_measured_by_their_logarithm():
    middle = BOX.states(np.full((1, 16), 0.5))[0]
    wbar, tair = schema.COLUMNS.index("wbar"), schema.COLUMNS.index("tair")
    np.testing.assert_allclose(middle[wbar], np.sqrt(LOW[wbar] * HIGH[wbar]), rtol=1e-6)
    np.testing.assert_allclose(middle[tair], (LOW[tair] + HIGH[tair]) / 2, rtol=1e-6)


def test_what_is_outside_goes_to_the_face():
    x = sample_rows(0, 1, seed=3)
    x[0, 0] = 400.0
    assert not BOX.holds(x).any()
    assert BOX.points(x)[0, 0] == 1.0


def test_a_column_that_never_varied_and_one_that_is_zero_make_no_nan():
    low, high = LOW.copy(), HIGH.copy()
    low[0] = high[0] = 280.0
    low[4] = 0.0  # a number; its logarithm is not finite
    box = Box(low, high)
    x = box.states(np.random.default_rng(0).random((10, 16)))
    assert np.isfinite(x).all()
    assert (x[:, 0] == 280.0).all()
    assert np.isfinite(box.points(x)).all()
