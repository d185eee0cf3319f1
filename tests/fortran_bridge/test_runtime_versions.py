"""The Fortran library's own tests, with other versions of ONNX Runtime than the environment's."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.fortran_bridge.conftest import BRIDGE, run

WHEELS = sorted(Path(sys.prefix).glob("onnxruntime-*/onnxruntime/capi/libonnxruntime.so*"))

pytestmark = pytest.mark.skipif(
    not (shutil.which("gfortran") and shutil.which("cmake")),
    reason="needs a Fortran compiler and CMake: apt-get install gfortran cmake make",
)


@pytest.fixture(scope="module")
def cases(build_with) -> list[dict[str, Any]]:
    """The tests of CTest that need ONNX Runtime, with their data."""
    folder = build_with("strict")
    listed = json.loads(run("ctest", "--test-dir", folder, "--show-only=json-v1"))["tests"]
    setups = "|".join(test["name"] for test in listed if property_of(test, "FIXTURES_SETUP"))
    run("ctest", "--test-dir", folder, "-R", f"^({setups})$")
    ours = run(sys.executable, BRIDGE / "tests" / "find_onnxruntime.py").strip()
    return [
        test
        for test in listed
        if f"AEROACT_ORT_LIB={ours}" in property_of(test, "ENVIRONMENT")
        and "growth" not in test["name"]
    ]


def property_of(test: dict[str, Any], name: str) -> list[str]:
    return next((entry["value"] for entry in test["properties"] if entry["name"] == name), [])


@pytest.mark.parametrize(
    "library",
    WHEELS
    or [pytest.param(None, marks=pytest.mark.skip(reason="no onnxruntime-VERSION beside ours"))],
    ids=lambda library: library.parents[2].name if library else "none",
)
@pytest.mark.slow
def test_ctest_with_another_version(cases, library):
    def failure_of(test: dict[str, Any]) -> str:
        stated = dict(entry.split("=", 1) for entry in property_of(test, "ENVIRONMENT"))
        done = subprocess.run(
            test["command"],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=os.environ | stated | {"AEROACT_ORT_LIB": str(library)},
        )
        return f"{test['name']}: {done.stderr}" if done.returncode else ""

    assert len(cases) > 60
    with ThreadPoolExecutor(2) as pool:
        failures = [failure for failure in pool.map(failure_of, cases) if failure]
    assert not failures, "\n".join(failures)
