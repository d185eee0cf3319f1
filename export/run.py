"""A whole export: convert every retrained network, compare, time, rank, bundle the pick."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w

from aeroact.assess import assessment
from aeroact.assess.box import Box
from aeroact.console import ProgressBar, no_progress
from aeroact.eam import columns as eam_columns
from aeroact.emulator import Emulator, require_fractions
from aeroact.errors import AeroactError
from aeroact.export import (
    bench,
    bundle,
    card,
    figure,
    native,
    optimize,
    parity,
    rewrites,
    table,
    weights,
)
from aeroact.export.convert import layers_of, restated, to_onnx
from aeroact.export.cost_figure import accuracy_against_cost
from aeroact.export.layers import params, widths
from aeroact.export.rank import Candidate, pick, ranking
from aeroact.files import require_writable, write_text
from aeroact.hpo import network
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.holdout import Holdout
from aeroact.hpo.journal import Trial
from aeroact.hpo.tables import by_holdout
from aeroact.normalization import Normalization
from aeroact.references import predict_arg2000
from aeroact.regions import Breakdown, breakdowns
from aeroact.strict_json import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TRIED_STATES = 200_000
"""Of the holdout, for figures and for trying other forms; as many training states."""


@dataclass(frozen=True)
class Choice:
    """Which emulator is wanted.

    Attributes
    ----------
    rule, tolerance, max_mse
        See `rank.pick`.
    batch : int
        States a call in the times that decide.
    """

    rule: str = "lightest"
    tolerance: float = 1.5
    max_mse: float | None = None
    batch: int = 1024


@dataclass(frozen=True)
class Form:
    """What the emulator is to be like.

    Attributes
    ----------
    guard : bool
        Whether it has the output ``in_domain``.
    optimize : bool
        Whether smaller and faster forms of it are tried.
    max_growth : float
        By how much of itself the MSE may grow for one of these.
    """

    guard: bool = False
    optimize: bool = False
    max_growth: float = 0.01


@dataclass(frozen=True)
class Ranking:
    """Every usable network of a run, and E3SM's parameterization beside them.

    Attributes
    ----------
    candidates : list of Candidate
        By holdout MSE, best first.
    refused : dict of str to str
        Trials that could not be exported, with the reason.
    arg2000 : Breakdown
        Errors of ARG2000 on the same holdout.
    costs : bench.Report
        Times of all of them in one run, by trial.
    records : list of dict
        The ranking as `table` writes it.
    """

    candidates: list[Candidate]
    refused: dict[str, str]
    arg2000: Breakdown
    costs: bench.Report
    records: list[table.Record]


@dataclass(frozen=True)
class Exported:
    """What an export did.

    Attributes
    ----------
    ranking : Ranking
        Of all networks of the run.
    chosen : Candidate
        The pick.
    meaning : str
        The rule in words.
    card : dict
        The model card.
    """

    ranking: Ranking
    chosen: Candidate
    meaning: str
    card: dict[str, Any]


def networks(folder: RunFolder) -> list[Trial]:
    """Return the usable retrained networks of a run, best first.

    Raises
    ------
    AeroactError
        If there is no run, or it has none.
    """
    folder.project()  # says where there is no run at all
    trials = by_holdout(folder.journal.finished(2))
    if not trials:
        raise AeroactError(
            f"{folder.path}: no retrained network; finish it with aeroact-hpo run --out "
            f"{folder.path}"
        )
    return trials


def _failed(folder: RunFolder) -> dict[str, str]:
    """Return the failed retrainings with what happened to them."""
    trials = folder.journal.finished(2).values()
    return {trial.name: trial.message for trial in trials if trial.status == "FAILED"}


def rank(
    folder: RunFolder,
    choice: Choice,
    form: Form = Form(),
    progress: ProgressBar = no_progress,
    holdout: Holdout | None = None,
) -> Ranking:
    """Convert, compare and time the retrained networks of a run.

    Parameters
    ----------
    folder : RunFolder
        A run with Step 2.
    choice : Choice
        For the picks in the table.
    form : Form
        What they are to be like.
    progress : ProgressBar
        Shows how far it is.
    holdout : Holdout, optional
        The run's, where the caller has it already.

    Raises
    ------
    AeroactError
        If the run has no retrained network that can be exported.
    """
    trials = networks(folder)
    holdout = holdout or Holdout(folder)
    normalization = folder.normalization()
    x, _ = holdout.first(parity.MIN_STATES)
    compared = parity.states(x, normalization)
    converted: dict[str, tuple[bytes, parity.Parity]] = {}
    refused: dict[str, str] = {}
    with progress("Converting, comparing with Keras", len(trials)) as show:
        for done, trial in enumerate(trials, start=1):
            try:
                converted[trial.name] = _convert(folder, trial, normalization, compared, form)
            except AeroactError as error:
                refused[trial.name] = str(error)
            show(done)
    if not converted:
        reasons = "; ".join(f"trial {name}: {reason}" for name, reason in refused.items())
        raise AeroactError(f"{folder.path}: there is no usable emulator to pick from ({reasons})")

    batches = sorted({*bench.BATCHES, choice.batch})
    with progress("Timing on one core, rounds", bench.units(figure_s4=False)) as show:
        costs = bench.measure(
            {name: onnx for name, (onnx, _) in converted.items()},
            x,
            batches,
            figure_s4=False,
            progress=show,
        )
    candidates = ranking(
        [
            Candidate(t, *converted[t.name], costs.timings[t.name][choice.batch])
            for t in trials
            if t.name in converted
        ]
    )
    arg2000 = breakdowns(holdout.blocks(), {"ARG2000": predict_arg2000})["ARG2000"]
    records = table.rows(
        candidates,
        arg2000.total.errors,
        costs.arg2000,
        tolerance=choice.tolerance,
        max_mse=choice.max_mse,
    )
    return Ranking(candidates, refused, arg2000, costs, records)


def _convert(
    folder: RunFolder,
    trial: Trial,
    normalization: Normalization,
    compared: parity.States,
    form: Form,
) -> tuple[bytes, parity.Parity]:
    model = network.load(folder.model(trial.name))
    metadata = _metadata(folder, trial, trial.holdout)
    try:
        layers = layers_of(model)
        onnx = to_onnx(layers, normalization, metadata, guard=form.guard)
    except AeroactError as error:
        raise AeroactError(f"{folder.model(trial.name)}: {error}") from error
    emulator = Emulator(onnx)
    require_fractions(emulator)
    allowed = parity.allowed_beyond_data(layers)
    return onnx, parity.with_keras(emulator, model, normalization, compared, allowed)


def _metadata(folder: RunFolder, trial: Trial, holdout: dict[str, Any]) -> dict[str, Any]:
    content = folder.read()
    return {
        "trial": trial.name,
        "nodes": list(trial.widths),
        "holdout_mse": holdout["mse"],
        "holdout_r2": holdout["r2"],
        "data_sha256": content["data"]["sha256"],
        "generator": f"aeroact {content['versions']['aeroact']}",
    }


def export(
    folder: RunFolder,
    out: Path,
    choice: Choice,
    form: Form = Form(),
    progress: ProgressBar = no_progress,
    *,
    in_fortran: bool = False,
    assess: bool = False,
    columns: Path | None = None,
) -> Exported:
    """Rank the networks of a run and bundle the one that is wanted.

    Parameters
    ----------
    folder : RunFolder
        A run with Step 2.
    out : Path
        The bundle's folder.
    choice : Choice
        Which one.
    form : Form
        What it is to be like.
    progress : ProgressBar
        Shows how far it is.
    in_fortran : bool
        Whether the pick is timed in compiled Fortran, too.
    assess : bool
        Whether it is assessed further than by its errors on the holdout.
    columns : Path, optional
        E3SM columns for that, as `aeroact.eam.columns` reads them.

    Raises
    ------
    AeroactError
        If there is nothing to export, the pick is not what was tested, or a compiler is
        wanted and missing; then nothing is written.
    """
    require_writable(out)
    if in_fortran:
        native.require_compiler()
    layers_of_columns = None if columns is None else eam_columns.read(columns)
    networks(folder)  # says where there is none before the data are read
    holdout = Holdout(folder)
    ranked = rank(folder, choice, form, progress, holdout)
    chosen, meaning = pick(
        ranked.candidates,
        choice.rule,
        tolerance=choice.tolerance,
        max_mse=choice.max_mse,
        refused=_failed(folder) | ranked.refused,
    )
    normalization = folder.normalization()
    layers = layers_of(network.load(folder.model(chosen.trial.name)))
    onnx, totals = chosen.onnx, chosen.trial.holdout
    variants: list[optimize.Variant] = []
    x, fn = holdout.first(_TRIED_STATES)
    if form.optimize:
        metadata = _metadata(folder, chosen.trial, totals)
        with progress("Trying smaller and faster forms", optimize.STEPS) as show:
            variants = optimize.try_all(
                layers,
                normalization,
                metadata,
                x,
                fn,
                holdout.training(_TRIED_STATES),
                guard=form.guard,
                batch=choice.batch,
                max_growth=form.max_growth,
                progress=show,
            )
        kept = optimize.kept(variants)
        onnx, layers = kept.onnx or onnx, kept.layers

    with progress("Predicting the holdout", len(holdout), unit="states", after=2.0) as show:
        predictors = {"emulator": Emulator(onnx).predict}
        errors = breakdowns(holdout.blocks(), predictors, show)["emulator"]
    if onnx != chosen.onnx:
        totals = card.totals(errors)
        stated = {"holdout_mse": totals["mse"], "holdout_r2": totals["r2"]}
        onnx = restated(onnx, {"nodes": list(widths(layers)), **stated})
    emulator = Emulator(onnx)
    # As many drawn states, which a check of the bundle has to do with.
    compared = parity.states(x[: parity.MIN_STATES // 2], normalization)
    # 8-bit kernels are not those of weights.nc, and differ by what they differ.
    bound = np.inf if rewrites.is_quantized(onnx) else parity.MAX_DIFFERENCE
    difference = parity.with_weights(emulator, layers, normalization, compared, bound)
    largest = max(difference.largest, difference.at_corners)
    picked, batches = {chosen.trial.name: onnx}, sorted({*bench.BATCHES, choice.batch})
    with progress("Timing the pick, rounds", bench.units()) as show:
        costs = bench.measure(picked, x, batches, progress=show)
    fortran = None
    if in_fortran:
        with progress("Timing it in Fortran, rounds", native.UNITS) as show:
            fortran = native.measure(picked, x, batches, progress=show)
    content = card.make(
        name=out.name,
        layers=layers,
        normalization=normalization,
        pick=(choice.rule, meaning),
        holdout=totals,
        errors=errors,
        arg2000=ranked.arg2000,
        costs=costs,
        timed_as=chosen.trial.name,
        batch=choice.batch,
        parity=chosen.parity,
        weights_difference=largest,
        bound=max(bound, parity.allowed_beyond_data(layers)) if np.isfinite(bound) else 2 * largest,
        provenance=_provenance(folder, chosen.trial, holdout),
        guard=form.guard,
        optimized=optimize.records(variants) if variants else None,
        fortran=fortran,
    )
    if assess:
        found = assessment.assess(
            emulator.predict,
            holdout.blocks,
            len(holdout),
            (x, fn),
            Box(normalization.low, normalization.high),
            sampled=holdout.sampled,
            physics=holdout.physics,
            columns=layers_of_columns,
            seed=folder.project().seed,
            progress=progress,
        )
        content["assessment"] = plain(found, digits=6)
    drawing = figure.predicted_against_simulated(
        fn,
        {
            f"emulator, {params(layers):,} parameters": emulator.predict(x),
            "ARG2000": predict_arg2000(x),
        },
    )
    plane = draw(folder, ranked, choice)
    bundle.write(
        out,
        onnx,
        content,
        {
            bundle.WEIGHTS_FILE: partial(weights.write, layers=layers, normalization=normalization),
            bundle.FIGURE_FILE: partial(figure.save, figure=drawing),
            bundle.COST_FIGURE_FILE: partial(figure.save, figure=plane),
            bundle.RANKING_FILE: partial(table.write, records=ranked.records),
            folder.project_file.name: partial(_write_project, folder=folder),
            folder.step1_table.name: partial(shutil.copyfile, folder.step1_table),
            folder.step2_table.name: partial(shutil.copyfile, folder.step2_table),
        },
    )
    return Exported(ranked, chosen, meaning, content)


def draw(folder: RunFolder, ranking: Ranking, choice: Choice) -> "Figure":
    """Draw accuracy against cost of a run's networks."""
    title = f"{folder.path.resolve().name}, batch {choice.batch}"
    return accuracy_against_cost(ranking.records, title)


def _write_project(path: Path, folder: RunFolder) -> None:
    write_text(path, tomli_w.dumps(folder.released()))


def _provenance(folder: RunFolder, trial: Trial, holdout: Holdout) -> dict[str, Any]:
    content = folder.released()
    return {
        "trial": trial.name,
        "project": content["project"],
        "data": {
            **content["data"],
            "physics": holdout.physics,
            "training_rows": holdout.training_rows,
            "job": holdout.job,
        },
        "versions": content["versions"],
    }
