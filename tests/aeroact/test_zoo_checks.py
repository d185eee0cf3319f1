"""The checks of a zoo's emulators: each fails for what it is there to find."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aeroact import suitability, zoo
from aeroact.emulator import Emulator
from aeroact.states import sample_rows
from aeroact.zoo_checks import Finding, check
from tests import small_bundle
from tests.small_bundle import JOB, flip_a_bit, sign


@pytest.fixture(scope="module")
def mse() -> float:
    """What the small emulator's card must say: its error on many parcels."""
    x = sample_rows(0, 4000, seed=1).astype(np.float32)
    simulated = suitability.truth_of(small_bundle.card()).simulate(x)
    prediction = Emulator(small_bundle.network()).predict(x[simulated.ok])
    return suitability.measure(simulated.fn[simulated.ok], prediction).mse


@pytest.fixture
def folder(tmp_path: Path, mse: float) -> Path:
    """A zoo whose one emulator is what its card says."""
    small_bundle.write(tmp_path / "zoo" / "small", holdout={"mse": mse})
    zoo.write_index(tmp_path / "zoo")
    return tmp_path / "zoo"


def results(found: list[Finding]) -> dict[str, bool | None]:
    return {finding.check: finding.ok for finding in found}


def stated(folder: Path, **changes: Any) -> Path:
    """Change what the card says, as someone would who can sign."""
    shutil.rmtree(folder / "small")
    small_bundle.write(folder / "small", **changes)
    zoo.write_index(folder)
    return folder


@pytest.mark.parametrize("seed", [0, 5, 99])
def test_an_emulator_that_is_what_its_card_says_passes(seed: int, folder: Path) -> None:
    found = check("small", folder, parcels=300, seed=seed)
    assert results(found) == {"files": True, "fractions": True, "parcels": True}
    assert {finding.emulator for finding in found} == {"small"}
    assert f"seed {seed}" in found[-1].text


def test_an_error_that_the_card_hides_is_found(folder: Path, mse: float) -> None:
    stated(folder, holdout={"mse": mse / 2})
    found = check("small", folder, parcels=300, seed=5)
    assert results(found)["parcels"] is False
    assert "more than sampling explains" in found[-1].text


def test_a_folder_can_be_checked_too(folder: Path) -> None:
    assert results(check(folder / "small", parcels=0)) == {"files": True, "fractions": True}


def test_the_seed_of_the_training_states_is_refused(folder: Path) -> None:
    found = check("small", folder, parcels=100, seed=JOB["seed"])  # type: ignore[arg-type]
    assert results(found)["parcels"] is False
    assert "seed 2026 is that of its training states; choose another" in found[-1].text


@pytest.mark.parametrize(
    "job", [None, {**JOB, "states": "0" * 64}], ids=["of another make", "states of a file"]
)
def test_states_that_were_not_sampled_cannot_be_sampled_anew(job: Any, folder: Path) -> None:
    stated(folder, provenance={"data": {"physics": "default", "job": job}})
    found = check("small", folder, parcels=100)
    assert results(found)["parcels"] is None
    assert "--states" in found[-1].text


def test_too_few_answers_say_nothing(folder: Path) -> None:
    found = check("small", folder, parcels=20)
    assert results(found)["parcels"] is None


def test_outputs_that_are_no_fractions_are_found(folder: Path) -> None:
    stated(folder, content=small_bundle.network(activation="Softplus"))
    found = check("small", folder, parcels=0)
    assert results(found) == {"files": True, "fractions": False}
    assert "emulator.onnx: gives more than fractions" in found[-1].text


@pytest.mark.parametrize("name", ["emulator.onnx", "card.json", "CARD.md", "SHA256SUMS"])
def test_a_changed_file_is_found_and_nothing_is_opened(name: str, folder: Path) -> None:
    flip_a_bit(folder / "small" / name)
    (finding,) = check("small", folder)
    assert (finding.check, finding.ok) == ("files", False)
    assert name in finding.text


def test_a_file_too_many_is_found(folder: Path) -> None:
    (folder / "small" / "notes.txt").touch()
    (finding,) = check("small", folder)
    assert (finding.ok, finding.text.endswith("SHA256SUMS does not know notes.txt")) == (
        False,
        True,
    )


@pytest.mark.parametrize("content", [b"none", small_bundle.network(inputs=15)])
def test_a_network_that_is_none_of_ours_is_found(content: bytes, folder: Path) -> None:
    (folder / "small" / "emulator.onnx").write_bytes(content)
    sign(folder / "small")
    zoo.write_index(folder)
    (finding,) = check("small", folder)
    assert (finding.check, finding.ok) == ("files", False)
    assert "emulator.onnx: " in finding.text


def test_a_card_without_an_error_is_found(folder: Path) -> None:
    stated(folder, holdout={"mse": 0.25, "rows": 1})
    bundle = folder / "small"
    (bundle / "card.json").write_text('{"name": "small"}')
    sign(bundle)
    found = check(bundle, parcels=100)
    assert results(found)["parcels"] is False
    assert "card.json: holdout.mse is missing" in found[-1].text


def test_a_name_that_nobody_has_is_found(folder: Path) -> None:
    (finding,) = check("smal", folder)
    assert "did you mean small?" in finding.text
