"""The Fortran library's sources, which are installed with this package."""

import importlib.util
import shutil
from pathlib import Path

import aeroact
from aeroact.errors import AeroactError
from aeroact.files import replacing_folder

SOURCES = Path(aeroact.__file__).parent / "fortran_bridge"
"""The folder `fortran_bridge` of the package."""


def copy(folder: Path) -> None:
    """Copy the Fortran library: sources, builds, examples, tests, E3SM's guide; whole or not.

    Parameters
    ----------
    folder : Path
        Where to; must be new, or an empty folder.

    Raises
    ------
    AeroactError
        If something is there already, or the folder cannot be written.
    """
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AeroactError(f"{folder}: something is there already; name a new folder")
    with replacing_folder(folder) as part:
        made_here = shutil.ignore_patterns("build", "__pycache__")
        try:
            shutil.copytree(SOURCES, part, ignore=made_here, dirs_exist_ok=True)
        except shutil.Error as error:  # one entry a file, each with source and target
            _, _, reason = error.args[0][0]
            raise AeroactError(f"{folder}: {str(reason).split(': ')[0]}") from error


def runtime_library() -> Path | None:
    """Return the shared library in this Python's onnxruntime wheel, without loading it."""
    wheel = importlib.util.find_spec("onnxruntime")
    if wheel is None or wheel.origin is None:
        return None
    return next(Path(wheel.origin).parent.glob("capi/libonnxruntime.so*"), None)
