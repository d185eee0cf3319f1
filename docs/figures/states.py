"""Draw `states.png`: the states that `aeroact.states.sample` draws.

python docs/figures/states.py [--columns FILE]

`--columns` names a CSV file of layers of E3SM columns (a column a variable, as `tair_K` or
`num_aer_accum_cm3`; empty where not stored); they appear as their median and the range of 99 % of
them, below the distribution of the samples.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from aeroact import schema
from aeroact.mam4 import MIN_UPDRAFT
from aeroact.states import BOUNDS, sample_rows

ROWS, SEED = 200_000, 1

STYLES = dict(
    zip(schema.MODES, zip(style.MODE_COLOURS, style.MODE_LINES, strict=True), strict=True)
)
OF_ALL_MODES = (style.HIGHLIGHT, "-")

UNITS = {"tair": "K", "pressure": "hPa", "rh": "1", "wbar": "cm s⁻¹"}
UNITS |= {"num_aer": "cm⁻³", "r_aer": "µm", "kappa": "1"}

SUFFIX = {"tair": "_K", "pressure": "_hPa", "rh": "_liquid", "num_aer": "_cm3", "r_aer": "_um"}

Columns = dict[str, NDArray[np.floating]]


def sampled() -> Columns:
    """Return the sampled values by column of the state."""
    return dict(zip(schema.COLUMNS, sample_rows(0, ROWS, SEED).T, strict=True))


def e3sm_layers(path: Path) -> Columns:
    """Return what the layers of E3SM columns hold, by column of the state."""
    with path.open(newline="") as handle:
        rows = list(csv.DictReader(handle))

    def stored(header: str) -> NDArray[np.float64]:
        return np.array([float(row[header]) for row in rows if row[header]])

    columns: Columns = {
        name: stored(name + SUFFIX.get(schema.variable_of(name).name, ""))
        for name in schema.COLUMNS
        if name != "wbar"
    }
    columns["wbar"] = np.maximum(100 * stored("wsub_ms"), MIN_UPDRAFT)
    return columns


def draw(samples: Columns, layers: Columns | None) -> Figure:
    """Draw eight panels: temperature with pressure, and each variable by mode."""
    figure = plt.figure(figsize=(14, 7.4))
    panels = figure.subplots(2, 4).ravel()
    _joint(panels[0], samples, layers, "tair", "temperature")
    _histograms(panels[1], samples, layers, schema.RH.columns, "relative humidity over liquid")
    _histograms(panels[2], samples, layers, schema.WBAR.columns, "updraft", log=True)
    _joint(panels[3], samples, layers, "num_aer_accum", "number, accumulation mode", log=True)
    _histograms(panels[4], samples, layers, schema.NUM_AER.columns, "aerosol number", log=True)
    _histograms(panels[5], samples, layers, schema.R_AER.columns, "dry radius", log=True)
    _histograms(panels[6], samples, layers, schema.KAPPA.columns[:3], "hygroscopicity")
    _histograms(
        panels[7],
        samples,
        layers,
        schema.KAPPA.columns[3:],
        "hygroscopicity, primary carbon",
        log=True,
    )
    lines = [
        panels[4].plot([], [], color=colour, linestyle=line, label=name)[0]
        for name, (colour, line) in zip(schema.MODE_NAMES, STYLES.values(), strict=True)
    ]
    if layers is not None:
        label = "bars below, and crosses: E3SM columns at four places (0.5 %, median, 99.5 %)"
        lines += panels[4].plot([], [], color="black", marker="o", label=label)
    figure.legend(handles=lines, loc="outside lower center", ncols=5)
    figure.suptitle(f"{ROWS:,} sampled states of the cloud parcel")
    return figure


def _histograms(
    panel: Axes,
    samples: Columns,
    layers: Columns | None,
    names: Sequence[str],
    label: str,
    *,
    log: bool = False,
) -> None:
    """Draw histograms of variables on one axis, and E3SM's ranges below them."""
    low, high = min(BOUNDS[n].low for n in names), max(BOUNDS[n].high for n in names)
    low = low if log else 0.0
    edges = np.geomspace(low, high, 61) if log else np.linspace(low, high, 61)
    # The strip below the smallest share is E3SM's.
    smallest, height = 0.02, 1.45
    bottom = smallest / height ** (len(names) + 1) if layers is not None else smallest
    for place, name in enumerate(names, 1):
        colour, line = STYLES.get(name.rpartition("_")[2], OF_ALL_MODES)
        inside = np.clip(samples[name], edges[0], edges[-1])
        share = 100 * np.histogram(inside, edges)[0] / len(inside)
        shown = np.where(share >= smallest, share, np.nan)
        panel.stairs(shown, edges, baseline=None, color=colour, linestyle=line)
        if layers is not None:
            least, median, greatest = np.percentile(layers[name], [0.5, 50, 99.5])
            y = smallest / height**place
            panel.plot([least, greatest], [y, y], color=colour, linewidth=2)
            panel.plot(median, y, "o", color=colour, markersize=5)
    if layers is not None:
        panel.axhspan(bottom, smallest, color="0.93", zorder=0)
    variable = schema.variable_of(names[0]).name
    panel.set(
        xlabel=f"{label} ({UNITS[variable]})",
        ylabel="share of the states (% a bin)",
        yscale="log",
        ylim=(bottom, 100),
        yticks=[0.1, 1, 10, 100],
        yticklabels=["0.1", "1", "10", "100"],
    )
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.tick_params(axis="y", which="minor", length=0)
    if log:
        panel.set_xscale("log")


def _joint(
    panel: Axes,
    samples: Columns,
    layers: Columns | None,
    name: str,
    label: str,
    *,
    log: bool = False,
) -> None:
    """Draw how often a variable has what value at what pressure, and E3SM's ranges as a cross."""
    bounds = BOUNDS[name]
    edges = (np.geomspace if log else np.linspace)(bounds.low, bounds.high, 51)
    levels = np.linspace(BOUNDS["pressure"].low, BOUNDS["pressure"].high, 51)
    share = 100 * np.histogram2d(samples["pressure"], samples[name], [levels, edges])[0] / ROWS
    shown = np.ma.masked_equal(share, 0)
    mesh = panel.pcolormesh(edges, levels, shown, cmap=style.DENSITY, vmin=0, rasterized=True)
    plt.colorbar(mesh, ax=panel, label="share of the states (% a cell)")
    if layers is not None:
        (x0, x1, x2), (y0, y1, y2) = (
            np.percentile(layers[n], [0.5, 50, 99.5]) for n in (name, "pressure")
        )
        for colour, width in (("black", 4.0), ("white", 1.6)):
            panel.plot([x0, x2], [y1, y1], color=colour, linewidth=width)
            panel.plot([x1, x1], [y0, y2], color=colour, linewidth=width)
    panel.set_xlabel(f"{label} ({UNITS[schema.variable_of(name).name]})")
    panel.set_ylabel("pressure (hPa)")
    panel.set_xscale("log" if log else "linear")
    panel.invert_yaxis()
    panel.grid(visible=False)


def main() -> None:
    """Draw the figure as asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--columns", type=Path, help="CSV file of layers of E3SM columns")
    options = parser.parse_args()
    layers = e3sm_layers(options.columns) if options.columns else None
    style.save(draw(sampled(), layers), __file__)


if __name__ == "__main__":
    main()
