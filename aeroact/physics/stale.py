"""Compiled kernels that no longer belong to their sources.

Numba keeps compiled code by the file of its function alone, not by the files whose functions
it calls: after a change of `koehler`, `ascent` would go on with the old one.
"""

import contextlib
from pathlib import Path

_FOLDER = Path(__file__).parent


def drop_stale_kernels(folder: Path = _FOLDER) -> None:
    """Remove from Numba's cache what is older than any source of this package.

    Parameters
    ----------
    folder : Path
        Where the sources are, with Numba's cache in ``__pycache__``.
    """
    newest = max(source.stat().st_mtime for source in folder.glob("*.py"))
    for index in (folder / "__pycache__").glob("*.nbi"):
        # Another process may have removed it, and a cache that is not ours to change is not ours.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            if index.stat().st_mtime < newest:
                index.unlink()
