"""Every example program is built and tested: none drops out because something was not found."""

import shutil

import pytest

from tests.fortran_bridge.conftest import FLAGS, run

pytestmark = pytest.mark.skipif(
    not (shutil.which("gfortran") and shutil.which("cmake")),
    reason="needs a Fortran compiler and CMake: apt-get install gfortran cmake make",
)
needs_mpi = pytest.mark.skipif(
    not shutil.which("mpirun"), reason="needs MPI: apt-get install openmpi-bin libopenmpi-dev"
)


@pytest.mark.parametrize(
    "flags",
    [pytest.param(f, marks=pytest.mark.slow if f == "e3sm-debug" else ()) for f in FLAGS],
)
@pytest.mark.parametrize(
    "example",
    [
        "predict_states",
        "predict_grid",
        "predict_threads",
        pytest.param("predict_ranks", marks=needs_mpi),
        "activate_chunks",
    ],
)
def test_example_is_tested(build_with, flags, example):
    listed = run("ctest", "--test-dir", build_with(flags), "--show-only")
    assert f"example.{example}\n" in listed
