"""An emulator on layers of a climate model's columns, beside the parcel model and ARG2000."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeroact.assess.box import Box
from aeroact.assess.droplets import DropletErrors
from aeroact.metrics import Errors
from aeroact.references import parcel, predict_arg2000
from aeroact.regions import Predict

Rows = NDArray[np.floating]


@dataclass(frozen=True)
class Compared:
    """Errors over the layers for which the parcel model has an answer.

    Attributes
    ----------
    mse : float
        Mean squared error, all modes.
    mse_by_mode : list of float
        Of each.
    largest : float
        Largest absolute error.
    droplets : dict
        Errors of the droplet number; see `DropletErrors.as_dict`.
    """

    mse: float
    mse_by_mode: list[float]
    largest: float
    droplets: dict[str, Any]


def compare(predict: Predict, x: Rows, box: Box, physics: str = "default") -> dict[str, Any]:
    """Compare emulator and ARG2000 with the parcel model.

    Parameters
    ----------
    predict : callable
        From states (n, 16) in schema units to fractions (n, 4).
    x : ndarray, shape (n, 16)
        States.
    box : Box
        Of the emulator's training bounds.
    physics : str
        Preset of the parcel model.

    Returns
    -------
    dict
        ``layers``, ``answers`` (of the parcel model), ``in_domain`` (of all layers), and
        `Compared` as dicts under ``emulator`` and ``arg2000``; None if there is no answer.
    """
    x = np.asarray(x, np.float32)
    truth = parcel(x, physics=physics)
    found: dict[str, Any] = {
        "layers": len(x),
        "answers": int(truth.ok.sum()),
        "in_domain": int(box.holds(x).sum()),
        "emulator": None,
        "arg2000": None,
    }
    known, fn = x[truth.ok], truth.fn[truth.ok]
    if len(known):
        found["emulator"] = asdict(_compared(known, fn, predict(known)))
        found["arg2000"] = asdict(_compared(known, fn, predict_arg2000(known)))
    return found


def _compared(x: Rows, fn: Rows, prediction: Rows) -> Compared:
    errors, droplets = Errors(), DropletErrors()
    errors.add(fn, prediction)
    droplets.add(x, fn, prediction)
    largest = float(np.abs(prediction - fn).max())
    return Compared(errors.mse, errors.mse_by_mode.tolist(), largest, droplets.as_dict())
