"""Times on one core: everything in turn, bounded."""

import os
from itertools import cycle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeroact import timing
from aeroact.physics.arg2000 import arg2000, prepared
from aeroact.schema import COLUMNS, split_state
from aeroact.states import sample_rows
from aeroact.timing import Timing


@pytest.fixture(scope="module")
def x():
    return sample_rows(0, 3000, seed=2)


class Clock:
    """A clock that work moves on, and no time else."""

    def __init__(self):
        self.now = 0.0
        self.calls = []

    def __call__(self):
        return self.now

    def work(self, name, *seconds):
        """Return work that takes these seconds in turn, over and over."""
        durations = cycle(seconds)

        def call():
            self.calls.append(name)
            self.now += next(durations)

        return call


def turns(calls):
    """Names in the order of their turns."""
    return [name for i, name in enumerate(calls) if i == 0 or calls[i - 1] != name]


def test_everything_is_timed_in_turn():
    clock = Clock()
    work = {"a": clock.work("a", 1e-6), "b": clock.work("b", 5e-3), "c": clock.work("c", 1e-3)}
    seconds = timing.in_turn(work, clock=clock)
    warm_up, rounds = turns(clock.calls)[:3], turns(clock.calls)[3:]
    assert warm_up == ["a", "b", "c"]
    assert rounds == ["a", "b", "c"] * timing.ROUNDS
    for name, expected in {"a": 1e-6, "b": 5e-3, "c": 1e-3}.items():
        assert len(seconds[name]) == timing.ROUNDS
        assert seconds[name] == pytest.approx([expected] * timing.ROUNDS)


def test_a_turn_is_long_enough_for_the_clock():
    clock = Clock()
    timing.in_turn({"a": clock.work("a", 1e-6), "b": clock.work("b", 1.0)}, clock=clock)
    calls = "".join(clock.calls)
    shortest = min(map(len, calls[calls.index("b") :].replace("b", " ").split()))
    assert 3e-3 <= shortest * 1e-6 < 6e-3


def test_what_the_others_did_to_the_caches_does_not_count():
    clock = Clock()

    def work(name):
        def call():
            warm = clock.calls and clock.calls[-1] == name
            clock.calls.append(name)
            clock.now += 1e-3 if warm else 1.0

        return call

    seconds = timing.in_turn({name: work(name) for name in "ab"}, clock=clock)
    for name in "ab":
        assert seconds[name] == pytest.approx([1e-3] * timing.ROUNDS)


def test_the_first_call_does_not_count():
    clock = Clock()
    work = {"a": clock.work("a", 1.0, *[1e-6] * 200_000)}
    seconds = timing.in_turn(work, clock=clock)
    assert seconds["a"] == pytest.approx([1e-6] * timing.ROUNDS)
    assert len(clock.calls) > 3000 * timing.ROUNDS


@pytest.mark.parametrize("slow", [0.1, 0.7, 5.0, 600.0])
def test_slow_work_gets_fewer_turns_and_does_not_make_the_rest_wait(slow):
    clock = Clock()
    work = {"slow": clock.work("slow", slow), "quick": clock.work("quick", 1e-4)}
    seconds = timing.in_turn(work, clock=clock)
    assert len(seconds["quick"]) == timing.ROUNDS
    assert 1 <= len(seconds["slow"]) < timing.ROUNDS
    # Two calls to find out, two at least in turns, and no more than begin in a share.
    assert clock.now < 4 * slow + 2 * 1.5 + 1.0
    # Slow turns are spread over the rounds.
    if len(seconds["slow"]) > 2:
        order = turns(clock.calls)
        assert "slow" in order[len(order) // 2 :]


def test_rounds_are_reported():
    clock, told = Clock(), []
    timing.in_turn({"a": clock.work("a", 1.0)}, lambda done, note="": told.append(done), clock)
    assert told == list(range(1, timing.ROUNDS + 1))


@given(st.lists(st.floats(1e-6, 10.0), min_size=1, max_size=40))
def test_a_timing_is_the_median_and_the_middle_half(seconds):
    found = Timing.of(seconds, 1e6)
    micro = sorted(1e6 * s for s in seconds)
    below = sum(m <= found.median * (1 + 1e-9) for m in micro)
    above = sum(m >= found.median * (1 - 1e-9) for m in micro)
    assert min(below, above) >= len(micro) / 2
    assert micro[0] <= found.lower * (1 + 1e-9)
    assert found.lower <= found.median <= found.upper <= micro[-1] * (1 + 1e-9)


def test_a_timing_of_known_turns():
    assert Timing.of([5.0, 1.0, 2.0, 4.0, 3.0], 10.0) == Timing(30.0, 20.0, 40.0)


def test_one_core_is_one_and_comes_to_an_end():
    before = os.sched_getaffinity(0)
    with timing.one_core() as core:
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before
    with pytest.raises(ZeroDivisionError), timing.one_core():
        raise ZeroDivisionError
    assert os.sched_getaffinity(0) == before


def test_mean_and_spread_of_repetitions(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", clock)
    # Means and standard deviations of 1 and 2, and of 4 and 8, five times each.
    work = {"a": clock.work("a", 1.0, 2.0), "b": clock.work("b", 4.0, 8.0)}
    repeated = timing.repeat(work)
    assert "".join(clock.calls) == "ab" * 10
    assert (repeated["a"].mean, repeated["b"].mean) == pytest.approx((1500.0, 6000.0))
    assert repeated["a"].std == pytest.approx(1000.0 * (2.5 / 9) ** 0.5)
    assert (repeated["b"].lower, repeated["b"].upper) == (4000.0, 8000.0)


def test_arg2000_is_timed_on_valid_states_alone(x, monkeypatch):
    spoiled = x.copy()
    spoiled[::2, COLUMNS.index("tair")] = np.nan
    kernel = timing.arg2000_kernel(spoiled)
    activation = kernel()
    assert activation.ok.all()
    assert activation.fn.shape == (4096, 4)
    columns = split_state(x[1:9:2].astype(np.float32))
    del columns["rh"]
    np.testing.assert_array_equal(activation.fn[:4], arg2000(**columns).fn)


def test_the_prepared_kernel_fills_the_same_arrays_each_time(x):
    columns = split_state(x)
    del columns["rh"]
    kernel = prepared(**columns)
    first = kernel()
    first.fn[:] = -1.0
    again = kernel()
    assert again.fn is first.fn
    np.testing.assert_array_equal(again.fn, arg2000(**columns).fn)


def test_without_cpuinfo_the_processor_has_its_architectures_name(monkeypatch):
    monkeypatch.setattr(timing, "_cpuinfo", list)
    assert timing.processor() == os.uname().machine
    assert timing.clock_mhz(0) is None


def test_the_clock_is_that_of_the_core(monkeypatch):
    cores = [{"processor": "0", "cpu MHz": "1000.5"}, {"processor": "1", "cpu MHz": "3000.0"}]
    monkeypatch.setattr(timing, "_cpuinfo", lambda: [*cores, {}])
    assert (timing.clock_mhz(0), timing.clock_mhz(1), timing.clock_mhz(2)) == (1000.5, 3000.0, None)
