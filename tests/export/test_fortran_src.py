"""`aeroact-export fortran-src`: the Fortran library for those who have only the Python package."""

import errno
import shutil
from pathlib import Path

import pytest

from aeroact.errors import AeroactError
from aeroact.export import fortran_src
from tests.commands import fails, run_command

BRIDGE = Path(__file__).parents[2] / "fortran_bridge"


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_everything_is_copied(tmp_path):
    folder = tmp_path / "new" / "aeroact-fortran"
    done = run_command("aeroact-export", "fortran-src", folder)
    assert done.returncode == 0, done.stderr
    copied = files(folder)
    assert copied.items() <= files(BRIDGE).items()
    assert {"README.md", "LICENSE", "CMakeLists.txt", "Makefile", "fpm.toml"} <= copied.keys()
    for part in ("src", "netcdf", "cmake", "examples", "e3sm", "tests"):
        assert any(name.startswith(f"{part}/") for name in copied), part
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_what_was_built_is_not_copied(tmp_path, monkeypatch):
    sources = tmp_path / "sources"
    for name in ("src/aeroact.f90", "build/aeroact.o", "tests/__pycache__/make.pyc"):
        (sources / name).parent.mkdir(parents=True)
        (sources / name).touch()
    monkeypatch.setattr(fortran_src, "SOURCES", sources)
    fortran_src.copy(tmp_path / "copy")
    assert files(tmp_path / "copy").keys() == {"src/aeroact.f90"}


def test_it_says_how_to_go_on(tmp_path):
    done = run_command("aeroact-export", "fortran-src", "here", cwd=tmp_path)
    assert "cmake -S here -B here/build" in done.stdout
    (library,) = (
        line.partition("=")[2] for line in done.stdout.splitlines() if "AEROACT_ORT_LIB=" in line
    )
    assert Path(library).is_file()


def test_an_empty_folder_is_filled(tmp_path):
    done = run_command("aeroact-export", "fortran-src", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "README.md").is_file()


@pytest.mark.parametrize("there", ["file", "folder"])
def test_what_is_there_is_left_alone(there, tmp_path):
    target = tmp_path / "aeroact-fortran"
    kept = target if there == "file" else target / "README.md"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    said = fails("aeroact-export", "fortran-src", target)
    assert f"{target}: something is there already; name a new folder" in said
    assert kept.read_text() == "mine"
    assert list(tmp_path.rglob("*.f90")) == []


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(source, target, **_):
        raise OSError(errno.ENOSPC, "No space left on device", source, None, target)

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(AeroactError) as raised:
        fortran_src.copy(tmp_path / "copy")
    assert str(raised.value) == f"{tmp_path / 'copy'}: [Errno 28] No space left on device"
    assert not list(tmp_path.iterdir())
