"""Run the example program as a user would, and compare what it prints with Python's answer."""

import subprocess
import sys
from pathlib import Path

import numpy as np


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the example.

    Parameters
    ----------
    program : str
        The executable.
    *arguments : object
        Its arguments.

    Returns
    -------
    subprocess.CompletedProcess
        Exit status, standard output and standard error.
    """
    command = [program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def main(program: str, data: Path) -> None:
    """Try success, failure and wrong use.

    Parameters
    ----------
    program : str
        The executable.
    data : Path
        The folder that make_models.py filled.
    """
    done = run(program, data / "mlp.onnx", data / "states.txt")
    assert done.returncode == 0, done.stderr
    fn = np.loadtxt(done.stdout.splitlines())
    expected = np.loadtxt(data / "mlp.expected.txt")
    np.testing.assert_allclose(fn, expected, rtol=0, atol=1e-6)

    failed = run(program, data / "missing.onnx", data / "states.txt")
    assert failed.returncode == 1, failed
    assert "missing.onnx" in failed.stderr, failed

    broken = data / "broken_states.txt"
    broken.write_text("1 2 3\n")
    failed = run(program, data / "mlp.onnx", broken)
    assert failed.returncode == 1, failed
    assert "16 numbers" in failed.stderr, failed

    misused = run(program)
    assert misused.returncode == 2, misused
    assert "usage" in misused.stderr, misused


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
