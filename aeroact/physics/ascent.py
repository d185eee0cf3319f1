"""One parcel's adiabatic ascent, from its start to its maximum supersaturation.

The bulk of the parcel is its supersaturation S, temperature T and pressure P; each bin of
particles has the excess ``x = r - rd`` of its wet over its dry radius.  With the updraft V and
the liquid water w,

    dx/dt = (S - s(r)) / (a r + b)          growth by condensation; s is the Koehler curve
    dw/dt = 4 pi rho_w / rho_d  sum_i N_i r_i^2 dx_i/dt
    dS/dt = alpha V - gamma dw/dt
    dT/dt = -g V / cp + (L / cp) dw/dt
    dP/dt = -rho g V

The Jacobian, without its slow part (what depends on T and P), is an arrowhead: a diagonal in the
bins, one column and one row of S.  So a stage of the solver is two passes over the bins, with
one division a bin and no branch, which the compiler turns into vector instructions.

References
----------
Rothenberg, D., and C. Wang, 2016: Metamodeling of droplet activation for global climate models.
doi:10.1175/JAS-D-15-0223.1, appendix (the equations, and pyrcel, which solves them).
Ghan, S. J., et al., 2011: doi:10.1029/2011MS000074 (alpha and gamma).
"""

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numba.extending import register_jitable
from numpy.typing import NDArray

from .activation import Status
from .bins import MAX_CRITICAL
from .constants import Physics
from .koehler import equilibrate, expm1_series, kelvin_length
from .rosenbrock import GAMMA, A, C, E, M
from .thermo import (
    air_conductivity,
    latent_heat,
    saturation_vapour_pressure,
    vapour_diffusivity,
)

MAX_ASCENT: Final = 3000.0
"""Height in m above the start at which a parcel without a peak is given up.

It is given up too at the supersaturation `bins.MAX_CRITICAL`, beyond which particles are missing.
"""

MAX_STEPS: Final = 20_000
"""Steps of the solver, accepted or not, after which it has failed."""

_STEP_CAP = 4.0  # m from saturation on: longer steps may miss the flat peaks of weak updrafts
_CAPPED_ABOVE = -3e-4
_NEAR_SATURATION = -0.01
_FIRST_STEP = 1.0  # m
_TEMPERATURE_SCALE = 10.0  # K; the error of T is relative to this
_SLACK = 10.0  # times the error is accepted far below saturation, where haze forgets it
_SUPERSATURATION_SCALE = 1e-3  # the error of S is relative to |S|, or to this if |S| is smaller
_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 5.0  # of the step-size control

_OK, _NO_PEAK, _FAILED = int(Status.OK), int(Status.NO_PEAK), int(Status.FAILED)

# Sums may be reordered and products fused, but NaN and infinity keep their meaning.  With NumPy's
# error model a division does not check for zero, which would keep the loops from vectorizing.
_LOOP: Final[dict[str, Any]] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
}


class Work(NamedTuple):
    """Scratch of the solver, arrays of shape (nbins,): see `_arrowhead` and `_factorize`."""

    rate: NDArray[np.float64]
    slope: NDArray[np.float64]
    column: NDArray[np.float64]
    row: NDArray[np.float64]
    pivot: NDArray[np.float64]
    projector: NDArray[np.float64]
    right: NDArray[np.float64]
    excess: NDArray[np.float64]


class Air(NamedTuple):
    """What the tendencies need to know of the air around the particles.

    Attributes
    ----------
    kelvin : float
        Kelvin length, m.
    resistance, transition : float
        a (s m-2) and b (s m-1) of the growth law; b holds the gas-kinetic corrections of the
        diffusivity and the conductivity.
    source : float
        Tendency of S by ascent, s-1.
    sink : float
        Loss of S by condensation, per m3 s-1 of ``sum N r^2 dx/dt``.
    warming : float
        Gain of T per loss of S, by condensation, K.
    cooling : float
        Tendency of T by ascent, K s-1.
    lapse : float
        Tendency of P by ascent, Pa s-1.
    """

    kelvin: float
    resistance: float
    transition: float
    source: float
    sink: float
    warming: float
    cooling: float
    lapse: float


@register_jitable
def _dry_density(supersaturation: float, tair: float, pressure: float, physics: Physics) -> float:
    """Density of the dry part of moist air, kg m-3."""
    vapour = (1.0 + supersaturation) * saturation_vapour_pressure(tair)
    return (pressure - vapour) * physics.molar_mass_air / (physics.gas_constant * tair)


@register_jitable
def _air(
    supersaturation: float,
    tair: float,
    pressure: float,
    updraft: float,
    start_density: float,
    physics: Physics,
) -> Air:
    """Air at S (1), T (K) and P (Pa) in an updraft (m s-1) that began at a dry density (kg m-3)."""
    mw, ma = physics.molar_mass_water, physics.molar_mass_air
    rt = physics.gas_constant * tair
    cp, g = physics.heat_capacity, physics.gravity
    heat = latent_heat(tair, physics)
    saturation = saturation_vapour_pressure(tair)
    vapour = (1.0 + supersaturation) * saturation
    mixing_ratio = mw / ma * vapour / (pressure - vapour)
    density = pressure * ma / (rt * (1.0 + 0.61 * mixing_ratio))

    by_vapour = physics.water_density * rt / (saturation * mw)
    by_heat = heat * physics.water_density / tair * (heat * mw / rt - 1.0)
    resistance = by_vapour / vapour_diffusivity(
        tair, pressure, physics
    ) + by_heat / air_conductivity(tair)
    transition = by_vapour / physics.mass_accommodation * math.sqrt(2.0 * math.pi * mw / rt)
    transition += (
        by_heat
        / (physics.thermal_accommodation * density * cp)
        * math.sqrt(2.0 * math.pi * ma / rt)
    )

    alpha = g / rt * (mw * heat / (cp * tair) - ma)
    gamma = pressure * ma / (saturation * mw) + mw * heat * heat / (cp * rt * tair)
    dry_density = start_density
    if not physics.number_per_mass:
        dry_density = _dry_density(supersaturation, tair, pressure, physics)
    return Air(
        kelvin_length(tair, physics),
        resistance,
        transition,
        alpha * updraft,
        gamma * 4.0 * math.pi * physics.water_density / dry_density,
        heat / (cp * gamma),
        -g * updraft / cp,
        -g * density * updraft,
    )


@njit(**_LOOP)
def _arrowhead(supersaturation, air, bins, work):  # type: ignore[no-untyped-def]
    """Tendency and Jacobian of the bins.

    Sets ``work.rate`` dx/dt, ``work.slope`` d(dx/dt)/dx, ``work.column`` d(dx/dt)/dS and
    ``work.row`` d(N r^2 dx/dt)/dx.  Returns the sums of N r^2 dx/dt and of N r^2 d(dx/dt)/dS.
    """
    dry, solute, number, excess = bins.dry, bins.solute, bins.number, bins.excess
    rate, slope, column, row = work.rate, work.slope, work.column, work.row
    uptake = 0.0
    corner = 0.0
    for i in range(excess.size):
        x = excess[i]
        rd = dry[i]
        r = rd + x
        volume = x * (3.0 * rd * r + x * x)  # r^3 - rd^3
        whole = volume + solute[i]  # r^3 - rd^3 (1 - kappa)
        brake = air.resistance * r + air.transition
        inverse = 1.0 / (r * whole * brake)
        per_r = inverse * whole * brake
        per_whole = inverse * r * brake
        per_brake = inverse * r * whole
        exponent = air.kelvin * per_r
        kelvin = expm1_series(exponent)
        curve = (volume * kelvin - solute[i]) * per_whole
        change = (1.0 + kelvin) * per_whole
        change *= 3.0 * r * r * solute[i] * per_whole - volume * exponent * per_r
        f = (supersaturation - curve) * per_brake
        df = -(change + air.resistance * f) * per_brake
        rate[i] = f
        # A droplet past its critical radius runs away, slowly: growth that an implicit step
        # would turn into its opposite.  A W-method may leave it out.
        slope[i] = min(df, 0.0)
        column[i] = per_brake
        row[i] = number[i] * r * (2.0 * f + r * df)
        uptake += number[i] * r * r * f
        corner += number[i] * r * r * per_brake
    return uptake, corner


@njit(**_LOOP)
def _factorize(diagonal, work):  # type: ignore[no-untyped-def]
    """Eliminate the bins from the equation of S.

    Sets ``work.pivot``, the inverse of the diagonal of the bins, and ``work.projector``, the row
    times it.  Returns the projections of the column and of the tendency.
    """
    rate, slope, column, row = work.rate, work.slope, work.column, work.row
    pivot, projector = work.pivot, work.projector
    of_column = 0.0
    of_rate = 0.0
    for i in range(rate.size):
        inverse = 1.0 / (diagonal - slope[i])
        weight = row[i] * inverse
        pivot[i] = inverse
        projector[i] = weight
        of_column += weight * column[i]
        of_rate += weight * rate[i]
    return of_column, of_rate


@njit(**_LOOP)
def _stage(supersaturation, air, bins, projector, right, a, c, u1, u2, u3):  # type: ignore[no-untyped-def]
    """Set `right` to the bins' right-hand side: dx/dt at x + a.u, plus c.u.

    Returns the sum of N r^2 dx/dt and the projection of the right-hand side.
    """
    dry, solute, number, excess = bins.dry, bins.solute, bins.number, bins.excess
    a1, a2, a3 = a
    c1, c2, c3 = c
    uptake = 0.0
    projection = 0.0
    for i in range(excess.size):
        x = excess[i] + a1 * u1[i] + a2 * u2[i] + a3 * u3[i]
        rd = dry[i]
        r = rd + x
        volume = x * (3.0 * rd * r + x * x)
        whole = volume + solute[i]
        brake = air.resistance * r + air.transition
        inverse = 1.0 / (r * whole * brake)
        kelvin = expm1_series(air.kelvin * inverse * whole * brake)
        curve_times_whole = volume * kelvin - solute[i]
        f = (supersaturation * whole - curve_times_whole) * inverse * r
        uptake += number[i] * r * r * f
        f += c1 * u1[i] + c2 * u2[i] + c3 * u3[i]
        right[i] = f
        projection += projector[i] * f
    return uptake, projection


@njit(**_LOOP)
def _substitute(right, work, of_bulk, solution):  # type: ignore[no-untyped-def]
    """Set `solution` for the bins once that of S is known."""
    pivot, column = work.pivot, work.column
    for i in range(solution.size):
        solution[i] = pivot[i] * (right[i] + column[i] * of_bulk)


@njit(**_LOOP)
def _advance(bins, u1, u2, u3, u4, end):  # type: ignore[no-untyped-def]
    """Set `end` to the bins at the end of the step.

    Returns the sum of the squared errors relative to the radius, and the smallest excess.
    """
    dry, excess = bins.dry, bins.excess
    m1, m2, m3, m4 = M[0], M[1], M[2], M[3]
    e1, e2, e3, e4 = E[0], E[1], E[2], E[3]
    squares = 0.0
    smallest = math.inf
    for i in range(end.size):
        error = e1 * u1[i] + e2 * u2[i] + e3 * u3[i] + e4 * u4[i]
        relative = error / (dry[i] + excess[i])
        squares += relative * relative
        x = excess[i] + m1 * u1[i] + m2 * u2[i] + m3 * u3[i] + m4 * u4[i]
        end[i] = x
        smallest = min(smallest, x)
    return squares, smallest


@register_jitable
def _bulk_tendency(air: Air, uptake: float) -> tuple[float, float, float]:
    """Tendencies of S, T and P."""
    loss = air.sink * uptake
    return air.source - loss, air.cooling + air.warming * loss, air.lapse


@register_jitable
def _peak(s0: float, s1: float, slope0: float, slope1: float, h: float) -> tuple[float, float]:
    """Maximum of the cubic Hermite interpolant of a step at whose end the curve falls.

    Returns its position, from 0 at the start to 1 at the end, and its value.
    """
    if slope0 <= 0.0:
        return 1.0, s1
    rise, d0, d1 = s1 - s0, h * slope0, h * slope1
    cubic = d0 + d1 - 2.0 * rise
    square = 3.0 * rise - 2.0 * d0 - d1
    # d0 + 2 square z + 3 cubic z^2 = 0, in the form that does not cancel
    root = math.sqrt(max(square * square - 3.0 * cubic * d0, 0.0))
    z = min(d0 / (root - square), 1.0) if root > square else 1.0
    return z, s0 + z * (d0 + z * (square + z * cubic))


@njit(cache=True, nogil=True, error_model="numpy")
def rise(tair, pressure, rh, updraft, bins, memory, physics, rtol):  # type: ignore[no-untyped-def]
    """Follow a parcel to its maximum supersaturation.

    Parameters
    ----------
    tair, pressure, rh, updraft : float
        Start: K, Pa, 1 (above 0 and below 1), and m s-1.
    bins : Bins
        The particles; `excess` is overwritten.
    memory : ndarray of float64, shape (12, at least nbins)
        Scratch.
    physics : Physics
        Constants.
    rtol : float
        Relative error of a step that is accepted.

    Returns
    -------
    status : int
        `Status` OK, NO_PEAK or FAILED.
    smax : float
        Maximum supersaturation, 1; NaN unless OK.
    tpeak : float
        Temperature there, K; NaN unless OK.
    steps : int
        Steps of the solver, accepted or not.
    """
    n = bins.dry.size
    if n == 0:
        return _NO_PEAK, math.nan, math.nan, 0
    work = Work(
        memory[0, :n], memory[1, :n], memory[2, :n], memory[3, :n],
        memory[4, :n], memory[5, :n], memory[6, :n], memory[7, :n],
    )  # fmt: skip
    u = (memory[8, :n], memory[9, :n], memory[10, :n], memory[11, :n])
    kelvin, humidity = work.rate, work.slope  # not needed for what they are named yet
    kelvin[:] = kelvin_length(tair, physics) / bins.dry
    humidity[:] = rh
    if not equilibrate(kelvin, bins.kappa, humidity, bins.excess):
        return _FAILED, math.nan, math.nan, 0
    bins.excess[:] *= bins.dry

    bulk = np.array([rh - 1.0, tair, pressure])
    bulk_u = np.zeros((4, 3))
    at, right = np.empty(3), np.empty(3)

    start_density = _dry_density(rh - 1.0, tair, pressure, physics)
    air = _air(bulk[0], bulk[1], bulk[2], updraft, start_density, physics)
    uptake, corner = _arrowhead(bulk[0], air, bins, work)
    tendency = _bulk_tendency(air, uptake)
    height = 0.0
    h = _FIRST_STEP / updraft
    growth_limit = _GROW
    h_old, error_old = h, 0.0

    for step in range(1, MAX_STEPS + 1):
        if bulk[0] > _CAPPED_ABOVE:
            h = min(h, _STEP_CAP / updraft)
        diagonal = 1.0 / (GAMMA * h)
        of_column, projection = _factorize(diagonal, work)
        schur = diagonal + air.sink * (corner + of_column)

        for k in range(4):
            if k == 0:
                right[0], right[1], right[2] = tendency
                bin_right = work.rate
            else:
                for j in range(3):
                    at[j] = bulk[j]
                    for m in range(k):
                        at[j] += A[k, m] * bulk_u[m, j]
                there = _air(at[0], at[1], at[2], updraft, start_density, physics)
                uptake, projection = _stage(
                    at[0], there, bins, work.projector, work.right,
                    (A[k, 0], A[k, 1], A[k, 2]), (C[k, 0] / h, C[k, 1] / h, C[k, 2] / h),
                    u[0], u[min(1, k - 1)], u[min(2, k - 1)],
                )  # fmt: skip
                right[0], right[1], right[2] = _bulk_tendency(there, uptake)
                for j in range(3):
                    for m in range(k):
                        right[j] += C[k, m] / h * bulk_u[m, j]
                bin_right = work.right
            s = (right[0] - air.sink * projection) / schur
            bulk_u[k, 0] = s
            bulk_u[k, 1] = (right[1] + air.warming * (right[0] - diagonal * s)) / diagonal
            bulk_u[k, 2] = right[2] / diagonal
            _substitute(bin_right, work, s, u[k])

        squares, smallest = _advance(bins, u[0], u[1], u[2], u[3], work.excess)
        error_s, error_t = 0.0, 0.0
        for m in range(4):
            error_s += E[m] * bulk_u[m, 0]
            error_t += E[m] * bulk_u[m, 1]
        error_s /= max(abs(bulk[0]), _SUPERSATURATION_SCALE)
        error_t /= _TEMPERATURE_SCALE
        tolerance = rtol * min(max(bulk[0] / _NEAR_SATURATION, 1.0), _SLACK)
        error = math.sqrt(squares / n + error_s * error_s + error_t * error_t) / tolerance
        # Written so that a NaN is rejected too.
        if not (error <= 1.0 and smallest > 0.0):
            change = _SAFETY * error ** (-1.0 / 3.0) if error > 1.0 and smallest > 0.0 else 0.0
            h *= max(_SHRINK, change)
            growth_limit = 1.0
            continue

        s_old, t_old, slope_old = bulk[0], bulk[1], tendency[0]
        for j in range(3):
            for m in range(4):
                bulk[j] += M[m] * bulk_u[m, j]
        bins.excess[:] = work.excess
        height += h * updraft
        air = _air(bulk[0], bulk[1], bulk[2], updraft, start_density, physics)
        uptake, corner = _arrowhead(bulk[0], air, bins, work)
        tendency = _bulk_tendency(air, uptake)
        if bulk[0] > 0.0 and tendency[0] <= 0.0:
            z, smax = _peak(s_old, bulk[0], slope_old, tendency[0], h)
            if smax > MAX_CRITICAL:
                return _NO_PEAK, math.nan, math.nan, step
            return _OK, smax, t_old + z * (bulk[1] - t_old), step
        if height > MAX_ASCENT or bulk[0] > MAX_CRITICAL:
            return _NO_PEAK, math.nan, math.nan, step
        # Gustafsson's predictive control: expect the error's trend to go on.
        error = max(error, 1e-6)
        ratio = error ** (1.0 / 3.0)
        if error_old > 0.0:
            ratio = max(ratio, h_old / h * (error * error / error_old) ** (1.0 / 3.0))
        h_old, error_old = h, error
        h *= min(max(_SAFETY / ratio, _SHRINK), growth_limit)
        growth_limit = _GROW
    return _FAILED, math.nan, math.nan, MAX_STEPS
