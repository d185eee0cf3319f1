"""Errors are the same in one go, block by block, and by the formulas of the textbook."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from aeroact.metrics import Errors

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    """Fractions that vary in every mode, and a prediction of them of any quality."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    truth = rng.random((draw(st.integers(3, 60)), 4))
    noise = draw(st.sampled_from([0.0, 1e-3, 0.1, 3.0]))
    return truth, truth + noise * rng.standard_normal(truth.shape)


def errors_of(truth: NDArray[np.floating], prediction: NDArray[np.floating]) -> Errors:
    errors = Errors()
    errors.add(truth, prediction)
    return errors


@given(pairs())
def test_errors_follow_the_textbook(pair: Pair) -> None:
    truth, prediction = pair
    errors = errors_of(truth, prediction)
    squares, spread = (prediction - truth) ** 2, (truth - truth.mean(axis=0)) ** 2
    np.testing.assert_allclose(errors.mse_by_mode, squares.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(errors.mse, squares.mean(), rtol=1e-12)
    np.testing.assert_allclose(
        errors.r2_by_mode, 1 - squares.sum(axis=0) / spread.sum(axis=0), rtol=1e-9, atol=1e-9
    )
    pooled = ((truth - truth.mean()) ** 2).sum()
    np.testing.assert_allclose(errors.r2, 1 - squares.sum() / pooled, rtol=1e-9, atol=1e-9)


@given(pairs(), st.lists(st.integers(0, 60), max_size=5))
def test_blocks_give_what_one_go_gives(pair: Pair, cuts: list[int]) -> None:
    truth, prediction = pair
    streamed = Errors()
    # Cuts may coincide, so that some blocks are empty.
    for y, p in zip(np.split(truth, sorted(cuts)), np.split(prediction, sorted(cuts)), strict=True):
        streamed.add(y, p)
    whole = errors_of(truth, prediction)
    assert streamed.rows == whole.rows == len(truth)
    np.testing.assert_allclose(streamed.mse_by_mode, whole.mse_by_mode, rtol=1e-12)
    np.testing.assert_allclose(streamed.r2_by_mode, whole.r2_by_mode, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(streamed.r2, whole.r2, rtol=1e-9, atol=1e-9)


def test_a_worked_example_with_a_mode_that_differs_from_the_others() -> None:
    truth = np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    prediction = np.array([[0.0, 0.5, 0.0, 1.0], [1.0, 0.5, 0.0, 0.0]])
    errors = errors_of(truth, prediction)
    np.testing.assert_allclose(errors.mse_by_mode, [0, 0.25, 0.5, 1])
    np.testing.assert_allclose(errors.r2_by_mode, [1, 0, -1, -3])
    assert errors.mse == pytest.approx(1.75 / 4)
    assert errors.r2 == pytest.approx(1 - 3.5 / 2)


def test_sums_are_kept_in_double_precision() -> None:
    # In float32, a million squared errors of 1e-4 add up to several percent less.
    truth = np.full((250_000, 4), 0.5, np.float32)
    truth[::2] = 0.25
    errors = Errors()
    for block in np.split(truth, 10):
        errors.add(block, block + np.float32(2**-7))
    np.testing.assert_allclose(errors.mse_by_mode, 2.0**-14, rtol=1e-12)


def test_r2_of_a_perfect_prediction_is_one_and_of_the_mean_is_zero() -> None:
    truth = np.random.default_rng(1).random((50, 4))
    np.testing.assert_allclose(errors_of(truth, truth).r2_by_mode, 1.0)
    mean = np.broadcast_to(truth.mean(axis=0), truth.shape)
    np.testing.assert_allclose(errors_of(truth, mean).r2_by_mode, 0.0, atol=1e-12)


@given(st.floats(0, 1), st.integers(1, 2000), st.floats(-1, 1))
def test_a_mode_whose_truth_does_not_vary_has_no_r2(value: float, rows: int, offset: float) -> None:
    truth = np.random.default_rng(2).random((rows + 1, 4))
    truth[:, 2] = value
    errors = errors_of(truth, truth + offset)
    assert np.isnan(errors.r2_by_mode[2])
    assert np.isfinite(errors.r2_by_mode[[0, 1, 3]]).all()
    assert np.isfinite(errors.r2)


def test_r2_of_a_mode_that_hardly_varies_is_as_good_as_any() -> None:
    rng = np.random.default_rng(4)
    truth = 0.9 + 1e-6 * rng.standard_normal((20_000, 4))
    prediction = truth + 5e-7 * rng.standard_normal(truth.shape)
    centred = truth - truth.mean(axis=0)
    expected = 1 - ((prediction - truth) ** 2).sum(axis=0) / (centred**2).sum(axis=0)
    np.testing.assert_allclose(errors_of(truth, prediction).r2_by_mode, expected, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", [0, 1], ids=["truth", "prediction"])
def test_a_value_that_is_not_finite_is_refused_and_leaves_the_sums_alone(
    bad: float, which: int
) -> None:
    good = np.random.default_rng(3).random((5, 4))
    errors = errors_of(good, good)
    pair = [good.copy(), good.copy()]
    pair[which][3, 1] = bad
    with pytest.raises(ValueError, match="not finite"):
        errors.add(*pair)
    assert (errors.rows, errors.mse) == (5, 0.0)


@pytest.mark.parametrize(
    ("truth", "prediction"),
    [((5, 4), (4, 4)), ((5, 4), (5, 1)), ((5, 3), (5, 3)), ((5, 1), (5, 1)), ((4,), (4,))],
)
def test_other_shapes_than_rows_of_four_modes_are_refused(
    truth: tuple[int, ...], prediction: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"\(5, |\(4,\)"):
        errors_of(np.zeros(truth), np.zeros(prediction))
