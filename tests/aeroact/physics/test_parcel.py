import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from aeroact.physics.activation import Status
from aeroact.physics.ascent import MAX_STEPS
from aeroact.physics.constants import VALID_RANGE, preset
from aeroact.physics.koehler import critical_supersaturation, equilibrium_supersaturation
from aeroact.physics.parcel import MAX_START_RH, simulate
from aeroact.physics.thermo import saturation_vapour_pressure

COLUMNS = ("tair", "pressure", "rh", "wbar", "num_aer", "r_aer", "kappa")
STATE: dict[str, Any] = {
    "tair": 280.0,
    "pressure": 900.0,
    "rh": 0.98,
    "wbar": 30.0,
    "num_aer": [500.0, 800.0, 1.0, 100.0],
    "r_aer": [0.06, 0.015, 1.0, 0.03],
    "kappa": [0.4, 0.3, 1.0, 1e-7],
}


def climate_states(n, seed):
    """States like those of a climate model: MAM4's sizes, nearly insoluble primary carbon."""
    rng = np.random.default_rng(seed)

    def by_mode(*ranges):
        return np.stack([rng.uniform(low, high, n) for low, high in ranges], axis=1)

    return {
        "tair": rng.uniform(235.0, 305.0, n),
        "pressure": rng.uniform(300.0, 1030.0, n),
        "rh": rng.uniform(0.6, 1.04, n),
        "wbar": 10.0 ** rng.uniform(1.0, 2.7, n),
        "num_aer": 10.0 ** by_mode((1.0, 3.3), (1.0, 3.5), (-2.0, 1.0), (0.0, 3.0)),
        "r_aer": 10.0 ** by_mode((-1.5, -0.7), (-2.3, -1.6), (-0.3, 0.3), (-2.0, -1.3)),
        "kappa": 10.0 ** by_mode((-1.0, -0.2), (-1.0, -0.2), (-1.3, 0.05), (-9.0, -3.0)),
    }


def wide_states(n, seed):
    """States from far beyond what a climate model holds."""
    rng = np.random.default_rng(seed)
    return {
        "tair": rng.uniform(180.0, 330.0, n),
        "pressure": rng.uniform(50.0, 1100.0, n),
        "rh": rng.uniform(0.01, 1.1, n),
        "wbar": 10.0 ** rng.uniform(-1.0, 3.6, n),
        "num_aer": np.where(rng.random((n, 4)) < 0.1, 0.0, 10.0 ** rng.uniform(-3.0, 6.0, (n, 4))),
        "r_aer": 10.0 ** rng.uniform(-4.0, 2.0, (n, 4)),
        "kappa": np.where(rng.random((n, 4)) < 0.1, 0.0, 10.0 ** rng.uniform(-12.0, 0.3, (n, 4))),
    }


def test_converged_in_bins_and_tolerance():
    states = climate_states(100, seed=3)
    answer = simulate(**states)
    fine = simulate(**states, bins=400, rtol=1e-6)
    assert fine.ok.sum() >= 95
    np.testing.assert_array_equal(answer.status, fine.status)
    change = np.abs(answer.fn - fine.fn)[fine.ok]
    assert change.max() <= 2e-3
    assert change.mean() <= 1e-4


def test_fraction_is_that_of_the_exact_critical_supersaturation():
    # Particles of the median radius are half of the mode: choose it to activate just so.
    answer = simulate(**STATE)
    smax = answer.smax[0]
    trial = np.geomspace(0.005e-6, 0.5e-6, 20_001)
    median = np.interp(-smax, -critical_supersaturation(trial, 0.4, 279.9), trial) * 1e6
    without = STATE | {"num_aer": [0.0, 800.0, 1.0, 100.0], "r_aer": [median, 0.015, 1.0, 0.03]}
    again = simulate(**without)
    # The peak moves a little without the accumulation mode, and the fraction with it.
    assert again.smax[0] > smax
    assert again.fn[0, 0] > 0.5
    moved = np.interp(-again.smax[0], -critical_supersaturation(trial, 0.4, 279.9), trial) * 1e6
    final = simulate(**without | {"r_aer": [moved, 0.015, 1.0, 0.03]})
    assert final.smax[0] == again.smax[0]
    assert final.fn[0, 0] == pytest.approx(0.5, abs=2e-3)


@settings(max_examples=50)
@given(st.integers(0, 10_000))
def test_fractions_are_fractions(seed):
    answer = simulate(**wide_states(4, seed))
    assert np.all(answer.smax[answer.ok] > 0.0)
    assert np.all((answer.fn[answer.ok] >= 0.0) & (answer.fn[answer.ok] <= 1.0))
    assert np.isnan(answer.fn[~answer.ok]).all()
    assert np.isnan(answer.smax[~answer.ok]).all()


@settings(max_examples=50)
@given(st.integers(0, 10_000))
def test_stronger_updraft_activates_more(seed):
    state = {name: values[:1] for name, values in climate_states(1, seed).items()}
    answer = simulate(**state | {"wbar": np.geomspace(10.0, 500.0, 12)})
    assume(answer.ok.sum() > 1)  # a weak updraft through thick haze has no peak
    assert np.all(np.diff(answer.smax[answer.ok]) > 0.0)
    assert np.all(np.diff(answer.fn[answer.ok], axis=0) >= -2e-4)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.sampled_from([0, 1, 2]))
def test_more_particles_lower_the_peak(seed, mode):
    state = {name: values[:1] for name, values in climate_states(1, seed).items()}
    factors = np.ones((6, 4))
    factors[:, mode] = [0.0, 0.5, 1.0, 2.0, 4.0, 8.0]
    # The few coarse particles change the peak by less than the default tolerance.
    answer = simulate(**state | {"num_aer": state["num_aer"] * factors}, rtol=1e-6)
    assume(answer.ok.sum() > 1)
    assert np.all(np.diff(answer.smax[answer.ok]) <= 1e-4 * answer.smax[answer.ok][1:])


def test_arguments_broadcast():
    states = climate_states(7, seed=5)
    together = simulate(**states)
    for i in range(7):
        alone = simulate(**{name: values[i] for name, values in states.items()})
        np.testing.assert_array_equal(alone.fn, together.fn[i : i + 1])
        np.testing.assert_array_equal(alone.smax, together.smax[i : i + 1])
    one = simulate(**STATE)
    many = simulate(**STATE | {"tair": [280.0, 280.0, 280.0]})
    np.testing.assert_array_equal(many.fn, np.repeat(one.fn, 3, axis=0))
    assert simulate(**STATE | {"tair": []}).fn.shape == (0, 4)


def test_empty_mode_takes_no_part():
    state = STATE | {"num_aer": [500.0, 0.0, 1.0, 100.0]}
    answer = simulate(**state)
    other = simulate(**state | {"r_aer": [0.06, 0.02, 1.0, 0.03], "kappa": [0.4, 1.0, 1.0, 1e-7]})
    assert other.smax[0] == answer.smax[0]
    np.testing.assert_array_equal(other.fn[0, [0, 2, 3]], answer.fn[0, [0, 2, 3]])
    assert other.fn[0, 1] > answer.fn[0, 1] > 0.0


def test_order_of_like_modes_does_not_matter():
    # Accumulation and coarse share one sigma, Aitken and primary carbon the other.
    order = [2, 3, 0, 1]
    answer = simulate(**STATE)
    swapped = simulate(**STATE | {name: np.array(STATE[name])[order] for name in COLUMNS[4:]})
    np.testing.assert_allclose(swapped.smax, answer.smax, rtol=1e-9)
    np.testing.assert_allclose(swapped.fn[0], answer.fn[0, order], rtol=0.0, atol=1e-9)


def test_nearly_insoluble_mode_does_not_activate():
    fractions = [
        simulate(**STATE | {"kappa": [0.4, 0.3, 1.0, kappa]}).fn[0, 3]
        for kappa in (0.0, 1e-12, 1e-9, 1e-6)
    ]
    assert np.all(np.diff(fractions) >= 0.0)
    assert fractions[-1] < 1e-4
    assert fractions[0] == pytest.approx(fractions[1], abs=1e-9)


def test_large_insoluble_particles_do_activate():
    answer = simulate(**STATE | {"r_aer": [0.06, 0.015, 1.0, 1.0], "wbar": 200.0})
    assert answer.fn[0, 3] > 0.9
    assert answer.ok[0]


def test_parcel_above_saturation_starts_just_below():
    answer = simulate(**STATE | {"rh": [MAX_START_RH, 1.0, 1.1]})
    assert answer.ok.all()
    assert np.unique(answer.smax).size == 1


def test_dry_start_has_the_same_cloud_base():
    # Air along one dry adiabat, of one mixing ratio: whoever starts low has farther to rise.
    tair = 262.0 / 0.98 ** np.array([0.0, 1.0, 3.0, 6.0])
    pressure = 700.0 * (tair / 262.0) ** (1005.7 * 0.0289647 / 8.314462618)
    vapour = 0.9 * saturation_vapour_pressure(262.0) * pressure / 700.0
    rh = vapour / saturation_vapour_pressure(tair)
    assert rh[-1] < 0.3
    # The number is that of a volume of air, which is denser farther down.
    number = np.outer(pressure / tair * 262.0 / 700.0, STATE["num_aer"])
    start = {"tair": tair, "pressure": pressure, "rh": rh, "num_aer": number}
    answer = simulate(**STATE | start)
    assert answer.ok.all()
    np.testing.assert_allclose(answer.smax, answer.smax[0], rtol=0.02)
    # pyrcel's approximation for a humidity near 1 has them saturated too low, where it is warmer.
    approximate = preset("default")._replace(exact_humidity=False)
    low = simulate(**STATE | start, physics=approximate, trajectory=False)
    assert low.smax[-1] < 0.97 * low.smax[0]


def test_dry_start_conserves_water():
    # S follows from the total water, T and P alone, whatever the path.
    physics = preset("default")
    for rh in (0.1, 0.5, 0.95):
        answer = simulate(**STATE | {"rh": rh}, rtol=1e-7, bins=30, trajectory=True)
        path = answer.trajectory
        assert answer.ok[0]
        assert path is not None
        pascal = 100.0 * path.pressure
        ratio = physics.molar_mass_water / physics.molar_mass_air
        vapour = rh * saturation_vapour_pressure(path.tair[0])
        dry_density = (pascal[0] - vapour) * physics.molar_mass_air
        dry_density /= physics.gas_constant * path.tair[0]
        volume = 1e6 * path.number @ (1e-6 * path.wet_radius.T) ** 3 * 4.0 / 3.0 * np.pi
        liquid = physics.water_density * (volume - volume[0]) / dry_density
        mixing_ratio = ratio * vapour / (pascal[0] - vapour) - liquid
        humidity = pascal * mixing_ratio / (ratio + mixing_ratio)
        humidity /= saturation_vapour_pressure(path.tair)
        np.testing.assert_allclose(path.supersaturation, humidity - 1.0, rtol=0.0, atol=2e-5)


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("value", ["nan", "inf", "below", "above"])
def test_invalid_rows(name, value):
    low, high, _ = VALID_RANGE[name]
    bad = {"nan": np.nan, "inf": np.inf, "below": low - 1e-3, "above": high * 1.001}[value]
    good = np.asarray(STATE[name], float)
    column = np.stack([good, good, good])
    column[1, ...] = np.where(np.arange(good.size).reshape(good.shape) == 0, bad, good)
    answer = simulate(**STATE | {name: column})
    np.testing.assert_array_equal(answer.status, [Status.OK, Status.INVALID, Status.OK])
    assert np.isnan(answer.fn[1]).all()
    assert np.isnan(answer.smax[1])
    np.testing.assert_array_equal(answer.fn[0], answer.fn[2])


def test_boiling_water_is_invalid():
    assert simulate(**STATE | {"tair": 329.0, "pressure": 100.0}).status[0] == Status.INVALID


@pytest.mark.parametrize("name", ["rh", "wbar", "r_aer"])
def test_zero_is_invalid(name):
    assert simulate(**STATE | {name: 0.0}).status[0] == Status.INVALID


@pytest.mark.parametrize(
    "change",
    [
        {"num_aer": 0.0},  # nothing to condense on
        {"num_aer": 1e-6, "wbar": 5000.0},  # too little, too late
        {"num_aer": 1e6, "r_aer": 10.0, "wbar": 1.0},  # the haze takes all there is
    ],
)
def test_parcels_without_a_peak(change):
    answer = simulate(**STATE | change)
    assert answer.status[0] == Status.NO_PEAK
    assert np.isnan(answer.fn).all()
    assert np.isnan(answer.smax).all()


def silva_states(n, seed):
    """States over and beyond the ranges of Silva et al. (2021), of every mode alike."""
    rng = np.random.default_rng(seed)
    return {
        "tair": rng.uniform(248.0, 310.0, n),
        "pressure": rng.uniform(500.0, 1050.0, n),
        "rh": rng.uniform(0.1, 1.05, n),
        "wbar": 10.0 ** rng.uniform(0.0, 3.0, n),
        "num_aer": 10.0 ** rng.uniform(1.0, 4.7, (n, 4)),
        "r_aer": 10.0 ** rng.uniform(-3.0, 1.0, (n, 4)),
        "kappa": np.where(
            rng.random((n, 4)) < 0.5,
            rng.uniform(0.0, 1.2, (n, 4)),
            10.0 ** rng.uniform(-6.0, 0.0, (n, 4)),
        ),
    }


def assert_sound(answer):
    ok = answer.ok
    assert np.isfinite(answer.fn[ok]).all()
    assert np.all((answer.fn[ok] >= 0.0) & (answer.fn[ok] <= 1.0))
    assert np.all((answer.smax[ok] > 0.0) & (answer.smax[ok] <= 0.15))
    assert np.isnan(answer.fn[~ok]).all()
    assert np.isnan(answer.smax[~ok]).all()
    # A step takes some microseconds, so that this bounds the time of a row.
    assert answer.steps.max() < 2 * MAX_STEPS


def test_wide_ranges():
    answer = simulate(**wide_states(3000, seed=11))
    assert_sound(answer)
    counts = np.bincount(answer.status, minlength=4)
    assert counts[Status.OK] > 1000
    assert counts[Status.INVALID] < 0.01 * counts.sum()  # hot and thin: water boils
    assert counts[Status.FAILED] < 0.005 * counts.sum()


def test_widest_ranges_of_the_literature():
    for accommodation in (0.1, 1.0):
        assert_sound(simulate(**silva_states(500, seed=3), accommodation=accommodation))


@pytest.mark.slow
def test_hundred_thousand_of_the_widest_ranges():
    for seed, accommodation in enumerate(np.geomspace(0.1, 1.0, 10)):
        assert_sound(simulate(**silva_states(5000, seed), accommodation=accommodation))
        assert_sound(simulate(**wide_states(5000, seed), accommodation=accommodation))


def test_climate_ranges_are_solved():
    answer = simulate(**climate_states(1000, seed=7))
    assert answer.ok.mean() > 0.99
    assert not np.any(answer.status == Status.FAILED)


def test_threads_agree():
    states = climate_states(200, seed=9)
    expected = simulate(**states)
    answers: dict[int, Any] = {}

    def work(i):
        answers[i] = simulate(**states)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    for answer in answers.values():
        np.testing.assert_array_equal(answer.fn, expected.fn)


def test_changed_physics():
    mine = preset("default")._replace(name="mine", mass_accommodation=0.3)
    answer = simulate(**STATE, physics=mine)
    other = simulate(**STATE, accommodation=0.3)
    np.testing.assert_array_equal(answer.fn, other.fn)
    assert answer.smax[0] > simulate(**STATE).smax[0]
    same = simulate(**STATE, physics=preset("default"))
    np.testing.assert_array_equal(same.fn, simulate(**STATE).fn)


def test_trajectory():
    plain = simulate(**STATE)
    answer = simulate(**STATE, trajectory=True)
    path = answer.trajectory
    assert plain.trajectory is None
    assert path is not None
    for name in ("fn", "smax", "status"):
        np.testing.assert_array_equal(getattr(answer, name), getattr(plain, name))
    peak = path.supersaturation.argmax()
    assert path.supersaturation[peak] == pytest.approx(answer.smax[0], rel=1e-3)
    assert path.height[0] == 0.0
    assert np.all(np.diff(path.height) > 0.0)
    assert path.height[-1] - path.height[peak] == pytest.approx(50.0, abs=4.0)
    assert path.tair[0] == STATE["tair"]
    assert path.pressure[0] == pytest.approx(STATE["pressure"])
    assert path.supersaturation[0] == pytest.approx(STATE["rh"] - 1.0)
    assert path.wet_radius.shape == (path.height.size, path.dry_radius.size)
    assert np.all(path.wet_radius > path.dry_radius)
    assert set(path.mode) == {0, 1, 2, 3}
    assert path.number[path.mode == 0].sum() == pytest.approx(500.0, rel=1e-2)


def test_trajectory_of_what_has_no_peak():
    answer = simulate(**STATE | {"num_aer": 1e-6, "wbar": 5000.0}, trajectory=True)
    assert answer.status[0] == Status.NO_PEAK
    assert answer.trajectory is not None
    assert answer.trajectory.supersaturation[-1] > 0.15
    assert simulate(**STATE | {"tair": np.nan}, trajectory=True).trajectory is None


def counted(state, bins):
    """Kinetic fractions by counting narrow bins of a recorded ascent."""
    even = preset("default")._replace(even_bins=True)
    path = simulate(**state, physics=even, bins=bins, trajectory=True).trajectory
    assert path is not None
    dry, wet = path.dry_radius * 1e-6, path.wet_radius[-1] * 1e-6
    kappa = np.maximum(np.asarray(state["kappa"])[path.mode], 1e-7)
    trial = dry[:, None] * np.geomspace(1.0001, 2000.0, 4000)
    curve = equilibrium_supersaturation(trial, dry[:, None], kappa[:, None], path.tair[-1])
    beyond = wet > np.take_along_axis(trial, curve.argmax(axis=1)[:, None], axis=1)[:, 0]
    number = np.asarray(state["num_aer"])
    return np.bincount(path.mode, path.number * beyond, minlength=4) / number


@pytest.mark.parametrize(
    "change", [{}, {"wbar": 300.0}, {"wbar": 10.0, "num_aer": [3000.0, 2000.0, 10.0, 500.0]}]
)
def test_kinetic_fraction_is_what_one_counts(change):
    state = STATE | change
    plain = simulate(**state)
    answer = simulate(**state, kinetic=True)
    assert plain.fn_kinetic is None
    assert answer.fn_kinetic is not None
    np.testing.assert_array_equal(answer.fn, plain.fn)
    np.testing.assert_allclose(answer.fn_kinetic[0], counted(state, 1000), rtol=0.0, atol=0.015)
    # Nothing that was never supersaturated stays activated, but coarse particles lag behind.
    assert np.all(answer.fn_kinetic <= answer.fn + 0.01)
    assert answer.fn_kinetic[0, 2] < answer.fn[0, 2]


def test_kinetic_fraction_of_what_has_no_answer():
    answer = simulate(**STATE | {"num_aer": [[0.0] * 4, STATE["num_aer"]]}, kinetic=True)
    assert answer.fn_kinetic is not None
    assert np.isnan(answer.fn_kinetic[0]).all()
    assert np.isfinite(answer.fn_kinetic[1]).all()


def test_same_with_bins_of_one_width():
    # Two ways to cut the modes; the even one needs far more bins.
    states = climate_states(30, seed=2)
    even = simulate(**states, physics=preset("default")._replace(even_bins=True), bins=1000)
    graded = simulate(**states, bins=400, rtol=1e-6)
    np.testing.assert_array_equal(even.status, graded.status)
    assert np.nanmax(np.abs(even.fn - graded.fn)) < 1e-3


def test_against_an_independent_solver():
    # The plain equations by SciPy, of few bins.
    state = STATE | {"rh": 0.6, "num_aer": [500.0, 800.0, 1.0, 0.0]}
    physics = preset("default")._replace(even_bins=True)
    ours = simulate(**state, physics=physics, bins=10, rtol=1e-7, trajectory=True).trajectory
    assert ours is not None
    r, es0 = physics.gas_constant, saturation_vapour_pressure(280.0)
    mw, ma, cp, g = (
        physics.molar_mass_water, physics.molar_mass_air, physics.heat_capacity, physics.gravity
    )  # fmt: skip
    dry, kappa = ours.dry_radius * 1e-6, np.array(STATE["kappa"])[ours.mode]
    number = ours.number * 1e6 / ((9e4 - 0.6 * es0) * ma / (r * 280.0))  # per kg of dry air
    total = mw / ma * 0.6 * es0 / (9e4 - 0.6 * es0)
    updraft = 0.3

    def vapour(tair, pressure, wet):
        liquid = 4.0 / 3.0 * np.pi * 1000.0 * number @ (wet**3 - start**3)
        ratio = total - liquid
        return ratio, pressure * ratio / (mw / ma + ratio)

    def tendency(_, y):
        tair, pressure, wet = y[0], y[1], dry + start_excess * np.exp(y[2:])
        ratio, e = vapour(tair, pressure, wet)
        es = saturation_vapour_pressure(tair)
        heat = 2.501e6 - 2370.0 * (tair - 273.15)
        density = pressure * ma / (r * tair * (1.0 + 0.61 * ratio))
        diffusivity = 0.211e-4 * 101325.0 / pressure * (tair / 273.15) ** 1.94
        diffusivity /= 1.0 + diffusivity / wet * np.sqrt(2.0 * np.pi * mw / (r * tair))
        conductivity = 1e-3 * (4.39 + 0.071 * tair)
        conductivity /= 1.0 + conductivity / (0.96 * wet * density * cp) * np.sqrt(
            2.0 * np.pi * ma / (r * tair)
        )
        brake = 1000.0 * r * tair / (es * diffusivity * mw)
        brake += heat * 1000.0 / (conductivity * tair) * (heat * mw / (r * tair) - 1.0)
        curve = equilibrium_supersaturation(wet, dry, kappa, tair)
        growth = (e / es - 1.0 - curve) / (brake * wet)
        condensation = 4.0 * np.pi * 1000.0 * number @ (wet**2 * growth)
        return np.concatenate(
            (
                [-g * updraft / cp + heat / cp * condensation, -density * g * updraft],
                growth / (wet - dry),
            )
        )

    start = ours.wet_radius[0] * 1e-6
    start_excess = start - dry
    keep = slice(None, None, max(1, ours.height.size // 40))
    times = ours.height[keep] / updraft
    y = solve_ivp(
        tendency, (0.0, times[-1]), [280.0, 9e4, *np.zeros(dry.size)], "LSODA", times,
        rtol=1e-7, atol=np.array([1e-5, 1e-2, *np.full(dry.size, 1e-7)]),
    ).y  # fmt: skip
    theirs = []
    for column in y.T:
        wet = dry + start_excess * np.exp(column[2:])
        _, e = vapour(column[0], column[1], wet)
        theirs.append(e / saturation_vapour_pressure(column[0]) - 1.0)
    np.testing.assert_allclose(ours.supersaturation[keep], theirs, rtol=0.0, atol=1e-5)
    np.testing.assert_allclose(ours.tair[keep], y[0], rtol=0.0, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"physics": "nature"}, "valid presets"),
        ({"bins": 5}, "bins"),
        ({"rtol": 0.0}, "rtol"),
        ({"accommodation": 0.0}, "accommodation"),
        ({"accommodation": 1.1}, "accommodation"),
        ({"accommodation": np.nan}, "accommodation"),
        ({"tair": [280.0, 281.0], "trajectory": True}, "trajectory"),
        ({"tair": [[280.0]]}, "tair"),
        ({"kappa": [0.1, 0.2, 0.3]}, "kappa"),
        ({"tair": [280.0, 281.0], "rh": [0.9, 0.9, 0.9]}, "broadcast"),
    ],
)
def test_wrong_use_is_an_error(change, message):
    with pytest.raises(ValueError, match=message):
        simulate(**STATE | change)
