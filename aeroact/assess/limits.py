"""Where an input vanishes: no particles, nothing that takes up water, no updraft.

These states lie outside of the training bounds, where a host model should not trust an emulator;
but host models have them, and what comes then must be a fraction, and should be a sensible one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aeroact import schema
from aeroact.references import parcel, predict_arg2000
from aeroact.regions import Predict

Rows = NDArray[np.floating]
Change = Callable[[Rows], Rows]


@dataclass(frozen=True)
class Limit:
    """What an emulator makes of states in a limit.

    Attributes
    ----------
    name : str
        The limit in words.
    states : int
        That were tried.
    answers : int
        For which the parcel model has an answer; the errors are over these.
    low, high : float
        Least and greatest fraction of the emulator, over all states.
    mse, largest : float or None
        Mean squared and largest absolute error of the emulator, all modes.
    arg2000 : float or None
        Mean squared error of ARG2000 on the same states.
    """

    name: str
    states: int
    answers: int
    low: float
    high: float
    mse: float | None
    largest: float | None
    arg2000: float | None


def _set(
    variable: schema.Variable, value: float, mode: int | None = None
) -> Callable[[Rows], Rows]:
    columns = schema.column_slice(variable)
    places = columns if mode is None else columns.start + mode

    def change(x: Rows) -> Rows:
        changed = x.copy()
        changed[:, places] = value
        return changed

    return change


def limits() -> dict[str, Change]:
    """Return the limits by name: each changes states (n, 16)."""
    named: dict[str, Change] = {"no aerosol": _set(schema.NUM_AER, 0.0)}
    for mode, name in enumerate(schema.MODE_NAMES):
        named[f"no {name} mode"] = _set(schema.NUM_AER, 0.0, mode)
    named["no hygroscopicity"] = _set(schema.KAPPA, 0.0)
    for mode, name in enumerate(schema.MODE_NAMES):
        named[f"no hygroscopicity of the {name} mode"] = _set(schema.KAPPA, 0.0, mode)
    named["an updraft of 1 cm/s"] = _set(schema.WBAR, 1.0)
    return named


def measure(predict: Predict, x: Rows, physics: str = "default") -> list[Limit]:
    """Put states (n, 16) into each limit and ask emulator, parcel model and ARG2000."""
    return [_measured(name, predict, change(x), physics) for name, change in limits().items()]


def _measured(name: str, predict: Predict, x: Rows, physics: str) -> Limit:
    fn = predict(x.astype(np.float32)).astype(np.float64)
    truth = parcel(x, physics=physics).fn
    known = np.isfinite(truth).all(axis=1)
    low, high = float(fn.min()), float(fn.max())
    if not known.any():
        return Limit(name, len(x), 0, low, high, None, None, None)
    error = (fn - truth)[known]
    reference = (predict_arg2000(x) - truth)[known]
    of_arg2000 = reference[np.isfinite(reference).all(axis=1)]
    return Limit(
        name,
        len(x),
        int(known.sum()),
        low,
        high,
        float((error**2).mean()),
        float(np.abs(error).max()),
        float((of_arg2000**2).mean()) if len(of_arg2000) else None,
    )
