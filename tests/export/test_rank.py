"""Ranking and picking, on made-up candidates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeroact.errors import AeroactError
from aeroact.export.bench import Timing
from aeroact.export.rank import RULES, Candidate, pick, ranking
from aeroact.hpo.journal import Trial


def candidate(name, mse, widths, microseconds=1.0):
    trial = Trial(2, name, tuple(widths), "COMPLETED", holdout={"mse": mse, "r2": 1.0})
    return Candidate(trial, b"", 0.0, Timing(microseconds, microseconds, microseconds))


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
    assert pick(ALL, "lightest", tolerance=5.0, max_mse=None)[0] is POOR
    assert pick(ALL, "lightest", tolerance=1.0, max_mse=None)[0] is BEST
    assert pick(ALL, "lightest", tolerance=1.0, max_mse=1.25e-5)[0] is GOOD
    _, meaning = pick(ALL, "lightest", tolerance=1.5, max_mse=None)
    assert meaning.endswith("an MSE of at most 1.5e-05, 1.5 times the best")


def test_the_knee_is_where_more_parameters_stop_helping():
    bend = [candidate("a", 1e-2, (8,)), candidate("b", 2e-5, (64,)), candidate("c", 1e-5, (2048,))]
    assert pick(bend, "knee", tolerance=1.5, max_mse=None)[0] is bend[1]


def test_nothing_good_enough_is_an_error_that_says_what_there_is():
    with pytest.raises(AeroactError, match="at most 1e-09; the best has 1e-05"):
        pick(ALL, "lightest", tolerance=1.5, max_mse=1e-9)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(AeroactError, match=r"--pick 42: .* best, good, huge, slow, poor"):
        pick(ALL, "42", tolerance=1.5, max_mse=None)


def test_nothing_to_pick_from_is_an_error():
    with pytest.raises(AeroactError, match="no usable emulator"):
        pick([], "best", tolerance=1.5, max_mse=None)


candidates = st.lists(
    st.tuples(st.floats(1e-6, 1e-2), st.sampled_from([8, 16, 32, 64]), st.floats(0.1, 10)),
    min_size=1,
    max_size=8,
).map(lambda rows: [candidate(f"{i}", mse, (w,), us) for i, (mse, w, us) in enumerate(rows)])


@given(candidates, st.sampled_from(RULES), st.randoms())
def test_a_pick_is_good_enough_and_does_not_depend_on_the_order(given_ones, rule, random):
    chosen, _ = pick(given_ones, rule, tolerance=1.5, max_mse=None)
    best = ranking(given_ones)[0]
    if rule != "knee":
        assert chosen.mse <= 1.5 * best.mse
    shuffled = list(given_ones)
    random.shuffle(shuffled)
    assert pick(shuffled, rule, tolerance=1.5, max_mse=None)[0] is chosen
