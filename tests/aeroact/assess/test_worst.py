"""The search for the worst state finds a fault that samples miss."""

import numpy as np
import pytest

from aeroact import schema
from aeroact.assess import worst
from aeroact.assess.box import Box
from aeroact.physics.activation import Activation, Status
from aeroact.references import FINE_BINS
from aeroact.states import BOUNDS

LOW, HIGH = (np.array([getattr(b, side) for b in BOUNDS.values()]) for side in ("low", "high"))
BOX = Box(LOW, HIGH)


def model(x, physics="default", bins=50, rtol=1e-4):
    """A parcel model in short: steep where the real one is, and no answer in thick haze."""
    points = BOX.points(x)
    supersaturation = points[:, 3] - 0.3 * points[:, 4:8].mean(axis=1)
    fn = 1 / (1 + np.exp(-8 * (supersaturation[:, None] + points[:, 8:12] - 0.7)))
    status = np.where(supersaturation < -0.1, Status.NO_PEAK, Status.OK)
    fn[status != Status.OK] = np.nan
    return Activation(fn + 1e-5 * (bins == FINE_BINS), supersaturation, status)


def faulty(x):
    """The same, but for a bump in the Aitken mode in a corner of cold, fast air."""
    fn = np.nan_to_num(model(x).fn)
    points = BOX.points(x)
    inside = np.abs(points[:, [0, 3]] - [0.1, 0.95]).max(axis=1) < 0.05
    fn[inside, 1] += np.where(fn[inside, 1] > 0.5, -0.4, 0.4)
    return fn.astype(np.float32)


@pytest.fixture(autouse=True)
def _in_short(monkeypatch):
    monkeypatch.setattr(worst, "parcel", model)
    monkeypatch.setattr(worst, "STARTS", 512)


def search(**options):
    return worst.search(faulty, BOX, seed=1, members=48, generations=20, **options)


def test_a_fault_in_a_corner_is_found_in_both_domains():
    found = search()
    assert [(w.domain, w.mode) for w in found] == [
        (domain, mode) for domain in ("box", "sampled") for mode in schema.MODES
    ]
    for each in found:
        x = np.array([list(each.state.values())])
        assert list(each.state) == list(schema.COLUMNS)
        assert BOX.holds(x.astype(np.float32)).all()
        mode = schema.MODES.index(each.mode)
        truth, prediction = model(x).fn[0], faulty(x)[0]
        np.testing.assert_allclose(each.error, prediction[mode] - truth[mode], atol=1e-5)
        np.testing.assert_allclose([each.fn, each.prediction], [truth, prediction], atol=1e-5)
        assert each.label_error == pytest.approx(1e-5, rel=1e-3)
        if each.mode == "aitken":
            assert abs(each.error) == pytest.approx(0.4, abs=0.01)
        else:
            assert abs(each.error) < 1e-6


def test_the_same_seed_gives_the_same_search_and_all_of_it_is_reported():
    seen = []
    first = search(sampled=False, progress=lambda done, note="": seen.append(done))
    assert first == search(sampled=False)
    assert seen == list(range(1, worst.units(sampled=False, generations=20) + 1))


def test_a_state_without_an_answer_is_never_the_worst():
    def wrong_in_haze(x):
        fn = model(x).fn
        return np.where(np.isnan(fn), 1.0, fn).astype(np.float32)

    found = worst.search(wrong_in_haze, BOX, sampled=False, members=48, generations=20)
    assert all(np.isfinite(each.fn).all() and abs(each.error) < 1e-6 for each in found)
