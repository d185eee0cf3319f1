"""The plan from a pilot: chances against brute force, costs by hand, and when it cannot tell."""

import json
from dataclasses import asdict, replace
from io import StringIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rich.console import Console

from aeroact.errors import AeroactError
from aeroact.hpo.journal import Trial
from aeroact.hpo.plan import (
    MIN_TRIALS,
    Aim,
    Estimate,
    Pilot,
    advice,
    copula_correlation,
    plan,
    rank_correlation,
    retrain_for,
    survival,
    table,
)

AIM = Aim(trials=10_000, workers=16, retrain_epochs=200)
ALL_ROWS = 100_000


def a_pilot(
    *correlations: float,
    trials: int = 40,
    subsets: tuple[float, ...] = (0.05, 0.2, 1),
    seed: int | np.random.Generator = 3,
) -> Pilot:
    """Return a pilot whose log MSEs have these correlations with the largest subset's."""
    subsets = subsets[-len(correlations) - 1 :]
    rng = np.random.default_rng(seed)
    full = rng.standard_normal(trials)
    r = np.array(correlations)[:, None]
    smaller = r * full + np.sqrt(1 - r**2) * rng.standard_normal((len(r), trials))
    rows = tuple(round(p * ALL_ROWS) for p in subsets)
    epochs = np.full((len(subsets), trials), 50)
    heavy = np.exp(rng.standard_normal(trials) / 2)
    seconds = 1e-3 * np.array(rows)[:, None] * heavy
    return Pilot(subsets, rows, np.exp(np.vstack([smaller, full])) * 1e-3, seconds, epochs)


def brute_force(r: float, trials: int, retrain: int, best: int, searches: int = 4000) -> float:
    """Return the share of simulated searches in which one of the best few was retrained."""
    rng = np.random.default_rng(11)
    full = np.sort(rng.standard_normal((searches, trials)))
    subset = r * full + np.sqrt(1 - r**2) * rng.standard_normal(full.shape)
    first = subset[:, :best].min(axis=1, keepdims=True)
    return float(((subset < first).sum(axis=1) < retrain).mean())


# The chance of survival


@pytest.mark.parametrize("r", [-0.4, 0.0, 0.5, 0.9, 0.99, 0.9999])
@pytest.mark.parametrize(("retrain", "best"), [(1, 1), (5, 1), (1, 10), (5, 10)])
def test_the_chance_is_that_of_simulated_searches(r: float, retrain: int, best: int) -> None:
    simulated = brute_force(r, 25, retrain, best, searches=10_000)
    assert survival(r, 25, retrain, best) == pytest.approx(simulated, abs=0.02)


@pytest.mark.parametrize("retrain", [1, 30, 500, 1000])
def test_independent_orders_keep_the_best_with_chance_n_of_all(retrain: int) -> None:
    assert survival(0, 1000, retrain) == pytest.approx(retrain / 1000, abs=0.01)


def test_identical_orders_keep_the_best_with_one_retraining() -> None:
    assert survival(1, 10_000, 1) == pytest.approx(1, abs=1e-3)
    assert survival(1, 10_000, 1, best=10) == pytest.approx(1, abs=1e-3)
    assert retrain_for(1, 10_000, 0.99) == 1


@settings(max_examples=60, deadline=None)
@given(
    r=st.floats(-0.99, 0.99),
    more=st.floats(0, 0.5),
    trials=st.integers(1, 3000),
    data=st.data(),
)
def test_the_chance_grows_with_n_and_correlation(
    r: float, more: float, trials: int, data: st.DataObject
) -> None:
    retrain = data.draw(st.integers(1, trials))
    chance = survival(r, trials, retrain)
    assert 0 <= chance <= 1 + 1e-12
    assert survival(r, trials, trials) == pytest.approx(1)
    assert survival(r, trials, min(retrain + 5, trials)) >= chance
    assert survival(min(r + more, 1), trials, retrain) >= chance - 1e-9
    assert survival(r, trials, retrain, best=10) >= chance - 0.02


@settings(max_examples=40, deadline=None)
@given(r=st.floats(-1, 1), trials=st.integers(1, 20_000), chance=st.sampled_from([0.5, 0.9, 0.99]))
def test_n_is_the_smallest_that_reaches_the_chance(r: float, trials: int, chance: float) -> None:
    enough = retrain_for(r, trials, chance)
    assert 1 <= enough <= trials
    assert survival(r, trials, enough) >= chance - 1e-12
    assert enough == 1 or survival(r, trials, enough - 1) < chance


# The correlation


def test_the_interval_is_bonett_and_wrights() -> None:
    # Their example, as in the documentation of R's statpsych::ci.spear, at 95 %.
    y = [21, 4, 9, 12, 35, 18, 10, 22, 24, 1, 6, 8, 13, 16, 19]
    x = [67, 28, 30, 28, 52, 40, 25, 37, 44, 10, 14, 20, 28, 40, 51]
    rho = rank_correlation(np.array(y, float), np.array(x, float))
    assert rho.value == pytest.approx(0.8699639, abs=1e-6)
    widen = 1.959964 / 1.281552
    z, low, high = np.arctanh([rho.value, rho.low, rho.high])
    assert np.tanh(z - widen * (z - low)) == pytest.approx(0.5840951, abs=1e-5)
    assert np.tanh(z + widen * (high - z)) == pytest.approx(0.9638297, abs=1e-5)


def test_the_low_end_is_a_tenth_percentile() -> None:
    rng = np.random.default_rng(5)
    for r in (0.5, 0.9):
        truth = 6 / np.pi * np.arcsin(r / 2)
        x = rng.standard_normal((600, 20))
        y = r * x + np.sqrt(1 - r**2) * rng.standard_normal(x.shape)
        below = np.mean([rank_correlation(a, b).low <= truth for a, b in zip(x, y, strict=True)])
        assert 0.87 <= below <= 0.97


def test_a_few_pairs_in_the_same_order_prove_little() -> None:
    few, many = (rank_correlation(np.arange(n), np.arange(n)) for n in (5.0, 50.0))
    assert few.low < 0.9 < many.low < 1
    assert rank_correlation(np.arange(3.0), np.arange(3.0)) == Estimate(0, -1, 1)
    assert rank_correlation(np.ones(9), np.arange(9.0)).value == 0


@pytest.mark.parametrize("r", [0.3, 0.8, 0.95])
def test_the_better_half_tells_the_correlation_of_all(r: float) -> None:
    rng = np.random.default_rng(1)
    full = -np.abs(rng.standard_normal(100_000))
    subset = r * full + np.sqrt(1 - r**2) * rng.standard_normal(full.shape)
    among_better = rank_correlation(subset, full).value
    assert among_better < r - 0.05
    assert copula_correlation(among_better) == pytest.approx(r, abs=0.02)


# The pilot


def trial(name: str, val_mse: float, seconds: float = 1.0, **changes: Any) -> Trial:
    made = Trial(1, name, (8,), "COMPLETED", seconds=seconds, val_mse=[1.0, val_mse])
    return replace(made, **changes)


def test_a_pilot_holds_what_succeeded_at_every_size() -> None:
    failed = trial("1", 0.3, status="FAILED")
    pilot = Pilot.of(
        1000,
        {
            1: {"0": trial("0", 0.1, 9), "1": trial("1", 0.3), "2": trial("2", 0.2, 8)},
            0.25: {"2": trial("2", 0.5, 3), "1": failed, "0": trial("0", 0.4, 2)},
        },
    )
    assert (pilot.subsets, pilot.rows, pilot.n_trials) == ((0.25, 1), (250, 1000), 2)
    np.testing.assert_array_equal(pilot.val_mse, [[0.4, 0.5], [0.1, 0.2]])
    np.testing.assert_array_equal(pilot.seconds, [[2, 3], [9, 8]])
    np.testing.assert_array_equal(pilot.epochs, [[2, 2], [2, 2]])


def test_a_pilot_without_a_common_success_is_refused() -> None:
    with pytest.raises(AeroactError, match=r"no architecture succeeded at every .* 0.05, 1"):
        Pilot.of(100, {0.05: {"0": trial("0", 0.1)}, 1: {"0": trial("0", 0.1, status="FAILED")}})


def test_a_pilot_of_different_architectures_is_refused() -> None:
    with pytest.raises(AeroactError, match="trial 0 is not the same architecture"):
        Pilot.of(100, {0.05: {"0": trial("0", 0.1)}, 1: {"0": trial("0", 0.1, widths=(16,))}})


# What it costs


def four_trials(*subsets: float, rows: int = 1000) -> Pilot:
    """Return a pilot of four trials with round numbers, the quicker the better.

    They take 1, 2, 3 and 6 ms a row in 10 epochs.
    """
    number = np.array([1.0, 2, 3, 6])
    of_rows = tuple(round(p * rows) for p in subsets)
    seconds = np.array(of_rows)[:, None] * 1e-3 * number
    return Pilot(
        subsets, of_rows, np.tile(number, (len(subsets), 1)), seconds, np.full(seconds.shape, 10)
    )


def test_costs_are_those_worked_out_by_hand() -> None:
    done = plan(four_trials(0.1, 1.0), Aim(trials=7200, workers=2, retrain_epochs=30))
    small, full = done.options
    # Trials take 0.1, 0.2, 0.3 and 0.6 s on the subset, 1, 2, 3 and 6 s on all rows.
    assert small.trial_seconds == pytest.approx(0.3)
    assert small.step1_hours.value == pytest.approx(7200 * 0.3 / 2 / 3600)
    assert full.step1_hours.value == done.one_step_hours.value == pytest.approx(3)
    # The better two take 0.1 and 0.2 s an epoch: 4.5 s a retraining of 30 epochs.
    assert small.step2_hours.value == pytest.approx(small.retrain * 4.5 / 2 / 3600)
    work = 7200 * 0.3 + small.retrain * 4.5
    assert small.fraction.value == pytest.approx(work / (7200 * 3))
    assert small.p_retrain == small.retrain / 7200
    assert small.nominal == pytest.approx(0.1 + small.retrain / 7200)
    assert full.fraction.value == pytest.approx(1 + 4.5 / (7200 * 3))


def test_no_step_is_shorter_than_its_longest_training() -> None:
    done = plan(four_trials(0.1, 1.0), Aim(trials=4, workers=100, retrain_epochs=30))
    assert done.one_step_hours.value == pytest.approx(6 / 3600)
    assert done.options[0].step1_hours.value == pytest.approx(0.6 / 3600)
    assert done.options[1].step2_hours.value == pytest.approx(30 * 0.2 / 3600)


def test_seconds_on_all_rows_are_extrapolated_along_a_line() -> None:
    pilot = four_trials(0.1, 0.5)
    fixed = replace(pilot, seconds=pilot.seconds + 0.5 * pilot.val_mse)
    aim = Aim(trials=7200, workers=1, retrain_epochs=10)
    # 3 s a trial on all rows, were it only for the rows, and 1.5 s whatever the rows.
    assert plan(pilot, aim).one_step_hours.value == pytest.approx(2 * 3)
    assert plan(fixed, aim).one_step_hours.value == pytest.approx(2 * 4.5)
    # The better two take 0.1 and 0.2 s an epoch on all rows.
    small = plan(pilot, aim).options[0]
    assert small.step2_hours.value == pytest.approx(small.retrain * 10 * 0.15 / 3600)
    # More than in proportion to the rows is taken for proportional, not for a negative cost.
    steep = replace(pilot, seconds=pilot.seconds * [[0.1], [1]])
    assert plan(steep, aim).one_step_hours.value == pytest.approx(2 * 3, rel=0.02)


def test_intervals_of_costs_hold_the_estimate_and_grow_with_the_spread() -> None:
    pilot = a_pilot(0.9)
    even = replace(pilot, seconds=np.ones_like(pilot.seconds))
    hours, same = plan(pilot, AIM).one_step_hours, plan(even, AIM).one_step_hours
    assert hours.low < hours.value < hours.high
    assert same.low == same.value == same.high


# What it recommends


def test_the_cheapest_subset_that_orders_well_is_recommended() -> None:
    done = plan(a_pilot(0.97, 0.99), AIM)
    assert done.recommended is done.options[0]
    small, medium, full = done.options
    assert small.survival.low >= AIM.chance
    assert small.survival.low <= small.survival.value <= small.survival.high
    assert small.survival_of_one.low > small.survival.low
    assert small.retrain > medium.retrain > full.retrain == 1
    assert small.retrain >= small.retrain_likely
    assert small.fraction.value < medium.fraction.value < 1


def test_a_subset_that_orders_badly_is_passed_over() -> None:
    done = plan(a_pilot(0.2, 0.99), AIM)
    assert done.recommended is done.options[1]


def test_where_no_subset_saves_anything_the_largest_is_recommended() -> None:
    done = plan(a_pilot(-0.5, -0.5, trials=200), AIM)
    assert done.recommended is done.options[-1]
    assert "would save nothing" in done.reason
    assert advice(done)[0].startswith("Recommended: --p-subset 1;")


def test_failed_networks_do_not_make_good_ones_look_ordered() -> None:
    # A third of the networks never learns at either size; the others are in no order at all.
    pilot = a_pilot(0.0, trials=60)
    bad = np.arange(60) % 3 == 0
    pilot = replace(pilot, val_mse=pilot.val_mse + 1.0 * bad)
    small = plan(pilot, AIM).options[0]
    assert small.rho.value > 0.5
    assert small.rho_better.low < 0.2
    assert plan(pilot, AIM).recommended is not small


@pytest.mark.slow
@pytest.mark.parametrize("r", [0.0, 0.6, 0.9])
@pytest.mark.parametrize("failing", [0.0, 0.3, 0.45])
def test_n_keeps_the_best_as_often_as_asked_for(r: float, failing: float) -> None:
    rng = np.random.default_rng(8)
    aim = Aim(trials=1000, workers=1, retrain_epochs=1)

    def val_mse(trials: int) -> NDArray[np.float64]:
        mse = a_pilot(r, trials=trials, seed=rng).val_mse
        fails = rng.random(trials) < failing
        return np.where(fails, rng.uniform(10, 11, mse.shape), mse)

    kept = []
    for _ in range(100):
        pilot = replace(a_pilot(r), val_mse=val_mse(40))
        subset, full = val_mse(aim.trials)
        rank = 1 + (subset < subset[full.argmin()]).sum()
        kept.append(rank <= plan(pilot, aim).options[0].retrain)
    # Three standard errors below 0.9.
    assert np.mean(kept) >= 0.81


@pytest.mark.parametrize(
    ("pilot", "reason"),
    [
        (a_pilot(0.99, trials=MIN_TRIALS - 1), "19 architectures .* fewer than 20 .* take 40"),
        (four_trials(0.1, 1.0), "4 architectures succeeded"),
        (replace(a_pilot(), val_mse=a_pilot().val_mse[-1:]), "one subset size, 1,"),
        (
            replace(a_pilot(0.9), val_mse=1 + 1e-3 * a_pilot(0.9).val_mse),
            "within 1% of each other",
        ),
    ],
)
def test_a_pilot_that_cannot_tell_says_why(pilot: Pilot, reason: str) -> None:
    done = plan(pilot, AIM)
    assert done.recommended is None
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(done.reason)
    assert advice(done)[0].startswith("The pilot cannot tell: ")


def test_correlations_too_uncertain_say_how_many_trials_would_do() -> None:
    # Retraining for so long makes anything but a short list worse than one step.
    pilot = a_pilot(-0.5, 0.9, trials=60)
    uncertain = plan(pilot, replace(AIM, retrain_epochs=1500))
    assert uncertain.recommended is None
    needed = int(uncertain.reason.split("a pilot of about ")[1].split()[0])
    assert 60 < needed <= 200

    hopeless = plan(pilot, replace(AIM, retrain_epochs=8000))
    assert hopeless.recommended is None
    assert "search on 1 of the rows" in hopeless.reason


# In all


@settings(max_examples=12, deadline=None)
@given(
    trials=st.integers(1, 30),
    sizes=st.integers(1, 3),
    aim=st.builds(
        Aim,
        trials=st.integers(1, 20_000),
        workers=st.integers(1, 500),
        retrain_epochs=st.integers(1, 500),
        chance=st.floats(0.1, 0.99),
    ),
    power=st.floats(0.2, 3),
    seed=st.integers(0, 5),
)
def test_any_pilot_gives_a_whole_plan_that_only_the_order_of_the_mses_decides(
    trials: int, sizes: int, aim: Aim, power: float, seed: int
) -> None:
    pilot = a_pilot(*(0.8,) * (sizes - 1), trials=trials, seed=seed)
    done = plan(pilot, aim, seed)
    assert plan(pilot, aim, seed) == done
    assert [o.p_subset for o in done.options] == list(pilot.subsets)
    for option in done.options:
        assert 1 <= option.retrain <= aim.trials
        for chance in (option.survival, option.survival_of_one):
            assert 0 <= chance.low <= chance.value + 1e-9 <= chance.high + 2e-9 <= 1 + 1e-8
        for cost in (option.step1_hours, option.step2_hours, option.fraction):
            assert 0 < cost.low <= cost.high < np.inf
    json.dumps(asdict(done), allow_nan=False)
    assert len(advice(done)) >= 2
    Console(file=StringIO()).print(table(done))

    bent = replace(pilot, val_mse=np.exp(power * np.log(pilot.val_mse)))
    assert plan(bent, aim, seed).options == done.options


def test_the_table_has_a_row_for_each_size_and_the_advice_its_options() -> None:
    done = plan(a_pilot(0.97, 0.99), AIM)
    text = StringIO()
    Console(width=200, file=text).print(table(done))
    small = done.options[0]
    for p, rows in (("0.05", "5,000"), ("0.2", "20,000"), ("1", "100,000")):
        assert any({p, rows} <= set(line.split()) for line in text.getvalue().splitlines())
    # The largest has nothing to be compared with.
    assert [line.count(" - ") for line in text.getvalue().splitlines() if "100,000" in line] == [3]
    recommended, chances, costs, *_ = advice(done)
    assert f"--p-subset 0.05 --retrain {small.retrain} " in recommended
    assert "(90% to" in chances
    assert "On 16 workers" in costs


@pytest.mark.parametrize(
    ("trials", "workers", "told"), [(7200, 2, "3 h ("), (72, 1, "3.6 min ("), (4, 100, "6 s (")]
)
def test_times_are_told_in_the_unit_that_suits_them(trials: int, workers: int, told: str) -> None:
    done = plan(four_trials(0.1, 1.0), Aim(trials, workers, retrain_epochs=30))
    assert f"one-step search on all the rows would take {told}" in advice(done)[-1]


def test_a_pilot_short_of_all_rows_says_so() -> None:
    done = plan(a_pilot(0.97, subsets=(0.05, 0.5)), AIM)
    assert "best on 0.5 of the rows" in advice(done)[-1]
    assert done.one_step_hours.value > 1.9 * done.options[-1].step1_hours.value


@pytest.mark.parametrize(
    "wrong", [{"trials": 0}, {"workers": 0}, {"retrain_epochs": 0}, {"chance": 1.0}]
)
def test_an_aim_out_of_bounds_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(AeroactError, match=f"{next(iter(wrong))} "):
        plan(a_pilot(0.9), replace(AIM, **wrong))
