"""The worst state: an optimizer looks for where an emulator is farthest from the parcel model.

Samples find typical errors, and miss small corners in sixteen dimensions.  So the largest
absolute error of each mode is maximized by differential evolution (Storn and Price, 1997,
doi:10.1023/A:1008202821328), with the parcel model in the loop, in two domains: the whole box of
the training bounds, with combinations that no training state came near, and the states that
`aeroact.states` can sample.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeroact import schema, states
from aeroact.assess.box import Box
from aeroact.console import Progress
from aeroact.references import FINE_BINS, FINE_RTOL, parcel
from aeroact.regions import Predict

Points = NDArray[np.float64]
States = Callable[[Points], NDArray[np.floating]]

MEMBERS, GENERATIONS = 128, 60
"""Of a population: 7,808 parcels for each mode and domain."""

STARTS = 8192
"""States of which the worst ones are in the first population."""


@dataclass(frozen=True)
class Worst:
    """The worst state that a search came to.

    Attributes
    ----------
    domain : str
        ``box`` or ``sampled``.
    mode : str
        Whose error was maximized.
    error : float
        Prediction minus parcel model, in fn of that mode.
    label_error : float
        Of the parcel model itself at its usual settings there, against its finest.
    state : dict of str to float
        By column, in schema units.
    fn, prediction : list of float
        Of all four modes: parcel model and emulator.
    smax : float
        Maximum supersaturation of the parcel, 1.
    """

    domain: str
    mode: str
    error: float
    label_error: float
    state: dict[str, float]
    fn: list[float]
    prediction: list[float]
    smax: float


def domains(box: Box, sampled: bool) -> dict[str, tuple[int, States]]:
    """Return the dimensions and states of each domain's unit cube.

    Parameters
    ----------
    box : Box
        Of the training bounds.
    sampled : bool
        Whether the training states were sampled by `aeroact.states`.
    """
    found: dict[str, tuple[int, States]] = {"box": (schema.N_INPUTS, box.states)}
    if sampled:
        found["sampled"] = (states.N_AXES, states.states_of)
    return found


def search(
    predict: Predict,
    box: Box,
    *,
    sampled: bool = True,
    seed: int = 0,
    members: int = MEMBERS,
    generations: int = GENERATIONS,
    physics: str = "default",
    progress: Progress | None = None,
) -> list[Worst]:
    """Search each domain for the worst state of each mode.

    Parameters
    ----------
    predict : callable
        From states (n, 16) in schema units to fractions (n, 4).
    box : Box
        Of the training bounds.
    sampled : bool
        Whether the domain ``sampled`` is searched too.
    seed : int
        Same seed, same search.
    members, generations : int
        Of each population.
    physics : str
        Preset of the parcel model.
    progress : Progress, optional
        Is told the finished generations; there are `units` of them.

    Returns
    -------
    list of Worst
        By domain and mode.
    """
    found, done = [], 0
    for domain, (n_axes, states_of) in domains(box, sampled).items():
        rng = np.random.default_rng([seed, n_axes])
        starts = rng.random((STARTS, n_axes))
        errors = _errors(predict, states_of(starts), physics)
        for mode in range(schema.N_OUTPUTS):
            # Half of the first population are bad already, the others are anywhere.
            bad = np.argsort(-np.abs(errors[:, mode]), kind="stable")[: members // 2]
            population = np.concatenate([starts[bad], rng.random((members - len(bad), n_axes))])

            def advance(*_: Any) -> None:
                nonlocal done
                done += 1
                if progress:
                    progress(done)

            objective = partial(_negative_error, predict, states_of, physics, mode)
            point = _evolve(objective, population, generations, rng, advance)
            found.append(_worst(domain, mode, states_of(point[None]), predict, physics))
    return found


def units(sampled: bool = True, generations: int = GENERATIONS) -> int:
    """Return how many units of progress `search` reports."""
    return (2 if sampled else 1) * schema.N_OUTPUTS * generations


def _errors(predict: Predict, x: NDArray[np.floating], physics: str) -> NDArray[np.float64]:
    """Return prediction minus parcel model, (n, 4); 0 where the parcel model has no answer."""
    truth = parcel(x, physics=physics).fn
    errors = predict(x.astype(np.float32)) - truth
    return np.where(np.isnan(truth), 0.0, errors)


def _negative_error(
    predict: Predict, states_of: States, physics: str, mode: int, points: Points
) -> NDArray[np.float64]:
    return -np.abs(_errors(predict, states_of(points.T), physics)[:, mode])


def _evolve(
    objective: Callable[[Points], NDArray[np.float64]],
    population: Points,
    generations: int,
    rng: np.random.Generator,
    advance: Callable[..., None],
) -> Points:
    from scipy.optimize import differential_evolution

    result = differential_evolution(
        objective,
        [(0.0, 1.0)] * population.shape[1],
        init=population,
        maxiter=generations,
        mutation=(0.4, 0.9),
        recombination=0.9,
        tol=0.0,
        polish=False,
        vectorized=True,
        updating="deferred",
        rng=rng,
        callback=advance,
    )
    return np.asarray(result.x)


def _worst(
    domain: str, mode: int, x: NDArray[np.floating], predict: Predict, physics: str
) -> Worst:
    usual = parcel(x, physics=physics)
    fine = parcel(x, physics=physics, bins=FINE_BINS, rtol=FINE_RTOL)
    prediction = predict(x.astype(np.float32)).astype(np.float64)
    return Worst(
        domain,
        schema.MODES[mode],
        float(prediction[0, mode] - usual.fn[0, mode]),
        float(abs(usual.fn[0, mode] - fine.fn[0, mode])),
        dict(zip(schema.COLUMNS, x[0].astype(float).tolist(), strict=True)),
        usual.fn[0].tolist(),
        prediction[0].tolist(),
        float(usual.smax[0]),
    )
