"""Commands of aeroact, run as a user would."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

COMMANDS = Path(sys.executable).parent
"""Where they are installed."""


def run_command(
    *args: str | Path, timeout: float = 300, **kwargs
) -> subprocess.CompletedProcess[str]:
    """Run a command: name and arguments in, what it said out."""
    command = [str(COMMANDS / str(args[0])), *map(str, args[1:])]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, **kwargs)


def search(data: Path, out: Path, options: Sequence[str]) -> Path:
    """Run a search by processes of this machine; returns its folder."""
    done = run_command("aeroact-hpo", "run", "--data", data, "--out", out, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def fails(*args: str | Path) -> str:
    """Run a command that must fail with status 1; returns its one line on standard error."""
    done = run_command(*args)
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert "unexpected" not in lines[0]
    return lines[0]
