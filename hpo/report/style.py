"""How the figures of a report look: for colour-blind readers, in print and on a slide."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import wraps
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

P = ParamSpec("P")

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's (2008), which colour-blind readers tell apart."""

MARKERS = ("o", "s", "^", "D", "v", "P")
LINES = ("-", "--", "-.", ":")
"""They keep apart what has no colour in print."""

GREY, BLACK = "#9A9A9A", "#000000"
DENSITY = "viridis"
"""Perceptually uniform, and monotonic in grey."""


@dataclass(frozen=True)
class Size:
    """Of a figure.

    Attributes
    ----------
    width : float
        Inches; each figure has a height of its own in proportion.
    font : float
        Points of its text.
    """

    width: float
    font: float

    @property
    def scale(self) -> float:
        """By how much lines and markers are larger than in print."""
        return self.font / PRINT.font


PRINT = Size(7.0, 8.5)
"""Two columns of a journal."""

SLIDE = Size(13.3, 16.0)
"""A slide of 16 to 9, read from the last row."""

SIZES = {"print": PRINT, "slide": SLIDE}


def styled(draw: "Callable[P, Figure]") -> "Callable[P, Figure]":
    """Let a function draw its figure in this style; its argument ``size`` is a `Size`."""

    @wraps(draw)
    def inner(*args: P.args, **kwargs: P.kwargs) -> "Figure":
        import matplotlib as mpl

        size = kwargs.get("size", PRINT)
        with mpl.rc_context(_settings(size if isinstance(size, Size) else PRINT)):
            return draw(*args, **kwargs)

    return inner


def _settings(size: Size) -> Any:
    """Return matplotlib's parameters."""
    return {
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.labelsize": size.font,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": size.font,
        "axes.titlelocation": "left",
        "figure.dpi": 150,
        "figure.labelsize": size.font,
        "figure.titlesize": size.font * 1.1,
        "font.size": size.font,
        "grid.color": "#DDDDDD",
        "grid.linewidth": 0.6 * size.scale,
        "legend.fontsize": size.font,
        "legend.frameon": False,
        "lines.linewidth": 1.3 * size.scale,
        "lines.markersize": 4.0 * size.scale,
        "pdf.fonttype": 42,  # text that can be searched and edited
        "savefig.dpi": 150,
        "xtick.labelsize": size.font * 0.9,
        "xtick.major.pad": size.font * 0.7,  # the first label stays clear of that of the y axis
        "ytick.labelsize": size.font * 0.9,
    }


def figure(size: Size, height: float) -> "Figure":
    """Return an empty figure that finds room for all text.

    Parameters
    ----------
    size : Size
        Its width and font.
    height : float
        As a fraction of the width.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(size.width, height * size.width), layout="constrained")


def squares(size: Size, n: int, below: float = 0.0) -> "tuple[Figure, list[Axes]]":
    """Return a figure of n square panels, as many as fit in a row.

    Parameters
    ----------
    size : Size
        Of the figure.
    n : int
        Panels.
    below : float
        Room for a legend, as a fraction of the width.
    """
    columns = n if n <= 3 else 2 if n == 4 else 3
    rows = -(-n // columns)
    fig = figure(size, 0.14 + below + 0.84 * rows / max(columns, 2))
    axes = fig.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    for ax in axes:
        ax.set_box_aspect(1)
    for ax in axes[n:]:
        ax.set_visible(False)
    return fig, axes[:n]


@dataclass(frozen=True)
class Look:
    """How a project is drawn in all figures."""

    colour: str
    marker: str
    line: str


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Return a look for each project, in order."""
    names = list(dict.fromkeys(names))
    kinds: list[Iterator[str]] = [cycle(kind) for kind in (COLOURS, MARKERS, LINES)]
    columns = (islice(kind, len(names)) for kind in kinds)
    return {name: Look(*look) for name, *look in zip(names, *columns, strict=True)}


def legend(fig: "Figure", ax: "Axes", size: Size) -> None:
    """Put the legend of one panel below the figure, where it covers nothing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    handles, labels = ax.get_legend_handles_labels()
    if not labels:
        return
    renderer = FigureCanvasAgg(fig).get_renderer()
    # As many columns as there is room for, each as wide as the longest text and its symbol.
    longest = max(_width(fig, label, size, renderer) for label in labels)
    room = size.width * fig.dpi
    columns = max(1, min(len(labels), int(room / (longest + 4.5 * size.font * fig.dpi / 72))))
    fig.legend(handles, labels, loc="outside lower center", ncols=columns)


def _width(fig: "Figure", label: str, size: Size, renderer: Any) -> float:
    from matplotlib.text import Text

    text = Text(0, 0, label, fontsize=size.font, figure=fig)
    return float(text.get_window_extent(renderer).width)


def logarithmic(axis: "Axis", values: ArrayLike) -> None:
    """Make an axis logarithmic around values, with labels that do not crowd each other."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    known = np.asarray(values, float)
    known = known[np.isfinite(known) & (known > 0)]
    low, high = (known.min(), known.max()) if len(known) else (0.1, 1.0)
    # At least half a decade on each side of a single value: a label needs a round number.
    pad = max(0.05 * np.log10(high / low), (1.0 - np.log10(high / low)) / 2, 0.03)
    low, high = low * 10**-pad, high * 10**pad
    is_x = axis is axis.axes.xaxis
    (axis.axes.set_xscale if is_x else axis.axes.set_yscale)("log")
    (axis.axes.set_xlim if is_x else axis.axes.set_ylim)(low, high)
    decades = np.log10(high / low)
    subs = (1.0,) if decades > 2.5 else (1.0, 3.0) if decades > 1.5 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=subs, numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _number(value)))
    axis.set_minor_formatter(NullFormatter())


def _number(value: float) -> str:
    """Return a number of one digit: as it is, or as a power of ten where that is shorter."""
    if 1e-2 <= value < 1e6:
        return f"{value:,g}"
    power = int(np.floor(np.log10(value) + 1e-9))
    factor = round(value / 10**power)
    return f"$10^{{{power}}}$" if factor == 1 else f"${factor}{{\\times}}10^{{{power}}}$"


def whole(axis: "Axis", most: int = 8) -> None:
    """Label an axis by whole numbers, not many of them."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(most, integer=True, min_n_ticks=1))
