"""A whole assessment: of the parcel model itself, coarsely, which ought to do well."""

import json

import numpy as np
import pytest

from aeroact.assess import assessment
from aeroact.assess.box import Box
from aeroact.references import parcel
from aeroact.states import BOUNDS, sample_rows

LOW, HIGH = (np.array([getattr(b, side) for b in BOUNDS.values()]) for side in ("low", "high"))


def coarse(x):
    return np.nan_to_num(parcel(x, bins=10, rtol=1e-2).fn).astype(np.float32)


@pytest.fixture(scope="module")
def found():
    x = sample_rows(0, 250, seed=5)
    truth = parcel(x)
    x, fn = x[truth.ok], truth.fn[truth.ok]
    small = pytest.MonkeyPatch()
    for name, value in {"MONOTONY_STATES": 5, "MONOTONY_PARCELS": 2, "LIMIT_STATES": 10}.items():
        small.setattr(assessment, name, value)
    small.setattr(assessment.worst, "STARTS", 32)
    result = assessment.assess(
        coarse,
        lambda: [(x[:100], fn[:100]), (x[100:], fn[100:])],
        len(x),
        (x, fn),
        Box(LOW, HIGH),
        sampled=True,
        columns=x[:50],
        members=8,
        generations=1,
    )
    small.undo()
    return result, x, fn


def test_it_is_all_there_and_can_be_written_as_json(found):
    result, x, _ = found
    assert list(result) == [
        "deciles", "droplets", "worst", "monotony", "smoothness", "limits", "columns",
    ]  # fmt: skip
    json.loads(json.dumps(result, allow_nan=False))
    assert len(result["worst"]) == 8
    assert result["droplets"]["emulator"]["rows"] == len(x)


def test_the_deciles_share_out_the_rows(found):
    result, x, fn = found
    for key in {d["by"] for d in result["deciles"]}:
        regions = [d for d in result["deciles"] if d["by"] == key]
        assert sum(d["rows"] for d in regions) == len(x)
        assert all(d["rows"] for d in regions)
        # A fifth of the updrafts are at their floor.
        assert len(regions) >= {"wbar_deciles": 8}.get(key, 9)
        total = sum(d["rows"] * d["emulator"]["mse"] for d in regions) / len(x)
        assert total == pytest.approx(((coarse(x) - fn) ** 2).mean(), rel=1e-6)


def test_a_coarse_parcel_model_is_closer_to_the_parcel_model_than_arg2000(found):
    result, _, _ = found
    droplets = result["droplets"]
    assert droplets["emulator"]["absolute"] < droplets["arg2000"]["absolute"]
    columns = result["columns"]
    assert (columns["layers"], columns["answers"], columns["in_domain"]) == (50, 50, 50)
    assert columns["emulator"]["mse"] < columns["arg2000"]["mse"]
    assert result["monotony"]["parcel"]["states"] <= 4
