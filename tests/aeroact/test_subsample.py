"""An even subsample is even, random, and the same however the rows come."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from aeroact import subsample
from aeroact.subsample import Reservoir, Rows, evenly, keys


def rows_of(stratum: NDArray[np.int64], seed: int = 1) -> Rows:
    index = np.arange(len(stratum))
    return {"stratum": stratum, "index": index, "key": keys(index, seed), "value": -index}


def test_keys_are_distinct_evenly_spread_and_depend_on_the_seed() -> None:
    index = np.arange(100_000)
    one, two = keys(index, 1), keys(index, 2)
    assert len(np.unique(one)) == len(index)
    assert not np.isin(one, two).any()
    for column in (one, two):
        share = np.bincount((column >> np.uint64(60)).astype(int), minlength=16) / len(index)
        assert np.abs(share - 1 / 16).max() < 0.005
    assert abs(np.corrcoef(one.astype(float), two.astype(float))[0, 1]) < 0.02


def test_a_key_depends_on_the_row_alone() -> None:
    index = np.arange(1000)
    np.testing.assert_array_equal(keys(index, 5)[300:], keys(index[300:], 5))


@given(
    stratum=st.lists(st.integers(0, 6), min_size=1, max_size=200).map(np.array),
    n=st.integers(1, 250),
)
def test_each_stratum_gives_the_same_number_or_all_it_has(
    stratum: NDArray[np.int64], n: int
) -> None:
    chosen = evenly(stratum, keys(np.arange(len(stratum)), 3), n)
    assert len(chosen) == len(set(chosen.tolist())) == min(n, len(stratum))
    has, gives = Counter(stratum.tolist()), Counter(stratum[chosen].tolist())
    most = max(gives.values())
    for name, rows in has.items():
        assert gives[name] in (most, most - 1) or gives[name] == rows


@given(
    stratum=st.lists(st.integers(0, 4), min_size=1, max_size=150).map(np.array),
    n=st.integers(1, 60),
    cuts=st.lists(st.integers(0, 150), max_size=8),
    order=st.randoms(use_true_random=False),
    pending=st.integers(0, 40),
)
def test_the_sample_does_not_depend_on_how_or_in_which_order_the_rows_come(
    stratum: NDArray[np.int64], n: int, cuts: list[int], order, pending: int
) -> None:
    rows = rows_of(stratum)
    whole = Reservoir(n)
    whole.add(dict(rows))
    expected = whole.sample()

    edges = [0, *sorted(min(cut, len(stratum)) for cut in cuts), len(stratum)]
    parts = list(pairwise(edges))
    order.shuffle(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subsample, "_PENDING", pending)
        reservoir = Reservoir(n)
        for start, stop in parts:
            reservoir.add({name: values[start:stop] for name, values in rows.items()})
        found = reservoir.sample()
    assert (np.diff(found["index"]) > 0).all()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def test_another_seed_chooses_other_rows_as_often() -> None:
    stratum = np.arange(1000) % 2
    times = np.zeros(1000)
    for seed in range(200):
        times[evenly(stratum, rows_of(stratum, seed)["key"], 100)] += 1
    # Of 200 draws a row is in 20, give or take 4.2.
    assert times.mean() == 20
    assert times.std() == pytest.approx(np.sqrt(200 * 0.1 * 0.9), rel=0.15)
    assert times.max() < 45
