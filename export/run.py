"""A whole export: convert every retrained network, compare, time, rank, bundle the pick."""

import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeroact import schema
from aeroact.console import Progress
from aeroact.errors import AeroactError
from aeroact.export import bench, bundle, figure, parity, weights
from aeroact.export.convert import to_onnx
from aeroact.export.holdout import Holdout, arg2000_errors, predict_arg2000
from aeroact.export.rank import Candidate, pick, ranking
from aeroact.hpo import network
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.journal import Trial
from aeroact.hpo.tables import by_holdout
from aeroact.metrics import Errors
from aeroact.normalization import Normalization
from aeroact.zoo import Emulator

if TYPE_CHECKING:
    import keras

_COMPARED_STATES = 50_000
_DRAWN_STATES = 200_000


@dataclass(frozen=True)
class Ranking:
    """Every usable network of a run, and E3SM's parameterization beside them.

    Attributes
    ----------
    candidates : list of Candidate
        By holdout MSE, best first.
    refused : dict of str to str
        Trials that could not be exported, with the reason.
    arg2000 : Errors
        Of ARG2000 on the same holdout.
    arg2000_timing : bench.Timing
        Of ARG2000, compiled, in the same run.
    batch : int
        States a call in the timings.
    """

    candidates: list[Candidate]
    refused: dict[str, str]
    arg2000: Errors
    arg2000_timing: bench.Timing
    batch: int


@dataclass(frozen=True)
class _Converted:
    trial: Trial
    onnx: bytes
    emulator: Emulator
    parity: float


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


def rank_run(folder: RunFolder, holdout: Holdout, batch: int, progress: Progress) -> Ranking:
    """Convert, compare and time the retrained networks of a run.

    Parameters
    ----------
    folder : RunFolder
        A run with Step 2.
    holdout : Holdout
        Its holdout.
    batch : int
        States a call in the timings.
    progress : Progress
        Is told the number of converted networks.

    Raises
    ------
    AeroactError
        If the run has no retrained network, or too few holdout rows to compare on.
    """
    if len(holdout) < parity.MIN_STATES:
        raise AeroactError(
            f"{holdout.path}: {len(holdout):,} holdout rows; an export is compared with Keras on "
            f"at least {parity.MIN_STATES:,}"
        )
    x, _ = holdout.first(_COMPARED_STATES)
    normalization = folder.normalization()
    converted, refused = [], {}
    for done, trial in enumerate(networks(folder), start=1):
        try:
            converted.append(_convert(folder, trial, normalization, x))
        except AeroactError as error:
            refused[trial.name] = str(error)
        progress(done)

    predictors: dict[str, bench.Predict] = {c.trial.name: c.emulator.predict for c in converted}
    timings = bench.time_all({**predictors, "ARG2000": predict_arg2000}, x, batch)
    candidates = [Candidate(c.trial, c.onnx, c.parity, timings[c.trial.name]) for c in converted]
    return Ranking(ranking(candidates), refused, arg2000_errors(holdout), timings["ARG2000"], batch)


def _convert(
    folder: RunFolder, trial: Trial, normalization: Normalization, x: NDArray[np.float32]
) -> _Converted:
    model = load_network(folder, trial)
    content = folder.read()
    metadata = {
        "trial": trial.name,
        "nodes": list(trial.widths),
        "holdout_mse": trial.holdout["mse"],
        "holdout_r2": trial.holdout["r2"],
        "data_sha256": content["data"]["sha256"],
        "generator": f"aeroact {content['versions']['aeroact']}",
    }
    onnx = to_onnx(model, normalization, metadata).SerializeToString()
    emulator = Emulator(onnx)
    return _Converted(trial, onnx, emulator, parity.with_keras(emulator, model, normalization, x))


def load_network(folder: RunFolder, trial: Trial) -> "keras.Model":
    """Read a retrained network.

    Raises
    ------
    AeroactError
        If its file is missing or damaged.
    """
    path = folder.model(trial.name)
    if not path.is_file():
        raise AeroactError(f"{path}: the network of trial {trial.name} is missing")
    try:
        return network.load(path)
    except (OSError, ValueError, KeyError) as error:
        raise AeroactError(f"{path}: cannot be read as a Keras network ({error})") from error


def export(
    folder: RunFolder,
    out: Path,
    rule: str,
    *,
    tolerance: float,
    max_mse: float | None,
    batch: int,
    progress: Progress,
) -> tuple[Ranking, Candidate, str]:
    """Rank the networks of a run and bundle the one that a rule picks.

    Parameters
    ----------
    folder : RunFolder
        A run with Step 2.
    out : Path
        The bundle's folder.
    rule, tolerance, max_mse
        See `rank.pick`.
    batch : int
        States a call in the timings.
    progress : Progress
        Is told the number of converted networks.

    Returns
    -------
    Ranking
        All candidates.
    Candidate
        The pick.
    str
        The rule in words.
    """
    holdout = Holdout(folder)
    ranked = rank_run(folder, holdout, batch, progress)
    chosen, meaning = pick(ranked.candidates, rule, tolerance=tolerance, max_mse=max_mse)
    layers = weights.layers_of(load_network(folder, chosen.trial))
    normalization = folder.normalization()
    write_weights = partial(weights.write, layers=layers, normalization=normalization)

    emulator = Emulator(chosen.onnx)
    x, fn = holdout.first(_DRAWN_STATES)
    difference = _compare_weights(emulator, write_weights, x[:_COMPARED_STATES])
    card = _card(folder, holdout, out, ranked, chosen, rule, meaning, difference)
    drawing = figure.predicted_against_simulated(
        fn,
        {
            f"emulator, {chosen.trial.params:,} parameters": emulator.predict(x),
            "ARG2000": predict_arg2000(x),
        },
    )
    bundle.write(
        out,
        chosen.onnx,
        card,
        {bundle.WEIGHTS_FILE: write_weights, bundle.FIGURE_FILE: drawing.savefig},
    )
    return ranked, chosen, meaning


def _compare_weights(
    emulator: Emulator, write: Callable[[Path], None], x: NDArray[np.float32]
) -> float:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / bundle.WEIGHTS_FILE
        write(path)
        return parity.with_weights(emulator, path, x)


def _card(
    folder: RunFolder,
    holdout: Holdout,
    out: Path,
    ranked: Ranking,
    chosen: Candidate,
    rule: str,
    meaning: str,
    weights_difference: float,
) -> dict[str, Any]:
    content, trial = folder.read(), chosen.trial
    normalization = folder.normalization()
    columns = zip(
        schema.COLUMNS,
        schema.COLUMN_UNITS,
        normalization.low.tolist(),
        normalization.high.tolist(),
        strict=True,
    )
    return {
        "name": out.name,
        "schema_version": schema.SCHEMA_VERSION,
        "licence": "BSD-3-Clause",
        "network": {
            "layers": len(trial.widths),
            "nodes": list(trial.widths),
            "params": trial.params,
        },
        "pick": {"rule": rule, "meaning": meaning},
        "columns": [
            {"name": name, "units": units, "low": low, "high": high}
            for name, units, low, high in columns
        ],
        "outputs": list(schema.OUTPUTS),
        "holdout": trial.holdout,
        "arg2000": {
            "mse": ranked.arg2000.mse,
            "r2": ranked.arg2000.r2,
            "mse_by_mode": ranked.arg2000.mse_by_mode.tolist(),
        },
        "cost": {
            "us_per_sample": chosen.timing.median,
            "batch": ranked.batch,
            "arg2000_us_per_sample": ranked.arg2000_timing.median,
            "multiple_of_arg2000": chosen.timing.median / ranked.arg2000_timing.median,
            "machine": _processor(),
            "onnxruntime": version("onnxruntime"),
        },
        "parity": {
            "keras": chosen.parity,
            "weights": weights_difference,
            "states": min(len(holdout), _COMPARED_STATES),
        },
        "provenance": {
            "trial": trial.name,
            "project": content["project"],
            "data": {**content["data"], "physics": holdout.physics},
            "versions": content["versions"],
        },
    }


def _processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
