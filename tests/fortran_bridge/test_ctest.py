"""Build the Fortran library as its users do, and run its own tests (CTest)."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import aeroact

BRIDGE = Path(__file__).parents[2] / "fortran_bridge"

needs_compiler = pytest.mark.skipif(
    not (shutil.which("gfortran") and shutil.which("cmake")),
    reason="needs a Fortran compiler and CMake: apt-get install gfortran cmake make",
)

STRICT = "-O2 -Wall -Wextra -std=f2008 -Werror"
FLAGS = {
    "strict": STRICT,
    "e3sm": "-O -fconvert=big-endian -fdefault-real-8 -ffree-line-length-none",
    "e3sm-debug": "-g -O0 -fconvert=big-endian -fdefault-real-8 -ffree-line-length-none"
    " -fcheck=all -ffpe-trap=invalid,zero,overflow -finit-real=snan",
}


def run(*command: object) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def build(source: Path, folder: Path, flags: str, *options: str) -> str:
    output = run(
        *("cmake", "-S", source, "-B", folder),
        "-DCMAKE_Fortran_COMPILER=gfortran",
        "-DCMAKE_BUILD_TYPE=None",  # the flags are all there is
        f"-DCMAKE_Fortran_FLAGS={flags}",
        f"-DPython3_EXECUTABLE={sys.executable}",
        *options,
    )
    run("cmake", "--build", folder, "--parallel", 2)
    return output


@pytest.fixture(scope="session", params=FLAGS)
def build_folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    configured = build(BRIDGE, folder, FLAGS[request.param])
    assert "CMake Warning" not in configured
    return folder


@needs_compiler
def test_ctest(build_folder):
    output = run("ctest", "--test-dir", build_folder, "--output-on-failure", "--parallel", 2)
    (passed,) = re.findall(r"100% tests passed, 0 tests failed out of (\d+)", output)
    assert int(passed) > 40


@needs_compiler
def test_installed_library_is_found(tmp_path):
    """A host's CMake finds an installed shared library by find_package(aeroact)."""
    prefix = tmp_path / "prefix"
    build(
        BRIDGE,
        tmp_path / "library",
        STRICT,
        "-DBUILD_SHARED_LIBS=ON",
        "-DAEROACT_BUILD_TESTS=OFF",
        "-DAEROACT_BUILD_EXAMPLES=OFF",
        f"-DCMAKE_INSTALL_PREFIX={prefix}",
    )
    run("cmake", "--install", tmp_path / "library")
    example = tmp_path / "example"
    build(
        BRIDGE / "examples" / "01_predict_states", example, STRICT, f"-DCMAKE_PREFIX_PATH={prefix}"
    )
    usage = subprocess.run(
        [example / "predict_states"], capture_output=True, text=True, check=False
    )
    assert usage.returncode == 2
    assert "usage: predict_states MODEL STATES" in usage.stderr


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
