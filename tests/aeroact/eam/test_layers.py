"""States from E3SM's layers: what `loadaer` makes of mixing ratios, and humidity over liquid."""

import csv
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from aeroact import schema
from aeroact.eam import fields, layers
from aeroact.mam4 import MODE_SPECIES, RADIUS_BOUNDS, SPECIES

E3SM = Path(__file__).resolve().parents[4] / "shared" / "e3sm"
needs_e3sm = pytest.mark.skipif(not E3SM.is_dir(), reason="shared/e3sm is not here")

# Bounds of number over volume, m-3, as EAGLES-project/mam4xx has them (BSD-3-Clause).
VOLUME_TO_NUMBER = {
    "accum": (0.4736279937e19, 0.2634717443e22),
    "aitken": (0.5026599108e22, 0.1073313330e25),
    "coarse": (0.6303988596e16, 0.4034552701e18),
    "pcarbon": (0.7067799781e21, 0.7067800158e24),
}

amounts = st.one_of(st.just(0.0), st.floats(1e-18, 1e-5))


@cache
def table(name: str) -> dict[str, NDArray[np.float64]]:
    with (E3SM / name).open() as file:
        rows = list(csv.DictReader(file))
    numeric = [key for key in rows[0] if key != "source"]
    return {key: np.array([float(row[key] or "nan") for row in rows]) for key in numeric}


@needs_e3sm
@pytest.mark.parametrize("mode", schema.MODES)
def test_radius_and_number_of_volumes_in_e3sm_are_those_of_e3sm(mode: str) -> None:
    cases = table("e3sm_factnum_cases.csv")
    density = cases["rhoair_kgm3"]
    species = MODE_SPECIES[mode][0]
    masses = {species: SPECIES[species].density * cases[f"volume_m3m3_{mode}"] / density}
    number, radius, _ = layers.loadaer(mode, cases[f"na_m3_{mode}"] / density, masses, density)
    # E3SM holds the bounds of the size in single precision.
    np.testing.assert_allclose(1e6 * number, cases[f"na_m3_{mode}"], rtol=2e-7)
    np.testing.assert_allclose(radius, cases[f"r_aer_um_{mode}"], rtol=1e-7)


@needs_e3sm
def test_the_density_of_air_is_that_of_e3sm() -> None:
    cases = table("e3sm_factnum_cases.csv")
    density = cases["pressure_Pa"] / (layers.RAIR * cases["tair_K"])
    np.testing.assert_allclose(density, cases["rhoair_kgm3"], rtol=1e-8)


@pytest.mark.parametrize("mode", schema.MODES)
def test_number_is_bounded_by_volume_as_in_mam4xx(mode: str) -> None:
    density = np.array([1.2, 1.2])
    species = MODE_SPECIES[mode][0]
    mass = np.full(2, 1e-9)
    volume = 1.2 * mass / SPECIES[species].density
    number, radius, _ = layers.loadaer(mode, np.array([0.0, 1e30]), {species: mass}, density)
    np.testing.assert_allclose(1e6 * number / volume, VOLUME_TO_NUMBER[mode], rtol=1e-6)
    np.testing.assert_allclose(radius, RADIUS_BOUNDS[mode][::-1], rtol=1e-12)


@given(
    mode=st.sampled_from(schema.MODES),
    mixing=st.lists(amounts, min_size=7, max_size=7),
    number=st.one_of(st.just(0.0), st.floats(1e-3, 1e13)),
    density=st.floats(0.3, 1.4),
)
def test_a_mode_is_what_a_plain_calculation_says(
    mode: str, mixing: list[float], number: float, density: float
) -> None:
    held = dict(zip(MODE_SPECIES[mode], mixing, strict=False))
    arrays = {name: np.array([value]) for name, value in held.items()}
    result = layers.loadaer(mode, np.array([number]), arrays, np.array([density]))
    n, radius, kappa = (float(column[0]) for column in result)

    volumes = {name: value / SPECIES[name].density for name, value in held.items()}
    total = math.fsum(volumes.values())
    low, high = RADIUS_BOUNDS[mode]
    if total <= 1e-30:
        assert n == 0.0
        assert low <= radius <= high
        assert kappa in {SPECIES[name].kappa for name in MODE_SPECIES[mode]}
        return
    mean = math.fsum(SPECIES[name].kappa * v for name, v in volumes.items()) / total
    assert kappa == pytest.approx(mean, rel=1e-12)
    # The radius that volume and number would have, brought within the bounds.
    sigma = schema.SIGMA_G[schema.MODES.index(mode)]
    shape = math.exp(4.5 * math.log(sigma) ** 2)
    free = (0.75 * total / (math.pi * shape * number)) ** (1 / 3) * 1e6 if number else math.inf
    assert radius == pytest.approx(min(max(free, low), high), rel=1e-9)
    # Number and radius together hold the volume.
    held_volume = 4 / 3 * math.pi * (1e-6 * radius) ** 3 * shape * 1e6 * n
    assert held_volume == pytest.approx(total * density, rel=1e-9)


def test_negative_mixing_ratios_count_as_none() -> None:
    density = np.ones(1)
    with_negative = {"so4": np.array([1e-9]), "soa": np.array([-5e-9])}
    alone = {"so4": np.array([1e-9])}
    for a, b in zip(
        layers.loadaer("aitken", np.array([1e9]), with_negative, density),
        layers.loadaer("aitken", np.array([1e9]), alone, density),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def air(**changes: float) -> dict[str, NDArray[np.floating]]:
    """Return one layer of humid air with every species."""
    values = {"T": 285.0, "PMID": 9e4, "Q": 8e-3, "WSUB": 0.5}
    for mode, held in MODE_SPECIES.items():
        values[fields.number(mode)] = 1e8
        values |= {fields.mass(species, mode): 1e-10 for species in held}
    return {name: np.array([value], np.float32) for name, value in (values | changes).items()}


def state(values: dict[str, NDArray[np.floating]]) -> dict[str, float]:
    return dict(zip(schema.COLUMNS, layers.states(values)[0].tolist(), strict=True))


def test_a_state_has_the_units_of_the_schema() -> None:
    found = state(air())
    assert found["tair"] == 285.0
    assert found["pressure"] == pytest.approx(900.0)
    assert found["wbar"] == pytest.approx(50.0)
    # 1e8 kg-1 at 1.1 kg m-3 are some 110 cm-3.
    assert found["num_aer_accum"] == pytest.approx(110.0, rel=0.01)


def test_updrafts_are_at_least_the_floor_of_e3sm() -> None:
    assert state(air(WSUB=0.02))["wbar"] == 10.0
    assert state(air(WSUB=0.11))["wbar"] == pytest.approx(11.0)


@pytest.mark.parametrize("name", list(air()))
def test_a_missing_value_makes_a_state_that_is_not_finite(name: str) -> None:
    assert np.isfinite(layers.states(air())).all()
    assert not np.isfinite(layers.states(air(**{name: np.nan}))).all()


def test_a_species_that_is_left_out_counts_as_absent() -> None:
    without = {name: value for name, value in air().items() if not name.startswith("mom")}
    empty = air(**{name: 0.0 for name in air() if name.startswith("mom")})
    np.testing.assert_array_equal(layers.states(without), layers.states(empty))


def test_values_out_of_all_bounds_raise_no_warning() -> None:
    for name in air():
        layers.states(air(**{name: 1e36}))


# Humidity


@needs_e3sm
def test_humidity_over_liquid_is_that_of_e3sm() -> None:
    cases = table("e3sm_column_states.csv")
    rh = layers.relative_humidity(cases["qv_kgkg"], cases["tair_K"], 100 * cases["pressure_hPa"])
    # E3SM takes Goff and Gratch, the parcel model Bolton: 0.5 % at the most.
    known = np.isfinite(rh)
    assert known.sum() > 600
    np.testing.assert_allclose(rh[known], cases["rh_liquid"][known], rtol=5e-3)


@pytest.mark.parametrize(
    ("tair", "ratio"),
    # Saturation over ice against that over liquid, Murphy and Koop (2005).
    [(300.0, 1.0), (275.0, 1.0), (250.0, 0.798), (235.0, 0.690)],
)
def test_saturated_relhum_is_over_liquid_above_freezing_and_over_ice_far_below(
    tair: float, ratio: float
) -> None:
    temperature, pressure = np.array([tair]), np.array([7e4])
    vapour = layers.specific_humidity(np.array([100.0]), temperature, pressure)
    rh = layers.relative_humidity(vapour, temperature, pressure)
    assert rh[0] == pytest.approx(ratio, rel=7e-3)


def test_humidity_comes_from_q_where_there_are_both() -> None:
    assert state(air(RELHUM=50.0)) == state(air())
    dry = air(RELHUM=50.0)
    del dry["Q"]
    assert state(dry)["rh"] == pytest.approx(0.5, rel=5e-3)
