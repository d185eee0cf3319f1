"""Build the Fortran library as its users do, and run its own tests (CTest)."""

import re
import shutil

import pytest

import aeroact
from tests.fortran_bridge.conftest import BRIDGE, FLAGS, run

needs_compiler = pytest.mark.skipif(
    not (shutil.which("gfortran") and shutil.which("cmake")),
    reason="needs a Fortran compiler and CMake: apt-get install gfortran cmake make",
)


@needs_compiler
@pytest.mark.parametrize(
    "flags",
    [pytest.param(f, marks=() if f == "strict" else pytest.mark.slow) for f in FLAGS],
)
def test_ctest(build_with, flags):
    folder = build_with(flags)
    output = run("ctest", "--test-dir", folder, "--output-on-failure", "--parallel", 2)
    (passed,) = re.findall(r"100% tests passed, 0 tests failed out of (\d+)", output)
    assert int(passed) > 40


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("CMakeLists.txt", r"project\(aeroact\s+VERSION (\S+)"),
        ("fpm.toml", r'\nversion = "(.+)"\n'),
    ],
)
def test_version_is_the_packages(file, pattern):
    (version,) = re.findall(pattern, (BRIDGE / file).read_text())
    assert version == aeroact.__version__


def test_library_never_stops_or_prints():
    for source in (BRIDGE / "src").glob("*.f90"):
        code = re.sub(r"!.*|'[^'\n]*'|\"[^\"\n]*\"", "", source.read_text())
        found = re.findall(r"\b(?:error\s+stop|stop|print)\b|\bwrite\s*\(\s*\*", code)
        assert not found, f"{source.name}: {found}"
