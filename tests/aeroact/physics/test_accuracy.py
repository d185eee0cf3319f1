"""How far the default settings are from the same model with far more bins and smaller steps."""

from pathlib import Path

import numpy as np
import pytest

from aeroact.physics.parcel import simulate
from aeroact.schema import COLUMNS, split_state
from aeroact.states import sample_rows

CASES = Path(__file__).parent / "data" / "converged_cases.csv"


def assert_close(fn, converged):
    np.testing.assert_array_equal(np.isnan(fn), np.isnan(converged))
    error = np.abs(fn - converged)[~np.isnan(converged)]
    assert error.max() <= 2e-3
    assert np.percentile(error, 99.0) <= 5e-4


def test_frozen_converged_fractions():
    table = np.loadtxt(CASES, delimiter=",", skiprows=2)
    states, converged = np.split(table, [len(COLUMNS)], axis=1)
    assert np.isfinite(converged).all(axis=1).sum() >= 250
    assert_close(simulate(*split_state(states).values()).fn, converged)


@pytest.mark.slow
def test_converged_fractions_of_many_states():
    states = split_state(sample_rows(0, 2200, seed=29)).values()
    converged = simulate(*states, bins=400, rtol=1e-6)
    assert converged.ok.sum() >= 2000
    assert_close(simulate(*states).fn, converged.fn)
