"""The tables of a report: what the figures draw, and what the page shows.

Each is a `pandas.DataFrame`, which the report also writes as CSV: to draw a figure anew,
`read` one and give it to a function of `figures`.
"""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from aeroact.errors import AeroactError
from aeroact.hpo.plan import rank_correlation
from aeroact.hpo.report.runs import Run
from aeroact.hpo.shortlist import shortlist
from aeroact.hpo.tables import step1_rows, step2_rows

TOP = 30
"""Networks in the paper's Table S1."""


def read(path: Path) -> pd.DataFrame:
    """Read a table that a report wrote."""
    # Names and nodes may look like numbers.
    return pd.read_csv(path, dtype=dict.fromkeys(("network", "nodes", "project", "trial"), str))


def of_runs(runs: Sequence[Run]) -> dict[str, pd.DataFrame]:
    """Return all tables of what the runs' folders hold, by name."""
    networks = retrained(runs)
    return {
        "projects": projects(runs),
        "trials": trials(runs),
        "curves": curves(runs),
        "retrained": networks,
        "table_s1": table_s1(networks),
        "correlations": correlations(runs),
        "ranks": ranks(runs),
    }


def projects(runs: Sequence[Run]) -> pd.DataFrame:
    """Return a row for each run: what was asked for, what came out, what it cost.

    Seconds are those of trainings, summed over the workers. ``one_step_seconds`` is the search
    on all training rows that two steps replace: measured, where a run with the same trials and
    a subset of 1 is among these, and otherwise estimated from the run itself, in proportion to
    its rows (Yu et al., 2024, section 2).
    """
    whole = {_question(run): run for run in runs if run.project.p_subset == 1}
    rows = []
    for run in runs:
        cost, reference = run.cost, whole.get(_question(run))
        compared = reference if reference and len(reference.step1) == len(run.step1) else None
        one_step = compared.cost.step1 if compared else cost.one_step
        val = [t.best_val_mse for t in run.step1.values() if t.status != "FAILED"]
        usable = [t for t in run.step2.values() if t.status == "COMPLETED"]
        test = [t.holdout["mse"] for t in usable]
        chosen = [run.step1[t.name].best_val_mse for t in usable]
        rows.append(
            {
                "project": run.name,
                "p_subset": run.project.p_subset,
                "p_retrain": cost.p_retrain,
                "trials": len(run.step1),
                "trials_failed": sum(t.status == "FAILED" for t in run.step1.values()),
                "retrained": len(run.step2),
                "retrained_failed": sum(t.status == "FAILED" for t in run.step2.values()),
                "best_val_mse": min(val, default=np.nan),
                "median_val_mse_retrained": np.median(chosen) if chosen else np.nan,
                "best_test_mse": min(test, default=np.nan),
                "median_test_mse": np.median(test) if test else np.nan,
                "step1_seconds": cost.step1,
                "step2_seconds": cost.step2,
                "one_step_seconds": one_step,
                "one_step": "measured" if compared else "estimated",
                "cost_expected": cost.nominal,
                "cost_fraction": (cost.step1 + cost.step2) / one_step if one_step else np.nan,
            }
        )
    return pd.DataFrame(rows)


def _question(run: Run) -> tuple[Any, ...]:
    """Return what two runs must share for their Step-1 trainings to differ by the subset alone."""
    p = run.project
    settings = p.model_dump(
        include={
            *("samples", "seed", "holdout", "validation", "transform", "algorithm", "trials"),
            *("min_layers", "max_layers", "widths", "max_params", "learning_rates"),
            *("batch_sizes", "epochs", "patience", "batch_size", "learning_rate", "prune"),
            *("droplet_weight", "monotony_weight", "activation"),
        }
    )
    data = run.content.get("data", {}).get("sha256")
    return data, *sorted((name, str(value)) for name, value in settings.items())


def trials(runs: Sequence[Run]) -> pd.DataFrame:
    """Return all finished trials of Step 1, by run the best first."""
    rows = [{"project": run.name, **row} for run in runs for row in step1_rows(run.step1)]
    columns = ["project", "rank", "trial", "val_mse", "layers", "params", "nodes", "status"]
    table = pd.DataFrame(rows, columns=None if rows else columns)
    return table.astype({"rank": "Int64", "val_mse": float})


def curves(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the validation MSE of each epoch of each trial of Step 1, trial by trial."""
    named = [(run.name, trial) for run in runs for trial in run.step1.values() if trial.val_mse]
    epochs = [len(trial.val_mse) for _, trial in named]
    return pd.DataFrame(
        {
            "project": np.repeat(np.array([name for name, _ in named], object), epochs),
            "trial": np.repeat(np.array([trial.name for _, trial in named], object), epochs),
            "epoch": [epoch for n in epochs for epoch in range(1, n + 1)],
            "val_mse": [mse for _, trial in named for mse in trial.val_mse],
        }
    )


def retrained(runs: Sequence[Run]) -> pd.DataFrame:
    """Return all networks of Step 2, the best of all runs first: Table S1 and more columns."""
    rows = [
        row | {"activation": run.project.activation}
        for run in runs
        for row in step2_rows(run.name, run.step1, run.step2)
    ]
    table = pd.DataFrame(rows, columns=None if rows else _RETRAINED)
    table["usable"] = table["status"] == "COMPLETED"
    table = table.sort_values(
        ["usable", "test_mse", "project", "trial"], ascending=[False, True, True, True]
    ).reset_index(drop=True)
    ranks = pd.Series(np.arange(1, len(table) + 1), dtype="Int64")
    table["rank"] = ranks.where(table.pop("usable"))
    return table


_RETRAINED = ["rank", "project", "val_rank_step1", "test_mse", "layers", "params", "nodes"]
_RETRAINED += ["trial", "val_mse", "val_mse_step1", "status", "activation"]


def table_s1(retrained: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's Table S1: the best networks of all runs after Step 2."""
    columns = {
        "rank": "rank",
        "project": "project",
        "val_rank_step1": "validation rank (Step 1)",
        "test_mse": "test MSE (Step 2)",
        "layers": "layers",
        "params": "parameters",
        "nodes": "nodes in hidden layers",
    }
    usable = retrained[retrained["status"] == "COMPLETED"]
    return usable.head(TOP)[list(columns)].rename(columns=columns)


def accuracy_and_cost(retrained: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """Return the usable networks with their times, and which are on the Pareto front."""
    same = ["nodes", "activation"]
    usable = retrained[retrained["status"] == "COMPLETED"]
    table = usable.merge(times[[*same, "us_per_sample"]], on=same)
    table = table.sort_values(["us_per_sample", "test_mse"])
    table["pareto"] = table["test_mse"] <= table["test_mse"].cummin()
    return table


def correlations(runs: Sequence[Run]) -> pd.DataFrame:
    """Return how alike each two runs rank the architectures that both tried.

    Spearman's correlation of the lowest validation MSEs with its interval of 80 %; how many
    of the networks that Step 2 takes from the smaller subset it also takes from the larger;
    and the rank, in the smaller, of what is best in the larger.
    """
    columns = ["project", "other", "common", "rho", "rho_low", "rho_high"]
    columns += ["shortlisted", "shared", "rank_of_best"]
    rows = []
    for small, large in combinations(runs, 2):
        if small.project.p_subset == large.project.p_subset:
            continue
        common = _common(small, large)
        if len(common) < 2:
            continue
        a, b = (
            np.array([run.step1[name].best_val_mse for name in common]) for run in (small, large)
        )
        rho = rank_correlation(a, b)
        lists = [_chosen(run) for run in (small, large)]
        best = int(np.argmin(b))
        rows.append(
            (
                *(small.name, large.name, len(common), rho.value, rho.low, rho.high),
                *(len(lists[0]), len(lists[0] & lists[1]), 1 + int(np.sum(a < a[best]))),
            )
        )
    return pd.DataFrame(rows, columns=columns)


def ranks(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the rank of each architecture in each run and in the one with the largest subset.

    Only architectures that both tried count, and only runs with a smaller subset are listed.
    """
    large = runs[-1]
    kept = _chosen(large)
    parts = []
    for small in runs:
        common = _common(small, large)
        if small.project.p_subset == large.project.p_subset or len(common) < 2:
            continue
        table = pd.DataFrame({"project": small.name, "other": large.name, "trial": common})
        for column, run in (("rank", small), ("rank_in_other", large)):
            errors = pd.Series([run.step1[name].best_val_mse for name in common])
            table[column] = errors.rank(method="min").astype(int)
        table["shortlisted"] = table["trial"].isin(_chosen(small))
        table["shortlisted_in_other"] = table["trial"].isin(kept)
        parts.append(table)
    columns = ["project", "other", "trial", "rank", "rank_in_other"]
    columns += ["shortlisted", "shortlisted_in_other"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _chosen(run: Run) -> set[str]:
    """Return the trials that Step 2 of a run takes, as far as it can be told yet."""
    try:
        return {trial.name for trial in shortlist(run.step1, run.project)}
    except AeroactError:  # none has succeeded, or none is small enough
        return set()


def _common(a: Run, b: Run) -> list[str]:
    """Return the trials that are the same architecture in two runs and succeeded in both."""
    return [
        name
        for name, trial in a.step1.items()
        if name in b.step1
        and trial.candidate == b.step1[name].candidate
        and "FAILED" not in (trial.status, b.step1[name].status)
    ]


# --- how a table looks ------------------------------------------------------------------------


def cell(value: Any, column: str = "") -> str:
    """Return a value as a reader wants it: few digits, nothing for no value."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return "-"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float):  # NumPy's are, too
        if "MSE" in column or "mse" in column:
            return f"{value:.3e}"
        return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
    return str(value)


def markdown(table: pd.DataFrame) -> str:
    """Return a pipe table."""
    heads = [str(column) for column in table.columns]
    numbers = [pd.api.types.is_numeric_dtype(table[column]) for column in table.columns]
    lines = [heads, ["---:" if number else "---" for number in numbers]]
    for row in table.itertuples(index=False):
        lines.append([cell(v, h).replace("|", "\\|") for v, h in zip(row, heads, strict=True)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
