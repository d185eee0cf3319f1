"""The memory of a worker is flat, however many networks it has trained."""

import json
import subprocess
import sys

import pytest

WARM_UP, TRIALS = 20, 200
MAX_GROWTH = 50e6  # bytes

SCRIPT = f"""
import json, os
from itertools import islice
from pathlib import Path

import numpy as np

from aeroact.hpo.backend import load_single_threaded
from aeroact.hpo.space import Space
from aeroact.hpo.training import Recipe, TrainingData, train

load_single_threaded()
rng = np.random.default_rng(0)
x = rng.normal(size=(400, 16)).astype(np.float32)
fn = rng.random((400, 4)).astype(np.float32)
data = TrainingData(x[:300], fn[:300], x[300:], fn[300:])
recipe = Recipe(epochs=1, patience=None, batch_size=100, learning_rate=1e-3)
resident = []
space = Space(max_params=20_000)
for k, candidate in enumerate(islice(space.draw(seed=1), {WARM_UP + TRIALS})):
    train(candidate.widths, data, recipe, [k])
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    resident.append(pages * os.sysconf("SC_PAGE_SIZE"))
print(json.dumps(resident))
"""


@pytest.mark.slow
def test_a_worker_grows_by_less_than_fifty_megabytes_in_two_hundred_trials():
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=600
    )
    resident = json.loads(answer.stdout)
    assert len(resident) == WARM_UP + TRIALS
    growth = max(resident[WARM_UP:]) - resident[WARM_UP - 1]
    assert growth < MAX_GROWTH, f"{growth / 1e6:.0f} MB: {resident[::20]}"
