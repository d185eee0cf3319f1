"""Run an example program as a user would, and compare what it prints with Python's answer.

The examples are told apart by the names of their programs.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime

BATCH = 64  # of predict_grid


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program.

    Parameters
    ----------
    *command : object
        The program and its arguments.
    **environment : str
        Variables to set besides those there are.

    Returns
    -------
    subprocess.CompletedProcess
        Exit status, standard output and standard error.
    """
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def printed(done: subprocess.CompletedProcess[str]) -> np.ndarray:
    """Return the numbers that a program printed; it must have succeeded."""
    assert done.returncode == 0, done.stderr
    return np.loadtxt(done.stdout.splitlines())


def require_same(model: Path, states: np.ndarray, fn: np.ndarray) -> None:
    """See that these are Python's predictions, and that they could have been others."""
    session = onnxruntime.InferenceSession(model)
    (expected,) = session.run(["fn"], {"state": states.astype(np.float32)})
    assert np.ptp(states, axis=0).min() > 0
    assert np.ptp(expected, axis=0).min() > 0.05
    np.testing.assert_allclose(fn, expected, rtol=0, atol=5e-6)


def require_refusals(data: Path, *program: object) -> None:
    """See that a missing model is one sentence and wrong use another, and that nothing is lost."""
    failed = run(*program, data / "missing.onnx")
    assert failed.returncode == 1, failed
    assert failed.stderr.count("missing.onnx") == 1, failed
    assert failed.stdout == "", failed
    failed = run(*program, data / "mlp.onnx", "nonsense")
    assert failed.returncode == 1, failed
    assert "nonsense" in failed.stderr, failed
    misused = run(*program)
    assert misused.returncode == 2, misused
    assert "usage" in misused.stderr, misused


def predict_states(program: str, data: Path) -> None:
    """Try success, failure and wrong use of the first example."""
    fn = printed(run(program, data / "mlp.onnx", data / "states.txt"))
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


def predict_grid(program: str, data: Path) -> None:
    """See that each cloudy point got its own answer, in whole batches and in the last one."""
    # hPa, cm s-1, cm-3 and um of Pa, m s-1, m-3 and m
    factors = np.r_[1, 0.01, 1, 100, np.full(4, 1e-6), np.full(4, 1e6), np.ones(4)]
    for backend in ("ort", "native", "auto"):
        rows = printed(run(program, data / "mlp.onnx", backend))
        places, host, fn = np.split(rows, [3, 19], axis=1)
        assert len(np.unique(places, axis=0)) == len(rows) > BATCH
        assert len(rows) % BATCH != 0
        require_same(data / "mlp.onnx", host * factors, fn)
    require_refusals(data, program)


def predict_threads(program: str, data: Path) -> None:
    """See that threads give what Python gives, and what one thread gives."""
    for backend in ("ort", "native"):
        four = run(program, data / "mlp.onnx", backend, OMP_NUM_THREADS="4")
        require_same(data / "mlp.onnx", *np.split(printed(four), [16], axis=1))
        assert four.stderr == "4 threads gave bit for bit what one gave\n"
        one = run(program, data / "mlp.onnx", backend, OMP_NUM_THREADS="1")
        assert one.stdout == four.stdout
    require_refusals(data, program)


def predict_ranks(program: str, data: Path) -> None:
    """See that four ranks give what Python gives, and what one rank gives."""
    # Open MPI counts cores and minds root; other implementations do not know these variables.
    os.environ |= {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    launcher = [os.environ["MPIEXEC"], "-n"]
    for backend in ("ort", "native"):
        four = run(*launcher, 4, program, data / "mlp.onnx", backend)
        require_same(data / "mlp.onnx", *np.split(printed(four), [16], axis=1))
    one = run(*launcher, 1, program, data / "mlp.onnx", "native")
    assert one.stdout == four.stdout  # whatever columns are beside
    require_refusals(data, *launcher, 4, program)


if __name__ == "__main__":
    examples = (predict_states, predict_grid, predict_threads, predict_ranks)
    check = {example.__name__: example for example in examples}[Path(sys.argv[1]).stem]
    check(sys.argv[1], Path(sys.argv[2]))
