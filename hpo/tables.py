"""The tables of a run: `step1.csv`, and `step2.csv` with the columns of the paper's Table S1."""

import csv
import io
from pathlib import Path
from typing import Any

from aeroact.files import write_text
from aeroact.hpo.journal import Trial
from aeroact.hpo.shortlist import ranked
from aeroact.schema import OUTPUTS

Row = dict[str, Any]
"""Of a table, by the names of its columns; None: no value."""


def write_step1(path: Path, trials: dict[str, Trial]) -> None:
    """Write all trials of Step 1, the best first and the failed last."""
    _write(path, step1_rows(trials))


def step1_rows(trials: dict[str, Trial]) -> list[Row]:
    """Return all trials of Step 1, the best first and the failed last."""
    order = ranked(trials.values())
    place = {trial.name: rank for rank, trial in enumerate(order, start=1)}
    order += sorted((t for t in trials.values() if t.name not in place), key=lambda t: t.name)
    return [_step1_row(trial, place.get(trial.name)) for trial in order]


def _step1_row(trial: Trial, rank: int | None) -> Row:
    return {
        "rank": rank,
        "trial": trial.name,
        "val_mse": trial.best_val_mse if trial.status != "FAILED" else None,
        **_architecture(trial),
        "epochs": len(trial.val_mse),
        "seconds": round(trial.seconds, 3),
        "inference_us": trial.inference_us or None,
        "status": trial.status,
        "message": trial.message,
    }


def write_step2(path: Path, project: str, step1: dict[str, Trial], step2: dict[str, Trial]) -> None:
    """Write the retrained networks by holdout MSE, the failed ones last."""
    _write(path, step2_rows(project, step1, step2))


def step2_rows(project: str, step1: dict[str, Trial], step2: dict[str, Trial]) -> list[Row]:
    """Return the retrained networks by holdout MSE, the failed ones last."""
    val_rank = {trial.name: rank for rank, trial in enumerate(ranked(step1.values()), start=1)}
    order = by_holdout(step2)
    order += [trial for trial in step2.values() if trial.status == "FAILED"]
    rows = []
    for rank, trial in enumerate(order, start=1):
        nothing = [None] * len(OUTPUTS)
        mse_by_mode = trial.holdout.get("mse_by_mode", nothing)
        r2_by_mode = trial.holdout.get("r2_by_mode", nothing)
        rows.append(
            {
                "rank": rank if trial.status == "COMPLETED" else None,
                "project": project,
                "val_rank_step1": val_rank[trial.name],
                "test_mse": trial.holdout.get("mse"),
                **_architecture(trial),
                "trial": trial.name,
                "test_r2": trial.holdout.get("r2"),
                **{f"test_mse_{o}": mse for o, mse in zip(OUTPUTS, mse_by_mode, strict=True)},
                **{f"test_r2_{o}": r2 for o, r2 in zip(OUTPUTS, r2_by_mode, strict=True)},
                "val_mse": trial.best_val_mse if trial.val_mse else None,
                "val_mse_step1": step1[trial.name].best_val_mse,
                "epochs": len(trial.val_mse),
                "best_epoch": trial.best_epoch if trial.val_mse else None,
                "seconds": round(trial.seconds, 3),
                "status": trial.status,
                "message": trial.message,
            }
        )
    return rows


def by_holdout(step2: dict[str, Trial]) -> list[Trial]:
    """Return the usable retrained networks by holdout MSE, best first; ties by name."""
    usable = [trial for trial in step2.values() if trial.status == "COMPLETED"]
    return sorted(usable, key=lambda trial: (trial.holdout["mse"], trial.name))


def nodes_text(trial: Trial) -> str:
    """Return the nodes of the hidden layers as the paper's tables print them."""
    return ", ".join(map(str, trial.widths))


def _architecture(trial: Trial) -> Row:
    columns: Row = {"layers": len(trial.widths), "params": trial.params}
    columns["nodes"] = nodes_text(trial)
    for name in ("learning_rate", "batch_size"):
        if getattr(trial, name) is not None:  # where the space varies it, in every row
            columns[name] = getattr(trial, name)
    return columns


def _write(path: Path, rows: list[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
