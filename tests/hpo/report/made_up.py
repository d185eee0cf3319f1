"""Runs that nobody trained: their folders look like those of real ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from aeroact.hpo.config import Project
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.journal import Trial, _record
from aeroact.hpo.shortlist import shortlist
from aeroact.hpo.space import n_params
from aeroact.hpo.step2 import FAILED_MSE
from aeroact.hpo.tables import write_step1, write_step2
from aeroact.schema import N_OUTPUTS

WIDTHS = (8, 16, 32, 64, 128)


def run(
    path: Path,
    *,
    p_subset: float = 0.25,
    trials: int = 30,
    retrain: int = 6,
    epochs: int = 12,
    done1: int | None = None,
    done2: int | None = None,
    seed: int = 1,
    failed: float = 0.1,
    **settings: Any,
) -> Path:
    """Write a run's folder.

    Parameters
    ----------
    path : Path
        The folder.
    p_subset, trials, retrain, seed, settings
        Of the project.
    epochs : int
        Most epochs of a trial.
    done1, done2 : int, optional
        Trials that are finished; without, all of them. A trial more is running.
    failed : float
        Fraction of the trials that failed.
    """
    folder = RunFolder(path)
    project = Project(
        p_subset=p_subset, trials=trials, retrain=retrain, seed=seed, data="activation.nc",
        **settings,
    )  # fmt: skip
    path.mkdir(parents=True)
    folder.begin(project)
    rng = np.random.default_rng(seed)
    architectures = [
        tuple(int(w) for w in rng.choice(WIDTHS, rng.integers(1, 7))) for _ in range(trials)
    ]
    luck = rng.normal(size=trials)
    first = {}
    for number in range(trials if done1 is None else done1):
        trial = _step1(number, architectures[number], luck[number], p_subset, epochs, failed)
        first[trial.name] = trial
    records = list(first.values())
    second: dict[str, Trial] = {}
    if done1 is not None:
        records.append(Trial(1, f"{done1:04d}", architectures[done1], "RUNNING", started=1.0))
    else:
        write_step1(folder.step1_table, first)
        chosen = shortlist(first, project)
        for trial in chosen[: retrain if done2 is None else done2]:
            second[trial.name] = _step2(trial, epochs, failed)
        records += second.values()
        if done2 is None:
            write_step2(folder.step2_table, f"P{p_subset:.2f}", first, second)
    lines = (json.dumps(_record(record)) for record in records)
    folder.journal.path.write_text("".join(f"{line}\n" for line in lines))
    return path


def _step1(
    number: int,
    widths: tuple[int, ...],
    luck: float,
    p_subset: float,
    epochs: int,
    failed: float,
) -> Trial:
    rng = np.random.default_rng([number, round(1e4 * p_subset)])
    name = f"{number:04d}"
    seconds = float(p_subset * n_params(widths) / 1e3 * rng.uniform(0.9, 1.1))
    times: dict[str, Any] = {"started": 1e9, "ended": 1e9 + seconds, "seconds": seconds}
    if rng.uniform() < failed:
        return Trial(1, name, widths, "FAILED", message="its loss is not finite", **times)
    best = n_params(widths) ** -0.5 * p_subset**-0.3 * np.exp(0.3 * luck + 0.1 * rng.normal()) / 50
    curve = (best * (1 + 20 * np.exp(-np.arange(rng.integers(3, epochs + 1))))).tolist()
    return Trial(1, name, widths, "COMPLETED", mse=curve, val_mse=curve, inference_us=0.1, **times)


def _step2(trial: Trial, epochs: int, failed: float) -> Trial:
    rng = np.random.default_rng([int(trial.name), 2])
    bad = rng.uniform() < 2 * failed
    mse = float(n_params(trial.widths) ** -0.7 / 100 * rng.uniform(0.8, 1.2)) + bad * FAILED_MSE
    r2 = 1 - 10 * mse
    curve = (mse * np.linspace(9, 1, epochs)).tolist()
    holdout: dict[str, Any] = {"rows": 1000, "mse": mse, "r2": r2}
    holdout |= {"mse_by_mode": [mse] * N_OUTPUTS, "r2_by_mode": [r2] * N_OUTPUTS}
    return Trial(
        2,
        trial.name,
        trial.widths,
        "FAILED" if bad else "COMPLETED",
        message=f"its holdout MSE {mse:.2e} is above 0.01" if bad else "",
        seconds=trial.seconds * 20,
        mse=curve,
        val_mse=curve,
        holdout=holdout,
    )
