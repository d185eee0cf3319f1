"""How far the default settings are from the same model with far more bins and smaller steps."""

from pathlib import Path

import numpy as np
import pytest

from aeroact.physics.constants import preset
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
    answer, converged = simulate(*states), simulate(*states, bins=400, rtol=1e-6)
    both = answer.ok & converged.ok
    assert both.sum() >= 2000
    # In row 361 S rises for 3 km but for one point, where it falls or does not as the bins are.
    assert np.flatnonzero(answer.ok != converged.ok).tolist() in ([], [361])
    assert_close(answer.fn[both], converged.fn[both])


def test_converged_fractions_do_not_rest_on_the_choice_of_bins(monkeypatch):
    states = split_state(sample_rows(40_000, 40_100, seed=9)).values()
    graded = simulate(*states, bins=400, rtol=1e-6)
    # Bins of one width need no estimate, and leave nothing out up to 15 %.
    monkeypatch.setattr("aeroact.physics.bins.WIDTH", 6.0)
    physics = preset("default")._replace(even_bins=True)
    even = simulate(*states, bins=1000, rtol=1e-6, physics=physics)
    np.testing.assert_array_equal(graded.status, even.status)
    assert np.abs(graded.fn - even.fn)[even.ok].max() <= 5e-5
