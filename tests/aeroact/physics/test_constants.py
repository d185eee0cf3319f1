import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from aeroact.physics.activation import Activation
from aeroact.physics.constants import MAM4_SIGMA_G, PRESETS, VALID_RANGE, preset, resolve


def test_presets_know_their_names():
    assert set(PRESETS) == {"default", "pyrcel"}
    assert all(preset(name).name == name for name in PRESETS)


def test_unknown_preset_names_the_valid_ones():
    with pytest.raises(ValueError, match="'PYRCEL'; valid presets: default, pyrcel"):
        preset("PYRCEL")


def test_presets_are_immutable():
    with pytest.raises(AttributeError):
        preset("default").gravity = 0.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        PRESETS["mine"] = preset("default")  # type: ignore[index]
    with pytest.raises(TypeError):
        VALID_RANGE["tair"] = (0.0, 1.0)  # type: ignore[index]


def test_attributes_are_flat():
    attributes = preset("default").attributes()
    assert attributes["physics_preset"] == "default"
    assert attributes["physics_gravity"] == preset("default").gravity
    assert attributes["physics_number_per_mass"] == 1.0
    assert {type(value) for value in attributes.values()} == {str, float}


def test_attributes_are_those_in_use():
    changed = resolve("default", 0.5)
    assert changed.attributes()["physics_preset"] == "default"
    assert changed.attributes()["physics_mass_accommodation"] == 0.5
    mine = preset("pyrcel")._replace(name="mine")
    assert resolve(mine) == mine
    assert resolve(mine).attributes()["physics_preset"] == "mine"


@pytest.mark.parametrize("value", [0.0, -0.1, 1.01, np.nan])
def test_accommodation_out_of_bounds(value):
    with pytest.raises(ValueError, match="mass_accommodation must be above 0 and at most 1"):
        resolve("default", value)


def test_diffusivity_of_pyrcel_is_too_low():
    ratio = preset("pyrcel").diffusivity / preset("default").diffusivity
    # 1.01325e-5 for 1/101325, and 273 K for 273.15 K
    assert ratio == pytest.approx(1.0 / (1.01325e-5 * 101325.0) * (273.15 / 273.0) ** 1.94)
    assert 0.97 < ratio < 0.98


def test_modes_of_mam4():
    assert MAM4_SIGMA_G == (1.8, 1.6, 1.8, 1.6)


@pytest.mark.parametrize("name", VALID_RANGE)
def test_bounds(name):
    bounds = VALID_RANGE[name]
    step = 1e-9 * bounds.high
    values = [bounds.low - step, bounds.low, bounds.low + step, bounds.high, bounds.high + step]
    np.testing.assert_array_equal(
        bounds.contain(values), [False, bounds.low_inclusive, True, True, False]
    )
    assert not bounds.contain(np.nan)


def test_primary_carbon_of_e3sm_is_valid():
    assert VALID_RANGE["kappa"].contain([0.0, 1e-9, 1e-6]).all()


def test_result_is_immutable():
    answer = Activation(np.zeros((1, 4)), np.zeros(1), np.array([2], np.int8))
    assert not answer.ok[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        answer.fn = np.ones((1, 4))  # type: ignore[misc]


def test_importing_the_package_is_light():
    code = (
        "import sys, aeroact.physics.constants, aeroact.physics.activation;"
        "sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
