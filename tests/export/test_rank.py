"""Ranking and picking, on made-up candidates."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeroact.errors import AeroactError
from aeroact.export.parity import Parity
from aeroact.export.rank import RULES, Candidate, pareto, pick, ranking
from aeroact.hpo.journal import Trial
from aeroact.timing import Timing

EXACT = Parity(0.0, 0.0, 0.0, 100_000, 0)


def candidate(name, mse, widths, microseconds=1.0, status="COMPLETED"):
    trial = Trial(2, name, tuple(widths), status, holdout={"mse": mse, "r2": 1.0})
    return Candidate(trial, b"", EXACT, Timing(microseconds, microseconds, microseconds))


def picked(candidates, rule, tolerance=1.5, max_mse=None, refused=None):
    chosen, _ = pick(candidates, rule, tolerance=tolerance, max_mse=max_mse, refused=refused)
    return chosen


BEST = candidate("best", 1.0e-5, (512, 512), 9.0)
GOOD = candidate("good", 1.2e-5, (64, 64), 1.5)
SLOW = candidate("slow", 1.4e-5, (32, 32), 2.0)
POOR = candidate("poor", 5.0e-5, (8,), 0.1)
HUGE = candidate("huge", 1.3e-5, (2048, 2048), 90.0)
ALL = [POOR, HUGE, GOOD, SLOW, BEST]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("best", BEST),
        ("lightest", SLOW),
        ("fastest", GOOD),
        ("heaviest", HUGE),
        ("poor", POOR),
    ],
)
def test_each_rule_picks_its_own(rule, expected):
    chosen, meaning = pick(ALL, rule, tolerance=1.5, max_mse=None)
    assert chosen is expected
    assert meaning


def test_tolerance_and_bound_say_what_is_good_enough():
    assert picked(ALL, "lightest", tolerance=5.0) is POOR
    assert picked(ALL, "lightest", tolerance=1.0) is BEST
    assert picked(ALL, "lightest", tolerance=1.0, max_mse=1.25e-5) is GOOD
    _, meaning = pick(ALL, "lightest", tolerance=1.5, max_mse=None)
    assert meaning.endswith("an MSE of at most 1.5e-05, 1.5 times the best")
    _, meaning = pick(ALL, "heaviest", tolerance=1.5, max_mse=2e-5)
    assert meaning == "the most parameters among those with an MSE of at most 2e-05"


def test_ties_go_to_the_lower_mse_then_to_the_lower_name():
    same = [candidate(name, mse, (8,)) for name, mse in (("b", 2e-5), ("c", 1e-5), ("a", 2e-5))]
    for rule in RULES:
        assert picked(same, rule, tolerance=9.0).trial.name == "c", rule
    equals = [candidate(name, 1e-5, (8,)) for name in "cab"]
    for rule in RULES:
        assert picked(equals, rule).trial.name == "a", rule


# --- the knee ---------------------------------------------------------------------------------

BEND = [candidate("a", 1e-2, (8,)), candidate("b", 2e-5, (64,)), candidate("c", 1e-5, (2048,))]


def test_the_knee_is_where_more_parameters_stop_helping():
    assert picked(BEND, "knee") is BEND[1]


def test_the_knee_stays_where_heavier_networks_are_no_better():
    heavier = [candidate(f"x{w}", 1.5e-5, (2048, w)) for w in (64, 512, 2048)]
    assert picked(BEND + heavier, "knee") is BEND[1]


def test_the_knee_does_not_depend_on_the_tolerance_but_on_the_bound():
    assert picked(BEND, "knee", tolerance=1.0) is BEND[1]
    assert picked(BEND, "knee", max_mse=1.5e-5) is BEND[2]


def test_a_knee_is_found_where_there_is_hardly_one():
    one = [candidate("one", 1e-5, (8,))]
    assert picked(one, "knee") is one[0]
    same_mse = [candidate("a", 1e-5, (64,)), candidate("b", 1e-5, (8,))]
    assert picked(same_mse, "knee").trial.name == "b", "more parameters buy nothing"
    same_params = [candidate("a", 2e-5, (8,)), candidate("b", 1e-5, (8,))]
    assert picked(same_params, "knee").trial.name == "b"
    lightest_is_best = [candidate("a", 1e-5, (8,)), candidate("b", 2e-5, (64,))]
    assert picked(lightest_is_best, "knee").trial.name == "a"
    bulge = [candidate("a", 1e-3, (8,)), candidate("b", 9e-4, (256,)), candidate("c", 1e-5, (512,))]
    assert picked(bulge, "knee").trial.name == "c", "none lies below the chord"
    exact = [candidate("a", 1e-3, (8,)), candidate("b", 0.0, (512,))]
    assert picked(exact, "knee").trial.name == "b"


# --- nothing to pick --------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_nothing_good_enough_is_an_error_that_says_what_there_is(rule):
    with pytest.raises(AeroactError, match="at most 1e-09; the best has 1e-05: raise --max-mse"):
        picked(ALL, rule, max_mse=1e-9)


def test_a_named_trial_needs_not_be_good_enough():
    assert picked(ALL, "poor", max_mse=1e-9) is POOR


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(
        AeroactError, match=r"--pick 42: no such .* knee, and trials best, good, huge, slow, poor"
    ):
        picked(ALL, "42")


def test_a_refused_trial_is_named_with_its_reason():
    refused = {"07": "models/07.keras: the network of trial 07 is missing"}
    with pytest.raises(AeroactError, match=r"--pick 07: not usable, .* is missing; there are"):
        picked(ALL, "07", refused=refused)
    with pytest.raises(AeroactError, match=r"no usable emulator .*trial 07: .* is missing"):
        picked([], "best", refused=refused)


def test_nothing_to_pick_from_is_an_error():
    with pytest.raises(AeroactError, match=r"no usable emulator to pick from$"):
        picked([], "best")


@pytest.mark.parametrize("tolerance", [0.9, math.nan])
def test_a_tolerance_that_not_even_the_best_meets_is_an_error(tolerance):
    with pytest.raises(AeroactError, match=r"--tolerance .* at least 1"):
        picked(ALL, "lightest", tolerance=tolerance)


UNUSABLE = [
    candidate("nan", math.nan, (4,), 0.01),
    candidate("inf", math.inf, (4096,), 0.01),
    candidate("untimed", 1e-9, (4,), math.nan),
    candidate("failed", 1e-9, (4,), 0.01, status="FAILED"),
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bad", UNUSABLE, ids=lambda c: c.trial.name)
def test_what_is_not_sound_is_never_picked(rule, bad):
    assert picked([bad, *ALL, bad], rule) is picked(ALL, rule)
    assert pareto([bad, *ALL]) == pareto(ALL)
    assert ranking([bad, *ALL])[-1] is bad
    with pytest.raises(AeroactError, match="no usable emulator"):
        picked([bad], rule)
    with pytest.raises(AeroactError, match=r"--pick .*: not usable"):
        picked([bad, *ALL], bad.trial.name)


# --- properties -------------------------------------------------------------------------------

# Few values each, so that ties are frequent.
candidates = st.lists(
    st.tuples(
        st.sampled_from([1e-5, 1.1e-5, 2e-5, 1e-3]) | st.floats(1e-6, 1e-2),
        st.sampled_from([8, 16, 32, 64]),
        st.sampled_from([0.5, 1.0, 2.0]) | st.floats(0.1, 10),
    ),
    min_size=1,
    max_size=8,
).map(lambda rows: [candidate(f"{i}", mse, (w,), us) for i, (mse, w, us) in enumerate(rows)])


@given(candidates, st.sampled_from(RULES), st.randoms())
def test_a_pick_is_good_enough_and_does_not_depend_on_the_order(given_ones, rule, random):
    chosen = picked(given_ones, rule)
    if rule != "knee":
        assert chosen.mse <= 1.5 * ranking(given_ones)[0].mse
    shuffled = list(given_ones)
    random.shuffle(shuffled)
    assert picked(shuffled, rule) is chosen
    assert pareto(shuffled) == pareto(given_ones)


@given(candidates)
def test_nobody_is_lighter_and_better_than_the_knee(given_ones):
    knee = picked(given_ones, "knee")
    rivals = [c for c in given_ones if c.mse < knee.mse and c.trial.params <= knee.trial.params]
    rivals += [c for c in given_ones if c.mse <= knee.mse and c.trial.params < knee.trial.params]
    assert not rivals


@given(candidates)
def test_the_front_is_all_that_nobody_beats(given_ones):
    front = pareto(given_ones)
    for c in given_ones:
        no_worse = [o for o in given_ones if o.mse <= c.mse and o.timing.median <= c.timing.median]
        beaten = any(o.mse < c.mse or o.timing.median < c.timing.median for o in no_worse)
        assert (c.trial.name in front) != beaten


@given(candidates)
def test_every_beaten_one_is_beaten_by_one_of_the_front(given_ones):
    front = pareto(given_ones)
    leaders = [c for c in given_ones if c.trial.name in front]
    for c in given_ones:
        assert any(o.mse <= c.mse and o.timing.median <= c.timing.median for o in leaders)
