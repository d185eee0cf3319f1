"""Files and folders that are never left half-written: write beside, then rename."""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aeroact.errors import AeroactError


def _beside(path: Path) -> Path:
    """Return a name in the same folder, so that a rename stays on one file system."""
    # With the suffix of `path`, by which some writers go.
    return path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write a file to, which takes the place of `path` at the end.

    Parameters
    ----------
    path : Path
        The file to make or to replace; its folder is made where it is missing.

    Yields
    ------
    Path
        Where to write. After an error it is removed and `path` is as it was.

    Raises
    ------
    AeroactError
        If the folder cannot be made or written to.
    """
    part = _beside(path)
    make_folder(path.parent)
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    except OSError as error:
        # A write does not know its file's name, and nobody knows that of the part.
        if error.filename in (None, str(part)):
            error.filename = str(path)
            error.filename2 = None
        raise
    finally:
        part.unlink(missing_ok=True)


def remove_parts(path: Path) -> None:
    """Remove what killed processes left half-written beside `path`.

    For the one process that may write it: a part of a living one would be lost, too.
    """
    part = re.compile(rf"\.{re.escape(path.stem)}\.\d+\.part{re.escape(path.suffix)}")
    for other in path.parent.iterdir():
        if not part.fullmatch(other.name):
            continue
        if other.is_dir():
            shutil.rmtree(other)
        else:
            other.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill, which takes the place of `path` at the end.

    Parameters
    ----------
    path : Path
        The folder to make or to replace.

    Yields
    ------
    Path
        The folder to fill. After an error it is removed and `path` is as it was.

    Raises
    ------
    AeroactError
        If the folder cannot be made.
    """
    part, old = _beside(path), path.with_name(f".{path.name}.{os.getpid()}.old")
    make_folder(path.parent)
    try:
        make_folder(part)
        yield part
        if path.exists():
            path.rename(old)
        part.rename(path)
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def make_folder(path: Path) -> None:
    """Make a folder and its parents, or say in one line why that is not possible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AeroactError(f"{path}: cannot make this folder ({error.strerror})") from error
    if not os.access(path, os.W_OK):
        raise AeroactError(f"{path}: this folder cannot be written to; choose another")


def require_writable(path: Path) -> None:
    """See, before long work, that a file or folder could be made at `path`; makes nothing.

    Raises
    ------
    AeroactError
        If the nearest folder above that is there cannot be written to.
    """
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise AeroactError(f"{path}: {above} cannot be written to; choose another with --out")


@contextmanager
def writing_netcdf(path: Path) -> Iterator[None]:
    """Say in one line what HDF5 does not: that a file, `path`, could not be written.

    Raises
    ------
    AeroactError
        Instead of a RuntimeError, which is all that netCDF4 makes of a full disk.
    """
    try:
        yield
    except RuntimeError as error:
        raise AeroactError(
            f"{path}: cannot be written ({error}); is the disk full? Make room and run the "
            "same command again"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a whole text file (UTF-8), or leave what was there."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for this process alone.

    The lock ends with the process, however it ends.

    Raises
    ------
    AeroactError
        If another process holds the folder.
    """
    make_folder(folder)
    with (folder / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AeroactError(
                f"{folder}: another process is working here; wait for it, or choose another --out"
            ) from None
        yield


def is_locked(folder: Path) -> bool:
    """Return whether another process holds a folder."""
    try:
        with (folder / ".lock").open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def sha256(path: Path) -> str:
    """Return the SHA-256 sum of a file in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
