"""File systems that tests fill."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(disk: Path, size: str = "280k") -> Iterator[Path]:
    """Make a file system of its own of a folder; only root can."""
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system: run as root to enable it")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def resize(disk: Path, size: str) -> None:
    """Change how much goes into it."""
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)
