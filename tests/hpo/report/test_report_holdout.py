"""What networks make of the holdout, against Keras, the run's own record and brute force."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnxruntime import InferenceSession

from aeroact import dataset, schema
from aeroact.console import no_progress
from aeroact.errors import AeroactError
from aeroact.hpo import network
from aeroact.hpo.holdout import Holdout
from aeroact.hpo.network import initial_weights
from aeroact.hpo.report import holdout, inference, runs
from aeroact.hpo.report.holdout import WORST, picks
from aeroact.hpo.space import n_params
from tests.hpo.report import made_up

ALL = schema.MODES


@pytest.fixture(scope="module")
def run(finished_run):
    return runs.read([finished_run])


@pytest.fixture(scope="module")
def predicted(run):
    return holdout.predict(picks(run), ALL, no_progress)


@pytest.fixture(scope="module")
def rows(finished_run):
    """States, labels and the best network's predictions by Keras."""
    folder = runs.RunFolder(finished_run)
    blocks = list(Holdout(folder).blocks())
    x, fn = (np.concatenate(part) for part in zip(*blocks, strict=True))
    best = picks(runs.read([finished_run]))[0]
    model = network.load(folder.model(best.trial.name))
    return x, fn, network.predict(model, folder.normalization().apply(x))


def test_the_picks_are_those_of_figure_3(read):
    chosen = picks(read)
    roles = {role for pick in chosen for role in pick.role.split(", ")}
    assert roles == {"best", "second", "third", "lightest", "heaviest"}
    by_role = {role: pick for pick in chosen for role in pick.role.split(", ")}
    usable = [t for run in read for t in run.step2.values() if t.status == "COMPLETED"]
    assert by_role["lightest"].trial.params == min(t.params for t in usable)
    assert by_role["heaviest"].trial.params == max(t.params for t in usable)
    order = [by_role[role].trial.holdout["mse"] for role in ("best", "second", "third")]
    assert order == sorted(order)
    assert order[0] == min(t.holdout["mse"] for t in usable)
    # Each architecture once, though four projects have retrained it.
    assert len({pick.trial.candidate for pick in chosen}) == len(chosen)
    assert all(pick.trial.status == "COMPLETED" for pick in chosen)


def test_one_network_plays_every_part(tmp_path):
    (only,) = picks(runs.read([made_up.run(tmp_path / "run", trials=1, failed=0)]))
    assert only.role == "best, lightest, heaviest"
    assert not picks(runs.read([made_up.run(tmp_path / "other", done2=0)]))


def test_errors_are_those_of_the_run(run, predicted):
    networks = predicted.networks.set_index("network")
    for pick in picks(run):
        row, recorded = networks.loc[pick.role], pick.trial.holdout
        assert row["rows"] == recorded["rows"]
        assert row["mse"] == pytest.approx(recorded["mse"], rel=1e-4)
        assert row["r2"] == pytest.approx(recorded["r2"], abs=1e-4)
        for output, mse in zip(schema.OUTPUTS, recorded["mse_by_mode"], strict=True):
            assert row[f"mse_{output}"] == pytest.approx(mse, rel=1e-4)
    assert networks.index[-1] == "ARG2000"
    assert networks.loc["ARG2000", "mse"] > 1e-3


def test_every_row_is_in_a_bin_of_every_mode(predicted):
    counts = predicted.hexagons.groupby(["network", "mode"])["count"].sum()
    assert set(counts) == {predicted.networks["rows"].iloc[0]}
    assert len(counts) == 4 * len(predicted.networks)


def test_every_row_is_in_a_region(predicted):
    counts = predicted.regions.groupby(["network", "by"])["rows"].sum()
    assert set(counts) == {predicted.networks["rows"].iloc[0]}


def test_the_worst_states_are_the_worst(predicted, rows):
    x, fn, prediction = rows
    errors = np.abs(prediction - fn).max(axis=1)
    best = predicted.networks["network"].iloc[0]
    worst = predicted.worst[predicted.worst["network"] == best]
    assert len(worst) == WORST
    np.testing.assert_allclose(worst["error"], np.sort(errors)[::-1][:WORST], atol=1e-5)
    place = int(np.argmax(errors))
    np.testing.assert_array_equal(worst[list(schema.COLUMNS)].iloc[0], x[place])
    # The parcel model at fine settings says what its label said.
    assert worst["label_error"].max() < 2e-3
    assert (worst["smax"] > 0).all()
    mode = schema.MODES[int(np.abs(prediction - fn)[place].argmax())]
    assert worst["mode"].iloc[0] == mode


def test_blocks_do_not_matter(run, predicted, monkeypatch):
    monkeypatch.setattr(dataset, "BLOCK", 997)
    again = holdout.predict(picks(run), ALL, no_progress)
    for name in ("hexagons", "worst"):
        ours, theirs = getattr(again, name), getattr(predicted, name)
        assert ours.drop(columns="network").equals(theirs.drop(columns="network"))
    np.testing.assert_allclose(again.networks["mse"], predicted.networks["mse"], rtol=1e-12)


def test_without_its_data_a_run_is_named(run, tmp_path):
    moved = [replace(run[0], folder=runs.RunFolder(tmp_path / "none"))]
    with pytest.raises(AeroactError, match="no run is here"):
        holdout.predict(picks(moved), ALL, no_progress)


def test_a_network_that_is_gone_is_named_and_the_others_go_on(finished_run, tmp_path):
    copy = shutil.copytree(finished_run, tmp_path / "run")
    read = runs.read([copy])
    chosen = picks(read)
    (copy / "models" / f"{chosen[0].trial.name}.keras").unlink()
    predicted = holdout.predict(chosen, ("accum",), no_progress)
    assert len(predicted.problems) == 1
    assert "this network is missing" in predicted.problems[0]
    assert chosen[0].role not in set(predicted.networks["network"])
    assert len(predicted.networks) == len(chosen)  # one less, and ARG2000


def test_a_session_predicts_what_keras_predicts(finished_run, rows):
    folder = runs.RunFolder(finished_run)
    x, _, prediction = rows
    best = picks(runs.read([finished_run]))[0]
    weights = network.load(folder.model(best.trial.name)).get_weights()
    session = inference.session_of(weights)
    assert isinstance(session, InferenceSession)
    z = folder.normalization().apply(x).astype(np.float32)
    np.testing.assert_allclose(session.run(["fn"], {"state": z})[0], prediction, atol=5e-6)


def test_times_are_of_each_architecture_once():
    told = []
    networks: list[inference.Network] = [((8,), "relu"), ((16, 8), "relu2"), ((8,), "relu")]
    times = inference.measure(networks, lambda done, note="": told.append(done))
    assert told == list(range(1, 11))
    assert list(times["nodes"]) == ["8", "16, 8", "ARG2000"]
    assert list(times["activation"].iloc[:2]) == ["relu", "relu2"]
    assert list(times["params"].iloc[:2]) == [n_params((8,)), n_params((16, 8))]
    assert (times["mean_ms"] > 0).all()
    # 100,000 samples: milliseconds of all, microseconds of one.
    np.testing.assert_allclose(times["us_per_sample"], times["mean_ms"] / 100, rtol=0.5)


def test_weights_of_a_session_are_used():
    a, b = (inference.session_of(initial_weights((8,), [seed])) for seed in (1, 2))
    z = np.ones((3, schema.N_INPUTS), np.float32)
    answers = [session.run(["fn"], {"state": z})[0] for session in (a, b)]
    assert np.abs(answers[0] - answers[1]).max() > 1e-3


def test_the_modes_are_those_of_the_option():
    from typing import get_args

    from aeroact.hpo.choices import Mode

    assert get_args(Mode) == (*schema.MODES, "all")


def test_the_holdout_of_a_run_is_not_written_to(finished_run: Path, predicted):
    assert not (finished_run / "cache").exists()
