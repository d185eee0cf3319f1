"""The parcel model against pyrcel 2.0, another model of the same equations, on the same bins."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from aeroact.physics.parcel import Status, simulate

DATA = Path(__file__).parent / "data"
CASES = json.loads((DATA / "pyrcel_cases.json").read_text())
KINDS = ("mam4", "widest")


def our_smax(case, **settings):
    answer = simulate(**case["state"], physics="pyrcel", bins=CASES["bins"], **settings)
    assert answer.ok[0], (case["state"], answer.status)
    return answer.smax[0]


def relative_difference(cases, **settings):
    expected = np.array([case["smax"] for case in cases])
    return np.abs([our_smax(case, **settings) for case in cases] / expected - 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_smax_of_pyrcel(kind):
    assert relative_difference(CASES[kind]).max() <= 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_tight_tolerance_comes_closer_to_pyrcel(kind):
    assert relative_difference(CASES[kind], rtol=1e-7).max() <= 3e-5


def test_no_peak_where_pyrcel_finds_none():
    states = [case["state"] for case in CASES["rejected"] if "within 3 km" in case["reason"]]
    assert states
    for state in states:
        answer = simulate(**state, physics="pyrcel", bins=CASES["bins"])
        assert answer.status[0] == Status.NO_PEAK, state


def test_cases_span_the_ranges():
    assert len(CASES["widest"]) >= 40
    states = [case["state"] for case in CASES["widest"]]
    for name, low, high in (
        ("tair", 255.0, 303.0),
        ("pressure", 560.0, 990.0),
        ("accommodation", 0.2, 0.9),
        ("r_aer", 2e-3, 2.0),
        ("kappa", 0.05, 1.15),
        ("wbar", 30.0, 900.0),
    ):
        values = np.array([state[name] for state in states])
        assert values.min() < low, name
        assert values.max() > high, name
    smax = [case["smax"] for case in CASES["widest"]]
    assert max(smax) > 10.0 * min(smax)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "index"), [("mam4", 0), ("widest", 0), ("widest", 1)])
def test_pyrcel_says_so_today(kind, index):
    pytest.importorskip("pyrcel", reason="needs pyrcel: pip install -e '.[reference]'")
    spec = importlib.util.spec_from_file_location("make_cases", DATA / "make_pyrcel_cases.py")
    assert spec is not None
    assert spec.loader is not None
    make_cases = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_cases)

    case = CASES[kind][index]
    answer = make_cases.solve(case["state"])
    assert answer["smax"] == pytest.approx(case["smax"], rel=1e-6)
    assert our_smax(case) == pytest.approx(answer["smax"], rel=1e-4)
