"""Errors of the droplet number, against sums written out."""

import numpy as np
import pytest

from aeroact.assess.droplets import DropletErrors, droplet_number
from aeroact.states import sample_rows


def rows(n=200, seed=0):
    rng = np.random.default_rng(seed)
    x, fn = sample_rows(0, n, seed=1), rng.random((n, 4))
    return x, fn, np.clip(fn + 0.05 * rng.standard_normal((n, 4)), 0, 1)


def test_droplets_are_the_activated_particles_of_all_modes():
    x, fn, _ = rows(3)
    expected = [sum(x[i, 4 + m] * fn[i, m] for m in range(4)) for i in range(3)]
    np.testing.assert_allclose(droplet_number(x, fn), expected)


@pytest.mark.parametrize("cut", [0, 70, 200])
def test_errors_are_per_cent_of_the_parcel_models_droplets_however_rows_are_cut(cut):
    x, fn, prediction = rows()
    errors = DropletErrors()
    for part in (slice(0, cut), slice(cut, None)):
        errors.add(x[part], fn[part], prediction[part])
    truth, error = droplet_number(x, fn), droplet_number(x, prediction) - droplet_number(x, fn)
    found = errors.as_dict()
    assert found["rows"] == 200
    assert found["bias"] == pytest.approx(100 * error.sum() / truth.sum())
    assert found["absolute"] == pytest.approx(100 * np.abs(error).sum() / truth.sum())
    relative = 100 * np.abs(error / truth)[truth >= 1.0]
    assert found["largest"] == pytest.approx(relative.max())
    assert found["median"] == pytest.approx(
        np.percentile(relative, 50, method="inverted_cdf"), rel=3e-3
    )


def test_without_droplets_there_is_no_relative_error():
    x, fn, _ = rows(5)
    errors = DropletErrors()
    errors.add(x, np.zeros_like(fn), np.zeros_like(fn))
    found = errors.as_dict()
    assert found == {"rows": 5} | dict.fromkeys(
        ("bias", "absolute", "median", "p95", "p99", "largest")
    )
