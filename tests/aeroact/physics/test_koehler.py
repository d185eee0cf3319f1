import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeroact.physics.constants import preset
from aeroact.physics.koehler import (
    activating_dry_radius,
    critical_supersaturation,
    equilibrium_supersaturation,
    equilibrium_wet_radius,
    kelvin_length,
)

PYRCEL = json.loads((Path(__file__).parent / "data" / "pyrcel_cases.json").read_text())["particles"]

dry_radii = st.floats(-8.6, -5.0).map(lambda x: 10.0**x)
kappas = st.one_of(st.just(0.0), st.floats(-12.0, 0.3).map(lambda x: min(10.0**x, 2.0)))
temperatures = st.floats(200.0, 320.0)


def column(name):
    return np.array([row[name] for row in PYRCEL])


def test_kelvin_length():
    physics = preset("pyrcel")
    by_hand = 2.0 * 0.018 * (0.0761 - 1.55e-4 * 10.0) / (8.314 * 283.15 * 1000.0)
    assert kelvin_length(283.15, physics) == pytest.approx(by_hand, rel=1e-14)


def test_critical_supersaturation_of_pyrcel():
    critical = critical_supersaturation(
        column("dry_radius"), column("kappa"), column("tair"), physics="pyrcel"
    )
    np.testing.assert_allclose(critical, column("critical_supersaturation"), rtol=1e-10)


def test_wet_radius_of_pyrcel():
    wet = equilibrium_wet_radius(
        column("dry_radius"), column("kappa"), column("rh"), column("tair"), physics="pyrcel"
    )
    np.testing.assert_allclose(wet, column("wet_radius"), rtol=1e-8)


def test_critical_supersaturation_published():
    # Petters and Kreidenweis (2007), figure 1: at 298 K a dry diameter of 0.1 um and kappa of
    # 1, 0.1, 0.01 activate at about 0.12, 0.37 and 1.0 %, and insoluble at 2.1 %.
    critical = critical_supersaturation(0.05e-6, [1.0, 0.1, 0.01, 0.0], 298.15)
    np.testing.assert_allclose(100.0 * critical, [0.117, 0.37, 1.0, 2.12], rtol=0.05)


@given(dry_radii, kappas, temperatures)
def test_critical_is_the_maximum_of_the_curve(dry, kappa, tair):
    critical = float(critical_supersaturation(dry, kappa, tair))
    wet = dry * (1.0 + np.geomspace(1e-9, 1e4, 20_001))
    curve = equilibrium_supersaturation(wet, dry, kappa, tair)
    assert curve.max() <= critical * (1.0 + 1e-6) + 1e-12
    assert curve.max() >= critical * (1.0 - 2e-3) - 1e-9


@given(dry_radii, kappas, temperatures)
def test_inverse(dry, kappa, tair):
    critical = critical_supersaturation(dry, kappa, tair)
    assert activating_dry_radius(critical, kappa, tair) == pytest.approx(dry, rel=1e-12)


@given(dry_radii, kappas, kappas, temperatures)
def test_more_soluble_activates_no_later(dry, kappa, other, tair):
    low, high = sorted((kappa, other))
    later = critical_supersaturation(dry, low, tair)
    assert critical_supersaturation(dry, high, tair) <= later * (1.0 + 1e-13)


@given(
    dry_radii.filter(lambda dry: dry >= 3e-9),
    st.floats(-3.0, 0.3),
    temperatures,
    st.floats(0.01, 0.999),
)
def test_wet_radius_is_in_equilibrium(dry, log_kappa, tair, rh):
    kappa = min(10.0**log_kappa, 2.0)
    wet = equilibrium_wet_radius(dry, kappa, rh, tair)
    assert wet > dry
    assert equilibrium_supersaturation(wet, dry, kappa, tair) == pytest.approx(rh - 1.0, abs=1e-6)


def test_insoluble_particle_stays_dry():
    assert equilibrium_wet_radius(1e-7, 0.0, 0.99, 280.0) == 1e-7
    assert equilibrium_supersaturation(1e-7, 1e-7, 0.0, 280.0) > 0.0


def test_arguments_broadcast():
    dry = np.geomspace(1e-8, 1e-6, 3)[:, None]
    assert critical_supersaturation(dry, [0.1, 0.5], 280.0).shape == (3, 2)
    assert activating_dry_radius(0.01, [0.1, 0.5], 280.0).shape == (2,)
    assert equilibrium_wet_radius(dry, [0.1, 0.5], 0.9, 280.0).shape == (3, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: critical_supersaturation(0.0, 0.1, 280.0), "dry_radius"),
        (lambda: critical_supersaturation(np.nan, 0.1, 280.0), "dry_radius"),
        (lambda: critical_supersaturation(1e-7, -0.1, 280.0), "kappa"),
        (lambda: critical_supersaturation(1e-7, 2.1, 280.0), "kappa"),
        (lambda: critical_supersaturation(1e-7, 0.1, np.nan), "tair"),
        (lambda: activating_dry_radius(0.0, 0.1, 280.0), "supersaturation"),
        (lambda: equilibrium_wet_radius(1e-7, 0.1, 1.0, 280.0), "rh"),
        (lambda: equilibrium_wet_radius(1e-10, 0.1, 0.9, 280.0), "dry_radius"),
        (lambda: equilibrium_supersaturation(1e-8, 1e-7, 0.1, 280.0), "wet_radius"),
        (lambda: critical_supersaturation(1e-7, 0.1, 280.0, physics="x"), "preset"),
    ],
)
def test_what_is_out_of_bounds_is_an_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
