"""References for rows of states: the same as the models themselves give, on all cores."""

import numpy as np

import aeroact
from aeroact import schema
from aeroact.references import parcel, predict_arg2000
from aeroact.states import sample_rows

X = sample_rows(0, 700, seed=9)


def test_the_parcel_model_on_all_cores_is_the_parcel_model():
    seen = []
    found = parcel(X, progress=lambda done, note="": seen.append(done))
    expected = aeroact.simulate(*schema.split_state(X).values())
    np.testing.assert_array_equal(found.fn, expected.fn)
    np.testing.assert_array_equal(found.smax, expected.smax)
    np.testing.assert_array_equal(found.status, expected.status)
    assert seen == [256, 512, 700]


def test_settings_reach_the_parcel_model():
    assert not np.array_equal(parcel(X[:20], bins=20).fn, parcel(X[:20]).fn)
    assert not np.array_equal(parcel(X[:20], physics="pyrcel").fn, parcel(X[:20]).fn)


def test_no_states_are_no_fault():
    assert parcel(X[:0]).fn.shape == (0, 4)


def test_arg2000_takes_rows_of_any_precision():
    expected = aeroact.arg2000(**{k: v for k, v in schema.split_state(X).items() if k != "rh"}).fn
    np.testing.assert_array_equal(predict_arg2000(X), expected)
    np.testing.assert_allclose(predict_arg2000(X.astype(np.float32)), expected, atol=1e-5)
