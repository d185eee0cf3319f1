"""Times of emulators in compiled Fortran: complete, of the right states, after a comparison."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from aeroact import timing
from aeroact.emulator import Emulator
from aeroact.errors import AeroactError
from aeroact.export import native, rewrites
from aeroact.export.convert import to_onnx
from aeroact.export.native import FortranReport
from aeroact.timing import Timing
from tests.export import small_emulator

needs_gfortran = pytest.mark.skipif(
    not shutil.which("gfortran"), reason="needs gfortran: apt-get install gfortran"
)

STRICT = "-O0 -std=f2008 -Wall -Wextra -Werror"
X = small_emulator.STATES[:500]
BATCHES = (1, 20)


@pytest.fixture(scope="module")
def plain():
    return to_onnx(small_emulator.layers(), small_emulator.STATISTICS, {})


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """The driver, compiled once, without a warning."""
    folder = tmp_path_factory.mktemp("driver")
    return native._compiled(folder, native._sources(native._DRIVER), "gfortran", STRICT)


@pytest.fixture
def measure(driver, monkeypatch):
    """`native.measure` by that driver, in few rounds."""

    def compiled(folder, sources, compiler, flags):
        return Path(shutil.copy(driver, folder))

    monkeypatch.setattr(native, "_compiled", compiled)
    monkeypatch.setattr(timing, "ROUNDS", 3)
    return native.measure


@pytest.fixture
def a_program(tmp_path):
    """Make a program that does what some Python says."""

    def make(script):
        path = tmp_path / "program"
        path.write_text(f"#!{sys.executable}\nimport os, sys\n{script}\n")
        path.chmod(0o755)
        return path

    return make


@needs_gfortran
def test_times_of_every_backend_batch_and_emulator(measure, plain):
    guarded = to_onnx(small_emulator.layers(1), small_emulator.STATISTICS, {}, guard=True)
    layers = small_emulator.layers(2, "relu2")
    squares = to_onnx(layers, small_emulator.STATISTICS, {})
    told = []
    before = os.sched_getaffinity(0)
    report = measure(
        {
            "plain": plain,
            "a guard": guarded,
            "squares": squares,
            "int8": rewrites.int8_dynamic(plain),
        },
        X,
        BATCHES,
        progress=lambda done, note="": told.append((done, len(os.sched_getaffinity(0)))),
    )
    assert told == [(1, 1), (2, 1), (3, 1)]  # on one core
    assert os.sched_getaffinity(0) == before
    # The kernel has no 8-bit layers.
    assert {name: list(times) for name, times in report.timings.items()} == {
        "plain": ["native", "ort"],
        "a guard": ["native", "ort"],
        "squares": ["native", "ort"],
        "int8": ["ort"],
    }
    every = [by_batch for times in report.timings.values() for by_batch in times.values()]
    assert all(tuple(by_batch) == BATCHES for by_batch in every)
    for t in (report.arg2000, *(t for by_batch in every for t in by_batch.values())):
        assert 0.0 < t.lower <= t.median <= t.upper
    assert re.fullmatch(r"gfortran \d+(\.\d+)+", report.compiler)
    assert report.flags == "-O3 -march=native"
    assert re.fullmatch(r"libonnxruntime\.so[.\d]*", report.library)
    assert report.machine == timing.processor()
    content = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    of_one = content["timings"]["plain"]["native"]["20"]
    assert of_one["median"] == report.timings["plain"]["native"][20].median
    assert of_one["multiple_of_arg2000"] == report.multiple("plain", "native", 20)


@needs_gfortran
def test_without_onnx_runtime_the_native_backend_is_timed(measure, plain, monkeypatch):
    monkeypatch.delenv("AEROACT_ORT_LIB", raising=False)
    monkeypatch.setattr(native, "runtime_library", lambda: None)
    report = measure({"plain": plain}, X, BATCHES)
    assert list(report.timings["plain"]) == ["native"]
    assert report.library is None
    with pytest.raises(AeroactError, match=r"^8 bits: the native backend cannot .* onnxruntime$"):
        measure({"8 bits": rewrites.int8_dynamic(plain)}, X, BATCHES)


@needs_gfortran
def test_a_named_library_that_is_none_is_named(measure, plain, monkeypatch):
    monkeypatch.setenv("AEROACT_ORT_LIB", "/no/such/library.so")
    with pytest.raises(AeroactError, match=r"/no/such/library\.so"):
        measure({"plain": plain}, X)


@needs_gfortran
@pytest.mark.parametrize("off", [2e-5, np.nan])
def test_other_fractions_than_pythons_are_not_timed(measure, plain, monkeypatch, off):
    class Other(Emulator):
        def predict(self, x):
            fn = super().predict(x)
            fn[17, 2] += off
            return fn

    monkeypatch.setattr(native, "Emulator", Other)
    with pytest.raises(AeroactError, match=r"an emulator, backend native: fn differs by up to"):
        measure({"an emulator": plain}, X)


@needs_gfortran
def test_another_arg2000_than_pythons_is_not_timed(measure, plain, monkeypatch):
    right = native.predict_arg2000
    monkeypatch.setattr(native, "predict_arg2000", lambda x: right(x) + 1e-5)
    with pytest.raises(AeroactError, match=r"ARG2000: fn differs by up to 1\.0"):
        measure({"plain": plain}, X)


def test_states_that_arg2000_skips_are_nowhere(plain, tmp_path):
    x = X[:40].copy()
    x[::2, 0] = 1000.0  # K: no air
    x[1, 2] = 0.3  # where ARG2000 does not look
    native._write_plan(tmp_path, {"plain": plain}, x, (5000,))
    states = np.fromfile(tmp_path / "states.bin", np.float32).reshape(-1, 16)
    np.testing.assert_array_equal(states, timing.rows(x[1::2], 5000))
    for file in ("0.fn", "1.fn"):
        fn = np.fromfile(tmp_path / file, np.float32).reshape(5000, 4)
        assert ((fn >= 0) & (fn <= 1)).all()


@pytest.mark.parametrize("x", [np.zeros((0, 16)), np.full((5, 16), np.nan)])
def test_without_a_valid_state_nothing_is_timed(plain, tmp_path, x):
    with pytest.raises(AeroactError, match="none of the states is valid"):
        native._write_plan(tmp_path, {"plain": plain}, x.astype(np.float32), (1,))


@pytest.mark.parametrize("batches", [(), (0,), (1, -16)])
def test_a_batch_needs_states(plain, batches):
    with pytest.raises(AeroactError, match="at least one state"):
        native.measure({"plain": plain}, X, batches)


def test_a_damaged_emulator_is_named(plain, tmp_path):
    with pytest.raises(AeroactError, match="damaged: not an ONNX model"):
        native._write_plan(tmp_path, {"plain": plain, "damaged": plain[:-500]}, X, (1,))


def test_a_missing_compiler_is_one_line():
    with pytest.raises(AeroactError) as raised:
        native.require_compiler("no-such-fortran")
    assert str(raised.value) == (
        "no-such-fortran: No such file or directory; times in Fortran need a compiler: "
        "apt-get install gfortran"
    )


@needs_gfortran
def test_a_compiler_that_fails_gives_its_first_error(tmp_path):
    with pytest.raises(AeroactError) as raised:
        native.require_compiler(flags="-O3 --such-speed")
    assert str(raised.value).startswith("gfortran -O3 --such-speed fails: ")
    assert "unrecognized command-line option" in str(raised.value)

    source = tmp_path / "wrong.f90"
    source.write_text("integer(1) :: i\nreal :: r\nr = 1\ni = r*300\nj = 'a'\nk = 'b'\nend\n")
    with pytest.raises(AeroactError) as raised:
        native._compiled(tmp_path, [source], "gfortran", "-Wall")
    assert re.search(r"wrong\.f90:5:\d+: Error: Cannot convert", str(raised.value))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("", "it gives no reason"),
        ("Killed\n", "Killed"),
        ("a.f90:1:2:\n\nWarning: so so\nf951: fatal error: no memory\n", "no memory"),
        ("/usr/bin/ld: cannot find -ldl\ncollect2: error: ld returned 1\n", "cannot find -ldl"),
    ],
)
def test_the_first_error_of_a_log(log, told):
    first = native._first_error(log)
    assert first.endswith(told)
    assert "a.f90" not in first


def test_sources_come_after_those_that_they_use():
    sources = native._sources(native._DRIVER)
    assert sources[-1] == native._DRIVER
    names = [path.stem for path in sources]
    assert names.index("aeroact_native") < names.index("aeroact_models") < names.index("aeroact")
    assert "aeroact_mam4" not in names
    assert len(names) == len(set(names))


def test_a_program_runs_on_one_core_and_its_turns_are_read(a_program):
    program = a_program(
        "assert len(os.sched_getaffinity(0)) == 1, 'cores'\n"
        "assert sys.argv[1:] == ['libort.so'], sys.argv\n"
        "print('turn native 2 16 1.5E-006\\nround 1\\nturn native 2 16 2.5E-006\\nround 2')"
    )
    told = []
    with timing.one_core():
        seconds = native._run(program, Path("libort.so"), lambda done, note="": told.append(done))
    assert seconds == {("native", 2, 16): [1.5e-6, 2.5e-6]}
    assert told == [1, 2]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("print('round 1'); sys.exit('name: it cannot be\\nSTOP 1')", "name: it cannot be"),
        ("os.kill(os.getpid(), 9)", "the program ended with status -9"),
    ],
)
def test_a_program_that_fails_says_why(a_program, script, reason):
    with pytest.raises(AeroactError) as raised:
        native._run(a_program(script), None, None)
    assert str(raised.value) == f"times in Fortran: {reason}"


def test_a_program_ends_with_the_one_who_waits(a_program):
    pids = []

    def interrupt(done, note=""):
        pids.append(done)
        raise KeyboardInterrupt

    program = a_program("import time\nprint('round', os.getpid(), flush=True)\ntime.sleep(100)")
    with pytest.raises(KeyboardInterrupt):
        native._run(program, None, interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_the_fastest_backend_and_its_multiple():
    timings = {
        "native": {1: Timing(1.0, 0.9, 1.1), 64: Timing(0.3, 0.2, 0.4)},
        "ort": {1: Timing(5.0, 4.9, 5.1), 64: Timing(0.25, 0.2, 0.4)},
    }
    report = FortranReport(
        {"a": timings}, Timing(0.5, 0.4, 0.6), "gfortran 1.2", "-O3", None, "A processor", None
    )
    assert (report.fastest("a", 1), report.fastest("a", 64)) == ("native", "ort")
    assert report.multiple("a", "ort", 64) == 0.5
