"""The tables of a run: `step1.csv`, and `step2.csv` with the columns of the paper's Table S1."""

import csv
import io
from pathlib import Path
from typing import Any

from aeroact.files import write_text
from aeroact.hpo.journal import Trial
from aeroact.hpo.step2 import ranked
from aeroact.schema import OUTPUTS


def write_step1(path: Path, trials: dict[str, Trial]) -> None:
    """Write all trials of Step 1, the best first and the failed last."""
    order = ranked(trials)
    order += sorted((t for t in trials.values() if t.status == "FAILED"), key=lambda t: t.name)
    _write(path, [_step1_row(rank, trial) for rank, trial in enumerate(order, start=1)])


def _step1_row(rank: int, trial: Trial) -> dict[str, Any]:
    done = trial.status == "COMPLETED"
    return {
        "rank": rank if done else "",
        "trial": trial.name,
        "val_mse": trial.best_val_mse if done else "",
        **_architecture(trial),
        "epochs": len(trial.val_mse),
        "seconds": round(trial.seconds, 3),
        "status": trial.status,
        "message": trial.message,
    }


def write_step2(path: Path, project: str, step1: dict[str, Trial], step2: dict[str, Trial]) -> None:
    """Write the retrained networks by holdout MSE, the failed ones last."""
    val_rank = {trial.name: rank for rank, trial in enumerate(ranked(step1), start=1)}
    order = by_holdout(step2)
    order += [trial for trial in step2.values() if trial.status == "FAILED"]
    rows = []
    for rank, trial in enumerate(order, start=1):
        by_mode = trial.holdout.get("mse_by_mode", [""] * len(OUTPUTS))
        rows.append(
            {
                "rank": rank if trial.status == "COMPLETED" else "",
                "project": project,
                "val_rank_step1": val_rank[trial.name],
                "test_mse": trial.holdout.get("mse", ""),
                **_architecture(trial),
                "trial": trial.name,
                "test_r2": trial.holdout.get("r2", ""),
                **{f"test_mse_{o}": mse for o, mse in zip(OUTPUTS, by_mode, strict=True)},
                "val_mse": trial.best_val_mse if trial.val_mse else "",
                "val_mse_step1": step1[trial.name].best_val_mse,
                "epochs": len(trial.val_mse),
                "best_epoch": trial.best_epoch if trial.val_mse else "",
                "seconds": round(trial.seconds, 3),
                "status": trial.status,
                "message": trial.message,
            }
        )
    _write(path, rows)


def by_holdout(step2: dict[str, Trial]) -> list[Trial]:
    """Return the usable retrained networks by holdout MSE, best first; ties by name."""
    usable = [trial for trial in step2.values() if trial.status == "COMPLETED"]
    return sorted(usable, key=lambda trial: (trial.holdout["mse"], trial.name))


def nodes_text(trial: Trial) -> str:
    """Return the nodes of the hidden layers as the paper's tables print them."""
    return ", ".join(map(str, trial.widths))


def _architecture(trial: Trial) -> dict[str, Any]:
    return {"layers": len(trial.widths), "params": trial.params, "nodes": nodes_text(trial)}


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
