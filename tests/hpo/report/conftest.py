"""Runs for reports: four that nobody trained, on four subsets."""

from pathlib import Path

import pandas as pd
import pytest

from aeroact import schema
from aeroact.hpo.report import runs, tables
from aeroact.hpo.report.runs import Run
from aeroact.regions import AXES
from tests.commands import run_command
from tests.hpo.report import made_up

SUBSETS = (0.05, 0.25, 0.5, 1.0)


@pytest.fixture(scope="session")
def four(tmp_path_factory) -> list[Path]:
    """Folders of four finished runs with the same architectures."""
    folder = tmp_path_factory.mktemp("made-up")
    return [made_up.run(folder / f"P{p:.2f}", p_subset=p) for p in SUBSETS]


@pytest.fixture(scope="session")
def read(four) -> list[Run]:
    return runs.read(four)


@pytest.fixture(scope="session")
def made(read) -> dict[str, pd.DataFrame]:
    """All tables of a report on the four runs, those of the holdout made up."""
    made = tables.of_runs(read)
    times = _times(made["retrained"])
    priced = tables.accuracy_and_cost(made["retrained"], times)
    return made | _of_holdout() | {"inference": times, "accuracy_cost": priced}


def _times(retrained: pd.DataFrame) -> pd.DataFrame:
    usable = retrained[retrained["status"] == "COMPLETED"].drop_duplicates("nodes")
    rows = [
        {"nodes": row.nodes, "activation": row.activation, "params": row.params,
         "mean_ms": row.params / 500, "std_ms": 0.3, "us_per_sample": row.params / 5e4}
        for row in usable.itertuples()
    ]  # fmt: skip
    rows.append({"nodes": "ARG2000", "mean_ms": 20.0, "std_ms": 0.2, "us_per_sample": 0.2})
    return pd.DataFrame(rows).astype({"params": "Int64"})


def _of_holdout() -> dict[str, pd.DataFrame]:
    networks = ["best", "second", "third", "lightest", "heaviest", "ARG2000"]
    mse = dict(zip(networks, (1e-5, 1.1e-5, 1.2e-5, 4e-5, 1e-5, 1e-2), strict=True))
    by_mode = [f"{metric}_{o}" for metric in ("mse", "r2") for o in schema.OUTPUTS]
    table = pd.DataFrame(
        {"network": name, "layers": 3, "params": 12_345, "rows": 10**6, "mse": mse[name],
         "r2": 0.999} | {c: mse[name] if c.startswith("mse") else 0.99 for c in by_mode}
        for name in networks
    )  # fmt: skip
    bins = pd.DataFrame({"simulated": [0, 0.2, 1], "predicted": [0, 0.3, 1], "count": [9, 1, 99]})
    hexagons = [bins.assign(network=name, mode=mode) for name in networks for mode in schema.MODES]
    regions = [
        {"network": name, "by": axis.key, "title": axis.title, "units": axis.units, "low": low,
         "high": high, "rows": 1000, "mse": mse[name]}
        for name in networks
        for axis in AXES
        for low, high in axis.intervals
    ]  # fmt: skip
    return {
        "networks": table,
        "hexagons": pd.concat(hexagons, ignore_index=True),
        "regions": pd.DataFrame(regions).astype({"low": float, "high": float}),
    }


@pytest.fixture(scope="session")
def report_of_four(four, tmp_path_factory) -> Path:
    """The report of the four runs, by the command; there is no holdout to predict."""
    out = tmp_path_factory.mktemp("report") / "report"
    done = run_command("aeroact-hpo", "report", *four, "--out", out, "--no-holdout")
    assert done.returncode == 0, done.stderr
    return out
