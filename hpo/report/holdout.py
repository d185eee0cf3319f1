"""What the best networks, and ARG2000, make of the holdout: errors, where, and the worst states."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aeroact import schema
from aeroact.console import ProgressBar
from aeroact.errors import AeroactError
from aeroact.hpo import network
from aeroact.hpo.holdout import Holdout
from aeroact.hpo.journal import Trial
from aeroact.hpo.report.hexagons import Hexagons
from aeroact.hpo.report.inference import ARG2000, session_of
from aeroact.hpo.report.runs import Run
from aeroact.physics.constants import PRESETS
from aeroact.references import FINE_BINS, FINE_RTOL, parcel, predict_arg2000
from aeroact.regions import AXES, Breakdown, Predict, Region

WORST = 20
"""States with the largest errors that are listed for a network."""

Rows = NDArray[np.floating]


@dataclass(frozen=True)
class Pick:
    """A retrained network that the report looks at closely.

    Attributes
    ----------
    role : str
        Why: "best", "lightest", ...; several with commas.
    run : Run
        Where it is from.
    trial : Trial
        Its Step-2 record.
    """

    role: str
    run: Run
    trial: Trial


def picks(runs: Sequence[Run]) -> list[Pick]:
    """Choose the networks of the paper's Figure 3: the three best, the lightest, the heaviest.

    Failed retrainings are left out. An architecture counts once: projects with one seed and
    one dataset that retrain the same trial come to the same network.
    """
    usable = [(run, t) for run in runs for t in run.step2.values() if t.status == "COMPLETED"]
    usable.sort(key=lambda each: (each[1].holdout["mse"], each[0].name, each[1].name))
    kinds = {(run.project.activation, t.candidate): (run, t) for run, t in reversed(usable)}
    distinct = list(kinds.values())
    distinct.reverse()
    if not distinct:
        return []
    by_size = sorted(distinct, key=lambda each: each[1].params)
    roles = zip(("best", "second", "third"), distinct, strict=False)
    named = [*roles, ("lightest", by_size[0]), ("heaviest", by_size[-1])]
    together: dict[int, list[str]] = {}
    for role, chosen in named:
        together.setdefault(distinct.index(chosen), []).append(role)
    return [Pick(", ".join(names), *distinct[place]) for place, names in together.items()]


@dataclass
class _Worst:
    """The rows with the largest absolute error of any mode, of all blocks so far."""

    x: Rows = field(default_factory=lambda: np.zeros((0, schema.N_INPUTS)))
    fn: Rows = field(default_factory=lambda: np.zeros((0, schema.N_OUTPUTS)))
    prediction: Rows = field(default_factory=lambda: np.zeros((0, schema.N_OUTPUTS)))

    def add(self, *block: Rows) -> None:
        kept = (self.x, self.fn, self.prediction)
        x, fn, prediction = (np.concatenate(parts) for parts in zip(kept, block, strict=True))
        worst = np.argsort(-np.abs(prediction - fn).max(axis=1), kind="stable")[:WORST]
        self.x, self.fn, self.prediction = x[worst], fn[worst], prediction[worst]


@dataclass
class _Seen:
    """All that is counted of one network's predictions, in bins for some modes."""

    hexagons: dict[str, Hexagons]
    breakdown: Breakdown = field(default_factory=Breakdown)
    worst: _Worst = field(default_factory=_Worst)

    def add(self, x: Rows, fn: Rows, prediction: Rows) -> None:
        self.breakdown.add(x, fn, prediction)
        for mode, hexagons in self.hexagons.items():
            column = schema.MODES.index(mode)
            hexagons.add(fn[:, column], prediction[:, column])
        self.worst.add(x, fn, prediction)


@dataclass(frozen=True)
class Predicted:
    """The networks' tables over the holdout.

    Attributes
    ----------
    networks : pandas.DataFrame
        A row each, ARG2000 last: role, where it is from, size, MSE and R2 by mode and of all.
    hexagons : pandas.DataFrame
        Counts of (simulated, predicted) by network and mode, for Figure 3.
    regions : pandas.DataFrame
        Errors by network and region of state space.
    worst : pandas.DataFrame
        The worst states by network, with the parcel model's answer at fine settings.
    problems : list of str
        Networks that could not be looked at, and why.
    """

    networks: pd.DataFrame
    hexagons: pd.DataFrame
    regions: pd.DataFrame
    worst: pd.DataFrame
    problems: list[str]


def predict(chosen: Sequence[Pick], modes: Sequence[str], progress: ProgressBar) -> Predicted:
    """Let networks, and ARG2000, predict the holdout in one pass over each dataset.

    Parameters
    ----------
    chosen : sequence of Pick
        Each on the holdout of its own run; ARG2000 on that of the first.
    modes : sequence of str
        Whose activated fractions are binned.
    progress : ProgressBar
        Shows how far it is.

    Raises
    ------
    AeroactError
        If none of them can be looked at: the data or the networks are gone.
    """
    seen: dict[str, _Seen] = {}
    problems: list[str] = []
    physics: dict[str, str] = {}
    for group in _by_holdout(chosen):
        try:
            holdout = Holdout(group[0].run.folder)
        except AeroactError as error:
            problems.append(str(error))
            continue
        predictors: dict[str, Predict] = {}
        for pick in group:
            try:
                predictors[pick.role] = _predictor(pick.run, pick.trial)
            except AeroactError as error:
                problems.append(str(error))
        if not predictors:
            continue
        if ARG2000 not in seen:
            predictors[ARG2000] = predict_arg2000
        physics |= dict.fromkeys(predictors, holdout.physics)
        found = {role: _Seen({mode: Hexagons() for mode in modes}) for role in predictors}
        with progress("Predicting the holdout", len(holdout), unit="states", after=2.0) as show:
            done = 0
            for x, fn in holdout.blocks():
                for role, predictor in predictors.items():
                    found[role].add(x, fn, predictor(x))
                show(done := done + len(x))
        seen |= found
    if not seen:
        raise AeroactError("; ".join(dict.fromkeys(problems)) or "no network was retrained")
    order = [p for p in chosen if p.role in seen]
    return Predicted(
        networks=_networks(order, seen),
        hexagons=_hexagons(seen),
        regions=_regions(seen),
        worst=pd.concat(
            [_worst(role, each.worst, physics[role]) for role, each in seen.items()],
            ignore_index=True,
        ),
        problems=list(dict.fromkeys(problems)),
    )


def _by_holdout(chosen: Sequence[Pick]) -> list[list[Pick]]:
    """Group networks that were tested on the same rows."""
    groups: dict[tuple[Any, ...], list[Pick]] = {}
    for pick in chosen:
        project, data = pick.run.project, pick.run.content.get("data", {})
        rows = (data.get("sha256"), project.seed, project.holdout, project.validation)
        groups.setdefault(rows, []).append(pick)
    return list(groups.values())


def _predictor(run: Run, trial: Trial) -> Callable[[Rows], NDArray[np.float32]]:
    weights = network.load(run.folder.model(trial.name)).get_weights()
    session = session_of(weights, run.project.activation, threads=0)
    normalization = run.folder.normalization()

    def predict(x: Rows) -> NDArray[np.float32]:
        z = normalization.apply(x).astype(np.float32)
        fn: NDArray[np.float32] = session.run(["fn"], {"state": z})[0]
        return fn

    return predict


# --- tables -----------------------------------------------------------------------------------


def _networks(order: Sequence[Pick], seen: dict[str, _Seen]) -> pd.DataFrame:
    about: dict[str, dict[str, Any]] = {
        pick.role: {
            "project": pick.run.name,
            "trial": pick.trial.name,
            "layers": len(pick.trial.widths),
            "params": pick.trial.params,
        }
        for pick in order
    }
    nothing = {"project": None, "trial": None, "layers": None, "params": None}
    table = pd.DataFrame(
        {
            "network": role,
            **about.get(role, nothing),
            "rows": seen[role].breakdown.total.errors.rows,
            **_errors(seen[role].breakdown.total),
            "largest_error": seen[role].breakdown.sizes.largest,
        }
        for role in (*about, ARG2000)
    )
    return table.astype({"layers": "Int64", "params": "Int64"})


def _errors(region: Region) -> dict[str, float]:
    errors = region.errors
    return {
        "mse": errors.mse,
        "r2": errors.r2,
        **{f"mse_{o}": v for o, v in zip(schema.OUTPUTS, errors.mse_by_mode, strict=True)},
        **{f"r2_{o}": v for o, v in zip(schema.OUTPUTS, errors.r2_by_mode, strict=True)},
        "bias": region.bias,
    }


def _hexagons(seen: dict[str, _Seen]) -> pd.DataFrame:
    parts = []
    for role, each in seen.items():
        for mode, hexagons in each.hexagons.items():
            x, y, count = hexagons.bins
            part = pd.DataFrame({"simulated": x, "predicted": y, "count": count}).round(5)
            parts.append(part.assign(network=role, mode=mode))
    return pd.concat(parts, ignore_index=True)


def _regions(seen: dict[str, _Seen]) -> pd.DataFrame:
    rows = []
    for role, each in seen.items():
        for axis in AXES:
            regions = each.breakdown.regions[axis.key]
            for (low, high), region in zip(axis.intervals, regions, strict=True):
                about: dict[str, Any] = {"network": role, "by": axis.key, "title": axis.title}
                about |= {"units": axis.units, "low": low, "high": high}
                count = region.errors.rows
                rows.append(about | {"rows": count} | (_errors(region) if count else {}))
    return pd.DataFrame(rows)


def _worst(role: str, worst: _Worst, physics: str) -> pd.DataFrame:
    """Return the worst states of a network, with the parcel model's answer anew."""
    errors = np.abs(worst.prediction - worst.fn)
    columns: dict[str, Any] = {"network": role, "error": errors.max(axis=1)}
    columns["mode"] = np.array(schema.MODES)[errors.argmax(axis=1)]
    if physics in PRESETS:
        fine = parcel(worst.x, physics=physics, bins=FINE_BINS, rtol=FINE_RTOL)
        columns["label_error"] = np.abs(worst.fn - fine.fn).max(axis=1)
        columns["smax"] = fine.smax
        columns |= _by_mode("parcel", fine.fn)
    columns |= _by_mode("label", worst.fn) | _by_mode("predicted", worst.prediction)
    columns |= dict(zip(schema.COLUMNS, worst.x.T, strict=True))
    return pd.DataFrame(columns)


def _by_mode(kind: str, fn: Rows) -> dict[str, Rows]:
    return {f"{o}_{kind}": column for o, column in zip(schema.OUTPUTS, fn.T, strict=True)}
