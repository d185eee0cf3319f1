"""Pruning: the rules by hand and by definition, whatever is known when, and on real curves."""

import gzip
import json
from pathlib import Path
from statistics import median, median_high

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aeroact.hpo.prune import Pruner

# Validation MSE by epoch of real searches, see make_curves.py beside the file.
REAL = json.loads(gzip.decompress((Path(__file__).parent / "data/curves.json.gz").read_bytes()))
RULES = ("median", "asha")
EPOCHS = 20
CHECKPOINTS = {"median": (2, 8, 14), "asha": (4, 7, 14)}

# Few different values, so that ties are frequent; lengths around every checkpoint.
curve = st.lists(st.integers(0, 9).map(float), max_size=EPOCHS)
flat = st.builds(lambda value, length: [float(value)] * length, st.integers(0, 30), st.just(EPOCHS))
searches = st.lists(curve | flat, max_size=16)
rules = st.sampled_from(RULES)


def settled_by_definition(curves, rule):
    """Settle one trial after the other, with the words of the module's docstring."""
    counts, ended = [], set()
    for number, mine in enumerate(curves):
        counts.append(len(mine))
        for epoch in CHECKPOINTS[rule]:
            if epoch > len(mine):
                break
            others = []
            for other in range(number):
                reached = counts[other] >= epoch
                finished = rule == "median" and curves[other] and other not in ended
                if reached or finished:
                    others.append(min(curves[other][:epoch]))
            best = min(mine[:epoch])
            if sum(value < best for value in others) < 4:
                continue
            if rule == "median":
                lost = best > median_high(others)
            else:
                place = sorted([*others, best]).index(best) + 1
                lost = place > (len(others) + 1) / 2
            if lost:
                counts[number] = epoch
                ended.add(number)
                break
    return counts, ended


def settle(curves, rule, epochs):
    """Epochs that count, by number."""
    pruner = Pruner(rule, epochs)
    for number, mine in curves.items():
        pruner.add(number, mine)
    return pruner.settled


def filled(curves, rule, numbers):
    pruner = Pruner(rule, EPOCHS)
    for number in numbers:
        pruner.add(number, curves[number])
    return pruner


def improving(value):
    """Value until epoch 5, then a tenth of it."""
    return [value] * 5 + [value / 10] * 15


EXAMPLE = [
    # No four others are better than any of these.
    improving(1.0),
    improving(2.0),
    improving(3.0),
    improving(4.0),
    # All four are better.
    [5.0] * 20,
    # At first only three are, later all.
    [3.5] * 20,
    # The best until it ended by itself.
    [0.25] * 5,
    # Beyond epoch 5 three of those still there are better, and the one that ended.
    [0.35] * 20,
    # Failed.
    [],
]


@pytest.mark.parametrize(
    ("rule", "epochs"),
    [
        ("none", [20, 20, 20, 20, 20, 20, 5, 20, 0]),
        ("median", [20, 20, 20, 20, 2, 8, 5, 8, 0]),
        ("asha", [20, 20, 20, 20, 4, 7, 5, 20, 0]),
    ],
)
def test_a_small_search_is_settled_as_by_hand(rule, epochs):
    assert settle(dict(enumerate(EXAMPLE)), rule, EPOCHS) == dict(enumerate(epochs))


def test_the_middle_one_goes_on_by_the_median_but_is_not_in_the_better_half():
    """Four are better than the last trial, four are not; later the four that were ended are gone.

    For the median the trial is compared with eight others; for the better half, it is the
    fifth of nine.
    """
    values = [1.0, 2.0, 3.0, 4.0, 9.0, 9.0, 9.0, 9.0, 5.0]
    curves = {number: [value] * 20 for number, value in enumerate(values)}
    assert list(settle(curves, "median", EPOCHS).values()) == [20] * 4 + [2] * 4 + [8]
    assert list(settle(curves, "asha", EPOCHS).values()) == [20] * 4 + [4] * 5


@settings(max_examples=200)
@given(curves=searches, rule=rules, data=st.data())
@example(curves=EXAMPLE, rule="median", data=None)
def test_settling_follows_the_definition_in_whatever_order_trials_finish(curves, rule, data):
    order = range(len(curves)) if data is None else data.draw(st.permutations(range(len(curves))))
    pruner = filled(curves, rule, order)
    counts, ended = settled_by_definition(curves, rule)
    assert pruner.settled == dict(enumerate(counts))
    assert pruner.ended == ended


@given(curves=searches, rule=rules, data=st.data())
def test_what_is_settled_stays_so(curves, rule, data):
    first = data.draw(st.integers(0, len(curves)))
    counts, _ = settled_by_definition(curves, rule)
    assert settle(dict(enumerate(curves[:first])), rule, EPOCHS) == dict(enumerate(counts[:first]))


@settings(max_examples=300)
@given(curves=searches, rule=rules, data=st.data())
def test_a_running_trial_never_stops_before_its_settled_end(curves, rule, data):
    """Whatever is known of the others, and whatever the rest of them turns out to be."""
    numbers = range(len(curves))
    known = data.draw(st.lists(st.sampled_from(numbers), unique=True) if curves else st.just([]))
    pruner = filled(curves, rule, known)
    stops = {
        number: epoch
        for number in set(numbers) - set(known)
        for epoch in range(len(curves[number]), 0, -1)
        if pruner.must_stop(number, curves[number][:epoch])
    }
    for unknown in (None, [], [99.0] * EPOCHS, [-1.0] * EPOCHS, [99.0] * 2, [-1.0] * 2):
        for number, epoch in stops.items():
            truth = list(curves)
            for other in set(range(number)) - set(known):
                truth[other] = curves[other] if unknown is None else unknown
            counts, ended = settled_by_definition(truth[: number + 1], rule)
            assert counts[number] <= epoch
            assert number in ended


@given(curves=searches.filter(bool), rule=rules)
def test_with_all_known_a_trial_stops_at_its_settled_end(curves, rule):
    last = len(curves) - 1
    pruner = filled(curves, rule, range(last))
    counts, ended = settled_by_definition(curves, rule)
    for epoch in range(1, len(curves[last]) + 1):
        stop = pruner.must_stop(last, curves[last][:epoch])
        assert stop == (last in ended and epoch >= counts[last])


@pytest.mark.parametrize("rule", RULES)
def test_a_slow_trial_does_not_keep_hopeless_ones_alive(rule):
    """Trial 0 still runs, so that none is settled; yet each has passed the first checkpoint."""
    pruner = filled([[], *([1.0] * EPOCHS for _ in range(8))], rule, range(1, 9))
    assert pruner.settled == {}
    first = CHECKPOINTS[rule][0]
    assert not pruner.must_stop(9, [2.0] * (first - 1))
    assert pruner.must_stop(9, [2.0] * first)


@pytest.mark.parametrize("rule", RULES)
def test_finished_trials_that_may_yet_be_ended_stop_nobody_at_later_checkpoints(rule):
    """Trials 5 to 10 come to be the best, but may have been ended before.

    So it is in the end, by trials 0 to 4; the last trial is then better than all who are left.
    """
    late = [5.0] * 5 + [0.1] * 15
    curves = [[3.0] * EPOCHS] * 5 + [late] * 6 + [[1.0] * EPOCHS]
    pruner = filled(curves, rule, range(5, 11))
    assert not pruner.must_stop(11, curves[11])
    assert settle(dict(enumerate(curves)), rule, EPOCHS)[11] == EPOCHS


@pytest.mark.parametrize("rule", RULES)
def test_as_many_unknown_as_better_trials_leave_the_end_open(rule):
    """Should the unknown ones be worse, the trial is the middle one of those compared."""
    pruner = filled([[1.0] * EPOCHS] * 4, rule, range(4))
    hopeless = [2.0] * CHECKPOINTS[rule][0]
    open_from = {"median": 8, "asha": 9}[rule]
    stops = [pruner.must_stop(number, hopeless) for number in range(4, 12)]
    assert stops == [number < open_from for number in range(4, 12)]


@given(curves=searches, data=st.data())
def test_without_a_rule_nothing_is_cut(curves, data):
    pruner = filled(curves, "none", data.draw(st.permutations(range(len(curves)))))
    assert pruner.settled == {number: len(curve) for number, curve in enumerate(curves)}
    assert pruner.ended == set()
    assert not pruner.must_stop(len(curves), [1e9] * EPOCHS)


@given(curves=searches, rule=rules, data=st.data())
def test_a_trial_that_leads_at_every_epoch_is_never_cut(curves, rule, data):
    number = data.draw(st.integers(0, len(curves)))
    curves = [*curves[:number], [-1.0] * EPOCHS, *curves[number:]]
    pruner = filled(curves, rule, [k for k in range(len(curves)) if k != number])
    assert not pruner.must_stop(number, curves[number])
    pruner.add(number, curves[number])
    assert pruner.settled[number] == EPOCHS
    assert number not in pruner.ended


@pytest.mark.parametrize("rule", RULES)
def test_nothing_after_a_missing_trial_is_settled(rule):
    curves = {0: [1.0], 1: [1.0], 3: [1.0]}
    assert settle(curves, rule, EPOCHS) == {0: 1, 1: 1}


def test_a_trial_is_added_once():
    pruner = filled(EXAMPLE, "median", [0, 2])
    for number in (0, 2):
        with pytest.raises(ValueError, match=f"trial {number} has been added before"):
            pruner.add(number, [1.0])


@pytest.mark.parametrize("rule", RULES)
def test_the_last_epoch_is_too_late_to_end_a_trial(rule):
    curves = dict(enumerate([float(number)] for number in range(20)))
    pruner = Pruner(rule, epochs=1)
    for number, curve in curves.items():
        pruner.add(number, curve)
    assert pruner.ended == set()


@pytest.mark.parametrize("rule", RULES)
def test_thousands_of_trials_are_settled_by_definition(rule):
    """More than the first room for them."""
    rng = np.random.default_rng(1)
    values = rng.integers(0, 1000, (2100, EPOCHS)).astype(float)
    curves = [row[: rng.integers(0, EPOCHS + 1)].tolist() for row in values]
    counts, _ = settled_by_definition(curves[:1300], rule)
    pruner = filled(curves, rule, reversed(range(2100)))
    assert [pruner.settled[number] for number in range(1300)] == counts


def spent_and_kept(curves, rule, epochs):
    """Fraction of the epochs that count, and how many of the best ten are still among them."""
    counts = settle(dict(enumerate(curves)), rule, epochs)
    whole = [min(curve) for curve in curves]
    cut = [min(curve[: counts[number]]) for number, curve in enumerate(curves)]
    top, still = (set(np.argsort(best, kind="stable")[:10]) for best in (whole, cut))
    return sum(counts.values()) / sum(map(len, curves)), len(top & still)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["default", "batches"])
def test_of_a_real_search_half_is_spent_and_nine_of_the_best_ten_are_kept(name, rule):
    curves, epochs = REAL[name]["curves"], REAL[name]["epochs"]
    fraction, kept = spent_and_kept(curves, rule, epochs)
    assert fraction <= 0.5
    assert kept >= 9

    # In other orders, too, but for those that begin with a bad sample.
    results = in_random_orders(curves, rule, epochs)
    assert np.mean([fraction <= 0.5 for fraction, _ in results]) >= 0.75
    assert np.mean([kept >= 9 for _, kept in results]) >= 0.95


@pytest.mark.parametrize(
    ("name", "rule", "most_spent", "fewest_kept"),
    [
        # A third of the epochs: the places are open until the end.
        ("short", "median", 0.47, 8.8),
        ("short", "asha", 0.47, 8.5),
        # Patience ends most trials before half of the epochs, and leaves less to save.
        ("patience", "median", 0.55, 8.8),
        ("patience", "asha", 0.62, 7.7),
    ],
)
def test_short_trainings_save_less_or_lose_more(name, rule, most_spent, fewest_kept):
    results = in_random_orders(REAL[name]["curves"], rule, REAL[name]["epochs"])
    assert median(fraction for fraction, _ in results) <= most_spent
    assert np.mean([kept for _, kept in results]) >= fewest_kept


def in_random_orders(curves, rule, epochs):
    rng = np.random.default_rng(4)
    orders = (rng.permutation(len(curves)) for _ in range(60))
    return [spent_and_kept([curves[k] for k in order], rule, epochs) for order in orders]
