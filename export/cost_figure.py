"""The picture of a choice: accuracy against cost, with the picks marked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aeroact.errors import AeroactError
from aeroact.export.rank import RULES
from aeroact.export.table import ARG2000, Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

# Okabe and Ito's (2008), which colour-blind readers tell apart, beside viridis.
_PICK, _FRONT, _ARG2000 = "#D55E00", "#4D4D4D", "#000000"


def accuracy_against_cost(records: Sequence[Record], title: str = "") -> "Figure":
    """Draw the MSE of each emulator against its time, a multiple of ARG2000's.

    Parameters
    ----------
    records : sequence of dict
        What `table.rows` returns. Emulators without an MSE or a time are not drawn.
    title : str
        Above the figure: the run, the batch.

    Returns
    -------
    matplotlib.figure.Figure
        Colours say how many parameters there are, bars the quartiles of the time, the line the
        Pareto front, labels which rules pick an emulator.

    Raises
    ------
    AeroactError
        If there is no emulator to draw, or no ARG2000 beside them.
    """
    from matplotlib.figure import Figure

    drawable = [r for r in records if r["mse"] and r["multiple_of_arg2000"]]
    networks = [r for r in drawable if r["trial"] != ARG2000]
    references = [r for r in drawable if r["trial"] == ARG2000]
    if not networks or not references:
        raise AeroactError("a figure of accuracy against cost needs an emulator, and ARG2000")
    reference = references[0]

    figure = Figure(figsize=(6.6, 4.6), dpi=120, layout="constrained")
    ax = figure.subplots()
    ax.set(xscale="log", yscale="log")
    ax.set_xlabel("time a sample on one core, a multiple of ARG2000's")
    ax.set_ylabel("MSE of the activated fraction on the holdout")
    ax.grid(color="#DDDDDD", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.margins(0.12)
    _draw_networks(ax, networks)
    _draw_arg2000(ax, reference)
    _draw_microseconds(ax, reference["us_per_sample"])
    figure.legend(loc="outside lower center", ncols=4, columnspacing=1.2, frameon=False)
    figure.suptitle(title, fontsize="medium")

    labels = {_point(r): _label(r) for r in networks if r["picks"]}
    labels[_point(reference)] = ARG2000
    _place(figure, ax, labels, [_point(r) for r in drawable])
    return figure


def _point(record: Record) -> tuple[float, float]:
    return record["multiple_of_arg2000"], record["mse"]


def _label(record: Record) -> str:
    picks = record["picks"]
    rules = "every rule" if len(picks) == len(RULES) else ", ".join(picks)
    return f"{rules} ({record['trial']})"


def _draw_networks(ax: "Axes", networks: Sequence[Record]) -> None:
    from matplotlib.colors import LogNorm

    x, y = np.array([_point(r) for r in networks]).T
    quartiles = np.array([[r["us_per_sample_lower"], r["us_per_sample_upper"]] for r in networks])
    microseconds = np.array([r["us_per_sample"] for r in networks])
    bars = np.abs(quartiles.T - microseconds) * x / microseconds
    ax.errorbar(x, y, xerr=bars, fmt="none", ecolor="#808080", elinewidth=0.8, zorder=2)

    front = sorted(_point(r) for r in networks if r["pareto"])
    if len(front) > 1:
        # Steps: nothing is promised between two networks.
        ax.step(
            *np.transpose(front),
            where="post",
            color=_FRONT,
            linewidth=1.0,
            linestyle="--",
            label="Pareto front",
            zorder=1,
        )
    params = [r["params"] for r in networks]
    points = ax.scatter(
        x,
        y,
        s=30,
        c=params,
        norm=LogNorm(min(params) / 1.5, max(params) * 1.5),
        cmap="viridis",
        edgecolors="white",
        linewidths=0.5,
        label="emulator",
        zorder=3,
    )
    ax.figure.colorbar(points, ax=ax, label="parameters", shrink=0.9)
    if picked := [_point(r) for r in networks if r["picks"]]:
        ax.scatter(
            [x for x, _ in picked],
            [y for _, y in picked],
            s=95,
            facecolors="none",
            edgecolors=_PICK,
            linewidths=1.5,
            label="picked by a rule",
            zorder=4,
        )


def _draw_arg2000(ax: "Axes", reference: Record) -> None:
    x, y = _point(reference)
    ax.axvline(x, color=_ARG2000, linewidth=0.7, linestyle=":", zorder=1)
    ax.axhline(y, color=_ARG2000, linewidth=0.7, linestyle=":", zorder=1)
    ax.plot(x, y, "D", color=_ARG2000, markersize=6, label=ARG2000, zorder=3)


def _draw_microseconds(ax: "Axes", reference: float) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    def microseconds(multiple: ArrayLike) -> ArrayLike:
        return np.asarray(multiple) * reference

    def multiple(microseconds: ArrayLike) -> ArrayLike:
        return np.asarray(microseconds) / reference

    top = ax.secondary_xaxis("top", functions=(microseconds, multiple))
    top.set_xlabel("microseconds a sample")
    for axis in (ax.xaxis, top.xaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


# --- labels -----------------------------------------------------------------------------------

_CLEARANCE = 6.0
"""Typographic points that a label should leave free around a point and inside the axes."""


def _place(
    figure: "Figure",
    ax: "Axes",
    labels: dict[tuple[float, float], str],
    points: Sequence[tuple[float, float]],
) -> None:
    """Write each label where it covers the least of the points and of other labels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.patheffects import withStroke
    from matplotlib.text import Text

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # lays out the axes
    renderer, scale = canvas.get_renderer(), figure.dpi / 72
    inside = ax.get_window_extent(renderer).padded(-_CLEARANCE * scale)
    taken = [_square(pixel, _CLEARANCE * scale) for pixel in ax.transData.transform(points)]
    for point, text in labels.items():
        label = ax.annotate(
            text,
            point,
            xytext=(0.0, 0.0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize="small",
            arrowprops={"arrowstyle": "-", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 5},
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
            zorder=5,
        )
        label.set_in_layout(False)  # labels move no axes
        origin = ax.transData.transform(point)
        bare = Text.get_window_extent(label, renderer)  # without the line to the point
        size = np.array([bare.width, bare.height])
        offsets = _offsets(size / scale)
        shapes = [_shape(origin, offset * scale, size) for offset in offsets]
        best = int(np.argmin([_covered(shape, inside, taken) for shape in shapes]))
        label.set_position(offsets[best])
        taken += shapes[best]


def _offsets(size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where a label's middle may stand from its point, the nearest first (points)."""
    angles = np.arange(16) * np.pi / 8 + np.pi / 4
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([around * (size / 2 + away) for away in (12.0, 22.0, 34.0, 50.0, 75.0)])


def _shape(
    origin: NDArray[np.float64], offset: NDArray[np.float64], size: NDArray[np.float64]
) -> "list[Bbox]":
    """Return the boxes of a label and of the line that leads to its point (pixels)."""
    from matplotlib.transforms import Bbox

    middle = origin + offset
    line = [_square(origin + part * offset, 2.0) for part in np.linspace(0.2, 0.8, 7)]
    return [Bbox([middle - size / 2, middle + size / 2]), *line]


def _square(middle: NDArray[np.float64], half: float) -> "Bbox":
    from matplotlib.transforms import Bbox

    return Bbox([middle - half, middle + half])


def _covered(shape: "Sequence[Bbox]", inside: "Bbox", taken: "Sequence[Bbox]") -> float:
    """Return how many square pixels of other things a label covers, or leaves the axes by."""
    outside = shape[0].width * shape[0].height - _shared(shape[0], inside)
    return 10 * outside + sum(_shared(box, other) for box in shape for other in taken)


def _shared(a: "Bbox", b: "Bbox") -> float:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return max(width, 0.0) * max(height, 0.0)
