"""Is an emulator fit for these states? Its bounds, and its errors against the parcel model there.

A card tells the errors on the states that the emulator was trained for. Those of a model, a
period or a region of one's own may lie elsewhere.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeroact import console, dataset, schema
from aeroact.console import Progress, ProgressBar
from aeroact.emulator import Emulator, stated
from aeroact.errors import AeroactError
from aeroact.metrics import Errors
from aeroact.physics.activation import Activation, Status
from aeroact.physics.constants import PRESETS, Physics, resolve
from aeroact.references import parcel, predict_arg2000
from aeroact.strict_json import plain

if TYPE_CHECKING:
    import xarray as xr

Rows = NDArray[np.floating]

OUTSIDE = 0.005
"""Share of rows out of bounds that a host's fallback may take care of."""

FEW = 30
"""Rows from which an error cannot be judged."""

_STANDARD_ERRORS = 4.0
_CLEARLY = 2.0  # times the card's MSE: a mean over other states is not the same mean


@dataclass(frozen=True)
class Measured:
    """Errors of one prediction against the parcel model.

    Attributes
    ----------
    rows : int
        Compared.
    mse, standard_error : float
        Mean over all modes, and how far sampling alone moves it; infinite for a single row.
    r2 : float
        Over all modes; NaN where the truth does not vary.
    mse_by_mode, r2_by_mode, largest_by_mode : list of float
        The last one is absolute.
    """

    rows: int
    mse: float
    standard_error: float
    r2: float
    mse_by_mode: list[float]
    r2_by_mode: list[float]
    largest_by_mode: list[float]

    def exceeds(self, mse: float) -> bool:
        """Say whether the MSE is larger than another by more than sampling explains."""
        return self.mse - _STANDARD_ERRORS * self.standard_error > mse


def measure(fn: Rows, prediction: Rows) -> Measured:
    """Compare a prediction with the truth, shapes (n, 4), n at least 1."""
    errors = Errors()
    errors.add(fn, prediction)
    difference = prediction.astype(np.float64) - fn
    squared = (difference**2).mean(axis=1)
    n = len(squared)
    return Measured(
        n,
        errors.mse,
        float(squared.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf,
        errors.r2,
        errors.mse_by_mode.tolist(),
        errors.r2_by_mode.tolist(),
        np.abs(difference).max(axis=0).tolist(),
    )


@dataclass(frozen=True)
class Truth:
    """The parcel model as an emulator's training data were simulated with it.

    Attributes
    ----------
    physics : Physics
        Its constants.
    bins, rtol
        As of `aeroact.simulate`.
    text : str
        What of it the card says.
    """

    physics: Physics
    bins: int
    rtol: float
    text: str

    def simulate(self, x: Rows, progress: Progress | None = None) -> Activation:
        """Simulate states, shape (n, 16)."""
        return parcel(x, physics=self.physics, bins=self.bins, rtol=self.rtol, progress=progress)


def job_of(card: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what `aeroact-data generate` was asked for; None if the data are not of its making."""
    try:
        job = stated(card, "provenance.data.job")
    except AeroactError:
        return None
    return job if isinstance(job, Mapping) else None


def truth_of(card: Mapping[str, Any]) -> Truth:
    """Return the parcel model of an emulator's training data, by its card.

    Raises
    ------
    AeroactError
        If the card asks for what the parcel model cannot do.
    """
    job = job_of(card)
    try:
        if job is not None:
            physics = resolve(job["physics"], job["accommodation"])
            text = f"preset {job['physics']}"
            if job["accommodation"] is not None:
                text += f", accommodation {job['accommodation']:g}"
            return Truth(physics, int(job["bins"]), float(job["rtol"]), text)
    except (KeyError, TypeError, ValueError) as error:
        raise AeroactError(f"card.json: provenance.data.job: {error!r}") from error
    try:
        named = stated(card, "provenance.data.physics")
    except AeroactError:
        named = None
    known = isinstance(named, str) and named in PRESETS
    text = f"preset {named}" if known else "preset default, for the card names none"
    return Truth(resolve(named if known else "default"), 50, 1e-4, text)


def holdout_mse(card: Mapping[str, Any]) -> float:
    """Return the MSE on the holdout that a card states.

    Raises
    ------
    AeroactError
        If it states none.
    """
    mse = stated(card, "holdout.mse")
    if isinstance(mse, bool) or not isinstance(mse, int | float) or not mse >= 0:
        raise AeroactError(f"card.json: holdout.mse is {mse!r:.40}")
    return float(mse)


@dataclass(frozen=True)
class Excursion:
    """A column that leaves the training bounds.

    Attributes
    ----------
    column, units : str
        Which.
    low, high : float
        The bounds.
    below, above : int
        Rows in which it leaves them.
    lowest, highest : float
        Over all rows.
    """

    column: str
    units: str
    low: float
    high: float
    below: int
    above: int
    lowest: float
    highest: float


class Domain:
    """Counts the states that lie within an emulator's training bounds.

    Parameters
    ----------
    bounds : tuple of ndarray, shapes (16,)
        Lowest and highest training values.

    Attributes
    ----------
    rows, outside : int
        States so far, and those of them with a column out of bounds.
    """

    def __init__(self, bounds: tuple[NDArray[np.float32], NDArray[np.float32]]) -> None:
        self.low, self.high = bounds
        self.rows = self.outside = 0
        self._below, self._above = np.zeros((2, schema.N_INPUTS), np.int64)
        self._lowest = np.full(schema.N_INPUTS, np.inf)
        self._highest = np.full(schema.N_INPUTS, -np.inf)

    def add(self, x: NDArray[np.float32]) -> None:
        """Take in states, shape (n, 16), all of them finite."""
        below, above = x < self.low, x > self.high
        self.rows += len(x)
        self.outside += int((below | above).any(axis=1).sum())
        self._below += below.sum(axis=0)
        self._above += above.sum(axis=0)
        self._lowest = np.minimum(self._lowest, x.min(axis=0, initial=np.inf))
        self._highest = np.maximum(self._highest, x.max(axis=0, initial=-np.inf))

    @property
    def excursions(self) -> list[Excursion]:
        """Columns that leave the bounds, the most frequent one first."""
        counts = self._below + self._above
        return [
            Excursion(
                schema.COLUMNS[j],
                schema.COLUMN_UNITS[j],
                float(self.low[j]),
                float(self.high[j]),
                int(self._below[j]),
                int(self._above[j]),
                float(self._lowest[j]),
                float(self._highest[j]),
            )
            for j in np.argsort(-counts, kind="stable")
            if counts[j]
        ]


Compared = dict[str, Measured]
"""`Measured` for ``emulator`` and ``arg2000``; empty where there is no row to measure on."""


@dataclass(frozen=True)
class Suitability:
    """What an emulator is worth on some states.

    Attributes
    ----------
    file : str
        Where they are.
    rows : int
        All that can be states.
    unsound : int
        More rows, which cannot, and which the file itself marks as having no label.
    outside : int
        Rows out of the training bounds.
    excursions : list of Excursion
        Columns that lead out.
    statuses : dict of str to int
        Sampled rows by status of the parcel model.
    truth : str
        The parcel model in words.
    within, beyond : Compared
        Errors on the sampled rows within the bounds and out of them, where there is an answer.
    holdout_mse : float
        What the card states for its own states.
    """

    file: str
    rows: int
    unsound: int
    outside: int
    excursions: list[Excursion]
    statuses: dict[str, int]
    truth: str
    within: Compared
    beyond: Compared
    holdout_mse: float

    @property
    def faults(self) -> list[str]:
        """Why it should be trained anew, a sentence each."""
        found = []
        if self.outside > OUTSIDE * self.rows:
            columns = ", ".join(each.column for each in self.excursions)
            found.append(
                f"{self.outside / self.rows:.2%} of the rows are outside of the training bounds, "
                f"by {columns}; up to {OUTSIDE:.1%} can be left to the fallback"
            )
        if self.judged:
            emulator, arg2000 = self.within["emulator"], self.within["arg2000"]
            if emulator.exceeds(_CLEARLY * self.holdout_mse):
                found.append(
                    f"the MSE within the bounds is {emulator.mse:.2e}, clearly above the "
                    f"{self.holdout_mse:.2e} of its holdout"
                )
            if emulator.mse > arg2000.mse:
                found.append(f"ARG2000 errs less within the bounds: {arg2000.mse:.2e}")
        return found

    @property
    def judged(self) -> bool:
        """Whether there are enough rows to judge the error within the bounds."""
        return bool(self.within) and self.within["emulator"].rows >= FEW

    @property
    def verdict(self) -> str:
        """``fit``, ``retrain``, or ``undecided`` where there are too few rows."""
        if self.faults:
            return "retrain"
        return "fit" if self.judged else "undecided"

    @property
    def advice(self) -> str:
        """What to do, in words."""
        if self.verdict == "fit":
            return "fit for use on these states, with the fallback on for those out of bounds"
        if self.verdict == "undecided":
            return (
                f"cannot tell: fewer than {FEW} sampled rows within the bounds have an answer of "
                "the parcel model; take more states, or a larger sample"
            )
        return f"retrain on these states, see docs/bring-your-own.md: {'; '.join(self.faults)}"

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for strict JSON: what is not a number is None."""
        told = {"verdict": self.verdict, "faults": self.faults, "advice": self.advice}
        content: dict[str, Any] = plain(asdict(self) | told)
        return content


def assess(
    emulator: Emulator,
    path: Path,
    *,
    samples: int = 1000,
    seed: int = 0,
    progress: ProgressBar = console.no_progress,
) -> Suitability:
    """Say what an emulator is worth on the states of a file.

    Parameters
    ----------
    emulator : Emulator
        With its card.
    path : Path
        A dataset in the schema; its labels, where it has any, are of no account.
    samples : int
        Rows that are simulated; all where the file has fewer.
    seed : int
        Of their choice.
    progress : ProgressBar
        Shows how far it is.

    Raises
    ------
    AeroactError
        If the file cannot be read as a dataset, or has states that cannot be right.
    """
    mse, truth = holdout_mse(emulator.card), truth_of(emulator.card)
    with dataset.open_dataset(path) as ds:
        states = ds.drop_vars(schema.FN.name, errors="ignore")
        domain = Domain(emulator.bounds)
        sound = _look_at(states, path, domain, progress)
        rows = np.flatnonzero(sound)
        choice = np.random.default_rng([seed, 0x5A7E5])
        x = _take(states, choice.choice(rows, min(samples, len(rows)), replace=False))
    with progress("Parcels", len(x), unit="parcels", after=2.0) as show:
        simulated = truth.simulate(x, show)
    known = simulated.ok
    inside = emulator.in_domain(x)
    counts = np.bincount(simulated.status, minlength=len(Status))
    return Suitability(
        str(path),
        domain.rows,
        len(sound) - domain.rows,
        domain.outside,
        domain.excursions,
        {status.name: int(counts[status]) for status in Status if counts[status]},
        truth.text,
        _compared(emulator, x[known & inside], simulated.fn[known & inside]),
        _compared(emulator, x[known & ~inside], simulated.fn[known & ~inside]),
        mse,
    )


def _compared(emulator: Emulator, x: NDArray[np.float32], fn: Rows) -> Compared:
    if not len(x):
        return {}
    return {
        "emulator": measure(fn, emulator.predict(x)),
        "arg2000": measure(fn, predict_arg2000(x)),
    }


def _look_at(
    ds: "xr.Dataset", path: Path, domain: Domain, progress: ProgressBar
) -> NDArray[np.bool_]:
    """Add every row that can be a state to the domain; returns which these are, shape (rows,)."""
    findings, sound = dataset.Findings(), np.ones(ds.sizes[schema.SAMPLE_DIM], bool)
    with progress("Reading states", len(sound), unit="rows", after=2.0) as show:
        for start, block in dataset.blocks(ds):
            findings.look_at(block)
            x = dataset.states(block)
            here = sound[start : start + len(x)]
            for _, bad in dataset.problems(x):
                here &= ~bad
            domain.add(x[here].astype(np.float32))
            show(start + len(x))
    dataset.require_sound(path, findings)
    return sound


def _take(ds: "xr.Dataset", rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the states of some rows in the file's order."""
    parts = [np.empty((0, schema.N_INPUTS), np.float32)]
    for start, block in dataset.blocks(ds):
        x = dataset.states(block).astype(np.float32)
        parts.append(x[rows[(rows >= start) & (rows < start + len(x))] - start])
    return np.concatenate(parts)
