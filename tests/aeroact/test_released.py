"""The emulators that come with the package are what their cards say, and what was promised."""

import importlib.util
import json
import tomllib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import aeroact
from aeroact.export.verify import failed, verify
from aeroact.references import parcel
from aeroact.states import sample_rows

ROOT = Path(__file__).resolve().parents[2]
EMULATORS = ROOT / "aeroact" / "emulators"
NAMES = sorted(path.parent.name for path in EMULATORS.glob("*/card.json"))


def page_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("page", ROOT / "zoo" / "page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def card(name: str) -> dict:
    return json.loads((EMULATORS / name / "card.json").read_text())


@pytest.fixture(scope="module")
def parcels():
    """Parcels of a seed that no training had."""
    x = sample_rows(0, 2000, seed=77).astype(np.float32)
    found = parcel(x)
    return x[found.ok], found.fn[found.ok]


def test_each_goal_has_an_emulator_that_reaches_it():
    goals = page_script().GOALS
    assert set(NAMES) == set(goals)
    for name, (time_goal, mse_goal) in goals.items():
        found = card(name)
        assert found["holdout"]["mse"] <= mse_goal
        if time_goal:
            assert found["cost"]["fortran"]["fastest"]["multiple_of_arg2000"] <= time_goal


@pytest.mark.parametrize("name", NAMES)
def test_it_is_small_and_brings_the_search_that_found_it(name):
    folder = EMULATORS / name
    assert sum(file.stat().st_size for file in folder.iterdir()) < 300_000
    project = tomllib.loads((folder / "project.toml").read_text())
    asked = tomllib.loads((ROOT / "zoo" / f"{name}.toml").read_text())
    assert {k: project["project"][k] for k in asked} == asked
    assert "/" not in project["project"]["data"]
    trial = card(name)["provenance"]["trial"]
    for table in ("step1.csv", "step2.csv"):
        assert f",{trial}," in (folder / table).read_text()


@pytest.mark.parametrize("name", NAMES)
def test_it_was_trained_on_two_million_parcels_and_tested_on_one(name):
    found = card(name)
    assert found["provenance"]["data"]["training_rows"] >= 2_000_000
    assert found["holdout"]["rows"] >= 1_000_000
    assert found["provenance"]["data"]["job"]["states"] == "sampled"
    assert found["provenance"]["data"]["job"]["seed"] != 77


@pytest.mark.parametrize("name", NAMES)
def test_it_passes_every_check_of_a_bundle(name):
    assert failed(verify(EMULATORS / name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_its_error_on_fresh_parcels_is_that_of_its_card(name, parcels):
    x, fn = parcels
    emulator = aeroact.load(name)
    squares = ((emulator.predict(x) - fn) ** 2).mean(axis=1)
    spread = squares.std() / np.sqrt(len(x))
    assert squares.mean() - 4 * spread < emulator.card["holdout"]["mse"]
    assert squares.mean() < 1e-3 * emulator.card["arg2000"]["mse"]


@pytest.mark.parametrize("name", NAMES)
def test_its_card_has_all_that_makes_it_believable(name):
    found = card(name)
    assert found["cost"]["fortran"]["fastest"]["batch"] == 1024
    assert found["cost"]["fortran"]["native"]
    assert found["cost"]["fortran"]["ort"]
    assessment = found["assessment"]
    for part in ("deciles", "droplets", "worst", "monotony", "smoothness", "limits", "columns"):
        assert assessment[part]
    droplets = assessment["droplets"]
    assert droplets["emulator"]["absolute"] < 0.1 * droplets["arg2000"]["absolute"]


def test_the_page_says_what_the_cards_say():
    script = page_script()
    text = script.PAGE.read_text()
    assert script.page(text, script.cards()) == text
