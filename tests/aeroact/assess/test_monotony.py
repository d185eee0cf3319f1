"""Falls of a fraction with a rising updraft, counted against curves made by hand."""

import numpy as np

from aeroact import schema
from aeroact.assess import monotony
from aeroact.assess.box import Box
from aeroact.references import predict_arg2000
from aeroact.states import BOUNDS, sample_rows

LOW, HIGH = (np.array([getattr(b, side) for b in BOUNDS.values()]) for side in ("low", "high"))
BOX = Box(LOW, HIGH)
WBAR = schema.COLUMNS.index("wbar")


def rising(x):
    return np.repeat((np.log(x[:, [WBAR]]) / 10).astype(np.float32), 4, axis=1)


def test_ladders_go_from_the_weakest_to_the_strongest_updraft_and_change_nothing_else():
    x = sample_rows(0, 3, seed=1)
    rungs = monotony.ladders(x, BOX).reshape(3, monotony.STEPS, 16)
    assert (np.diff(rungs[:, :, WBAR], axis=1) > 0).all()
    np.testing.assert_allclose(rungs[:, [0, -1], WBAR], [[10.0, 1000.0]] * 3, rtol=1e-6)
    others = [j for j in range(16) if j != WBAR]
    np.testing.assert_array_equal(
        rungs[:, :, others], np.repeat(x[:, None, others].astype(np.float32), monotony.STEPS, 1)
    )


def test_a_fraction_that_only_rises_never_falls():
    found = monotony.measure(rising, sample_rows(0, 20, seed=1), BOX)
    assert (found.states, found.falling_steps, found.largest) == (20, 0.0, 0.0)
    assert set(found.falling.values()) == {0.0}


def test_a_dip_is_measured_from_the_highest_value_before_it():
    def dipping(x):
        fn = rising(x)
        # One state of four dips in one mode, over some steps and by more than its neighbours.
        fn[(x[:, 0] == 1.0) & (x[:, WBAR] > 100.0), 2] -= 0.05
        return fn

    x = sample_rows(0, 4, seed=1)
    x[:, 0] = [1.0, 2.0, 3.0, 4.0]
    found = monotony.measure(dipping, x, BOX)
    assert found.falling == {"0.001": 0.25, "0.01": 0.25}
    step = np.log(100.0) / (monotony.STEPS - 1) / 10
    np.testing.assert_allclose(found.largest, 0.05 - step, rtol=1e-3)
    np.testing.assert_allclose(found.falling_steps, 1 / (4 * 4 * (monotony.STEPS - 1)))


def test_states_without_an_answer_are_left_out():
    fn = np.zeros((2 * monotony.STEPS, 4))
    fn[3] = np.nan
    assert monotony.of_fractions(fn).states == 1
    fn[-1] = np.nan
    assert monotony.of_fractions(fn).states == 0


def test_the_parameterization_is_monotonous():
    found = monotony.measure(predict_arg2000, sample_rows(0, 100, seed=2), BOX)
    assert found.largest < 1e-6
