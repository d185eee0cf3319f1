"""A kernel from the cache on disk gives the very numbers of one that was just compiled."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import hashlib
from aeroact import states
from aeroact.physics.parcel import simulate
from aeroact.schema import split_state

answer = simulate(**split_state(states.sample_rows(0, 500, seed=1)), kinetic=True)
print(hashlib.sha256(answer.smax.tobytes() + answer.fn.tobytes()).hexdigest())
print(hashlib.sha256(answer.fn_kinetic.tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_compiled_now_and_loaded_from_the_cache_agree_to_the_last_bit(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    sums = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", CODE],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
        sums.append(done.stdout)
    assert list(tmp_path.rglob("*.nbc")), "nothing was cached"
    assert sums[0] == sums[1]
