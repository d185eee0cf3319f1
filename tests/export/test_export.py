"""A whole export: the bundle, the ranking, and what is refused."""

import json
import shutil
import subprocess
import tomllib
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from aeroact import zoo
from aeroact.assess import assessment
from aeroact.eam import columns
from aeroact.export import rewrites, run, verify
from aeroact.hpo import network
from aeroact.hpo.backend import load_backend
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.holdout import Holdout
from aeroact.metrics import Errors
from aeroact.references import predict_arg2000


@pytest.fixture
def run_copy(finished_run, tmp_path):
    """A run to spoil."""
    return shutil.copytree(finished_run, tmp_path / "run")


def test_a_bundle_holds_what_the_design_says(bundle):
    names = {file.name for file in bundle.iterdir()}
    assert names == {
        "emulator.onnx",
        "weights.nc",
        "card.json",
        "CARD.md",
        "fn.png",
        "cost.png",
        "ranking.csv",
        "project.toml",
        "step1.csv",
        "step2.csv",
        "SHA256SUMS",
    }
    # The sums are those of a tool that is not ours.
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=bundle, check=True)


def test_the_card_tells_the_emulators_errors(bundle, finished_run):
    emulator = zoo.load(bundle)
    errors = Errors()
    for x, fn in Holdout(RunFolder(finished_run)).blocks():
        errors.add(fn, emulator.predict(x))
    card = emulator.card
    assert card["holdout"]["mse"] == pytest.approx(errors.mse, rel=1e-3)
    assert card["holdout"]["r2"] == pytest.approx(errors.r2, rel=1e-5)
    assert card["holdout"]["rows"] == errors.rows > 10_000
    assert 0 < card["parity"]["keras_p999"] <= card["parity"]["keras"] <= 5e-6
    assert card["parity"]["keras_at_corners"] <= 5e-6
    assert card["parity"]["weights"] <= 5e-6
    assert card["parity"]["states"] == errors.rows
    assert card["parity"]["states"] + card["parity"]["drawn_states"] == 100_000
    assert [cost["batch"] for cost in card["cost"]["batches"]] == [1, 16, 128, 1024]
    assert card["cost"]["figure_s4"]["repetitions"] == 10
    assert sum(r["rows"] for r in card["regions"] if r["by"] == "tair") == errors.rows
    assert card["provenance"]["data"]["physics"] == "default"
    text = (bundle / "CARD.md").read_text()
    assert f"{errors.mse:.3e}"[:4] in text
    assert "{{" not in text


def test_the_search_that_found_it_goes_along_without_a_place_of_this_machine(bundle, finished_run):
    for name in ("step1.csv", "step2.csv"):
        assert (bundle / name).read_bytes() == (finished_run / name).read_bytes()
    project, original = (
        tomllib.loads((folder / "project.toml").read_text()) for folder in (bundle, finished_run)
    )
    data = Path(original["project"].get("data", "data.nc"))
    assert project["project"].get("data", "data.nc") == data.name
    assert project["versions"] == original["versions"]
    for file in bundle.iterdir():
        assert str(finished_run.parent).encode() not in file.read_bytes()
    holdout = Holdout(RunFolder(finished_run))
    provenance = zoo.load(bundle).card["provenance"]
    assert provenance["data"]["training_rows"] == holdout.training_rows > 0


def test_an_assessment_is_on_the_card_and_can_be_read(finished_run, tmp_path, monkeypatch):
    sizes = {"MONOTONY_STATES": 50, "MONOTONY_PARCELS": 2, "SMOOTHNESS_PAIRS": 50}
    for name, value in (sizes | {"LIMIT_STATES": 10}).items():
        monkeypatch.setattr(assessment, name, value)
    monkeypatch.setattr(assessment.worst, "STARTS", 32)
    small = partial(assessment.assess, members=8, generations=1)
    monkeypatch.setattr(run.assessment, "assess", small)
    holdout = Holdout(RunFolder(finished_run))
    layers = tmp_path / "columns.csv"
    x, _ = holdout.first(30)
    rows = x.copy()
    rows[:, 3] /= 100  # the file's updraft is in m s-1
    lines = [",".join(columns.headers()), *(",".join(map(repr, r)) for r in rows.tolist())]
    layers.write_text("\n".join(lines) + "\n")
    out = tmp_path / "emulator"
    run.export(RunFolder(finished_run), out, run.Choice(), assess=True, columns=layers)
    found = zoo.load(out).card["assessment"]
    assert found["droplets"]["emulator"]["rows"] == len(holdout)
    assert found["columns"]["layers"] == 30
    assert {each["domain"] for each in found["worst"]} == {"box", "sampled"}
    text = (out / "CARD.md").read_text()
    for heading in (
        "By decile", "Droplet number", "The worst state", "As the updraft rises",
        "Between neighbours", "Limits", "On columns of E3SM",
    ):  # fmt: skip
        assert f"### {heading}" in text
    assert "{{" not in text
    assert verify.failed(verify.verify(out)) == []


def test_columns_without_an_assessment_are_a_wrong_use(finished_run, run_command, tmp_path):
    done = run_command("aeroact-export", finished_run, "--columns", tmp_path / "columns.csv")
    assert done.returncode == 2
    assert "--assess" in done.stderr


def test_columns_that_cannot_be_read_end_an_export_before_it_works(
    finished_run, run_command, tmp_path
):
    missing, out = tmp_path / "columns.csv", tmp_path / "emulator"
    done = run_command(
        "aeroact-export", finished_run, "--assess", "--columns", missing, "--out", out
    )
    assert done.returncode == 1
    assert str(missing) in done.stderr
    assert "Timing" not in done.stdout
    assert not out.exists()


def test_arg2000_stands_beside_it_with_its_own_error(bundle, finished_run):
    errors = Errors()
    for x, fn in Holdout(RunFolder(finished_run)).blocks():
        errors.add(fn, predict_arg2000(x))
    # Known from the literature: about 1e-2 against a parcel model.
    assert 1e-3 < errors.mse < 5e-2
    assert zoo.load(bundle).card["arg2000"]["mse"] == pytest.approx(errors.mse, rel=1e-12)


@pytest.mark.slow
def test_the_table_shows_picks_errors_costs_and_files(finished_run, run_command, tmp_path):
    ranking = tmp_path / "ranking.json"
    out = tmp_path / "emulator"
    done = run_command(
        "aeroact-export", finished_run, "--pick=best", "--out", out, "--json", ranking, "--batch=64"
    )
    assert done.returncode == 0, done.stderr
    *networks, arg2000 = json.loads(ranking.read_text())
    assert arg2000["trial"] == "ARG2000"
    assert [row["rank"] for row in networks] == [1, 2, 3]
    assert [row["mse"] for row in networks] == sorted(row["mse"] for row in networks)
    assert "best" in networks[0]["picks"]
    assert all(row["us_per_sample"] > 0 for row in [*networks, arg2000])
    for shown in ("5 trials, 3 emulators", "lightest", f"{arg2000['mse']:.2e}", str(out)):
        assert shown in done.stdout
    assert zoo.load(out).card["pick"]["rule"] == "best"


@pytest.mark.slow
def test_an_export_only_reads_the_run(run_copy, run_command, tmp_path):
    def contents():
        files = [path for path in run_copy.rglob("*") if path.is_file()]
        return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}

    before = contents()
    assert run_command("aeroact-export", run_copy, "--out", tmp_path / "e").returncode == 0
    assert contents() == before


@pytest.mark.slow
def test_a_bundle_is_replaced_whole(bundle, finished_run, run_command, tmp_path):
    out = shutil.copytree(bundle, tmp_path / "emulator")
    (out / "stale.txt").touch()
    assert run_command("aeroact-export", finished_run, "--out", out).returncode == 0
    assert not (out / "stale.txt").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"emulator"}
    zoo.load(out)


def spoil_model(run):
    for file in (run / "models").iterdir():
        file.write_bytes(file.read_bytes()[:1000])


def remove_data(run):
    project = run / "project.toml"
    lines = project.read_text().splitlines()
    project.write_text(
        "\n".join('data = "/no/such.nc"' if ln[:5] == "data " else ln for ln in lines)
    )


def remove_step2(run):
    journal = run / "trials.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if '"step": 2' not in line))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_model, "no usable emulator"),
        (remove_data, "/no/such.nc: the data of run"),
        (remove_step2, "no retrained network"),
        (lambda run: (run / "normalization.json").unlink(), "normalization.json: cannot read"),
        (lambda run: (run / "normalization.json").write_text("{}"), "not a normalization"),
        (lambda run: (run / "project.toml").unlink(), "no run is here"),
        (lambda run: (run / "project.toml").write_text("[["), "project.toml: damaged"),
    ],
    ids=["models", "data", "step 2", "no statistics", "statistics", "no run", "project"],
)
def test_a_spoilt_run_is_one_line_and_leaves_nothing(spoil, said, run_copy, run_command, tmp_path):
    spoil(run_copy)
    done = run_command("aeroact-export", run_copy, "--out", tmp_path / "emulator")
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "emulator").exists()


@pytest.mark.slow
def test_a_failed_retraining_is_never_picked(run_copy, run_command, tmp_path):
    journal = run_copy / "trials.jsonl"
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    best = min((r for r in records if "holdout" in r), key=lambda r: r["holdout"]["mse"])
    best["status"], best["message"] = "FAILED", "for the test"
    journal.write_text("".join(json.dumps(r) + "\n" for r in records))
    out = tmp_path / "emulator"
    assert run_command("aeroact-export", run_copy, "--pick=best", "--out", out).returncode == 0
    assert zoo.load(out).card["provenance"]["trial"] != best["name"]
    done = run_command("aeroact-export", run_copy, f"--pick={best['name']}", "--out", out)
    assert done.returncode == 1
    assert "not usable, for the test; there are lightest" in done.stderr


@pytest.mark.slow
def test_a_network_that_cannot_be_exported_is_named_and_the_others_go_on(
    run_copy, run_command, tmp_path
):
    load_backend()
    import keras

    first, second, _ = sorted((run_copy / "models").iterdir())
    model = network.load(first)
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    model.save(first)
    narrow = [keras.Input((15,)), keras.layers.Dense(4, "sigmoid")]
    keras.Sequential(narrow).save(second)
    done = run_command("aeroact-export", run_copy, "--out", tmp_path / "emulator")
    assert done.returncode == 0, done.stderr
    assert "1 emulators" in done.stdout
    nan, widths = (f"refused: trial {file.stem}: {file}: " for file in (first, second))
    assert f"{nan}layer 1 has weights that are not finite" in done.stdout
    assert f"{widths}layer 1 has kernel (15, 4)" in done.stdout
    zoo.load(tmp_path / "emulator")
    said = run_command("aeroact-export", run_copy, f"--pick={first.stem}").stderr
    assert "not usable" in said
    assert "not finite" in said


@pytest.mark.slow
def test_a_quantized_form_keeps_its_own_bound(finished_run, tmp_path, monkeypatch):
    """It is no form that wins here; with a large --max-growth on another processor it may."""

    def int8(variants):
        return next(v for v in variants if v.name == "int8-dynamic")

    monkeypatch.setattr(run.optimize, "kept", int8)
    out = tmp_path / "emulator"
    form = run.Form(optimize=True, max_growth=100.0)
    exported = run.export(RunFolder(finished_run), out, run.Choice(), form)
    assert rewrites.is_quantized((out / "emulator.onnx").read_bytes())
    card = zoo.load(out).card
    assert card == {**exported.card, "files": card["files"]}
    assert 5e-6 < card["parity"]["weights"] < card["parity"]["bound"] < 1
    assert [f["name"] for f in card["optimized"] if f["verdict"] == "taken"] == ["int8-dynamic"]
    assert verify.failed(verify.verify(out)) == []


@pytest.mark.slow
def test_without_a_run_it_takes_the_newest(run_copy, run_command, tmp_path):
    nothing = run_command("aeroact-export", cwd=tmp_path)
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert "no finished run is here" in nothing.stderr
    (tmp_path / "runs").mkdir()
    run_copy.rename(tmp_path / "runs" / "mine")
    done = run_command("aeroact-export", "--pick=lightest", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    zoo.load(tmp_path / "emulators" / "mine-lightest")
