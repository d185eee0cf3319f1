"""Which trials of Step 1 are retrained: policies, filters, ties, and nothing to choose from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeroact.errors import AeroactError
from aeroact.hpo.config import Project
from aeroact.hpo.journal import Trial
from aeroact.hpo.shortlist import ranked, shortlist


def completed(name: str, mse: float, widths=(8,), **kwargs) -> Trial:
    return Trial(1, name, widths, "COMPLETED", val_mse=[1.0, mse], **kwargs)


def chosen(trials, **settings) -> list[str]:
    by_name = {trial.name: trial for trial in trials}
    return [trial.name for trial in shortlist(by_name, Project(**settings))]


FAILED = Trial(1, "0", (8,), "FAILED", message="no memory", val_mse=[1e-9])
SIZES = [completed(str(k), 0.5 - 0.1 * k, (8 * 2**k,)) for k in (1, 2, 3)]


def test_the_best_are_those_with_the_lowest_validation_mse():
    assert chosen([FAILED, *SIZES], retrain=2) == ["3", "2"]
    assert chosen([FAILED, *SIZES], retrain=10) == ["3", "2", "1"]


def test_a_pruned_trial_is_ranked_by_what_it_reached():
    pruned = Trial(1, "4", (16, 16), "PRUNED", val_mse=[0.25])
    assert [trial.name for trial in ranked([*SIZES, pruned])] == ["3", "4", "2", "1"]


def test_a_candidate_that_was_tried_again_is_retrained_once():
    again = [completed("5", 0.01), completed("6", 0.02), completed("7", 0.03, learning_rate=1e-3)]
    assert [trial.name for trial in ranked(again)] == ["5", "7"]


def test_a_tie_goes_to_the_earlier_trial():
    tied = [completed("2", 0.1, (16,)), completed("1", 0.1, (32,))]
    assert chosen(tied, retrain=1) == ["1"]


def test_filters_leave_the_larger_ones_out():
    deep = completed("4", 0.01, (8, 8))  # 244 parameters
    assert chosen([deep, *SIZES], shortlist_max_layers=1, retrain=1) == ["3"]
    assert chosen([deep, *SIZES], shortlist_max_params=340, retrain=5) == ["4", "1"]


def test_the_pareto_front_comes_first():
    """Worked by hand: validation MSE against parameters (8: 172, 16: 340, 32: 676, 64: 1348)."""
    trials = [
        completed("a", 0.10, (64,)),
        completed("b", 0.20, (32,)),
        completed("c", 0.25, (64, 8)),  # dominated by a and by b
        completed("d", 0.30, (16,)),
        completed("e", 0.40, (32, 8)),  # dominated by d, not by c
        completed("f", 0.50, (8,)),
    ]
    assert chosen(trials, shortlist="pareto", retrain=6) == ["a", "b", "d", "f", "c", "e"]
    assert chosen(trials, shortlist="pareto", retrain=2) == ["a", "b"]
    assert chosen(trials, shortlist="best", retrain=4) == ["a", "b", "c", "d"]


def test_cost_may_be_the_measured_time():
    slow = completed("a", 0.1, (8,), inference_us=2.0)
    fast = completed("b", 0.2, (64,), inference_us=1.0)
    small = completed("c", 0.3, (4,), inference_us=1.5)
    settings = {"shortlist": "pareto", "retrain": 3}
    assert chosen([slow, fast, small], cost="time", **settings) == ["a", "b", "c"]
    assert chosen([slow, fast, small], cost="params", **settings) == ["a", "c", "b"]


@given(
    st.lists(
        st.tuples(st.integers(1, 30), st.integers(1, 40)), min_size=1, max_size=30, unique=True
    )
)
def test_nothing_outside_the_shortlist_beats_what_is_in_its_first_front(points):
    trials = {
        str(k): completed(str(k), mse / 100, (width,)) for k, (mse, width) in enumerate(points)
    }
    unique = ranked(trials.values())
    order = shortlist(trials, Project(shortlist="pareto", retrain=len(points)))
    assert sorted(t.name for t in order) == sorted(t.name for t in unique)

    def beats(a: Trial, b: Trial) -> bool:
        no_worse = a.best_val_mse <= b.best_val_mse and a.params <= b.params
        return no_worse and (a.best_val_mse < b.best_val_mse or a.params < b.params)

    for place, trial in enumerate(order):
        assert not any(beats(later, trial) for later in order[place + 1 :])


def test_an_empty_choice_says_why():
    with pytest.raises(AeroactError, match=r"none of the 1 trials .* because no memory"):
        chosen([FAILED])
    with pytest.raises(AeroactError, match=r"none of the 3 trials .* at most .* 100 parameters"):
        chosen(SIZES, shortlist_max_params=100)
