"""The tables of a report against what the runs hold, and against SciPy."""

import csv
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from aeroact.errors import AeroactError
from aeroact.hpo.report import runs, tables
from aeroact.hpo.shortlist import shortlist
from tests.hpo.report import made_up


def test_runs_are_sorted_and_named_by_their_subset(four):
    read = runs.read(four[::-1])
    assert [run.name for run in read] == ["P0.05", "P0.25", "P0.50", "P1.00"]
    assert [run.folder.path for run in read] == four


def test_runs_with_one_subset_size_are_told_apart(tmp_path):
    paths = [made_up.run(tmp_path / name, trials=3, seed=2) for name in "ab"]
    assert [run.name for run in runs.read(paths)] == ["P0.25 a", "P0.25 b"]


def test_a_run_cannot_be_named_twice(four):
    with pytest.raises(AeroactError, match="named twice"):
        runs.read([four[0], four[0] / ".." / four[0].name])


def test_what_is_missing_is_said(tmp_path, four):
    assert not any(run.missing for run in runs.read(four))
    (first,) = runs.read([made_up.run(tmp_path / "first", done1=7)])
    assert first.missing == ["P0.25: Step 1 has 7 of 30 trials; Step 2 has not begun"]
    assert first.running == 1
    (between,) = runs.read([made_up.run(tmp_path / "between", done2=0)])
    assert between.missing == ["P0.25: Step 1 is done, Step 2 has not begun"]
    (second,) = runs.read([made_up.run(tmp_path / "second", done2=2)])
    assert second.missing == ["P0.25: Step 2 has 2 of 6 trials"]


def test_all_trials_are_those_of_step1_csv(four, made):
    trials = made["trials"]
    for path, name in zip(four, ("P0.05", "P0.25", "P0.50", "P1.00"), strict=True):
        of_run = trials[trials["project"] == name]
        with (path / "step1.csv").open() as handle:
            rows = list(csv.DictReader(handle))
        assert [row["trial"] for row in rows] == list(of_run["trial"])
        for row, ours in zip(rows, of_run["val_mse"], strict=True):
            assert math.isnan(ours) if row["val_mse"] == "" else float(row["val_mse"]) == ours


def test_curves_have_every_epoch(read, made):
    for run in read:
        curves = made["curves"][made["curves"]["project"] == run.name]
        for trial in run.step1.values():
            assert list(curves.loc[curves["trial"] == trial.name, "val_mse"]) == trial.val_mse


def test_the_best_of_all_projects_comes_first(read, made):
    retrained = made["retrained"]
    assert len(retrained) == sum(len(run.step2) for run in read)
    usable = retrained[retrained["status"] == "COMPLETED"]
    assert usable["test_mse"].is_monotonic_increasing
    assert list(usable["rank"]) == list(range(1, len(usable) + 1))
    failed = retrained[retrained["status"] != "COMPLETED"]
    assert len(failed)
    assert failed["rank"].isna().all()
    assert failed.index.min() > usable.index.max()
    s1 = tables.table_s1(retrained)
    assert len(s1) == min(len(usable), 30)
    assert "0.01" not in set(s1["test MSE (Step 2)"])


def test_cost_is_measured_where_a_one_step_search_is_there(read):
    projects = tables.projects(read)
    one_step = sum(t.seconds for t in read[-1].step1.values())
    assert set(projects["one_step"]) == {"measured"}
    np.testing.assert_allclose(projects["one_step_seconds"], one_step)
    spent = [sum(t.seconds for t in (*r.step1.values(), *r.step2.values())) for r in read]
    np.testing.assert_allclose(projects["cost_fraction"], np.array(spent) / one_step)
    alone = tables.projects(read[:1])
    assert list(alone["one_step"]) == ["estimated"]
    first = sum(t.seconds for t in read[0].step1.values())
    np.testing.assert_allclose(alone["one_step_seconds"], first / 0.05)


def test_another_search_is_no_reference_for_the_cost(read, tmp_path):
    other = made_up.run(tmp_path / "other", p_subset=1.0, learning_rate=0.01)
    (run,) = runs.read([other])
    projects = tables.projects([read[0], run])
    assert list(projects["one_step"]) == ["estimated", "measured"]


def test_correlations_are_spearmans(read, made):
    correlations = made["correlations"]
    assert len(correlations) == 6
    for _, row in correlations.iterrows():
        a, b = (next(r for r in read if r.name == row[c]) for c in ("project", "other"))
        names = [
            name for name in a.step1 if "FAILED" not in (a.step1[name].status, b.step1[name].status)
        ]
        errors = [[run.step1[name].best_val_mse for name in names] for run in (a, b)]
        assert row["common"] == len(names)
        assert row["rho"] == pytest.approx(spearmanr(*errors).statistic)
        assert row["rho_low"] < row["rho"] < row["rho_high"]
        lists = [{t.name for t in shortlist(r.step1, r.project)} for r in (a, b)]
        assert row["shared"] == len(lists[0] & lists[1])
        best = names[int(np.argmin(errors[1]))]
        place = 1 + sum(e < a.step1[best].best_val_mse for e in errors[0])
        assert row["rank_of_best"] == place


def test_other_architectures_have_no_correlation(read, tmp_path):
    (other,) = runs.read([made_up.run(tmp_path / "other", p_subset=1.0, seed=9)])
    assert tables.correlations([read[0], other]).empty
    assert tables.ranks([read[0], other]).empty


def test_ranks_count_from_one(read, made):
    ranks = made["ranks"]
    assert set(ranks["project"]) == {run.name for run in read[:-1]}
    for _, part in ranks.groupby("project"):
        for column in ("rank", "rank_in_other"):
            assert sorted(part[column]) == list(range(1, len(part) + 1))


def test_a_trial_that_failed_has_no_rank(read):
    run = read[0]
    failed = {name: replace(t, status="FAILED") for name, t in run.step1.items()}
    assert tables.correlations([replace(run, step1=failed), read[-1]]).empty


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (None, "", "-"),
        (float("nan"), "test_mse", "-"),
        (pd.NA, "", "-"),
        (1.23456e-5, "test_mse", "1.235e-05"),
        (12345, "params", "12,345"),
        (np.int64(3), "layers", "3"),
        (0.25, "p_subset", "0.25"),
        (123456.7, "seconds", "123,457"),
        (True, "pareto", "yes"),
        ("a, b", "nodes", "a, b"),
    ],
)
def test_cells_are_readable(value, column, text):
    assert tables.cell(value, column) == text


def test_what_looks_like_a_number_stays_text(tmp_path):
    table = pd.DataFrame({"project": ["7"], "trial": ["007"], "nodes": ["64"], "mse": [1.5e-5]})
    table.to_csv(tmp_path / "table.csv", index=False)
    pd.testing.assert_frame_equal(tables.read(tmp_path / "table.csv"), table)


def test_markdown_is_a_table(made):
    lines = tables.markdown(made["table_s1"]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) == 2 + len(made["table_s1"])
    assert "\\|" in tables.markdown(pd.DataFrame({"a": ["x|y"]}))
