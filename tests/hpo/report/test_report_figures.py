"""Every figure: at any size nothing overlaps or is cut off, and a CSV file draws the same."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from aeroact.hpo.report import figures, runs, tables
from aeroact.hpo.report.style import COLOURS, PRINT, SLIDE, Size
from tests.hpo.report import made_up

Made = dict[str, pd.DataFrame]

FIGURES: dict[str, Callable[..., Figure]] = {
    "cost": lambda t, **k: figures.cost(t["projects"], **k),
    "step1": lambda t, **k: figures.step1(t["trials"], t["retrained"], **k),
    "fractions": lambda t, **k: figures.fractions(t["hexagons"], t["networks"], "coarse", **k),
    "curves": lambda t, **k: figures.curves(t["curves"], **k),
    "complexity": lambda t, **k: figures.complexity(t["retrained"], **k),
    "step2": lambda t, **k: figures.step2(t["retrained"], **k),
    "inference": lambda t, **k: figures.inference(t["inference"], **k),
    "plane": lambda t, **k: figures.plane(t["accuracy_cost"], t["inference"], 1e-2, **k),
    "ranks": lambda t, **k: figures.ranks(t["ranks"], t["correlations"], **k),
    "regions": lambda t, **k: figures.regions(t["regions"], t["networks"], **k),
}
SIZES = [PRINT, SLIDE, Size(4.5, 7.0)]


def texts(figure: Figure) -> list[tuple[str, Any]]:
    """Return all that can be read in a figure with its box in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    of_ticks, drawn = set(), set()
    for axis in figure.findobj(Axis):
        for tick in (*axis.majorTicks, *axis.minorTicks):
            of_ticks |= {tick.label1, tick.label2}
        if axis.get_visible() and axis.axes.get_visible():
            # The ticks that are within the axis: there is no public word for them.
            for tick in axis._update_ticks():  # type: ignore[attr-defined]
                drawn |= {tick.label1, tick.label2}
    return [
        (text.get_text(), text.get_window_extent(renderer))
        for text in figure.findobj(Text)
        if text.get_visible()
        and text.get_text().strip()
        and (text.axes is None or text.axes.get_visible())
        and (text not in of_ticks or text in drawn)
    ]


def overlap(a: Any, b: Any) -> bool:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return bool(width > 1 and height > 1)


def assert_legible(figure: Figure) -> None:
    found = texts(figure)
    assert found
    width, height = figure.bbox.width, figure.bbox.height
    for text, box in found:
        assert box.x0 > -1, text
        assert box.y0 > -1, text
        assert box.x1 < width + 1, text
        assert box.y1 < height + 1, text
    for (text, box), (other, other_box) in combinations(found, 2):
        # A rotated label's box is larger than the label.
        assert not overlap(box, other_box), (text, other)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size.width:g}in")
@pytest.mark.parametrize("name", FIGURES)
def test_nothing_overlaps_or_is_cut_off(name, size, made):
    figure = FIGURES[name](made, size=size)
    assert figure.get_figwidth() == size.width
    for label in figure.findobj(Text):
        assert label.get_fontsize() >= 0.8 * size.font
    assert_legible(figure)


def test_the_check_of_overlaps_can_fail():
    figure = Figure()
    figure.text(0.5, 0.5, "one thing")
    figure.text(0.51, 0.5, "another")
    with pytest.raises(AssertionError):
        assert_legible(figure)


@pytest.mark.parametrize("trials", [1, 7])
@pytest.mark.parametrize("n_runs", [1, 2, 7])
def test_few_trials_and_other_numbers_of_projects(n_runs, trials, tmp_path):
    paths = [
        made_up.run(tmp_path / f"run{i}", p_subset=0.1 * (i + 1), trials=trials, failed=0)
        for i in range(n_runs)
    ]
    read = runs.read(paths)
    trial_table, retrained = tables.trials(read), tables.retrained(read)
    assert_legible(figures.cost(tables.projects(read)))
    assert_legible(figures.step1(trial_table, retrained))
    assert_legible(figures.step2(retrained))
    assert_legible(figures.curves(tables.curves(read)))
    assert_legible(figures.complexity(retrained))
    if n_runs > 1 and trials > 1:
        assert_legible(figures.ranks(tables.ranks(read), tables.correlations(read)))


@pytest.mark.parametrize("name", FIGURES)
def test_a_table_from_its_csv_draws_the_same(name, made, tmp_path):
    again = {}
    for table, content in made.items():
        content.to_csv(tmp_path / f"{table}.csv", index=False)
        again[table] = tables.read(tmp_path / f"{table}.csv")
    pictures = []
    for source in (made, again):
        canvas = FigureCanvasAgg(FIGURES[name](source))
        canvas.draw()
        pictures.append(np.asarray(canvas.buffer_rgba()).copy())
    np.testing.assert_array_equal(pictures[0], pictures[1])


@pytest.mark.parametrize("name", FIGURES)
def test_every_axis_says_what_it_shows(name, made):
    figure = FIGURES[name](made)
    FigureCanvasAgg(figure).draw()
    shared_x, shared_y = figure.get_supxlabel(), figure.get_supylabel()
    for ax in figure.axes:
        if ax.get_label() == "<colorbar>":
            assert ax.get_ylabel()
        elif ax.get_visible():
            assert ax.get_xlabel() or shared_x
            # A panel may share the axis of the one beside it.
            assert ax.get_ylabel() or shared_y or name == "complexity"


def test_without_rows_a_figure_says_what_is_missing(made):
    empty = {name: table.iloc[:0] for name, table in made.items()}
    for name, draw in FIGURES.items():
        with pytest.raises(figures.NothingToDrawError) as raised:
            draw(empty)
        assert len(str(raised.value)) > 10, name


def test_projects_differ_in_colour_marker_and_line():
    looks = figures.looks(["a", "b", "c", "d"])
    for attribute in ("colour", "marker", "line"):
        assert len({getattr(look, attribute) for look in looks.values()}) == 4


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("colour", COLOURS)
def test_colours_stand_out_from_white(colour):
    assert 1.05 / (luminance(colour) + 0.05) > 2


def test_a_bin_of_few_samples_is_grey(made):
    networks = made["networks"].assign(rows=10**7)  # a bin of nine is less than 0.0001 %
    figure = figures.fractions(made["hexagons"], networks)
    few, many = figure.axes[0].collections[:2]
    assert len(few.get_paths()) == 2
    assert len(many.get_paths()) == 1
    np.testing.assert_allclose(np.asarray(few.get_facecolor())[0, :3], 0x9A / 255)
