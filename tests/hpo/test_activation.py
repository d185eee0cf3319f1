"""The square of ReLU in the hidden layers: what it is, where it is kept, how it is asked for."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from aeroact import normalization
from aeroact.console import no_progress
from aeroact.hpo import network, step1, step2
from aeroact.hpo.backend import load_backend
from aeroact.hpo.config import Project, project_of, settings_of
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.holdout import Holdout
from aeroact.hpo.report import holdout, inference, runs, tables
from aeroact.hpo.space import Candidate, Chosen
from aeroact.hpo.training import TrainingData
from aeroact.metrics import Errors
from aeroact.states import sample_rows
from tests.commands import fails, run_command, search
from tests.hpo.report import made_up

WIDTHS = (24, 16, 8)


@pytest.fixture(scope="module", autouse=True)
def _backend():
    load_backend()


@pytest.fixture(scope="module")
def z():
    return np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)


def by_hand(weights, z):
    """The network as its name says, in NumPy."""
    a = z.astype(np.float64)
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        a = np.maximum(a @ kernel + bias, 0) ** 2
    return 1 / (1 + np.exp(-(a @ weights[-2] + weights[-1])))


def drawn(seed=1):
    """Weights that make some outputs large, and biases that are not zero."""
    rng = np.random.default_rng(seed)
    weights = network.initial_weights(WIDTHS, [seed])
    return [w + 0.1 * rng.normal(size=w.shape).astype(np.float32) for w in weights]


def test_hidden_layers_give_the_square_of_relu(z):
    weights = drawn()
    expected = by_hand(weights, z)
    model = network.build(WIDTHS, weights, "relu2")
    np.testing.assert_allclose(network.predict(model, z), expected, atol=2e-6)
    names = [layer.activation.__name__ for layer in model.layers if layer.weights]
    assert names == ["relu2"] * 3 + ["sigmoid"]
    # Else nothing is shown.
    assert np.abs(network.predict(network.build(WIDTHS, weights), z) - expected).max() > 0.01


def test_what_is_timed_squares_too(z):
    weights = drawn()
    expected = by_hand(weights, z)
    fn = step1.inference._forward(weights, z, "relu2")
    np.testing.assert_allclose(fn, expected, atol=2e-6)
    session = inference.session_of(weights, "relu2")
    np.testing.assert_allclose(session.run(["fn"], {"state": z})[0], expected, atol=2e-6)


def test_a_file_is_read_by_a_process_that_has_built_no_network(z, tmp_path):
    model = network.build(WIDTHS, drawn(), "relu2")
    model.save(tmp_path / "0.keras")
    np.save(tmp_path / "z.npy", z)
    script = (
        "import sys, numpy as np; from pathlib import Path; from aeroact.hpo import network\n"
        "folder = Path(sys.argv[1]); model = network.load(folder / '0.keras')\n"
        "np.save(folder / 'fn.npy', network.predict(model, np.load(folder / 'z.npy')))"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path], check=True, timeout=120)
    np.testing.assert_array_equal(np.load(tmp_path / "fn.npy"), network.predict(model, z))


def test_a_run_without_the_setting_has_relu(tmp_path):
    """As those of earlier versions have none."""
    assert project_of({}).activation == "relu"
    task = step1.task_of(Chosen("0", Candidate(WIDTHS)), Project(), RunFolder(tmp_path))
    assert task.recipe.activation == "relu"


def test_workers_of_both_steps_train_with_the_activation(tmp_path, monkeypatch):
    folder, states = RunFolder(tmp_path), sample_rows(0, 300, 1)
    for path in (folder.cache, folder.model("0").parent):
        path.mkdir()
    statistics = normalization.fit([states])
    x = statistics.apply(states).astype(np.float32)
    fn = (1 / (1 + np.exp(-x[:, :4]))).astype(np.float32)
    TrainingData(x[:200], fn[:200], x[200:], fn[200:]).save(folder.cache)
    folder.save_normalization(statistics)
    timed: list[str] = []
    errors = Errors()
    errors.add(fn, fn)
    monkeypatch.setattr(step1.inference, "measure", lambda weights, name: timed.append(name))
    monkeypatch.setattr(step2, "test", lambda model, folder: errors)
    few = {"p_subset": 1, "epochs": 2, "retrain_epochs": 3, "batch_size": 100}
    project = Project(**few, activation="relu2", max_layers=3)
    chosen = Chosen("0", Candidate(WIDTHS))
    step1.attempt(step1.task_of(chosen, project, folder), lambda errors: False)
    assert timed == ["relu2"]
    done = step2.retrain(step2.task_of(chosen, project, folder), lambda errors: False)
    weights = network.load(folder.model("0")).get_weights()
    error = np.mean((by_hand(weights, x[200:]) - fn[200:]) ** 2)
    assert error == pytest.approx(min(done.val_mse), rel=1e-4)


def test_a_search_is_asked_for_it(dataset_file, tmp_path):
    """By the command that writes down the settings of both steps, and no more; or by a file."""
    asked = ["--data", dataset_file, "--activation", "relu2", "--max-layers=4"]
    done = run_command("aeroact-hpo", "slurm", tmp_path / "run", *asked)
    assert done.returncode == 0, done.stderr
    assert RunFolder(tmp_path / "run").project().activation == "relu2"
    file = tmp_path / "project.toml"
    file.write_text('[project]\nactivation = "relu2"\nmax_layers = 4\n')
    assert project_of(settings_of("paper", file, {})).activation == "relu2"


@pytest.mark.parametrize("command", ["run", "step1", "plan"])
def test_an_activation_that_is_none_is_refused_in_one_line(command, tmp_path):
    out = tmp_path / "run"
    done = run_command("aeroact-hpo", command, "--out", out, "--activation", "gelu")
    assert done.returncode == 2
    assert "--activation" in done.stderr
    assert "'gelu' is not one of" in done.stderr
    file = tmp_path / "project.toml"
    file.write_text('activation = "gelu"\n')
    said = fails("aeroact-hpo", command, "--out", out, "--config", file)
    assert "activation: Input should be 'relu' or 'relu2'" in said
    assert not out.exists()


def test_a_run_keeps_its_activation(finished_run):
    other = ["--activation", "relu2", "--max-layers=3"]
    said = fails("aeroact-hpo", "run", "--out", finished_run, *other)
    assert "holds a run with activation = relu, not relu2; choose another --out" in said
    done = run_command("aeroact-hpo", "step2", finished_run, "--activation", "relu2")
    assert done.returncode == 2
    assert "No such option" in done.stderr


@pytest.fixture
def squared_run(finished_run, tmp_path):
    """A run whose networks square, though nobody has trained them to."""
    folder = RunFolder(shutil.copytree(finished_run, tmp_path / "run"))
    folder.change(folder.project().model_copy(update={"activation": "relu2"}))
    for path in (folder.path / "models").glob("*.keras"):
        weights = network.load(path).get_weights()
        widths = tuple(bias.size for bias in weights[1:-2:2])
        network.build(widths, weights, "relu2").save(path)
    return folder


def test_a_report_predicts_with_the_activation_of_its_run(squared_run):
    chosen = holdout.picks(runs.read([squared_run.path]))
    networks = holdout.predict(chosen, ("accum",), no_progress).networks.set_index("network")
    blocks = list(Holdout(squared_run).blocks())
    x, fn = (np.concatenate(part) for part in zip(*blocks, strict=True))
    z = squared_run.normalization().apply(x)
    for pick in chosen:
        weights = network.load(squared_run.model(pick.trial.name)).get_weights()
        error = np.mean((by_hand(weights, z) - fn) ** 2)
        assert networks.loc[pick.role, "mse"] == pytest.approx(error, rel=1e-4)
        assert abs(error / pick.trial.holdout["mse"] - 1) > 0.01  # else nothing is shown


def test_a_report_tells_the_same_nodes_with_another_activation_apart(tmp_path):
    found = runs.read(
        [
            made_up.run(
                tmp_path / name, trials=1, failed=0, activation=name, max_layers=4, p_subset=p
            )
            for name, p in (("relu", 1.0), ("relu2", 0.5))
        ]
    )
    assert len(holdout.picks(found)) == 2
    times = inference.measure(
        (trial.widths, run.project.activation) for run in found for trial in run.step2.values()
    )
    assert list(times["activation"].iloc[:2]) == ["relu2", "relu"]
    priced = tables.accuracy_and_cost(tables.retrained(found), times)
    assert sorted(priced["activation"]) == ["relu", "relu2"]
    for _, row in priced.iterrows():
        here = times[times["activation"] == row["activation"]]
        assert row["us_per_sample"] == here["us_per_sample"].iloc[0]
    # A search of ReLU on all rows is no measure of what one of its square costs.
    assert list(tables.projects(found)["one_step"]) == ["estimated", "measured"]


@pytest.mark.slow
def test_a_search_with_squares_is_reported(dataset_file, tmp_path, small_search):
    few = [*small_search, "--trials=2", "--retrain=1", "--activation=relu2"]
    run = search(dataset_file, tmp_path / "run", few)
    done = run_command("aeroact-hpo", "report", run, "--out", tmp_path / "report")
    assert done.returncode == 0, done.stderr
    networks = tables.read(tmp_path / "report" / "tables" / "networks.csv").set_index("network")
    for pick in holdout.picks(runs.read([run])):
        assert networks.loc[pick.role, "mse"] == pytest.approx(pick.trial.holdout["mse"], rel=1e-4)
    provenance = json.loads((tmp_path / "report" / "provenance.json").read_text())
    (of_run,) = provenance["runs"].values()
    assert of_run["project"]["activation"] == "relu2"
