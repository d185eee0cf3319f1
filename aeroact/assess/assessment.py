"""All of an assessment in one go, as what a model card holds."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeroact.assess import limits, monotony, smoothness, worst
from aeroact.assess.box import Box
from aeroact.assess.columns import compare
from aeroact.assess.droplets import DropletErrors
from aeroact.console import ProgressBar, no_progress
from aeroact.references import parcel, predict_arg2000
from aeroact.regions import Breakdown, Predict, deciles, records

Rows = NDArray[np.floating]
Blocks = Callable[[], Iterable[tuple[Rows, Rows]]]

MONOTONY_STATES, MONOTONY_PARCELS = 5_000, 300
"""States whose fractions are followed over all updrafts, by emulator and by parcel model."""

SMOOTHNESS_PAIRS, LIMIT_STATES = 10_000, 1_000


def assess(
    predict: Predict,
    blocks: Blocks,
    rows: int,
    sample: tuple[Rows, Rows],
    box: Box,
    *,
    sampled: bool,
    physics: str = "default",
    columns: Rows | None = None,
    seed: int = 0,
    members: int = worst.MEMBERS,
    generations: int = worst.GENERATIONS,
    progress: ProgressBar = no_progress,
) -> dict[str, Any]:
    """Assess an emulator against the parcel model.

    Parameters
    ----------
    predict : callable
        From states (n, 16) in schema units to fractions (n, 4).
    blocks : callable
        Returns the test rows, block by block: states and simulated fractions.
    rows : int
        How many these are.
    sample : pair of ndarray, shapes (n, 16) and (n, 4)
        Some of them: for the deciles, and to start from.
    box : Box
        Of the training bounds.
    sampled : bool
        Whether the training states were sampled by `aeroact.states`.
    physics : str
        Preset of the parcel model.
    columns : ndarray, shape (n, 16), optional
        Layers of a climate model's columns.
    seed : int
        Same seed, same assessment.
    members, generations : int
        Of the search for the worst state.
    progress : ProgressBar
        Shows how far it is.

    Returns
    -------
    dict
        ``deciles``, ``droplets``, ``worst``, ``monotony``, ``smoothness``, ``limits`` and,
        with columns, ``columns``; what JSON can hold.
    """
    axes = deciles(*sample)
    errors = {"emulator": Breakdown(axes), "arg2000": Breakdown(axes)}
    droplets = {"emulator": DropletErrors(), "arg2000": DropletErrors()}
    predictors = {"emulator": predict, "arg2000": predict_arg2000}
    done = 0
    with progress("Errors by decile", rows, unit="states", after=2.0) as show:
        for x, fn in blocks():
            for name, predictor in predictors.items():
                prediction = predictor(x.astype(np.float32))
                errors[name].add(x, fn, prediction)
                droplets[name].add(x, fn, prediction)
            show(done := done + len(x))

    x, fn = sample
    units = worst.units(sampled, generations)
    with progress("Searching for the worst state, generations", units) as show:
        worst_states = worst.search(
            predict,
            box,
            sampled=sampled,
            seed=seed,
            members=members,
            generations=generations,
            physics=physics,
            progress=show,
        )
    found = {
        "deciles": records(errors["emulator"], errors["arg2000"]),
        "droplets": {name: each.as_dict() for name, each in droplets.items()},
        "worst": [asdict(each) for each in worst_states],
        "monotony": _monotony(predict, x, box, physics, progress),
        "smoothness": _smoothness(predict, x, fn, box, physics, seed),
        "limits": [asdict(each) for each in limits.measure(predict, x[:LIMIT_STATES], physics)],
    }
    if columns is not None:
        found["columns"] = compare(predict, columns, box, physics)
    return found


def _monotony(
    predict: Predict, x: Rows, box: Box, physics: str, progress: ProgressBar
) -> dict[str, Any]:
    rungs = monotony.ladders(x[:MONOTONY_PARCELS], box)
    with progress("Parcels over all updrafts", len(rungs), unit="parcels") as show:
        truth = parcel(rungs, physics=physics, progress=show).fn
    return {
        "emulator": asdict(monotony.measure(predict, x[:MONOTONY_STATES], box)),
        "arg2000": asdict(monotony.measure(predict_arg2000, x[:MONOTONY_STATES], box)),
        "parcel": asdict(monotony.of_fractions(truth)),
    }


def _smoothness(
    predict: Predict, x: Rows, fn: Rows, box: Box, physics: str, seed: int
) -> dict[str, Any]:
    here, truth = x[:SMOOTHNESS_PAIRS].astype(np.float32), fn[:SMOOTHNESS_PAIRS]
    there = smoothness.neighbours(here, box, seed)
    truth_there = parcel(there, physics=physics).fn
    return {
        name: asdict(smoothness.of_fractions(of(here), of(there), truth, truth_there))
        for name, of in {"emulator": predict, "arg2000": predict_arg2000}.items()
    }
