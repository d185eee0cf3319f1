"""What the tests of the Fortran library share: builds of it, each made once."""

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

BRIDGE = Path(__file__).parents[2] / "fortran_bridge"

FLAGS = {
    "strict": "-O2 -Wall -Wextra -std=f2008 -Werror",
    "e3sm": "-O -fconvert=big-endian -fdefault-real-8 -ffree-line-length-none",
    "e3sm-debug": "-g -O0 -fconvert=big-endian -fdefault-real-8 -ffree-line-length-none"
    " -fcheck=all -ffpe-trap=invalid,zero,overflow -finit-real=snan",
}


def run(*command: object, env: dict[str, str] | None = None) -> str:
    """Run a command, which must succeed; return all that it said."""
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
        env=env,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="session")
def build_with(tmp_path_factory) -> Callable[[str], Path]:
    """Build library, examples and tests with some of `FLAGS`; return the folder."""

    @cache
    def build(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        configured = run(
            *("cmake", "-S", BRIDGE, "-B", folder),
            "-DCMAKE_Fortran_COMPILER=gfortran",
            "-DCMAKE_BUILD_TYPE=None",  # the flags are all there is
            f"-DCMAKE_Fortran_FLAGS={FLAGS[name]}",
            f"-DPython3_EXECUTABLE={sys.executable}",
        )
        assert "CMake Warning" not in configured
        run("cmake", "--build", folder, "--parallel", 2)
        return folder

    return build
