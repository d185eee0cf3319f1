"""One parcel's adiabatic ascent, from its start to its maximum supersaturation.

The bulk of the parcel is its supersaturation S, temperature T and pressure P; each bin of
particles has the excess ``x = r - rd`` of its wet over its dry radius.  With the updraft V and
the liquid water w,

    dx/dt = (S - s(r)) / (a r + b)          growth by condensation; s is the Koehler curve
    dw/dt = 4 pi rho_w / rho_d  sum_i N_i r_i^2 dx_i/dt
    dS/dt = alpha V - gamma dw/dt
    dT/dt = -g V / cp + (L / cp) dw/dt
    dP/dt = -rho g V

With H = 1 + S = e / es(T), and the vapour pressure e = P w_v / (epsilon + w_v) of the vapour w_v
that condensation takes, the logarithmic derivative of H gives, without approximation,

    alpha = H (beta g / cp - rho g / P),    beta = d ln(es) / dT,
    gamma = (P - e)^2 / (epsilon P es) + H beta L / cp,

which conserves water however dry the start (`Physics.exact_humidity`).  For H near 1, e << P and
Clausius and Clapeyron's beta it becomes the form of Ghan et al. (2011), which pyrcel has:

    alpha = g Mw L / (cp R T^2) - g Ma / (R T),    gamma = P Ma / (es Mw) + Mw L^2 / (cp R T^2).

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
from .rosenbrock import GAMMA, A, C, E
from .thermo import (
    air_conductivity,
    latent_heat,
    lifting_condensation_temperature,
    saturation_slope,
    saturation_vapour_pressure,
    vapour_diffusivity,
)

MAX_ASCENT: Final = 3000.0
"""Height in m above its cloud base at which a parcel without a peak is given up.

The cloud base is where the parcel would be saturated if its particles took up no water, so that a
dry start has the same chance as a moist one.  A parcel is given up too at the supersaturation
`bins.MAX_CRITICAL`, beyond which particles are missing, and below `MIN_TEMPERATURE`.
"""

MIN_TEMPERATURE: Final = 150.0
"""Temperature in K below which a parcel is given up: 30 K below the coldest valid start.

Formulas of supercooled water mean little there, but are still smooth; a parcel that starts
at a relative humidity of 0.1 becomes saturated above it.
"""

WORK: Final = 8
"""Arrays of the size of the bins that the solver needs."""

MAX_STEPS: Final = 20_000
"""Steps of the solver, accepted or not, after which it has failed."""

_STEP_CAP = 4.0  # m from saturation on: longer steps may miss the flat peaks of weak updrafts
_CAPPED_ABOVE = -3e-4
_NEAR_SATURATION = -0.01
_FIRST_STEP = 1.0  # m
_ROUNDING = 1e-6  # m
_TEMPERATURE_SCALE = 10.0  # K; the error of T is relative to this
_SLACK = 2.0  # times the error is accepted far below saturation, where haze forgets it
_SUPERSATURATION_SCALE = 1e-4  # the error of S is relative to |S|, or to this if |S| is smaller
_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 5.0  # of the step-size control

_OK, _NO_PEAK, _FAILED = int(Status.OK), int(Status.NO_PEAK), int(Status.FAILED)

# Sums may be reordered and products fused, but NaN and infinity keep their meaning.  With NumPy's
# error model a division does not check for zero, which would keep the loops from vectorizing.
# Inlined, because a process that loads their caller from Numba's cache may run other copies of
# them than the one that compiled it, and sums in another order differ in their last bits.
_LOOP: Final[dict[str, Any]] = {
    "cache": True,
    "nogil": True,
    "forceinline": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
}


Bulk = tuple[float, float, float]  # S (1), T (K), P (Pa), or what belongs to them
Weights = tuple[float, float, float]
Point = tuple[float, float, float]
Points = tuple[Point, Point, Point, Point]


def _weights(row: Any) -> Weights:
    """Coefficients of a stage for the first, the second and the latest solution."""
    *earlier, latest = row
    first, second = (*earlier, 0.0, 0.0)[:2]
    return float(first), float(second), float(latest)


_A2, _A3, _A4 = (_weights(A[k, :k]) for k in (1, 2, 3))
_C2, _C3, _C4 = (_weights(C[k, :k]) for k in (1, 2, 3))
_E1, _E2, _E3, _E4 = (float(weight) for weight in E)


class Work(NamedTuple):
    """Scratch of the solver, arrays of shape (nbins,).

    Attributes
    ----------
    pivot : ndarray
        Inverse of the bins' diagonal of the linear system.
    column : ndarray
        d(dx/dt)/dS.
    projector : ndarray
        d(N r^2 dx/dt)/dx times the pivot: what eliminates the bins from the equation of S.
    right : ndarray
        Right-hand side of the latest stage.
    u1, u2, u3 : ndarray
        Solutions of the first three stages.
    end : ndarray
        x where the fourth stage evaluates the tendency, then at the end of the step.
    """

    pivot: NDArray[np.float64]
    column: NDArray[np.float64]
    projector: NDArray[np.float64]
    right: NDArray[np.float64]
    u1: NDArray[np.float64]
    u2: NDArray[np.float64]
    u3: NDArray[np.float64]
    end: NDArray[np.float64]


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
def _mixing_ratio(bulk: Bulk, physics: Physics) -> float:
    """Water vapour, kg per kg of dry air."""
    vapour = (1.0 + bulk[0]) * saturation_vapour_pressure(bulk[1])
    return physics.molar_mass_water / physics.molar_mass_air * vapour / (bulk[2] - vapour)


@register_jitable
def _air(
    bulk: Bulk,
    mixing_ratio: float,
    updraft: float,
    start_density: float,
    physics: Physics,
) -> Air:
    """Air in an updraft (m s-1) that began at a dry density (kg m-3)."""
    supersaturation, tair, pressure = bulk
    mw, ma = physics.molar_mass_water, physics.molar_mass_air
    cp, g = physics.heat_capacity, physics.gravity
    per_rt = 1.0 / (physics.gas_constant * tair)
    heat = latent_heat(tair, physics)
    saturation = saturation_vapour_pressure(tair)
    vapour = (1.0 + supersaturation) * saturation
    dry = pressure - vapour
    density = pressure * ma * per_rt / (1.0 + 0.61 * mixing_ratio)  # by the virtual temperature

    by_vapour = physics.water_density / (saturation * mw * per_rt)
    by_heat = heat * physics.water_density / tair * (heat * mw * per_rt - 1.0)
    diffusivity = vapour_diffusivity(tair, pressure, physics)
    resistance = by_vapour / diffusivity + by_heat / air_conductivity(tair)
    # 4 over the mean speed of the molecules, of vapour and of air
    slowness = math.sqrt(2.0 * math.pi * per_rt)
    transition = slowness * math.sqrt(mw) / physics.mass_accommodation * by_vapour
    transition += (
        slowness * math.sqrt(ma) / (physics.thermal_accommodation * cp) * (by_heat / density)
    )

    if physics.exact_humidity:
        humidity, slope = 1.0 + supersaturation, saturation_slope(tair)
        alpha = humidity * g * (slope / cp - density / pressure)
        gamma = dry * dry * ma / (mw * pressure * saturation) + humidity * slope * heat / cp
    else:
        alpha = g * per_rt * (mw * heat / (cp * tair) - ma)
        gamma = pressure * ma / (saturation * mw) + mw * heat * heat * per_rt / (cp * tair)
    dry_density = start_density if physics.number_per_mass else dry * ma * per_rt
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
def _factorize(supersaturation, air, diagonal, bins, work):  # type: ignore[no-untyped-def]
    """Tendency of the bins and its Jacobian, and the elimination of the bins from that of S.

    Sets ``work.pivot``, ``work.column``, ``work.projector`` and, with dx/dt, ``work.right``.
    Returns the sum of N r^2 dx/dt, its derivative by S once the bins are eliminated, and the
    projection of dx/dt.
    """
    dry, solute, number, excess = bins.dry, bins.solute, bins.number, bins.excess
    pivot, column, projector, right = work.pivot, work.column, work.projector, work.right
    uptake = 0.0
    corner = 0.0
    projection = 0.0
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
        # A droplet past its critical radius runs away, slowly: growth that an implicit step
        # would turn into its opposite.  A W-method may leave it out.
        inverse = 1.0 / (diagonal - min(df, 0.0))
        weight = number[i] * r * (2.0 * f + r * df) * inverse
        pivot[i] = inverse
        column[i] = per_brake
        projector[i] = weight
        right[i] = f
        uptake += number[i] * r * r * f
        corner += (number[i] * r * r + weight) * per_brake
        projection += weight * f
    return uptake, corner, projection


@njit(**_LOOP)
def _stage(supersaturation, air, bins, work, of_s, u, a, c, per_h):  # type: ignore[no-untyped-def]
    """Finish a stage, now that its solution for S is known, and begin the next one.

    Sets the last of `u`, the bins' solutions so far, from ``work.right``, then ``work.right`` to
    dx/dt at x + a.u, plus c.u / h, and ``work.end`` to x + a.u.  Returns the sum of N r^2 dx/dt and
    the projection of the right-hand side.
    """
    dry, solute, number, excess = bins.dry, bins.solute, bins.number, bins.excess
    pivot, column, projector, right = work.pivot, work.column, work.projector, work.right
    end = work.end
    u1, u2, latest = u
    a1, a2, a3 = a
    c1, c2, c3 = c[0] * per_h, c[1] * per_h, c[2] * per_h
    uptake = 0.0
    projection = 0.0
    for i in range(excess.size):
        solution = pivot[i] * (right[i] + column[i] * of_s)
        latest[i] = solution
        x = excess[i] + a1 * u1[i] + a2 * u2[i] + a3 * solution
        end[i] = x
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
        f += c1 * u1[i] + c2 * u2[i] + c3 * solution
        right[i] = f
        projection += projector[i] * f
    return uptake, projection


@njit(**_LOOP)
def _finish(bins, work, of_s):  # type: ignore[no-untyped-def]
    """Finish the fourth stage and set ``work.end`` to x at the end of the step.

    Returns the sum of the squared errors relative to the radius, and the smallest x.
    """
    dry, excess, end = bins.dry, bins.excess, work.end
    pivot, column, right = work.pivot, work.column, work.right
    u1, u2, u3 = work.u1, work.u2, work.u3
    squares = 0.0
    smallest = math.inf
    for i in range(end.size):
        u4 = pivot[i] * (right[i] + column[i] * of_s)
        error = _E1 * u1[i] + _E2 * u2[i] + _E3 * u3[i] + _E4 * u4
        relative = error / (dry[i] + excess[i])
        squares += relative * relative
        x = end[i] + u4
        end[i] = x
        smallest = min(smallest, x)
    return squares, smallest


@register_jitable
def _bulk_tendency(air: Air, uptake: float) -> Bulk:
    """Tendencies of S, T and P."""
    loss = air.sink * uptake
    return air.source - loss, air.cooling + air.warming * loss, air.lapse


@register_jitable
def _combine(start: Bulk, weights: Weights, factor: float, u: tuple[Bulk, Bulk, Bulk]) -> Bulk:
    """Add the weighted solutions of three stages."""
    a, b, c = factor * weights[0], factor * weights[1], factor * weights[2]
    return (
        start[0] + a * u[0][0] + b * u[1][0] + c * u[2][0],
        start[1] + a * u[0][1] + b * u[1][1] + c * u[2][1],
        start[2] + a * u[0][2] + b * u[1][2] + c * u[2][2],
    )


@register_jitable
def _solve(right: Bulk, projection: float, air: Air, schur: float, diagonal: float) -> Bulk:
    """Solve the equations of a stage for S, T and P."""
    s = (right[0] - air.sink * projection) / schur
    return s, (right[1] + air.warming * (right[0] - diagonal * s)) / diagonal, right[2] / diagonal


@register_jitable
def _peak(points: Points) -> tuple[float, float, float]:
    """Maximum of the cubic through four points of (height, S, T), of which the third is highest.

    Returns height, S and T there.
    """
    (z0, s0, _), (z1, s1, t1), (z2, s2, t2), (z3, s3, t3) = points
    # Newton's form about the third point: S = s2 + x (c1 + (x - x3) (c2 + (x - x1) c3))
    x0, x1, x3 = z0 - z2, z1 - z2, z3 - z2
    d0, d1, d3 = (s0 - s2) / x0, (s1 - s2) / x1, (s3 - s2) / x3
    c2 = (d1 - d3) / (x1 - x3)
    c3 = ((d0 - d1) / (x0 - x1) - c2) / (x0 - x3) if x0 < x1 else 0.0
    # in powers of x
    linear = d3 - c2 * x3 + c3 * x1 * x3
    square = c2 - c3 * (x1 + x3)
    # the root of the slope where the curve bends down, in the form that does not cancel
    root = math.sqrt(max(square * square - 3.0 * c3 * linear, 0.0))
    x = linear / (root - square) if root > square else 0.0
    x = min(max(x, x1), x3)
    t = t2 + x * ((t3 - t2) / x3 if x > 0.0 else (t1 - t2) / x1)
    return z2 + x, s2 + x * (linear + x * (square + x * c3)), t


@register_jitable
def _write(record, points, height, bulk, excess):  # type: ignore[no-untyped-def]
    """Record a point where there is room, and return how many there are now."""
    if points < record.shape[0]:
        record[points, 0] = height
        record[points, 1], record[points, 2], record[points, 3] = bulk
        record[points, 4:] = excess
    return points + 1


@njit(cache=True, nogil=True, error_model="numpy")
def rise(tair, pressure, rh, updraft, bins, memory, physics, rtol, beyond, record):  # type: ignore[no-untyped-def]
    """Follow a parcel to its maximum supersaturation, or beyond.

    Parameters
    ----------
    tair, pressure, rh, updraft : float
        Start: K, Pa, 1 (above 0 and below 1), and m s-1.
    bins : Bins
        The particles; `excess` is overwritten.
    memory : ndarray of float64, shape (WORK, at least nbins)
        Scratch.
    physics : Physics
        Constants.
    rtol : float
        Relative error of a step that is accepted.
    beyond : float
        Height above the maximum to which the ascent goes on, m.
    record : ndarray of float64, shape (npoints, 4 + nbins)
        Where the height (m), S (1), T (K), P (Pa) and the excess (m) of the bins are written at
        the start and after each accepted step, as long as there is room.

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
    points : int
        Points of the ascent, recorded or not.
    """
    n = bins.dry.size
    if n == 0:
        return _NO_PEAK, math.nan, math.nan, 0, 0
    work = Work(
        memory[0, :n], memory[1, :n], memory[2, :n], memory[3, :n],
        memory[4, :n], memory[5, :n], memory[6, :n], memory[7, :n],
    )  # fmt: skip
    kelvin, humidity = work.u1, work.u2  # not needed for what they are named yet
    kelvin[:] = kelvin_length(tair, physics) / bins.dry
    humidity[:] = rh
    if not equilibrate(kelvin, bins.kappa, humidity, bins.excess):
        return _FAILED, math.nan, math.nan, 0, 0
    bins.excess[:] *= bins.dry

    start_density = _dry_density(rh - 1.0, tair, pressure, physics)
    cloud_base = physics.heat_capacity / physics.gravity
    cloud_base *= tair - lifting_condensation_temperature(tair, rh)
    bulk = (rh - 1.0, tair, pressure)
    zero = (0.0, 0.0, 0.0)
    # Stands for the solutions that a stage does not take, which are multiplied by zero.
    x = bins.excess
    # How moist the air is matters to its density alone, and changes little in a step.
    moisture = _mixing_ratio(bulk, physics)
    water, energy = moisture, physics.heat_capacity * tair
    air = _air(bulk, moisture, updraft, start_density, physics)
    height = 0.0
    latest = (height, bulk[0], bulk[1])
    path = (latest, latest, latest, latest)
    smax, tpeak, top = math.nan, math.nan, math.inf
    h, h_old, error_old, grow = _FIRST_STEP / updraft, 0.0, 0.0, _GROW
    points, rejected = 0, False

    for step in range(1, MAX_STEPS + 1):
        if bulk[0] > _CAPPED_ABOVE:
            h = min(h, _STEP_CAP / updraft)
        h = min(h, (top - height) / updraft)
        diagonal = 1.0 / (GAMMA * h)
        uptake, corner, projection = _factorize(bulk[0], air, diagonal, bins, work)
        tendency = _bulk_tendency(air, uptake)
        if not rejected:
            points = _write(record, points, height, bulk, bins.excess)
            if top == math.inf and path[2][1] > 0.0 and bulk[0] <= path[2][1]:
                hpeak, smax, tpeak = _peak(path)
                top = hpeak + beyond
            if (
                bulk[0] > MAX_CRITICAL
                or smax > MAX_CRITICAL
                or bulk[1] < MIN_TEMPERATURE
                or (height > cloud_base + MAX_ASCENT and top == math.inf)
            ):
                return _NO_PEAK, math.nan, math.nan, step, points
            if height >= top - _ROUNDING:
                return _OK, smax, tpeak, step, points

        per_h = 1.0 / h
        schur = diagonal + air.sink * corner
        first = _solve(tendency, projection, air, schur, diagonal)

        end = _combine(bulk, _A2, 1.0, (zero, zero, first))
        there = _air(end, moisture, updraft, start_density, physics)
        uptake, projection = _stage(
            end[0], there, bins, work, first[0], (x, x, work.u1), _A2, _C2, per_h
        )
        right = _combine(_bulk_tendency(there, uptake), _C2, per_h, (zero, zero, first))
        second = _solve(right, projection, air, schur, diagonal)

        end = _combine(bulk, _A3, 1.0, (first, zero, second))
        there = _air(end, moisture, updraft, start_density, physics)
        uptake, projection = _stage(
            end[0], there, bins, work, second[0], (work.u1, x, work.u2), _A3, _C3, per_h
        )
        right = _combine(_bulk_tendency(there, uptake), _C3, per_h, (first, zero, second))
        third = _solve(right, projection, air, schur, diagonal)

        end = _combine(bulk, _A4, 1.0, (first, second, third))
        there = _air(end, moisture, updraft, start_density, physics)
        uptake, projection = _stage(
            end[0], there, bins, work, third[0], (work.u1, work.u2, work.u3), _A4, _C4, per_h
        )
        right = _combine(_bulk_tendency(there, uptake), _C4, per_h, (first, second, third))
        fourth = _solve(right, projection, air, schur, diagonal)

        squares, smallest = _finish(bins, work, fourth[0])
        error_s = _E1 * first[0] + _E2 * second[0] + _E3 * third[0] + _E4 * fourth[0]
        error_t = _E1 * first[1] + _E2 * second[1] + _E3 * third[1] + _E4 * fourth[1]
        error_s /= max(abs(bulk[0]), _SUPERSATURATION_SCALE)
        error_t /= _TEMPERATURE_SCALE
        tolerance = rtol * min(max(bulk[0] / _NEAR_SATURATION, 1.0), _SLACK)
        error = math.sqrt(squares / n + error_s * error_s + error_t * error_t) / tolerance
        # Written so that a NaN is rejected too.
        rejected = not (error <= 1.0 and smallest > 0.0)
        if rejected:
            change = _SAFETY * error ** (-1.0 / 3.0) if error > 1.0 and smallest > 0.0 else 0.0
            h *= max(_SHRINK, change)
            grow = 1.0
            continue

        bulk = (end[0] + fourth[0], end[1] + fourth[1], end[2] + fourth[2])
        bins.excess[:] = work.end
        height += h * updraft
        path = (path[1], path[2], path[3], (height, bulk[0], bulk[1]))
        if physics.exact_humidity:
            moisture = _mixing_ratio(bulk, physics)
        else:  # as S does not conserve water, pyrcel integrates the vapour by itself
            released = physics.heat_capacity * bulk[1] + physics.gravity * height - energy
            moisture = water - released / latent_heat(bulk[1], physics)
        air = _air(bulk, moisture, updraft, start_density, physics)
        # Gustafsson's predictive control: expect the error's trend to go on.
        error = max(error, 1e-6)
        ratio = error ** (1.0 / 3.0)
        if error_old > 0.0:
            ratio = max(ratio, h_old / h * (error * error / error_old) ** (1.0 / 3.0))
        h_old, error_old = h, error
        h *= min(max(_SAFETY / ratio, _SHRINK), grow)
        grow = _GROW
    return _FAILED, math.nan, math.nan, MAX_STEPS, points
