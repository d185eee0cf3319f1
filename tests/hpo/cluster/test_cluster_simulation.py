"""The simulation of `benchmarks/cluster.py`, where its answer is known."""

import numpy as np
import pytest

from benchmarks.cluster import Service, simulate

IDLE = Service(0.0, 0.0)


def test_one_worker_takes_the_sum_of_the_trials_and_its_start_up():
    case = simulate(np.array([1800.0, 3600.0, 900.0]), 1, IDLE, 900.0)
    assert case["hours"] == pytest.approx(2.0)
    assert case["utilisation"] == pytest.approx(7 / 8)
    assert case["straggling_hours"] == 0


def test_as_many_workers_as_trials_wait_for_the_longest():
    case = simulate(np.array([1800.0, 3600.0]), 2, IDLE, 0.0)
    assert case["hours"] == pytest.approx(1.0)
    assert case["straggling_hours"] == pytest.approx(0.25)


def test_a_chief_that_is_slower_than_its_workers_decides():
    slow = Service(1.0, 1.0)
    case = simulate(np.full(3600, 10.0), 1000, slow, 0.0)
    assert case["hours"] == pytest.approx(1 + 10 / 3600)
    assert case["load"] == pytest.approx(3600 / 3610)
    # Eleven workers end a trial of ten seconds and are served within a second each.
    assert slow.most_workers(10.0) == pytest.approx(10, abs=1)


def test_beats_take_time_that_trials_do_not_have():
    half = Service(1.0, 1.0, beat=0.001)
    case = simulate(np.full(100, 10.0), 1000, half, 0.0)
    assert case["hours"] == pytest.approx((100 * 2 + 10) / 3600)
    assert "hours" not in simulate(np.full(100, 10.0), 2000, half, 0.0)
    # With workers, beats grow by their square where each call looks at all of them.
    crowded = Service(0.0, 0.0, member=2e-6)
    assert crowded.of_beats(1000) == pytest.approx(1.0)
    assert crowded.most_workers(1e9) == pytest.approx(1000, abs=1)
