"""Neighbouring states, and how an emulator's step between them differs from the truth's."""

import numpy as np
import pytest

from aeroact.assess import smoothness
from aeroact.assess.box import Box
from aeroact.states import BOUNDS, sample_rows

LOW, HIGH = (np.array([getattr(b, side) for b in BOUNDS.values()]) for side in ("low", "high"))
BOX = Box(LOW, HIGH)


def test_neighbours_are_a_step_away_in_every_column_and_stay_in_the_box():
    x = np.concatenate([sample_rows(0, 200, seed=1), [LOW, HIGH]])
    there = smoothness.neighbours(x, BOX, seed=3)
    assert BOX.holds(there).all()
    moved = np.abs(BOX.points(there) - BOX.points(x))
    np.testing.assert_allclose(moved, smoothness.STEP, rtol=1e-2)
    np.testing.assert_array_equal(there, smoothness.neighbours(x, BOX, seed=3))


def test_a_constant_bias_is_smooth_and_jitter_is_not():
    rng = np.random.default_rng(0)
    truth, step = rng.random((100, 4)), 1e-3 * rng.standard_normal((100, 4))
    biased = smoothness.of_fractions(truth + 0.1, truth + step + 0.1, truth, truth + step)
    assert biased.pairs == 100
    assert biased.rms_difference < 1e-12
    assert biased.rms_of_parcel == pytest.approx(np.sqrt((step**2).mean()))
    jitter = 1e-2 * rng.standard_normal((100, 4))
    jittery = smoothness.of_fractions(truth, truth + step + jitter, truth, truth + step)
    assert jittery.rms_difference == pytest.approx(np.sqrt((jitter**2).mean()))
    assert jittery.largest_difference == pytest.approx(np.abs(jitter).max())


def test_pairs_without_an_answer_are_left_out():
    truth = np.zeros((3, 4))
    there = truth.copy()
    there[1, 0] = np.nan
    assert smoothness.of_fractions(truth, truth, truth, there).pairs == 2
    nothing = np.full((3, 4), np.nan)
    assert smoothness.of_fractions(truth, truth, truth, nothing).pairs == 0
