import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aeroact.physics.activation import Status
from aeroact.physics.arg2000 import arg2000, maximum_supersaturation

E3SM = Path(__file__).resolve().parents[3].parent / "shared" / "e3sm"
MODES = ("accum", "aitken", "coarse", "pcarbon")

needs_e3sm = pytest.mark.skipif(
    not E3SM.is_dir(), reason="E3SM's own numbers are not beside this checkout (../shared/e3sm)"
)
STATE: dict[str, Any] = {
    "tair": 280.0,
    "pressure": 900.0,
    "wbar": 30.0,
    "num_aer": [500.0, 800.0, 1.0, 100.0],
    "r_aer": [0.06, 0.015, 1.0, 0.03],
    "kappa": [0.4, 0.3, 1.0, 1e-7],
}


@pytest.fixture(scope="module")
def cases():
    return json.loads((E3SM / "e3sm_arg_cases.json").read_text())


@needs_e3sm
def test_activate_modal_of_e3sm(cases):
    rows = [case["inputs"] for case in cases["activate_modal"]]
    expected = [case["e3sm_outputs"]["fn"] for case in cases["activate_modal"]]
    answer = arg2000(
        [row["tair_K"] for row in rows],
        [row["pressure_Pa_derived"] / 100.0 for row in rows],
        [row["w_ms"] * 100.0 for row in rows],
        [np.array(row["na_m3"]) * 1e-6 for row in rows],
        [row["r_aer_um_derived"] for row in rows],
        [row["hygro"] for row in rows],
    )
    assert len(rows) == 20
    np.testing.assert_allclose(answer.fn, expected, rtol=0.0, atol=1e-8)


@needs_e3sm
def test_cloud_base_activation_of_e3sm():
    with (E3SM / "e3sm_factnum_cases.csv").open() as file:
        rows = list(csv.DictReader(file))

    def column(name):
        return np.array([float(row[name]) for row in rows])

    def modes(name):
        return np.stack([column(f"{name}_{mode}") for mode in MODES], axis=1)

    answer = arg2000(
        column("tair_K"),
        column("pressure_Pa") / 100.0,
        column("w_ms") * 100.0,
        modes("na_m3") * 1e-6,
        modes("r_aer_um"),
        modes("hygro"),
    )
    assert len(rows) == 111
    np.testing.assert_allclose(answer.fn, modes("factnum"), rtol=0.0, atol=1e-8)


@needs_e3sm
def test_maxsat_of_e3sm(cases):
    for case in cases["maxsat"]:
        numbers = [np.array(case[name]) for name in ("zeta", "eta", "smc", "f1", "f2")]
        assert maximum_supersaturation(*numbers) == pytest.approx(case["smax"], rel=1e-8)


def test_nothing_activates_where_forcing_is_weak():
    weak = np.ones(4)
    assert maximum_supersaturation(weak, 1e-6 * weak, weak, weak, weak) == 1e-20


def test_nothing_activates_without_an_updraft():
    answer = arg2000(**STATE | {"wbar": [0.0, -5.0]})
    np.testing.assert_array_equal(answer.status, Status.OK)
    np.testing.assert_array_equal(answer.fn, 0.0)
    np.testing.assert_array_equal(answer.smax, 0.0)


def test_an_empty_mode_takes_no_water():
    empty = arg2000(**STATE | {"num_aer": [500.0, 0.0, 1.0, 100.0]})
    nearly = arg2000(**STATE | {"num_aer": [500.0, 1e-9, 1.0, 100.0]})
    full = arg2000(**STATE)
    assert empty.smax[0] == pytest.approx(nearly.smax[0], rel=1e-6)
    assert full.smax[0] < empty.smax[0]


def test_stronger_updraft_activates_more():
    answer = arg2000(**STATE | {"wbar": np.geomspace(1.0, 1000.0, 30)})
    assert np.all(np.diff(answer.smax) > 0.0)
    assert np.all(np.diff(answer.fn, axis=0) >= 0.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tair", np.nan),
        ("tair", 100.0),
        ("pressure", -1.0),
        ("wbar", np.nan),
        ("wbar", 1e6),
        ("num_aer", -1.0),
        ("r_aer", 0.0),
        ("kappa", np.nan),
    ],
)
def test_invalid_rows(name, value):
    answer = arg2000(**STATE | {name: value})
    assert answer.status[0] == Status.INVALID
    assert np.isnan(answer.fn).all()
    assert np.isnan(answer.smax).all()


def test_boiling_water_is_invalid():
    answer = arg2000(**STATE | {"tair": 329.0, "pressure": 100.0})
    assert answer.status[0] == Status.INVALID


def test_wide_ranges_give_numbers():
    rng = np.random.default_rng(1)
    n = 20_000
    answer = arg2000(
        rng.uniform(180.0, 315.0, n),
        rng.uniform(100.0, 1100.0, n),
        10.0 ** rng.uniform(-4.0, 3.6, n),
        10.0 ** rng.uniform(-12.0, 6.0, (n, 4)),
        10.0 ** rng.uniform(-4.0, 2.0, (n, 4)),
        10.0 ** rng.uniform(-15.0, 0.3, (n, 4)),
    )
    assert answer.ok.all()
    assert np.isfinite(answer.smax).all()
    assert np.all((answer.fn >= 0.0) & (answer.fn <= 1.0))
