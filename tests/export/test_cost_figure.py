"""The figure of accuracy against cost, by what it has drawn."""

import io
import sys
from typing import Any

import numpy as np
import pytest

from aeroact.errors import AeroactError
from aeroact.export.cost_figure import accuracy_against_cost
from aeroact.export.rank import RULES

ARG2000: dict[str, Any] = {
    "trial": "ARG2000",
    "picks": [],
    "pareto": None,
    "params": None,
    "mse": 6e-3,
    "us_per_sample": 2.0,
    "us_per_sample_lower": 1.9,
    "us_per_sample_upper": 2.2,
    "multiple_of_arg2000": 1.0,
}


def emulator(name, mse, multiple, picks=(), pareto=False, params=1000):
    return ARG2000 | {
        "trial": name,
        "picks": list(picks),
        "pareto": pareto,
        "params": params,
        "mse": mse,
        "us_per_sample": 2.0 * multiple,
        "us_per_sample_lower": 1.8 * multiple,
        "us_per_sample_upper": 2.6 * multiple,
        "multiple_of_arg2000": multiple,
    }


def crowd(n, seed=0):
    rng = np.random.default_rng(seed)
    emulators = [
        emulator(f"{i:02d}", 10 ** rng.uniform(-5, -4), 10 ** rng.uniform(-1, 0.3), params=100 + i)
        for i in range(n)
    ]
    for rule, record in zip(RULES, emulators, strict=False):
        record["picks"] = [rule]
    return [*emulators, ARG2000]


def offsets(figure):
    return [
        np.ma.getdata(collection.get_offsets())
        for collection in figure.axes[0].collections
        if len(collection.get_offsets()) and hasattr(collection, "get_sizes")
    ]


def drawn(figure):
    figure.savefig(io.BytesIO(), format="png")
    return figure


def test_each_emulator_is_a_point_and_each_pick_is_marked():
    records = [
        emulator("a", 1e-5, 0.5, ["best"], pareto=True),
        emulator("b", 2e-5, 0.7),
        emulator("c", 4e-5, 0.1, ["lightest", "knee"], pareto=True),
    ]
    figure = drawn(accuracy_against_cost([*records, ARG2000]))
    emulators, picks = (sorted(map(tuple, points)) for points in offsets(figure))
    assert emulators == [(0.1, 4e-5), (0.5, 1e-5), (0.7, 2e-5)]
    assert picks == [(0.1, 4e-5), (0.5, 1e-5)]
    labels = {text.xy: text.get_text() for text in figure.axes[0].texts}
    assert labels == {
        (0.5, 1e-5): "best (a)",
        (0.1, 4e-5): "lightest, knee (c)",
        (1.0, 6e-3): "ARG2000",
    }


def test_the_front_goes_in_steps_through_its_points_only():
    records = [
        emulator("a", 1e-5, 0.5, pareto=True),
        emulator("b", 2e-5, 0.7),
        emulator("c", 4e-5, 0.1, pareto=True),
    ]
    figure = accuracy_against_cost([*records, ARG2000])
    (front,) = [line for line in figure.axes[0].lines if line.get_label() == "Pareto front"]
    assert front.get_drawstyle() == "steps-post"
    assert np.asarray(front.get_xydata()).tolist() == [[0.1, 4e-5], [0.5, 1e-5]]


def test_bars_are_the_quartiles_of_the_time():
    figure = accuracy_against_cost([emulator("a", 1e-5, 0.5), ARG2000])
    (bars,) = [c for c in figure.axes[0].collections if hasattr(c, "get_segments")]
    assert bars.get_segments()[0][:, 0] == pytest.approx([0.45, 0.65])


def test_the_upper_axis_is_in_microseconds():
    figure = drawn(accuracy_against_cost([emulator("a", 1e-5, 0.5), ARG2000]))
    ax = figure.axes[0]
    (top,) = ax.child_axes
    assert top.get_xlim() == pytest.approx([2.0 * end for end in ax.get_xlim()])


def test_one_that_every_rule_picks_has_one_short_label():
    figure = accuracy_against_cost([emulator("a", 1e-5, 0.5, RULES), ARG2000])
    assert figure.axes[0].texts[0].get_text() == "every rule (a)"


HEAP = [emulator(rule, 1e-5, 0.3 + 0.01 * i, [rule]) for i, rule in enumerate(RULES)]


@pytest.mark.parametrize("records", [crowd(1), crowd(6), crowd(50), [*HEAP, ARG2000]], ids=len)
def test_labels_stay_inside_and_apart(records):
    from matplotlib.text import Text

    figure = drawn(accuracy_against_cost(records))
    renderer, ax = figure.canvas.get_renderer(), figure.axes[0]
    boxes = [Text.get_window_extent(text, renderer) for text in ax.texts]
    assert len(boxes) == min(len(records) - 1, len(RULES)) + 1
    frame = ax.get_window_extent(renderer)
    for i, box in enumerate(boxes):
        assert frame.x0 <= box.x0 and box.x1 <= frame.x1  # noqa: PT018
        assert frame.y0 <= box.y0 and box.y1 <= frame.y1  # noqa: PT018
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_what_has_no_error_or_no_time_is_left_out():
    sound = emulator("a", 1e-5, 0.5)
    broken = [sound | {"mse": None}, sound | {"multiple_of_arg2000": None}]
    figure = accuracy_against_cost([*broken, sound, ARG2000])
    assert [len(points) for points in offsets(figure)] == [1]


@pytest.mark.parametrize("records", [[], [ARG2000], [emulator("a", 1e-5, 0.5)]])
def test_nothing_to_compare_is_an_error(records):
    with pytest.raises(AeroactError, match="needs an emulator, and ARG2000"):
        accuracy_against_cost(records)


def test_the_same_table_makes_the_same_picture():
    def png():
        content = io.BytesIO()
        accuracy_against_cost(crowd(9)).savefig(content, metadata={"Software": None})
        return content.getvalue()

    assert png() == png()


def test_no_figure_is_left_in_a_global_state():
    accuracy_against_cost(crowd(3))
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
