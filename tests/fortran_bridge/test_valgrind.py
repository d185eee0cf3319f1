"""The library under valgrind: no invalid access, no leak, no allocation from call to call."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.fortran_bridge.conftest import BRIDGE, run

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("gfortran", "cmake", "valgrind"))),
    reason="needs gfortran, CMake and valgrind: apt-get install gfortran cmake make valgrind",
)

# What is lost; what ONNX Runtime and the loader keep until the end of the process is theirs.
LOST = "definite,indirect,possible"


@pytest.fixture(scope="module")
def tests(build_with) -> Path:
    """The folder of the test programs, with their data."""
    folder = build_with("e3sm")
    run("ctest", "--test-dir", folder, "-R", "^(faulty_)?models$")
    return folder / "tests"


@pytest.fixture(scope="module")
def environment(tests) -> dict[str, str]:
    found = run(sys.executable, BRIDGE / "tests" / "find_onnxruntime.py").strip()
    failing = str(tests / "libfailing_runtime.so")
    return os.environ | {"AEROACT_ORT_LIB": found, "AEROACT_FAILING_LIBRARY": failing}


def allocations(*command: object, leaks: str, env: dict[str, str] | None = None) -> int:
    """Run a program that must be clean; return how often it took memory."""
    said = run(
        *("valgrind", "--error-exitcode=9", "--leak-check=full", "--num-callers=20"),
        f"--suppressions={BRIDGE / 'tests' / 'valgrind.supp'}",
        *(f"--show-leak-kinds={leaks}", f"--errors-for-leak-kinds={leaks}"),
        *command,
        env=env,
    )
    (number,) = re.findall(r"total heap usage: ([\d,]+) allocs", said)
    return int(number.replace(",", ""))


def test_valgrind_sees_a_leak(tests, tmp_path):
    """Without this the other tests could not fail."""
    (tmp_path / "leak.f90").write_text(
        "program leak\n  real, pointer :: p(:)\n  allocate (p(100))\n  nullify (p)\nend program\n"
    )
    run("gfortran", "-O0", tmp_path / "leak.f90", "-o", tmp_path / "leak")
    with pytest.raises(AssertionError, match="400 bytes in 1 blocks are definitely lost"):
        allocations(tmp_path / "leak", leaks=LOST)


def test_native_runs_allocate_nothing(tests):
    few, many = (
        allocations(tests / "test_leaks", "native", tests / "data", rounds, leaks="all")
        for rounds in (10, 1000)
    )
    assert few == many


def test_broken_models_are_refused_cleanly(tests):
    allocations(tests / "test_leaks", "refused", tests / "data", leaks="all")


@pytest.mark.slow
def test_onnxruntime_loses_nothing(tests, environment):
    allocations(tests / "test_leaks", "ort", tests / "data", leaks=LOST, env=environment)


@pytest.mark.slow
def test_failures_of_onnxruntime_lose_nothing(tests, environment):
    allocations(
        *(tests / "test_faults", "runtime_failures", tests / "data"), leaks=LOST, env=environment
    )
