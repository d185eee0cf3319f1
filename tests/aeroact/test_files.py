"""Nothing is ever half-written, and a folder has one master."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aeroact.errors import AeroactError
from aeroact.files import (
    locked,
    make_folder,
    remove_parts,
    replacing,
    replacing_folder,
    require_writable,
    sha256,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail_half_way(target: Path, error: type[BaseException]) -> None:
    with replacing(target) as part:
        part.write_text("ne")
        raise error


def fail_half_way_into_a_folder(target: Path, error: type[BaseException]) -> None:
    with replacing_folder(target) as part:
        (part / "fresh").touch()
        raise error


def test_a_new_file_appears_with_its_folders(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "new.txt"
    with replacing(target) as part:
        part.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert names(target.parent) == ["new.txt"]


def test_the_temporary_file_has_the_suffix_by_which_writers_go(tmp_path: Path) -> None:
    with replacing(tmp_path / "model.keras") as part:
        assert part.suffix == ".keras"
        part.touch()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file_alone(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(error):
        fail_half_way(target, error)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_an_interrupted_write_of_a_new_file_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        fail_half_way(tmp_path / "file.txt", RuntimeError)
    assert names(tmp_path) == []


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with replacing(target) as part:
        part.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


def test_a_process_killed_while_it_writes_leaves_the_old_file_alone(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    code = (
        "import os, signal, sys; from pathlib import Path; from aeroact.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as part:\n"
        "    part.write_text('ne'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, target], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert target.read_text() == "old"


def test_a_disk_that_takes_no_more_is_an_error_that_names_the_file_asked_for(
    tmp_path: Path,
) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: .*/file\.txt"):
            write_text(target, 2000 * "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_a_file_does_not_take_the_place_of_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    (target / "inner").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"), replacing(target) as part:
        part.write_text("new")
    assert names(tmp_path) == ["folder"]
    assert names(target) == ["inner"]


def test_text_is_written_whole_in_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "text.txt", "κ of 0.5\n")
    assert (tmp_path / "text.txt").read_bytes() == "κ of 0.5\n".encode()


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "stale").touch()
    with replacing_folder(target) as part:
        (part / "fresh").touch()
        assert names(target) == ["stale"]
    assert names(target) == ["fresh"]
    assert names(tmp_path) == ["bundle"]


def test_a_new_folder_appears_with_its_parents(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "a" / "bundle") as part:
        assert names(part) == []
        (part / "fresh").touch()
    assert names(tmp_path / "a") == ["bundle"]
    assert names(tmp_path / "a" / "bundle") == ["fresh"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_folder_leaves_the_old_one_alone(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(error):
        fail_half_way_into_a_folder(target, error)
    assert names(target) == ["old"]
    assert names(tmp_path) == ["bundle"]


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(FileNotFoundError), replacing_folder(target) as part:
        part.rmdir()
    assert names(target) == ["old"]
    assert names(tmp_path) == ["bundle"]


def test_parts_of_killed_processes_are_removed_and_nothing_else(tmp_path: Path) -> None:
    part = ".a.123.part.nc"
    others = ["a.nc", ".a.b.123.part.nc", ".a.123.part.csv", ".a.x.part.nc", ".ab.1.part.nc"]
    for name in [part, *others]:
        (tmp_path / name).touch()
    remove_parts(tmp_path / "a.nc")
    assert names(tmp_path) == sorted(others)


def test_a_folder_beneath_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AeroactError, match=r"file/inner: cannot make this folder"):
        make_folder(tmp_path / "file" / "inner")
    with pytest.raises(AeroactError, match=r"file: cannot make this folder"):
        make_folder(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_one_clear_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(AeroactError, match="cannot be written to"), replacing(tmp_path / "a"):
            pass
    finally:
        tmp_path.chmod(0o700)


def test_a_second_process_is_locked_out_until_the_first_ends_however_it_ends(
    tmp_path: Path,
) -> None:
    code = (
        "import sys, time; from pathlib import Path; from aeroact.files import locked\n"
        "with locked(Path(sys.argv[1])):\n"
        "    print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "locked\n"
            with pytest.raises(AeroactError, match="another process"), locked(tmp_path):
                pass
        finally:
            holder.kill()
    with locked(tmp_path):
        pass


def test_a_lock_can_be_taken_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), locked(tmp_path):
        raise RuntimeError
    with locked(tmp_path):
        pass


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(tmp_path / "abc") == expected


def test_what_cannot_be_made_is_said_before_the_work(tmp_path):
    require_writable(tmp_path / "new" / "folder" / "file")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    with pytest.raises(AeroactError, match=f"{tmp_path}/file cannot be written to"):
        require_writable(tmp_path / "file" / "folder" / "emulator")
