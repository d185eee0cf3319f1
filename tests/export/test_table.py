"""The table of a ranking: its records, and each way to show them."""

import csv
import io
import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from aeroact.errors import AeroactError
from aeroact.export import table
from aeroact.export.parity import Parity
from aeroact.export.rank import RULES, Candidate
from aeroact.hpo.journal import Trial
from aeroact.metrics import Errors
from aeroact.schema import OUTPUTS
from aeroact.timing import Timing

ARG2000_TIMING = Timing(1.0, 0.9, 1.2)
WIDTHS = (60, 80, 100, 120, 160, 200, 240, 320)


def candidate(name, mse, widths, microseconds):
    holdout = {
        "mse": mse,
        "r2": 1 - 10 * mse,
        "mse_by_mode": [1e-5, 2e-5, 3e-5, 4e-5],
        "r2_by_mode": [0.91, 0.92, math.nan, 0.94],
        "rows": 1000,
    }
    trial = Trial(2, name, tuple(widths), "COMPLETED", holdout=holdout)
    timing = Timing(microseconds, 0.9 * microseconds, 1.5 * microseconds)
    return Candidate(trial, b"x" * 1500, Parity(3e-7, 2e-7, 1e-7, 100_000, 0), timing)


def arg2000_errors():
    truth = np.random.default_rng(0).random((50, 4))
    errors = Errors()
    errors.add(truth, np.clip(truth + 0.1, 0, 1))
    return errors


DEEP = candidate("07", 1e-5, [2048] * 20, 400.0)
LIGHT = candidate("03", 1.2e-5, [32, 16], 0.25)
POOR = candidate("11", 5e-3, [8], 0.5)


def records_of(*candidates, tolerance=1.5, max_mse=None):
    return table.rows(
        candidates, arg2000_errors(), ARG2000_TIMING, tolerance=tolerance, max_mse=max_mse
    )


RECORDS = records_of(POOR, LIGHT, DEEP)


def screen(records, width):
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(table.on_screen(records, "runs/[default]", width))
    return console.export_text()


# --- records ----------------------------------------------------------------------------------


def test_the_best_comes_first_and_arg2000_last():
    assert [r["trial"] for r in RECORDS] == ["07", "03", "11", "ARG2000"]
    assert [r["rank"] for r in RECORDS] == [1, 2, 3, None]


def test_all_records_have_the_columns_of_the_table_in_order():
    for record in RECORDS:
        assert list(record) == [column.key for column in table.COLUMNS]


def test_a_record_says_what_there_is_to_know():
    light = RECORDS[1]
    # 16 inputs, 4 outputs: 16 * 32 + 32 * 16 + 16 * 4 products and sums, and 52 biases.
    assert light["mflop"] == pytest.approx(2e-6 * (512 + 512 + 64))
    assert (light["nodes"], light["layers"], light["params"]) == ([32, 16], 2, 1088 + 52)
    assert light["us_per_sample"] == 0.25
    assert light["us_per_sample_lower"] == pytest.approx(0.225)
    assert light["us_per_sample_upper"] == pytest.approx(0.375)
    assert light["multiple_of_arg2000"] == pytest.approx(0.25)
    assert light["bytes"] == 1500
    parity = [light[f"parity_{name}"] for name in ("largest", "p999", "at_corners")]
    assert parity == [3e-7, 2e-7, 1e-7]
    assert [light[f"mse_{output}"] for output in OUTPUTS] == [1e-5, 2e-5, 3e-5, 4e-5]
    assert [light[f"r2_{output}"] for output in OUTPUTS] == [0.91, 0.92, None, 0.94]


def test_a_record_says_which_rules_pick_it_and_whether_it_is_on_the_front():
    assert [r["picks"] for r in RECORDS] == [
        ["best", "heaviest"],
        ["lightest", "fastest", "knee"],
        [],
        [],
    ]
    assert [r["pareto"] for r in RECORDS] == [True, True, False, None]


def test_where_none_is_good_enough_nothing_is_marked():
    assert not any(r["picks"] for r in records_of(LIGHT, max_mse=1e-9))


def test_arg2000_has_its_errors_and_its_time_and_no_network():
    reference, errors = RECORDS[-1], arg2000_errors()
    assert reference["mse"] == errors.mse
    assert reference["r2_fn_coarse"] == errors.r2_by_mode[2]
    assert (reference["us_per_sample"], reference["multiple_of_arg2000"]) == (1.0, 1.0)
    assert reference["params"] is reference["nodes"] is reference["bytes"] is None


# --- files ------------------------------------------------------------------------------------


def refuse_constant(name):
    raise AssertionError(f"{name} is no JSON")


def test_json_is_strict_and_the_same_records():
    assert json.loads(table.as_json(RECORDS), parse_constant=refuse_constant) == RECORDS


def test_csv_is_read_back():
    read = list(csv.DictReader(io.StringIO(table.as_csv(RECORDS))))
    assert [row["trial"] for row in read] == ["07", "03", "11", "ARG2000"]
    assert read[1]["nodes"] == "32, 16"
    assert read[1]["picks"] == "lightest, fastest, knee"
    assert read[1]["r2_fn_coarse"] == "" == read[3]["params"]
    assert float(read[1]["mse"]) == 1.2e-5, "every digit"


def cells(line):
    """Cells of a line of a pipe table, as its grammar splits it."""
    parts, cell, escaped = [], "", False
    for character in line.strip()[1:-1]:
        if character == "|" and not escaped:
            parts.append(cell.strip())
            cell = ""
        elif character == "\\" and not escaped:
            escaped = True
            continue
        else:
            cell += character
        escaped = False
    return [*parts, cell.strip()]


def test_markdown_is_a_pipe_table_in_straight_columns():
    lines = table.as_markdown(RECORDS).splitlines()
    assert len({len(line) for line in lines}) == 1
    head, rule, *body = (cells(line) for line in lines)
    assert head == [column.heading for column in table.COLUMNS]
    assert all(set(mark) <= {"-", ":"} for mark in rule)
    light = dict(zip(head, body[1], strict=True))
    assert light["nodes"] == "32, 16"
    assert light["parameters"] == "1,140"
    assert light["MSE"] == "1.20e-05"
    assert light["R2 coarse"] == "-"
    assert light["x ARG2000"] == "0.250"
    assert light["Pareto"] == "*"


@given(st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), min_size=1))
def test_no_name_breaks_a_table(name):
    records = [{**RECORDS[0], "trial": name}, RECORDS[-1]]
    lines = table.as_markdown(records).split("\n")
    assert len(lines) == 5
    for line in lines[:-1]:
        assert len(cells(line)) == len(table.COLUMNS)
    csv_rows = list(csv.DictReader(io.StringIO(table.as_csv(records), newline="")))
    assert csv_rows[0]["trial"] == name
    assert screen(records, 100)


@pytest.mark.parametrize("suffix", [".json", ".csv", ".md"])
def test_the_suffix_says_how_a_table_is_written(suffix, tmp_path):
    path = tmp_path / f"ranking{suffix}"
    table.write(path, RECORDS)
    assert "lightest" in path.read_text()
    assert (table.LEGEND in path.read_text()) == (suffix == ".md")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_another_suffix_is_an_error(tmp_path):
    with pytest.raises(AeroactError, match=r"ranking\.xlsx: .* \.json, \.csv, \.md"):
        table.write(tmp_path / "ranking.xlsx", RECORDS)
    assert not list(tmp_path.iterdir())


# --- screens ----------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [width for width in WIDTHS if width >= 80])
def test_a_screen_cuts_nothing_off(width):
    text = screen(RECORDS, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for heading in ("trial", "pick", "parameters", "MSE", "R2", "us/sample", "x ARG2000"):
        assert heading in text
    for value in ("07", "79,773,700", "1.00e-05", "0.99990", "400", "0.250", "ARG2000"):
        assert value in text
    for rule in RULES:
        assert rule in text
    assert "runs/[default]" in text, "not read as markup"


def test_a_wider_screen_shows_more_and_the_widest_all():
    shown = []
    for width in WIDTHS:
        columns = table.on_screen(RECORDS, "", width).columns
        shown.append({str(column.header).replace("\n", " ") for column in columns})
    for narrow, wide in pairwise(shown):
        assert narrow <= wide
    assert "nodes" not in shown[0]
    assert "nodes" in shown[2], "at 100"
    assert shown[-1] == {column.heading for column in table.COLUMNS}


def test_times_have_three_digits_whatever_their_size():
    texts = [table.COLUMNS[-6].text(value) for value in (0.01234, 0.2, 1.0, 12.34, 1234.5, 0.0)]
    assert texts == ["0.0123", "0.200", "1.00", "12.3", "1,234", "0.00"]


def test_refused_trials_are_lines_with_their_reasons():
    refused = {"07": "models/07.keras: is\nmissing", "[b]": "NaN weights"}
    assert table.refusals(refused) == [
        "refused: trial 07: models/07.keras: is missing",
        "refused: trial [b]: NaN weights",
    ]
