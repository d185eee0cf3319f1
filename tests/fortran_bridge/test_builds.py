"""Every way to build the Fortran library and to build a host model against it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.commands import run_command

BRIDGE = Path(__file__).parents[2] / "fortran_bridge"
SOURCES = {path.stem for path in (BRIDGE / "src").glob("*.f90")}

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("gfortran", "cmake", "pkg-config"))),
    reason="needs gfortran, CMake and pkg-config: apt-get install gfortran cmake make pkg-config",
)
NF_CONFIG = shutil.which("nf-config")
needs_netcdf = pytest.mark.skipif(
    not NF_CONFIG, reason="needs netCDF-Fortran: apt-get install libnetcdff-dev"
)

HOST = """\
program host
  use aeroact
  implicit none
  type(aeroact_model) :: model
  character(len=AEROACT_ERRMSG_LEN) :: errmsg
  integer :: stat
  call model%load('no such emulator', stat, errmsg, backend='native')
  if (stat /= AEROACT_MODEL_NOT_FOUND) stop 1
  print '(a)', trim(errmsg)
end program host
"""
HOST_CMAKE = """\
cmake_minimum_required(VERSION 3.20)
project(host LANGUAGES Fortran)
find_package(aeroact REQUIRED)
add_executable(host host.f90)
target_link_libraries(host PRIVATE aeroact::aeroact)
"""


def run(*command: object, **environment: object) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {name: str(value) for name, value in environment.items()},
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """What the Python package carries: that must be enough."""
    folder = tmp_path_factory.mktemp("sources") / "aeroact-fortran"
    assert run_command("aeroact-export", "fortran-src", folder).returncode == 0
    return folder


@pytest.fixture(scope="module", params=["static", "shared"])
def installed(request, sources, tmp_path_factory) -> Path:
    """An install tree by CMake, moved after its configuration, as packagers do with DESTDIR."""
    build = tmp_path_factory.mktemp(request.param)
    configured = run(
        *("cmake", "-S", sources, "-B", build),
        "-DCMAKE_Fortran_COMPILER=gfortran",
        "-DCMAKE_BUILD_TYPE=None",
        f"-DBUILD_SHARED_LIBS={request.param == 'shared'}",
        f"-DAEROACT_NETCDF={'OFF' if request.param == 'shared' else 'AUTO'}",
        "-DAEROACT_BUILD_TESTS=OFF",
        "-DAEROACT_BUILD_EXAMPLES=OFF",
    )
    assert "CMake Warning" not in configured
    run("cmake", "--build", build, "--parallel", 2)
    run("cmake", "--install", build, "--prefix", "/opt/aeroact", DESTDIR=build / "stage")
    return build / "stage" / "opt" / "aeroact"


@pytest.fixture
def host(tmp_path) -> Path:
    """A host model's sources."""
    (tmp_path / "host.f90").write_text(HOST)
    (tmp_path / "CMakeLists.txt").write_text(HOST_CMAKE)
    return tmp_path


def library_of(prefix: Path) -> Path:
    return next(prefix.rglob("libaeroact.*"))


def reads_netcdf(library: Path) -> bool:
    return "nf90_" in run("nm", library)


def test_find_package(installed, host):
    build = host / "build"
    run("cmake", "-S", host, "-B", build, f"-DCMAKE_PREFIX_PATH={installed}")
    run("cmake", "--build", build)
    assert "no such emulator" in run(build / "host")


def test_pkg_config(installed, host):
    folder = library_of(installed).parent
    asked = run(
        *("pkg-config", "--cflags", "--libs", "aeroact"), PKG_CONFIG_PATH=folder / "pkgconfig"
    )
    run("gfortran", host / "host.f90", "-o", host / "host", "-J", host, *asked.split())
    assert "no such emulator" in run(host / "host", LD_LIBRARY_PATH=folder)


def test_an_example_alone(installed, sources, tmp_path):
    example = sources / "examples" / "01_predict_states"
    run("cmake", "-S", example, "-B", tmp_path, f"-DCMAKE_PREFIX_PATH={installed}")
    run("cmake", "--build", tmp_path)
    usage = subprocess.run(
        [tmp_path / "predict_states"], capture_output=True, text=True, check=False
    )
    assert usage.returncode == 2
    assert "usage: predict_states MODEL STATES" in usage.stderr


def test_netcdf_is_used_where_it_is_found_and_wanted(installed):
    library = library_of(installed)
    assert reads_netcdf(library) == (bool(NF_CONFIG) and library.suffix == ".a")


@pytest.mark.parametrize("netcdf", [False, pytest.param(True, marks=needs_netcdf)])
def test_make(netcdf, sources, host):
    prefix = host / "prefix"
    make = ["make", "-C", sources, f"BUILD={host / 'build'}", "FC=gfortran", "FFLAGS=-O0"]
    found = [f"-I{prefix}/include/aeroact", f"-L{prefix}/lib", "-laeroact", "-ldl"]
    if netcdf:
        make.append(f"NETCDF_FFLAGS={run(NF_CONFIG, '--fflags').strip()}")
        found += run(NF_CONFIG, "--flibs").split()
    run(*make)
    run(*make, "install", f"PREFIX={prefix}")
    assert reads_netcdf(library_of(prefix)) == netcdf
    run("gfortran", host / "host.f90", "-o", host / "host", "-J", host, *found)
    assert "no such emulator" in run(host / "host")


def test_no_source_is_forgotten():
    cmake = re.findall(r"src/(\w+)\.f90", (BRIDGE / "CMakeLists.txt").read_text())
    assert set(cmake) == SOURCES
    printed = run("make", "-C", BRIDGE, "--dry-run", "--always-make", "FC=gfortran")
    assert sorted(re.findall(r"src/(\w+)\.f90", printed)) == sorted(SOURCES)
