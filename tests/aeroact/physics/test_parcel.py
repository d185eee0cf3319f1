import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aeroact.physics.activation import Status
from aeroact.physics.constants import VALID_RANGE
from aeroact.physics.koehler import critical_supersaturation
from aeroact.physics.parcel import MAX_START_RH, simulate

PYRCEL = json.loads((Path(__file__).parent / "data" / "pyrcel_cases.json").read_text())
COLUMNS = ("tair", "pressure", "rh", "wbar", "num_aer", "r_aer", "kappa")
STATE: dict[str, Any] = {
    "tair": 280.0,
    "pressure": 900.0,
    "rh": 0.98,
    "wbar": 30.0,
    "num_aer": [500.0, 800.0, 1.0, 100.0],
    "r_aer": [0.06, 0.015, 1.0, 0.03],
    "kappa": [0.4, 0.3, 1.0, 1e-7],
}


def climate_states(n, seed):
    """States like those of a climate model: MAM4's sizes, nearly insoluble primary carbon."""
    rng = np.random.default_rng(seed)

    def by_mode(*ranges):
        return np.stack([rng.uniform(low, high, n) for low, high in ranges], axis=1)

    return {
        "tair": rng.uniform(235.0, 305.0, n),
        "pressure": rng.uniform(300.0, 1030.0, n),
        "rh": rng.uniform(0.6, 1.04, n),
        "wbar": 10.0 ** rng.uniform(1.0, 2.7, n),
        "num_aer": 10.0 ** by_mode((1.0, 3.3), (1.0, 3.5), (-2.0, 1.0), (0.0, 3.0)),
        "r_aer": 10.0 ** by_mode((-1.5, -0.7), (-2.3, -1.6), (-0.3, 0.3), (-2.0, -1.3)),
        "kappa": 10.0 ** by_mode((-1.0, -0.2), (-1.0, -0.2), (-1.3, 0.05), (-9.0, -3.0)),
    }


def wide_states(n, seed):
    """States from far beyond what a climate model holds."""
    rng = np.random.default_rng(seed)
    return {
        "tair": rng.uniform(180.0, 330.0, n),
        "pressure": rng.uniform(50.0, 1100.0, n),
        "rh": rng.uniform(0.01, 1.1, n),
        "wbar": 10.0 ** rng.uniform(-1.0, 3.6, n),
        "num_aer": np.where(rng.random((n, 4)) < 0.1, 0.0, 10.0 ** rng.uniform(-3.0, 6.0, (n, 4))),
        "r_aer": 10.0 ** rng.uniform(-4.0, 2.0, (n, 4)),
        "kappa": np.where(rng.random((n, 4)) < 0.1, 0.0, 10.0 ** rng.uniform(-12.0, 0.3, (n, 4))),
    }


def test_smax_of_pyrcel():
    states = [case["state"] for case in PYRCEL["parcels"]]
    answer = simulate(
        *(np.array([state[name] for state in states]) for name in COLUMNS),
        physics="pyrcel",
        bins=PYRCEL["bins"],
    )
    assert len(states) >= 20
    assert answer.ok.all()
    expected = [case["smax"] for case in PYRCEL["parcels"]]
    np.testing.assert_allclose(answer.smax, expected, rtol=1e-4)


def test_tight_tolerance_comes_closer_to_pyrcel():
    states = [case["state"] for case in PYRCEL["parcels"]]
    answer = simulate(
        *(np.array([state[name] for state in states]) for name in COLUMNS),
        physics="pyrcel",
        bins=PYRCEL["bins"],
        rtol=1e-7,
    )
    expected = [case["smax"] for case in PYRCEL["parcels"]]
    np.testing.assert_allclose(answer.smax, expected, rtol=3e-5)


def test_converged_in_bins_and_tolerance():
    states = climate_states(100, seed=3)
    answer = simulate(**states)
    fine = simulate(**states, bins=400, rtol=1e-6)
    assert fine.ok.sum() >= 95
    np.testing.assert_array_equal(answer.status, fine.status)
    change = np.abs(answer.fn - fine.fn)[fine.ok]
    assert change.max() <= 2e-3
    assert change.mean() <= 1e-4


def test_fraction_is_that_of_the_exact_critical_supersaturation():
    # Particles of the median radius are half of the mode: choose it to activate just so.
    answer = simulate(**STATE)
    smax = answer.smax[0]
    trial = np.geomspace(0.005e-6, 0.5e-6, 20_001)
    median = np.interp(-smax, -critical_supersaturation(trial, 0.4, 279.9), trial) * 1e6
    without = STATE | {"num_aer": [0.0, 800.0, 1.0, 100.0], "r_aer": [median, 0.015, 1.0, 0.03]}
    again = simulate(**without)
    # The peak moves a little without the accumulation mode, and the fraction with it.
    assert again.smax[0] > smax
    assert again.fn[0, 0] > 0.5
    moved = np.interp(-again.smax[0], -critical_supersaturation(trial, 0.4, 279.9), trial) * 1e6
    final = simulate(**without | {"r_aer": [moved, 0.015, 1.0, 0.03]})
    assert final.smax[0] == again.smax[0]
    assert final.fn[0, 0] == pytest.approx(0.5, abs=2e-3)


@settings(max_examples=50)
@given(st.integers(0, 10_000))
def test_fractions_are_fractions(seed):
    answer = simulate(**wide_states(4, seed))
    assert np.all(answer.smax[answer.ok] > 0.0)
    assert np.all((answer.fn[answer.ok] >= 0.0) & (answer.fn[answer.ok] <= 1.0))
    assert np.isnan(answer.fn[~answer.ok]).all()
    assert np.isnan(answer.smax[~answer.ok]).all()


@settings(max_examples=50)
@given(st.integers(0, 10_000))
def test_stronger_updraft_activates_more(seed):
    state = {name: values[:1] for name, values in climate_states(1, seed).items()}
    answer = simulate(**state | {"wbar": np.geomspace(10.0, 500.0, 12)})
    assume(answer.ok.sum() > 1)  # a weak updraft through thick haze has no peak
    assert np.all(np.diff(answer.smax[answer.ok]) > 0.0)
    assert np.all(np.diff(answer.fn[answer.ok], axis=0) >= -2e-4)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.sampled_from([0, 1, 2]))
def test_more_particles_lower_the_peak(seed, mode):
    state = {name: values[:1] for name, values in climate_states(1, seed).items()}
    factors = np.ones((6, 4))
    factors[:, mode] = [0.0, 0.5, 1.0, 2.0, 4.0, 8.0]
    # The few coarse particles change the peak by less than the default tolerance.
    answer = simulate(**state | {"num_aer": state["num_aer"] * factors}, rtol=1e-6)
    assume(answer.ok.sum() > 1)
    assert np.all(np.diff(answer.smax[answer.ok]) <= 1e-4 * answer.smax[answer.ok][1:])


def test_arguments_broadcast():
    states = climate_states(7, seed=5)
    together = simulate(**states)
    for i in range(7):
        alone = simulate(**{name: values[i] for name, values in states.items()})
        np.testing.assert_array_equal(alone.fn, together.fn[i : i + 1])
        np.testing.assert_array_equal(alone.smax, together.smax[i : i + 1])
    one = simulate(**STATE)
    many = simulate(**STATE | {"tair": [280.0, 280.0, 280.0]})
    np.testing.assert_array_equal(many.fn, np.repeat(one.fn, 3, axis=0))
    assert simulate(**STATE | {"tair": []}).fn.shape == (0, 4)


def test_empty_mode_takes_no_part():
    state = STATE | {"num_aer": [500.0, 0.0, 1.0, 100.0]}
    answer = simulate(**state)
    other = simulate(**state | {"r_aer": [0.06, 0.02, 1.0, 0.03], "kappa": [0.4, 1.0, 1.0, 1e-7]})
    assert other.smax[0] == answer.smax[0]
    np.testing.assert_array_equal(other.fn[0, [0, 2, 3]], answer.fn[0, [0, 2, 3]])
    assert other.fn[0, 1] > answer.fn[0, 1] > 0.0


def test_order_of_like_modes_does_not_matter():
    # Accumulation and coarse share one sigma, Aitken and primary carbon the other.
    order = [2, 3, 0, 1]
    answer = simulate(**STATE)
    swapped = simulate(**STATE | {name: np.array(STATE[name])[order] for name in COLUMNS[4:]})
    np.testing.assert_allclose(swapped.smax, answer.smax, rtol=1e-9)
    np.testing.assert_allclose(swapped.fn[0], answer.fn[0, order], rtol=0.0, atol=1e-9)


def test_nearly_insoluble_mode_does_not_activate():
    fractions = [
        simulate(**STATE | {"kappa": [0.4, 0.3, 1.0, kappa]}).fn[0, 3]
        for kappa in (0.0, 1e-12, 1e-9, 1e-6)
    ]
    assert np.all(np.diff(fractions) >= 0.0)
    assert fractions[-1] < 1e-4
    assert fractions[0] == pytest.approx(fractions[1], abs=1e-9)


def test_large_insoluble_particles_do_activate():
    answer = simulate(**STATE | {"r_aer": [0.06, 0.015, 1.0, 1.0], "wbar": 200.0})
    assert answer.fn[0, 3] > 0.9
    assert answer.ok[0]


def test_parcel_above_saturation_starts_just_below():
    answer = simulate(**STATE | {"rh": [MAX_START_RH, 1.0, 1.1]})
    assert answer.ok.all()
    assert np.unique(answer.smax).size == 1


def test_dry_start_changes_little():
    answer = simulate(**STATE | {"rh": [0.5, 0.8, 0.95, 0.98, 0.995]})
    assert answer.ok.all()
    assert np.all(np.diff(answer.smax) < 0.0)  # from further below, large particles lag behind
    assert np.ptp(answer.smax) < 0.15 * answer.smax.mean()


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("value", ["nan", "inf", "below", "above"])
def test_invalid_rows(name, value):
    low, high, _ = VALID_RANGE[name]
    bad = {"nan": np.nan, "inf": np.inf, "below": low - 1e-3, "above": high * 1.001}[value]
    good = np.asarray(STATE[name], float)
    column = np.stack([good, good, good])
    column[1, ...] = np.where(np.arange(good.size).reshape(good.shape) == 0, bad, good)
    answer = simulate(**STATE | {name: column})
    np.testing.assert_array_equal(answer.status, [Status.OK, Status.INVALID, Status.OK])
    assert np.isnan(answer.fn[1]).all()
    assert np.isnan(answer.smax[1])
    np.testing.assert_array_equal(answer.fn[0], answer.fn[2])


def test_boiling_water_is_invalid():
    assert simulate(**STATE | {"tair": 329.0, "pressure": 100.0}).status[0] == Status.INVALID


@pytest.mark.parametrize("name", ["rh", "wbar", "r_aer"])
def test_zero_is_invalid(name):
    assert simulate(**STATE | {name: 0.0}).status[0] == Status.INVALID


@pytest.mark.parametrize(
    "change",
    [
        {"num_aer": 0.0},  # nothing to condense on
        {"num_aer": 1e-6, "wbar": 5000.0},  # too little, too late
        {"num_aer": 1e6, "r_aer": 10.0, "wbar": 1.0},  # the haze takes all there is
    ],
)
def test_parcels_without_a_peak(change):
    answer = simulate(**STATE | change)
    assert answer.status[0] == Status.NO_PEAK
    assert np.isnan(answer.fn).all()
    assert np.isnan(answer.smax).all()


def test_wide_ranges():
    states = wide_states(3000, seed=11)
    answer = simulate(**states)
    ok = answer.ok
    assert np.isfinite(answer.fn[ok]).all()
    assert np.isfinite(answer.smax[ok]).all()
    assert np.all((answer.fn[ok] >= 0.0) & (answer.fn[ok] <= 1.0))
    assert np.isnan(answer.fn[~ok]).all()
    counts = np.bincount(answer.status, minlength=4)
    assert counts[Status.OK] > 1000
    assert counts[Status.INVALID] < 0.01 * counts.sum()  # hot and thin: water boils
    assert counts[Status.FAILED] < 0.005 * counts.sum()


def test_climate_ranges_are_solved():
    answer = simulate(**climate_states(1000, seed=7))
    assert answer.ok.mean() > 0.99
    assert not np.any(answer.status == Status.FAILED)


def test_threads_agree():
    states = climate_states(200, seed=9)
    expected = simulate(**states)
    answers: dict[int, Any] = {}

    def work(i):
        answers[i] = simulate(**states)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    for answer in answers.values():
        np.testing.assert_array_equal(answer.fn, expected.fn)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"physics": "nature"}, "valid presets"),
        ({"bins": 5}, "bins"),
        ({"rtol": 0.0}, "rtol"),
        ({"tair": [[280.0]]}, "tair"),
        ({"kappa": [0.1, 0.2, 0.3]}, "kappa"),
        ({"tair": [280.0, 281.0], "rh": [0.9, 0.9, 0.9]}, "broadcast"),
    ],
)
def test_wrong_use_is_an_error(change, message):
    with pytest.raises(ValueError, match=message):
        simulate(**STATE | change)
