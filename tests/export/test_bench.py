"""Times of emulators beside ARG2000's, and what is made of them."""

import json
import os

import numpy as np
import pytest

from aeroact import timing
from aeroact.errors import AeroactError
from aeroact.export import bench
from aeroact.export.bench import Report
from aeroact.export.convert import to_onnx
from aeroact.export.layers import Layer
from aeroact.hpo.network import initial_weights
from aeroact.normalization import fit
from aeroact.states import sample_rows
from aeroact.timing import Timing


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


def test_cores_are_given_back_when_a_call_fails(emulators, x, monkeypatch):
    def fail():
        raise OSError("no more")

    monkeypatch.setattr(timing, "arg2000_kernel", lambda x: fail)
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
    every = [t for timings in report.timings.values() for t in timings.values()]
    for t in (*every, report.arg2000):
        assert 0.0 < t.lower <= t.median <= t.upper
    assert report.gflops > 0.0
    assert report.figure_s4 == {}


def test_times_are_those_of_a_sample_on_one_core(emulators, x, monkeypatch):
    def in_turn(work, progress):
        assert len(os.sched_getaffinity(0)) == 1
        return {name: [2.0, 1.0, 3.0] for name in work}

    monkeypatch.setattr(timing, "in_turn", in_turn)
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
