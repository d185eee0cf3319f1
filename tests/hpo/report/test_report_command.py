"""`aeroact-hpo report`: all files of it, runs in any state, bad input, and what it survives."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from aeroact.hpo.report import tables
from tests.commands import COMMANDS, fails, run_command
from tests.disks import resize
from tests.hpo.report import made_up

FIGURES = {
    "figure1b_cost",
    "figure2_step1",
    "figure3_fn_accum",
    "figureS1_curves",
    "figureS2_complexity",
    "figureS3_step2",
    "figureS4_inference",
    "accuracy_cost",
    "subset_ranks",
    "errors_by_region",
}
OF_TRIALS = FIGURES - {
    "figure3_fn_accum", "figureS4_inference", "accuracy_cost", "errors_by_region",
}  # fmt: skip
QUICK = ("--no-holdout", "--no-timing")


def report(*args: str | Path) -> list[str]:
    """Make a report; returns what it says is missing."""
    done = run_command("aeroact-hpo", "report", *args)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    *_, last = done.stdout.splitlines()
    assert last.startswith("Files: ")
    return [line for line in done.stdout.splitlines() if line.startswith("missing: ")]


def drawn(out: Path, suffix: str = ".png") -> set[str]:
    files = [path for path in (out / "figures").iterdir() if path.suffix == suffix]
    assert all(path.stat().st_size > 1000 for path in files)
    return {path.stem for path in files}


@pytest.fixture(scope="module")
def whole(finished_run, tmp_path_factory) -> Path:
    """The report of a real run, into the run's own folder."""
    run = shutil.copytree(finished_run, tmp_path_factory.mktemp("whole") / "run")
    (missing,) = report(run, "--mode=all")
    assert "it takes two runs with different subsets" in missing
    return run / "report"


def test_a_real_run_has_every_figure_and_table(whole):
    every = FIGURES - {"subset_ranks"} | {
        f"figure3_fn_{m}" for m in ("aitken", "coarse", "pcarbon")
    }
    assert drawn(whole) == drawn(whole, ".pdf") == every
    for path in (whole / "tables").glob("*.csv"):
        tables.read(path)
    for name in ("projects", "table_s1", "networks", "worst"):
        assert (whole / "tables" / f"{name}.md").read_text().startswith("| ")
    page = (whole / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(every)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)


def test_what_was_run_is_told_without_paths_of_this_machine(whole, finished_run):
    provenance = json.loads((whole / "provenance.json").read_text())
    (content,) = provenance["runs"].values()
    assert content["project"]["seed"] == 1
    assert content["project"]["data"] == "activation.nc"
    assert len(content["data"]["sha256"]) == 64
    assert {"tensorflow", "python"} <= provenance["report"]["versions"].keys()
    assert "/" not in content["project"]["data"]
    assert str(finished_run.parent) not in (whole / "report.html").read_text()


def test_the_mse_of_the_page_is_that_of_step2_csv(whole, finished_run):
    ours = tables.read(whole / "tables" / "retrained.csv")
    theirs = tables.read(finished_run / "step2.csv")
    assert list(ours["trial"]) == list(theirs["trial"])
    assert list(ours["test_mse"]) == pytest.approx(list(theirs["test_mse"]), rel=1e-6)


@pytest.mark.slow
def test_the_same_again_gives_the_same_tables_and_figures(four, tmp_path):
    for name in ("a", "b"):
        report(*four[::3], "--out", tmp_path / name, *QUICK)
    for path in sorted((tmp_path / "a").rglob("*")):
        if path.is_file() and path.name != "provenance.json":
            assert (
                path.read_bytes()
                == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
            )


def test_four_projects_are_compared(report_of_four):
    assert drawn(report_of_four) == OF_TRIALS | {"figureS4_inference", "accuracy_cost"}
    page = (report_of_four / "report.html").read_text()
    assert "The paper&#39;s hypothesis" in page


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"done1": 9}, "P0.25: Step 1 has 9 of 30 trials; Step 2 has not begun"),
        ({"done1": 0}, "P0.25: Step 1 has 0 of 30 trials; Step 2 has not begun"),
        ({"done2": 0}, "P0.25: Step 1 is done, Step 2 has not begun"),
        ({"done2": 2}, "P0.25: Step 2 has 2 of 6 trials"),
        ({"failed": 1.0, "done2": 0}, "Figure 2. Step 1, and what became of it: no trial"),
    ],
)
def test_a_run_in_progress_says_what_is_missing(state, said, tmp_path):
    if state.get("failed"):
        run = made_up.run(tmp_path / "run", done1=5, failed=1.0)
    else:
        run = made_up.run(tmp_path / "run", **state)
    missing = report(run, *QUICK)
    assert any(said in line for line in missing), missing
    page = (run / "report" / "report.html").read_text()
    assert said.split(":")[0] in page


@pytest.mark.slow
def test_a_single_trial_is_enough(tmp_path):
    run = made_up.run(tmp_path / "run", trials=1, failed=0)
    missing = report(run, "--no-holdout")
    assert drawn(run / "report") == OF_TRIALS - {"subset_ranks"} | {
        "figureS4_inference",
        "accuracy_cost",
    }
    assert len(missing) == 3  # two figures of the holdout, and one that takes two runs


@pytest.mark.slow
def test_a_run_whose_data_are_gone_has_all_but_the_holdout(finished_run, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "run")
    project = run / "project.toml"
    project.write_text(project.read_text().replace("activation.nc", "nowhere.nc"))
    missing = report(run, "--no-timing")
    assert any("the data of run" in line and "are gone" in line for line in missing)
    assert drawn(run / "report") == OF_TRIALS - {"subset_ranks"}


@pytest.mark.slow
def test_it_only_reads_the_runs(four, tmp_path):
    before = {path: path.read_bytes() for path in four[0].rglob("*") if path.is_file()}
    report(four[0], "--out", tmp_path / "report", *QUICK)
    assert {path: path.read_bytes() for path in four[0].rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_an_older_report_is_replaced_whole(four, tmp_path):
    out = tmp_path / "report"
    report(four[0], "--out", out, *QUICK)
    (out / "figures" / "stale.png").write_bytes(b"old")
    report(four[1], "--out", out, *QUICK)
    assert not (out / "figures" / "stale.png").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


@pytest.mark.parametrize("way", ["folder", "file"])
def test_nothing_else_is_replaced(way, four, tmp_path):
    out = tmp_path / "mine"
    if way == "folder":
        out.mkdir()
        kept = out / "thesis.txt"
    else:
        kept = out
    kept.write_text("years of work")
    said = fails("aeroact-hpo", "report", four[0], "--out", out, *QUICK)
    assert str(out) in said
    assert "--out" in said
    assert kept.read_text() == "years of work"


@pytest.mark.parametrize(
    ("name", "said"), [("nothing", "no run is here"), ("torn", "trials.jsonl: line 2 is damaged")]
)
def test_what_is_no_run_is_named(name, said, four, tmp_path):
    run = tmp_path / name
    if name == "torn":
        shutil.copytree(four[0], run)
        journal = run / "trials.jsonl"
        lines = journal.read_text().splitlines(keepends=True)
        journal.write_text("".join([lines[0], "{torn\n", *lines[1:]]))
    message = fails("aeroact-hpo", "report", four[1], run, "--out", tmp_path / "out", *QUICK)
    assert said in message
    assert str(run) in message
    assert not (tmp_path / "out").exists()


def test_a_run_that_is_named_twice(four, tmp_path):
    said = fails("aeroact-hpo", "report", four[0], four[0], "--out", tmp_path / "out")
    assert "named twice" in said


@pytest.mark.parametrize("wrong", [[], ["--mode=ice"], ["--size=poster"]])
def test_wrong_use_is_status_2(wrong, four):
    runs = [four[0]] if wrong else []
    assert run_command("aeroact-hpo", "report", *runs, *wrong).returncode == 2


@pytest.mark.slow
def test_a_report_that_is_killed_leaves_the_old_one(four, tmp_path):
    out = tmp_path / "report"
    report(four[0], "--out", out, *QUICK)
    page = (out / "report.html").read_bytes()
    command = [COMMANDS / "aeroact-hpo", "report", four[1], "--out", out, *QUICK]
    for how, status in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while not list(tmp_path.glob(f".report.{running.pid}.*")):  # it has begun to write
            assert running.poll() is None
            time.sleep(0.01)
        os.kill(running.pid, how)
        running.communicate()
        assert running.returncode == status
        assert (out / "report.html").read_bytes() == page
        left = list(tmp_path.glob(".report.*"))
        assert bool(left) == (how == signal.SIGKILL)
    report(four[1], "--out", out, *QUICK)
    assert (out / "report.html").read_bytes() != page
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


@pytest.mark.slow
def test_a_full_disk_leaves_the_old_report(four, small_disk):
    resize(small_disk, "20m")
    out = small_disk / "report"
    report(four[0], "--out", out, *QUICK)
    page = (out / "report.html").read_bytes()
    resize(small_disk, f"{shutil.disk_usage(small_disk).used // 1024 + 400}k")
    said = fails("aeroact-hpo", "report", four[1], "--out", out, *QUICK)
    assert "the disk is full; make room and run the same command again" in said
    assert (out / "report.html").read_bytes() == page
    assert [path.name for path in small_disk.iterdir()] == ["report"]


@pytest.mark.slow
def test_the_size_is_that_of_a_slide(four, tmp_path):
    report(four[0], "--out", tmp_path / "slide", "--size=slide", *QUICK)
    report(four[0], "--out", tmp_path / "print", *QUICK)

    def width(out: str) -> int:
        png = (tmp_path / out / "figures" / "figure2_step1.png").read_bytes()
        return int.from_bytes(png[16:20])

    assert width("slide") == pytest.approx(1.9 * width("print"), rel=0.01)


@pytest.mark.slow
def test_ten_thousand_trials(tmp_path):
    runs = [
        made_up.run(tmp_path / f"{p}", p_subset=p, trials=10_000, retrain=50, epochs=60)
        for p in (0.05, 1.0)
    ]
    out = tmp_path / "report"
    report(*runs, "--out", out, *QUICK)
    assert drawn(out) == OF_TRIALS
    assert len(tables.read(out / "tables" / "trials.csv")) == 20_000
    assert (out / "report.html").stat().st_size < 10e6
    # Crowds are pixels in a PDF, which a reader could not scroll through otherwise.
    assert max(path.stat().st_size for path in (out / "figures").glob("*.pdf")) < 5e6
