"""Is an emulator fit for some states: what is counted, what is measured, and what is advised."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aeroact import dataset, schema, states, suitability
from aeroact.emulator import Emulator
from aeroact.errors import AeroactError
from aeroact.physics.parcel import simulate
from aeroact.references import parcel, predict_arg2000
from aeroact.suitability import Domain, Measured, Suitability, measure
from tests import small_bundle

N = 120
# Where states can be sampled.
LOW, HIGH = (np.array(small_bundle.BOUNDS[side], np.float32) for side in ("low", "high"))


class Nearly:
    """An emulator that answers what the parcel model does, but for noise; 0.5 where it does not."""

    def __init__(self, noise: float, mse: float, **card: Any) -> None:
        self.noise, self.bounds = noise, (LOW, HIGH)
        self.card = small_bundle.card(holdout={"mse": mse}, **card)

    def in_domain(self, x: NDArray[np.floating]) -> NDArray[np.bool_]:
        return np.asarray(((x >= LOW) & (x <= HIGH)).all(axis=1))

    def predict(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        noise = np.random.default_rng(len(x)).normal(0, self.noise, (len(x), 4))
        return (np.nan_to_num(parcel(x).fn, nan=0.5) + noise).astype(np.float32)


def nearly(noise: float, mse: float, **card: Any) -> Emulator:
    emulator: Any = Nearly(noise, mse, **card)
    return emulator


def sampled(n: int = N, seed: int = 3) -> NDArray[np.float32]:
    return states.sample_rows(0, n, seed).astype(np.float32)


def write(path: Path, x: NDArray[np.floating], **extra: NDArray) -> Path:
    dataset.write(dataset.from_arrays(x, **extra), path, title="States", command="test")
    return path


# What is measured


def test_errors_are_those_of_their_definitions() -> None:
    rng = np.random.default_rng(0)
    fn, prediction = rng.random((50, 4)), rng.random((50, 4)).astype(np.float32)
    found = measure(fn, prediction)
    squared = (prediction.astype(float) - fn) ** 2
    assert found.rows == 50
    assert found.mse == pytest.approx(squared.mean())
    assert found.mse_by_mode == pytest.approx(squared.mean(axis=0))
    assert found.standard_error == pytest.approx(squared.mean(axis=1).std(ddof=1) / 50**0.5)
    assert found.largest_by_mode == pytest.approx(np.sqrt(squared.max(axis=0)))
    assert found.r2 == pytest.approx(1 - squared.sum() / ((fn - fn.mean()) ** 2).sum())


def test_only_what_sampling_does_not_explain_exceeds() -> None:
    """Of many samples of one and the same error, none is said to exceed it."""
    rng = np.random.default_rng(1)
    truth = np.zeros((400, 4))
    heavy = [rng.lognormal(0, 1.5, (400, 4)) * 1e-3 for _ in range(300)]
    mse = float(np.mean(np.square(heavy)))
    measured = [measure(truth, prediction) for prediction in heavy]
    assert not any(m.exceeds(mse) for m in measured)
    assert any(m.mse > mse for m in measured)
    assert measure(truth, np.full((400, 4), 1e-3)).exceeds(0.99e-6)
    assert not measure(truth[:1], np.full((1, 4), 0.5)).exceeds(0.0)


def test_the_domain_is_counted_by_column_and_side() -> None:
    domain = Domain((LOW, HIGH))
    x = np.tile(np.sqrt(LOW * HIGH), (6, 1)).astype(np.float32)
    tair, accum = schema.COLUMNS.index("tair"), schema.COLUMNS.index("num_aer_accum")
    x[0, tair], x[1, tair] = 200.0, LOW[tair]  # the bound itself is within
    x[2, accum], x[3, accum] = 2e4, 3e4
    x[0, accum] = 0.5
    domain.add(x[:2])
    domain.add(x[2:])
    domain.add(x[:0])
    assert (domain.rows, domain.outside) == (6, 3)
    first, second = domain.excursions
    assert (first.column, first.below, first.above) == ("num_aer_accum", 1, 2)
    assert (first.lowest, first.highest, first.units) == (0.5, 3e4, "cm-3")
    assert (second.column, second.below, second.above) == ("tair", 1, 0)
    assert (second.low, second.high) == (LOW[tair], HIGH[tair])


# A file of states


def test_states_that_it_knows_well_are_fit(tmp_path: Path) -> None:
    x = sampled()
    found = suitability.assess(nearly(1e-3, 1e-6), write(tmp_path / "s.nc", x), samples=N)
    truth = simulate(*schema.split_state(x.astype(float)).values())
    known = int(truth.ok.sum())
    assert (found.rows, found.outside, found.excursions, found.unsound) == (N, 0, [], 0)
    assert found.statuses == {"OK": known, **({"NO_PEAK": N - known} if known < N else {})}
    assert found.within["emulator"].rows == known
    assert found.within["emulator"].mse == pytest.approx(1e-6, rel=0.2)
    arg2000 = measure(truth.fn[truth.ok], predict_arg2000(x[truth.ok]))
    assert found.within["arg2000"].mse == pytest.approx(arg2000.mse, rel=1e-6)
    assert found.beyond == {}
    assert (found.verdict, found.faults) == ("fit", [])
    assert found.advice.startswith("fit for use")
    assert found.holdout_mse == 1e-6


def test_an_error_clearly_above_the_cards_is_said(tmp_path: Path) -> None:
    file = write(tmp_path / "s.nc", sampled())
    found = suitability.assess(nearly(4e-3, 1e-6), file, samples=N)
    assert found.verdict == "retrain"
    (fault,) = found.faults
    assert "clearly above the 1.00e-06 of its holdout" in fault
    assert "docs/bring-your-own.md" in found.advice


def test_an_emulator_that_errs_more_than_arg2000_is_not_fit(tmp_path: Path) -> None:
    file = write(tmp_path / "s.nc", sampled())
    found = suitability.assess(nearly(0.4, 0.16), file, samples=N)
    (fault,) = found.faults
    assert fault.startswith("ARG2000 errs less")


def test_rows_out_of_bounds_are_measured_apart(tmp_path: Path) -> None:
    x = sampled()
    x[::3, schema.COLUMNS.index("num_aer_aitken")] = 5e4
    found = suitability.assess(nearly(1e-3, 1e-6), write(tmp_path / "s.nc", x), samples=N)
    assert found.outside == N // 3
    assert [each.column for each in found.excursions] == ["num_aer_aitken"]
    within, beyond = found.within["emulator"].rows, found.beyond["emulator"].rows
    assert within + beyond == found.statuses["OK"]
    assert 0 < beyond <= N // 3
    (fault,) = found.faults
    assert "33.33% of the rows are outside of the training bounds, by num_aer_aitken" in fault


def test_a_few_rows_out_of_bounds_are_left_to_the_fallback(tmp_path: Path) -> None:
    x = sampled(400)
    x[5, 0] = 200.0
    found = suitability.assess(nearly(1e-3, 1e-6), write(tmp_path / "s.nc", x), samples=100)
    assert (found.outside, found.verdict) == (1, "fit")


def test_the_sample_depends_on_its_seed_and_is_no_larger_than_the_file(tmp_path: Path) -> None:
    file = write(tmp_path / "s.nc", sampled(200))
    emulator = nearly(1e-3, 1e-6)
    found = [suitability.assess(emulator, file, samples=60, seed=s) for s in (1, 1, 2)]
    assert [sum(each.statuses.values()) for each in found] == [60] * 3
    assert found[0] == found[1]
    assert found[0].within["arg2000"] != found[2].within["arg2000"]
    everything = suitability.assess(emulator, file, samples=10_000)
    assert sum(everything.statuses.values()) == everything.rows == 200


def test_other_units_and_names_are_converted(tmp_path: Path) -> None:
    x = sampled().astype(float)
    ds = dataset.from_arrays(x)
    ds["pressure"] = (ds["pressure"] * 100).assign_attrs(units="Pa")
    ds["num_aer"] = (ds["num_aer"] * 1e6).assign_attrs(units="m-3")
    ds["wbar"] = (ds["wbar"] / 100).assign_attrs(units="m s-1")
    ds["rh"] = (ds["rh"] * 100).assign_attrs(units="%")
    ds.rename(tair="Tair").to_netcdf(tmp_path / "units.nc")
    emulator = nearly(0.0, 1e-6)
    ours = suitability.assess(emulator, write(tmp_path / "s.nc", x), samples=N)
    theirs = suitability.assess(emulator, tmp_path / "units.nc", samples=N)
    assert theirs.rows == ours.rows
    assert theirs.statuses == ours.statuses
    assert theirs.within["arg2000"].mse == pytest.approx(ours.within["arg2000"].mse, rel=1e-3)


def test_labels_are_of_no_account(tmp_path: Path) -> None:
    wrong = np.full((N, 4), 7.0)
    file = write(tmp_path / "s.nc", sampled(), fn=wrong)
    assert suitability.assess(nearly(1e-3, 1e-6), file, samples=N).verdict == "fit"


def test_rows_without_an_answer_are_counted_by_status(tmp_path: Path) -> None:
    x = sampled()
    columns = [schema.COLUMNS.index(f"num_aer_{mode}") for mode in schema.MODES]
    x[:40, columns] = 0.0  # nothing takes up the vapour
    found = suitability.assess(nearly(1e-3, 1e-6), write(tmp_path / "s.nc", x), samples=N)
    assert found.statuses["NO_PEAK"] >= 40
    assert sum(found.statuses.values()) == N


def test_too_few_answers_decide_nothing(tmp_path: Path) -> None:
    found = suitability.assess(nearly(1.0, 1e-6), write(tmp_path / "s.nc", sampled(10)))
    assert found.verdict == "undecided"
    assert "fewer than 30 sampled rows" in found.advice


def test_rows_that_are_no_states_are_refused_unless_the_file_says_so(tmp_path: Path) -> None:
    x = sampled()
    x[7, 0] = np.nan
    x[8, 1] = 5000.0
    status = np.zeros(N, np.int8)
    file = write(tmp_path / "s.nc", x, status=status)
    with pytest.raises(AeroactError, match=r"s\.nc: tair is not finite in 1 rows; pressure is"):
        suitability.assess(nearly(1e-3, 1e-6), file)
    status[[7, 8]] = 2
    found = suitability.assess(
        nearly(1e-3, 1e-6), write(tmp_path / "s.nc", x, status=status), samples=N
    )
    assert (found.rows, found.unsound, found.outside) == (N - 2, 2, 0)


# What the card says


def test_the_parcel_model_is_the_one_of_the_training_data(tmp_path: Path) -> None:
    file = write(tmp_path / "s.nc", sampled(60))
    job = {**small_bundle.JOB, "physics": "pyrcel", "accommodation": 0.3, "bins": 30, "rtol": 1e-3}
    found = suitability.assess(
        nearly(0.0, 1e-6, provenance={"data": {"job": job}}), file, samples=60
    )
    assert found.truth == "preset pyrcel, accommodation 0.3"
    usual = suitability.assess(nearly(0.0, 1e-6), file, samples=60)
    assert usual.truth == "preset default"
    # The emulator is the default parcel model; it errs against another one only.
    assert usual.within["emulator"].mse < 1e-12
    assert found.within["emulator"].mse > 1e-6


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"job": None, "physics": "pyrcel"}, "preset pyrcel"),
        ({"physics": "not stated in the file"}, "preset default, for the card names none"),
        ({}, "preset default, for the card names none"),
    ],
    ids=str,
)
def test_data_of_another_origin_have_the_physics_that_the_card_names(
    data: dict[str, Any], text: str
) -> None:
    assert suitability.truth_of({"provenance": {"data": data}}).text == text


@pytest.mark.parametrize(
    "wrong", [{"physics": "magic"}, {"accommodation": 7}, {"bins": "many"}, {"rtol": None}], ids=str
)
def test_a_job_that_makes_no_sense_is_an_error(wrong: dict[str, Any]) -> None:
    card = {"provenance": {"data": {"job": {**small_bundle.JOB, **wrong}}}}
    with pytest.raises(AeroactError, match=r"provenance\.data\.job: "):
        suitability.truth_of(card)


@pytest.mark.parametrize("mse", [None, "1e-6", True, -1.0, float("nan")])
def test_a_card_without_an_error_is_an_error(mse: object) -> None:
    with pytest.raises(AeroactError, match=r"card\.json: holdout\.mse is"):
        suitability.holdout_mse({"holdout": {"mse": mse}})


def test_all_of_it_is_strict_json() -> None:
    constant = Measured(1, 0.0, np.inf, np.nan, [0.0] * 4, [np.nan] * 4, [0.0] * 4)
    compared = {"emulator": constant, "arg2000": constant}
    found = Suitability("f", 1, 0, 0, [], {"OK": 1}, "default", compared, {}, 1e-6)
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert told["within"]["emulator"]["r2"] is None
    assert told["verdict"] == "undecided"
    assert {field.name for field in dataclasses.fields(Suitability)} <= told.keys()
