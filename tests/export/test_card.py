"""What the model card says, and how it reads."""

import json
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from aeroact import schema
from aeroact.emulator import Emulator
from aeroact.export import bundle
from aeroact.export.card import faults
from aeroact.export.native import FortranReport
from aeroact.regions import AXES, Breakdown, interval
from aeroact.timing import Timing
from tests.export import small_emulator

FILES = {"emulator.onnx": "0", "weights.nc": "0", "fn.png": "0", "cost.png": "0"}


@pytest.fixture(scope="module")
def made(data):
    return {**small_emulator.make_card(data), "files": FILES}


@pytest.fixture(scope="module")
def text(made):
    return bundle.render(made)


def test_it_is_strict_json_and_lacks_nothing(made):
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert faults(made) == []


def test_it_describes_the_network_and_its_bounds(made):
    assert made["network"]["nodes"] == [8, 12]
    # (16 + 1) 8 + (8 + 1) 12 + (12 + 1) 4, and two operations for each product.
    assert made["network"]["params"] == 296
    assert made["network"]["mflop"] == pytest.approx(2e-6 * (16 * 8 + 8 * 12 + 12 * 4))
    low, high = small_emulator.STATES[:1000].min(axis=0), small_emulator.STATES[:1000].max(axis=0)
    for j, column in enumerate(made["columns"]):
        assert (column["name"], column["units"]) == (schema.COLUMNS[j], schema.COLUMN_UNITS[j])
        assert (column["low"], column["high"]) == (low[j], high[j])


def test_regions_have_both_errors(made):
    assert [region["by"] for region in made["regions"]][:4] == ["tair"] * 4
    for axis in AXES:
        rows = [region["rows"] for region in made["regions"] if region["by"] == axis.key]
        assert sum(rows) == made["holdout"]["rows"] == made["arg2000"]["rows"]
    full = [region for region in made["regions"] if region["rows"]]
    assert all(region["emulator"]["mse"] < region["arg2000"]["mse"] for region in full)
    # Regions of one axis make up the whole.
    parts = [region for region in made["regions"] if region["by"] == "wbar"]
    mse = sum(part["rows"] * part["emulator"]["mse"] for part in parts) / made["holdout"]["rows"]
    assert mse == pytest.approx(made["holdout"]["mse"])


def test_cost_is_that_of_the_report(made):
    cost, report = made["cost"], small_emulator.report()
    assert [row["batch"] for row in cost["batches"]] == [1, 16, 128, 1024]
    assert cost["us_per_sample"] == cost["batches"][-1]["us_per_sample"] == 1 + 8 / 1024
    assert cost["multiple_of_arg2000"] == cost["us_per_sample"] / 0.5
    assert cost["gflops"] == pytest.approx(1e3 * made["network"]["mflop"] / cost["us_per_sample"])
    assert cost["figure_s4"]["ms"] == 100.5
    assert cost["machine"] == report.machine.processor


def test_without_figure_s4_it_says_nothing_of_it(data):
    from dataclasses import replace

    report = replace(small_emulator.report(), figure_s4={})
    card = small_emulator.make_card(data, costs=report)
    assert card["cost"]["figure_s4"] is None
    assert "Figure S4" not in bundle.render({**card, "files": FILES})


def fortran_report(**backends):
    timings = {
        backend: {batch: Timing(us, 0.9 * us, 1.1 * us) for batch, us in times.items()}
        for backend, times in backends.items()
    }
    arg2000 = Timing(0.25, 0.24, 0.26)
    library = "libonnxruntime.so.1.20" if "ort" in backends else None
    return FortranReport(
        {"7": timings}, arg2000, "gfortran 12.2.0", "-O3 -march=native", library, "A core", None
    )


@pytest.fixture(scope="module")
def made_in_fortran(data):
    report = fortran_report(native={1024: 0.1, 1: 0.3}, ort={1024: 0.2, 1: 5.0})
    return {**small_emulator.make_card(data, fortran=report), "files": FILES}


def test_times_in_fortran_are_those_of_the_report(made_in_fortran):
    fortran = made_in_fortran["cost"]["fortran"]
    assert fortran["compiler"] == "gfortran 12.2.0"
    assert fortran["arg2000_us_per_sample"] == 0.25
    assert [row["batch"] for row in fortran["native"]] == [1, 1024]
    assert fortran["ort"][0] == {
        "batch": 1,
        "us_per_sample": 5.0,
        "quartiles": [4.5, 5.5],
        "multiple_of_arg2000": 20.0,
    }
    assert fortran["fastest"] == {
        "backend": "native",
        "batch": 1024,
        "us_per_sample": 0.1,
        "multiple_of_arg2000": 0.4,
    }
    assert faults(made_in_fortran) == []
    assert json.loads(json.dumps(made_in_fortran, allow_nan=False)) == made_in_fortran


def test_the_text_shows_times_in_fortran(made_in_fortran):
    text = bundle.render(made_in_fortran)
    for line in (
        "| `native` | 1,024 | 0.1 | 0.09 to 0.11 | 0.4 |",
        "| `ort` | 1 | 5 | 4.5 to 5.5 | 20 |",
        "The faster one in batches of 1,024 is `native`: 0.1 us a state, 0.4 times ARG2000.",
    ):
        assert f"{line}\n" in text
    assert "gfortran 12.2.0 with `-O3 -march=native`; backend `ort` is libonnxruntime" in text
    test_the_text_is_whole_markdown(text)


@pytest.mark.parametrize(("backend", "other"), [("native", "ort"), ("ort", "native")])
def test_a_backend_that_is_missing_is_told(data, backend, other):
    card = small_emulator.make_card(data, fortran=fortran_report(**{backend: {1024: 0.5}}))
    assert card["cost"]["fortran"][other] is None
    assert card["cost"]["fortran"]["fastest"]["backend"] == backend
    text = bundle.render({**card, "files": FILES})
    assert f"| `{other}` | | not available | | |\n" in text
    test_the_text_is_whole_markdown(text)


def test_a_card_without_times_in_fortran_is_as_it_was(made, text):
    assert made["cost"]["fortran"] is None
    assert "ompiled Fortran" not in text
    older = json.loads(json.dumps(made))
    del older["cost"]["fortran"]
    assert faults(older) == []
    assert bundle.render(older) == text


def test_what_is_not_a_number_is_null(data):
    """R2 of states that all have the same fraction, and of regions without a state."""
    x = np.repeat(small_emulator.STATES[:1], 3, axis=0)
    same = Breakdown()
    same.add(x, np.full((3, 4), 0.5, np.float32), np.full((3, 4), 0.6, np.float32))
    card = small_emulator.make_card(data, errors=same, arg2000=same)
    here = [region for region in card["regions"] if region["rows"]]
    assert len(here) == len(AXES)
    assert all(region["emulator"]["r2"] is None for region in here)
    empty = [region for region in card["regions"] if not region["rows"]]
    assert all(region["emulator"] is None and region["arg2000"] is None for region in empty)
    text = bundle.render({**card, "files": FILES})
    assert "| 0 | no state | no state |" in text
    assert "| none |" in text
    assert not re.search(r"\bnan\b", text)


def test_the_text_shows_what_the_card_holds(made, text):
    for value in (
        f"{made['holdout']['mse']:.3e}",
        f"{made['arg2000']['mse']:.3e}",
        f"{made['size_of_errors']['emulator']['p999']:.2e}",
        made["provenance"]["data"]["sha256"],
        "296 parameters",
        "100,000 states in batches of 1,024 take 100.5 ms",
        'aeroact.load("small")',
        "| temperature | 253 to 273 K |",
        "A processor, 2500 MHz",
        *made["limits"],
        *made["not_intended_use"],
    ):
        assert value in text
    for column in made["columns"]:
        assert f"| `{column['name']}` | {column['units']} | {column['low']:.4g} |" in text


def test_the_text_is_whole_markdown(text):
    assert not re.search(r"[{}]{2}|{%|\n{3,}", text)
    assert text.count("```") == 2
    lines = text.split("\n")
    for above, line in pairwise(lines):
        if above.startswith("|") and line.startswith("|"):
            assert above.count("|") == line.count("|"), line
        # A table or a heading begins after an empty line.
        if line.startswith(("#", "![")) or (line.startswith("|") and not above.startswith("|")):
            assert above == "", line


def test_the_lines_of_python_in_it_work(text, data, tmp_path, monkeypatch):
    small_emulator.write_bundle(tmp_path / "small", data)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"x": small_emulator.STATES[:9]}
    exec(text.split("```python\n")[1].split("```")[0], names)  # noqa: S102 - our own
    assert names["fn"].shape == (9, 4)
    assert names["inside"].all()


def tried_form(name, verdict, how, reason, growth):
    return {
        "name": name,
        "verdict": verdict,
        "how": how,
        "reason": reason,
        "params": 1234,
        "relative_time": 0.9,
        "mse_growth": growth,
        "largest_difference": 1e-3,
        "difference_at_corners": 2e-3,
    }


def test_options_are_told(data):
    tried = [
        tried_form("pruned", "taken", "3 of 20 taken out", "exact", 0.0),
        tried_form("int8", "no", "kernels in 8 bits", "the MSE grows by 12 %", 0.12),
        {**tried_form("half", "no", "bf16", "not available here", None), "relative_time": None},
    ]
    card = small_emulator.make_card(data, guard=True, optimized=tried)
    text = bundle.render({**card, "files": FILES})
    assert "`in_domain` (uint8)" in text
    assert "| pruned | 1,234 | 0.90 | 0.0e+00 | 1.0e-03 (2.0e-03) | taken |\n" in text
    assert "| int8 | 1,234 | 0.90 | 1.2e-01 | 1.0e-03 (2.0e-03) | no |\n" in text
    assert "| half | 1,234 | none | none | 1.0e-03 (2.0e-03) | no |\n" in text
    assert "- int8: kernels in 8 bits; the MSE grows by 12 %\n" in text
    guarded = Emulator(small_emulator.onnx_of(card))
    assert [output.name for output in guarded.session.get_outputs()] == ["fn", "in_domain"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("holdout", None),
        ("holdout.mse", "small"),
        ("holdout.mse", True),
        ("holdout.r2", None),
        ("network.guard", 0),
        ("parity.bound", ...),
        ("files", ...),
        ("provenance.data", 3),
        ("columns", {}),
    ],
)
def test_faults_are_named(made, path, value):
    spoilt = json.loads(json.dumps(made))
    *parents, last = path.split(".")
    inner = spoilt
    for key in parents:
        inner = inner[key]
    inner.pop(last)
    if value is not ...:
        inner[last] = value
    found = faults(spoilt)
    assert found
    assert all(fault.startswith(path) for fault in found)


@pytest.mark.parametrize("value", [..., None, "fast", True])
def test_faults_of_times_in_fortran_are_named(made_in_fortran, value):
    spoilt = json.loads(json.dumps(made_in_fortran))
    fastest = spoilt["cost"]["fortran"]["fastest"]
    fastest["us_per_sample"] = value
    if value is ...:
        del fastest["us_per_sample"]
    (fault,) = faults(spoilt)
    assert fault.startswith("cost.fortran.fastest.us_per_sample is ")


def test_a_column_without_bounds_is_named(made):
    spoilt = json.loads(json.dumps(made))
    del spoilt["columns"][3]["low"]
    assert faults(spoilt) == ["columns[3] lacks low"]


@pytest.mark.parametrize("what", [None, [], "card", 3])
def test_what_is_no_object_is_no_card(what):
    assert len(faults(what)) == 1


def test_intervals_in_words():
    tair = next(axis for axis in AXES if axis.key == "tair")
    assert [interval(tair, low, high) for low, high in tair.intervals] == [
        "below 253 K",
        "253 to 273 K",
        "273 to 293 K",
        "293 K and above",
    ]
    rh = next(axis for axis in AXES if axis.key == "rh")
    assert interval(rh, 0.5, 0.8) == "0.5 to 0.8"
