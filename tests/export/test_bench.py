"""Times on one core: everything in turn, bounded, and what is made of them."""

import json
import os
from itertools import cycle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeroact.errors import AeroactError
from aeroact.export import bench
from aeroact.export.bench import Report, Timing
from aeroact.export.convert import to_onnx
from aeroact.export.layers import Layer
from aeroact.hpo.network import initial_weights
from aeroact.normalization import fit
from aeroact.physics.arg2000 import arg2000, prepared
from aeroact.schema import COLUMNS, split_state
from aeroact.states import sample_rows


@pytest.fixture(scope="module")
def x():
    return sample_rows(0, 3000, seed=2)


@pytest.fixture(scope="module")
def emulators(x):
    def emulator(*nodes):
        arrays = initial_weights(nodes, [1])
        activations = ["relu"] * len(nodes) + ["sigmoid"]
        return to_onnx(tuple(map(Layer, arrays[::2], arrays[1::2], activations)), fit([x]), {})

    return {"small": emulator(8), "large": emulator(64, 512, 64)}


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
    seconds = bench.in_turn(work, clock=clock)
    warm_up, rounds = turns(clock.calls)[:3], turns(clock.calls)[3:]
    assert warm_up == ["a", "b", "c"]
    assert rounds == ["a", "b", "c"] * bench.ROUNDS
    for name, expected in {"a": 1e-6, "b": 5e-3, "c": 1e-3}.items():
        assert len(seconds[name]) == bench.ROUNDS
        assert seconds[name] == pytest.approx([expected] * bench.ROUNDS)


def test_a_turn_is_long_enough_for_the_clock():
    clock = Clock()
    bench.in_turn({"a": clock.work("a", 1e-6), "b": clock.work("b", 1.0)}, clock=clock)
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

    seconds = bench.in_turn({name: work(name) for name in "ab"}, clock=clock)
    for name in "ab":
        assert seconds[name] == pytest.approx([1e-3] * bench.ROUNDS)


def test_the_first_call_does_not_count():
    clock = Clock()
    work = {"a": clock.work("a", 1.0, *[1e-6] * 200_000)}
    seconds = bench.in_turn(work, clock=clock)
    assert seconds["a"] == pytest.approx([1e-6] * bench.ROUNDS)
    assert len(clock.calls) > 3000 * bench.ROUNDS


@pytest.mark.parametrize("slow", [0.1, 0.7, 5.0, 600.0])
def test_slow_work_gets_fewer_turns_and_does_not_make_the_rest_wait(slow):
    clock = Clock()
    work = {"slow": clock.work("slow", slow), "quick": clock.work("quick", 1e-4)}
    seconds = bench.in_turn(work, clock=clock)
    assert len(seconds["quick"]) == bench.ROUNDS
    assert 1 <= len(seconds["slow"]) < bench.ROUNDS
    # Two calls to find out, two at least in turns, and no more than begin in a share.
    assert clock.now < 4 * slow + 2 * 1.5 + 1.0
    # Slow turns are spread over the rounds.
    if len(seconds["slow"]) > 2:
        order = turns(clock.calls)
        assert "slow" in order[len(order) // 2 :]


def test_rounds_are_reported():
    clock, told = Clock(), []
    bench.in_turn({"a": clock.work("a", 1.0)}, lambda done, note="": told.append(done), clock)
    assert told == list(range(1, bench.ROUNDS + 1))


@given(st.lists(st.floats(1e-6, 10.0), min_size=1, max_size=40))
def test_a_timing_is_the_median_and_the_middle_half(seconds):
    timing = Timing.of(seconds, 1e6)
    micro = sorted(1e6 * s for s in seconds)
    below = sum(m <= timing.median * (1 + 1e-9) for m in micro)
    above = sum(m >= timing.median * (1 - 1e-9) for m in micro)
    assert min(below, above) >= len(micro) / 2
    assert micro[0] <= timing.lower * (1 + 1e-9)
    assert timing.lower <= timing.median <= timing.upper <= micro[-1] * (1 + 1e-9)


def test_a_timing_of_known_turns():
    assert Timing.of([5.0, 1.0, 2.0, 4.0, 3.0], 10.0) == Timing(30.0, 20.0, 40.0)


def test_one_core_is_one_and_comes_to_an_end():
    before = os.sched_getaffinity(0)
    with bench.one_core() as core:
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before
    with pytest.raises(ZeroDivisionError), bench.one_core():
        raise ZeroDivisionError
    assert os.sched_getaffinity(0) == before


def test_cores_are_given_back_when_a_call_fails(emulators, x, monkeypatch):
    def fail():
        raise OSError("no more")

    monkeypatch.setattr(bench, "arg2000_kernel", lambda x: fail)
    before = os.sched_getaffinity(0)
    with pytest.raises(OSError, match="no more"):
        bench.measure(emulators, x, (1,), figure_s4=False)
    assert os.sched_getaffinity(0) == before


@pytest.fixture(scope="module")
def report(emulators, x):
    told = []
    report = bench.measure(
        emulators, x, (1, 64), figure_s4=False, progress=lambda done, note="": told.append(done)
    )
    assert told == list(range(1, bench.units(figure_s4=False) + 1))
    return report


def test_emulators_and_arg2000_are_measured(report):
    assert {name: list(timings) for name, timings in report.timings.items()} == {
        "small": [1, 64],
        "large": [1, 64],
    }
    every = [timing for timings in report.timings.values() for timing in timings.values()]
    for timing in (*every, report.arg2000):
        assert 0.0 < timing.lower <= timing.median <= timing.upper
    assert report.gflops > 0.0
    assert report.figure_s4 == {}


def test_times_are_those_of_a_sample_on_one_core(emulators, x, monkeypatch):
    def in_turn(work, progress):
        assert len(os.sched_getaffinity(0)) == 1
        return {name: [2.0, 1.0, 3.0] for name in work}

    monkeypatch.setattr(bench, "in_turn", in_turn)
    report = bench.measure(emulators, x, (1, 64), figure_s4=False)
    assert report.timings["small"][1] == Timing(2e6, 1.5e6, 2.5e6)
    assert report.timings["large"][64].median == 2e6 / 64
    assert report.arg2000.median == 2e6 / 4096
    assert report.gflops == pytest.approx(2e-9 * 256**3 / 2.0)


def test_the_machine_is_recorded(report):
    machine = report.machine
    assert machine.cores == len(os.sched_getaffinity(0))
    assert machine.processor
    assert machine.clock_mhz is None or 100.0 < machine.clock_mhz < 10_000.0
    assert machine.versions.keys() == {"python", "aeroact", "numba", "numpy", "onnxruntime"}


def test_a_report_as_json(report):
    content = json.loads(json.dumps(report.as_dict()))
    assert content["timings"]["large"]["64"]["median"] == report.timings["large"][64].median
    assert content["arg2000"]["upper"] == report.arg2000.upper
    assert content["multiples_of_arg2000"]["small"]["1"] == report.multiple("small", 1)
    assert content["machine"]["cores"] == report.machine.cores


def test_a_multiple_is_that_of_arg2000s_time(report):
    timings = {"a": {16: Timing(3.0, 2.0, 4.0)}}
    made_up = Report(timings, {}, Timing(0.5, 0.4, 0.6), 1.0, report.machine)
    assert made_up.multiple("a", 16) == 6.0


def test_figure_s4_takes_its_samples_in_its_batches(x, monkeypatch):
    seen = []

    class Session:
        def run(self, outputs, feed):
            assert outputs == ["fn"]
            seen.append(feed["state"])

    class Emulator:
        def __init__(self, content):
            self.session = Session()

    monkeypatch.setattr(bench, "Emulator", Emulator)
    told = []
    report = bench.measure({"a": b""}, x, (2,), progress=lambda done, note="": told.append(done))
    assert told == list(range(1, bench.units() + 1))
    of_figure = [len(states) for states in seen if len(states) != 2]
    assert of_figure == ([1024] * 97 + [100_000 - 97 * 1024]) * 10
    repeated = report.figure_s4["a"]
    assert repeated.lower <= repeated.median <= repeated.upper
    assert repeated.mean > 0.0
    assert repeated.std > 0.0
    assert seen[0].dtype == np.float32
    np.testing.assert_array_equal(seen[0], x[:2].astype(np.float32))


def test_mean_and_spread_of_repetitions(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(bench.time, "perf_counter", clock)
    # Means and standard deviations of 1 and 2, and of 4 and 8, five times each.
    work = {"a": clock.work("a", 1.0, 2.0), "b": clock.work("b", 4.0, 8.0)}
    repeated = bench._repeat(work, None)
    assert "".join(clock.calls) == "ab" * 10
    assert (repeated["a"].mean, repeated["b"].mean) == pytest.approx((1500.0, 6000.0))
    assert repeated["a"].std == pytest.approx(1000.0 * (2.5 / 9) ** 0.5)
    assert (repeated["b"].lower, repeated["b"].upper) == (4000.0, 8000.0)


def test_arg2000_is_timed_on_valid_states_alone(x, monkeypatch):
    spoiled = x.copy()
    spoiled[::2, COLUMNS.index("tair")] = np.nan
    kernel = bench.arg2000_kernel(spoiled)
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


@pytest.mark.parametrize("batches", [(), (0,), (1, -16)])
def test_a_batch_needs_states(emulators, x, batches):
    with pytest.raises(AeroactError, match="at least one state"):
        bench.measure(emulators, x, batches)


@pytest.mark.parametrize("states", [np.zeros((0, 16)), np.full((5, 16), np.nan)])
def test_without_a_valid_state_nothing_is_timed(emulators, states):
    with pytest.raises(AeroactError, match="none of the states is valid"):
        bench.measure(emulators, states)


def test_an_emulator_that_is_none(x):
    with pytest.raises(AeroactError, match="not an ONNX model"):
        bench.measure({"a": b"nothing"}, x)


def test_without_cpuinfo_the_processor_has_its_architectures_name(monkeypatch):
    monkeypatch.setattr(bench, "_cpuinfo", list)
    assert bench.processor() == os.uname().machine
    assert bench.clock_mhz(0) is None


def test_the_clock_is_that_of_the_core(monkeypatch):
    cores = [{"processor": "0", "cpu MHz": "1000.5"}, {"processor": "1", "cpu MHz": "3000.0"}]
    monkeypatch.setattr(bench, "_cpuinfo", lambda: [*cores, {}])
    assert (bench.clock_mhz(0), bench.clock_mhz(1), bench.clock_mhz(2)) == (1000.5, 3000.0, None)
