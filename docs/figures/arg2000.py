"""Draw `arg2000.png`: E3SM's parameterization, ARG2000, against the parcel model.

    python docs/figures/arg2000.py

The states are the sampler's.  Above, the activated fractions of each mode; below, how their
difference and the ratio of the maximum supersaturations depend on the updraft.
"""

import matplotlib.pyplot as plt
import numpy as np
import style
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from numpy.typing import NDArray

from aeroact.physics.arg2000 import arg2000
from aeroact.physics.parcel import simulate
from aeroact.schema import MODE_NAMES, split_state
from aeroact.states import sample_rows

PARCELS = 20_000
SEED = 5
UPDRAFT_BINS = 16


def by_updraft(
    wbar: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean, 5th and 95th percentile of values over about equally filled bins of the updraft.

    Returns
    -------
    updraft : ndarray, shape (nbins,)
        Median of each bin, m s-1.
    statistics : ndarray, shape (3, nbins)
        Mean and percentiles.
    """
    # E3SM's floor is the updraft of many states: its bins are one.
    edges = np.unique(np.quantile(wbar, np.linspace(0.0, 1.0, UPDRAFT_BINS + 1)))
    bins = np.searchsorted(edges[1:-1], wbar, side="right")
    updraft = [0.01 * np.median(wbar[bins == i]) for i in range(len(edges) - 1)]
    parts = [values[bins == i] for i in range(len(edges) - 1)]
    statistics = [(part.mean(), *np.percentile(part, (5.0, 95.0))) for part in parts]
    return np.array(updraft), np.array(statistics).T


def draw_mode(panel: Axes, mode: int, truth: NDArray[np.float64], arg: NDArray[np.float64]) -> None:
    """Draw the joint density of a mode's fractions."""
    panel.hexbin(
        truth,
        arg,
        gridsize=40,
        extent=(0, 1, 0, 1),
        mincnt=1,
        norm=LogNorm(1, len(truth) / 20),
        cmap=style.DENSITY,
        linewidths=0.1,
    )
    panel.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    mse, bias = np.mean((arg - truth) ** 2), np.mean(arg - truth)
    panel.text(0.05, 0.95, f"MSE {mse:.1e}\nbias {bias:+.3f}", va="top", transform=panel.transAxes)
    panel.set(title=MODE_NAMES[mode], xlim=(0, 1), ylim=(0, 1), aspect="equal")
    panel.set(xlabel="fraction, parcel model", xticks=(0, 0.5, 1))


def main() -> None:
    """Simulate, draw and write."""
    states = split_state(sample_rows(0, PARCELS, SEED))
    truth = simulate(*states.values())
    arg = arg2000(**{name: values for name, values in states.items() if name != "rh"})
    ok = truth.ok
    wbar, difference = states["wbar"][ok], (arg.fn - truth.fn)[ok]

    figure = plt.figure(figsize=(9.6, 5.6))
    above, below = figure.subfigures(2, 1, height_ratios=(1.0, 1.05))
    panels = above.subplots(1, 4, sharey=True)
    for mode, panel in enumerate(panels):
        draw_mode(panel, mode, truth.fn[ok, mode], arg.fn[ok, mode])
    panels[0].set_ylabel("fraction, ARG2000")
    above.colorbar(panels[-1].collections[0], ax=panels, label="states", shrink=0.8)

    fractions, ratio = below.subplots(1, 2)
    for mode, name in enumerate(MODE_NAMES):
        updraft, (mean, low, high) = by_updraft(wbar, difference[:, mode])
        colour, line = style.MODE_COLOURS[mode], style.MODE_LINES[mode]
        fractions.plot(updraft, mean, line, color=colour, label=name)
        for bound in (low, high):
            fractions.plot(updraft, bound, line, color=colour, linewidth=0.6)
    fractions.set(xscale="log", xlabel="updraft (m/s)", ylabel="ARG2000 minus parcel model")
    fractions.set_title("activated fraction: mean, and 5 to 95 % of the states (thin)")
    fractions.legend(ncols=2, loc="lower left")

    updraft, (mean, low, high) = by_updraft(wbar, (arg.smax / truth.smax)[ok])
    ratio.plot(updraft, mean, color="black", label="mean")
    ratio.fill_between(updraft, low, high, color="black", alpha=0.15, linewidth=0.0)
    ratio.axhline(1.0, color=style.HIGHLIGHT, linewidth=0.8)
    ratio.set(xscale="log", xlabel="updraft (m/s)", ylabel="ARG2000 over parcel model")
    ratio.set_title("maximum supersaturation: mean, and 5 to 95 % of the states")
    style.save(figure, __file__)


if __name__ == "__main__":
    main()
