import os
import subprocess
import sys
from pathlib import Path

from aeroact.physics.stale import drop_stale_kernels

CALLEE = "from numba import njit\n\n@njit(cache=True)\ndef answer():\n    return {}\n"
CALLER = (
    "from numba import njit\nfrom callee import answer\n\n"
    "@njit(cache=True)\ndef ask():\n    return answer()\n"
)


def ask(folder: Path) -> str:
    command = [sys.executable, "-c", "from caller import ask; print(ask())"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_change_of_a_called_function_is_not_missed(tmp_path):
    (tmp_path / "callee.py").write_text(CALLEE.format(1))
    (tmp_path / "caller.py").write_text(CALLER)
    assert ask(tmp_path) == "1"
    (tmp_path / "callee.py").write_text(CALLEE.format(2))
    later = (tmp_path / "caller.py").stat().st_mtime + 100
    os.utime(tmp_path / "callee.py", (later, later))
    assert ask(tmp_path) == "1"  # Numba's defect; when it is mended, `stale` can go
    drop_stale_kernels(tmp_path)
    assert ask(tmp_path) == "2"


def test_fresh_kernels_stay(tmp_path):
    (tmp_path / "kernel.py").touch()
    (tmp_path / "__pycache__").mkdir()
    index = tmp_path / "__pycache__" / "kernel.ask-4.py311.nbi"
    index.touch()
    later = (tmp_path / "kernel.py").stat().st_mtime + 1
    os.utime(index, (later, later))
    drop_stale_kernels(tmp_path)
    assert index.exists()
