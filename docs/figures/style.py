"""How the figures of the documentation look: sizes, and a colour and a line for each mode.

The colours are Okabe and Ito's (2008), which colour-blind readers tell apart; the lines keep the
modes apart where there is no colour at all.
"""

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

MODE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#4D4D4D")
MODE_LINES = ("-", "--", "-.", ":")
HIGHLIGHT = "#CC79A7"
DENSITY = "viridis"

plt.rcParams.update(
    {
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": "medium",
        "figure.constrained_layout.use": True,
        "figure.dpi": 150,
        "font.size": 9.0,
        "grid.color": "#DDDDDD",
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "lines.linewidth": 1.4,
    }
)


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, the same bytes each time: without the version of the software.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    path : str or Path
        A PNG file; or a script, to write the PNG file of its name beside it.
    """
    figure.savefig(Path(path).with_suffix(".png"), metadata={"Software": None})
