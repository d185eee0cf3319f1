"""The figures of a report: each takes tables, and returns a figure that can be restyled.

The tables are those that a report writes as CSV (`tables.read` gets one back). Every
function takes ``size``, which is `PRINT`, `SLIDE` or another `Size`, and raises
`NothingToDrawError` where its tables have nothing for it.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aeroact import schema
from aeroact.errors import AeroactError
from aeroact.hpo.report.hexagons import OUTLINE
from aeroact.hpo.report.inference import ARG2000
from aeroact.hpo.report.style import (
    BLACK,
    COLOURS,
    DENSITY,
    GREY,
    MARKERS,
    PRINT,
    SLIDE,
    Size,
    figure,
    legend,
    logarithmic,
    looks,
    squares,
    styled,
    whole,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PRINT", "SLIDE", "NothingToDrawError", "Size"]

MODE_NAMES = dict(zip(schema.MODES, schema.MODE_NAMES, strict=True))

_SHORT_NAMES = ("accum.", "Aitken", "coarse", "p. carbon")

FEW = 1e-6
"""A bin with a smaller part of the samples is grey (Yu et al., 2024, Figure 3: 0.0001 %)."""

_VAL = "lowest validation MSE (Step 1)"
_TEST = "test MSE (Step 2)"
_CROWD = 2_000
"""Points and lines from which on a PDF holds pixels instead of each of them."""


class NothingToDrawError(AeroactError):
    """The tables have nothing that a figure could show; the message says what is missing."""


@styled
def cost(projects: pd.DataFrame, *, size: Size = PRINT) -> "Figure":
    """Draw what two steps cost beside one (Figure 1b), and what these runs did cost.

    The contours are p_subset + p_retrain; a run's symbol is filled with what was measured.
    """
    from matplotlib.colors import LogNorm

    known = projects.dropna(subset=["cost_fraction"])
    if known.empty:
        raise NothingToDrawError("no trial has been timed yet")
    low = min(0.01, known["p_subset"].min() / 2, known["p_retrain"].min() / 2)
    grid = np.geomspace(low, 1, 200)
    x, y = np.meshgrid(grid, grid)
    norm = LogNorm(2 * low, 2)
    fig = figure(size, 0.62)
    ax = fig.subplots()
    levels = np.geomspace(2 * low, 2, 41)
    shades = ax.contourf(x, y, x + y, levels=levels, norm=norm, cmap=DENSITY)
    round_levels = [v for v in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if v > 2.2 * low]
    lines = ax.contour(x, y, x + y, levels=round_levels, colors="white", linewidths=0.8)
    ax.clabel(lines, fmt="%g", fontsize=0.85 * size.font)
    for name, look in looks(known["project"]).items():
        row = known[known["project"] == name].iloc[0]
        ax.scatter(
            row["p_subset"],
            row["p_retrain"],
            s=(11 * size.scale) ** 2,
            c=[row["cost_fraction"]],
            norm=norm,
            cmap=DENSITY,
            marker=look.marker,
            edgecolors=look.colour,
            linewidths=2.2 * size.scale,
            label=f"{name}: expected {row['cost_expected']:.3g}, "
            f"{row['one_step']} {row['cost_fraction']:.3g}",
            clip_on=False,
            zorder=4,
        )
    ax.set(xscale="log", yscale="log", xlim=(low, 1), ylim=(low, 1))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:g}")
    ax.set_xlabel("p_subset, of the training rows")
    ax.set_ylabel("p_retrain, of the trials")
    ax.grid(visible=False)
    bar = fig.colorbar(shades, ax=ax, label="cost (a one-step search: 1)")
    bar.ax.yaxis.set_major_formatter("{x:.3g}")
    bar.set_ticks([v for v in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0) if v >= 2 * low])
    legend(fig, ax, size)
    return fig


@styled
def step1(trials: pd.DataFrame, retrained: pd.DataFrame, *, size: Size = PRINT) -> "Figure":
    """Draw what Step 1 found, and what became of it (Figure 2).

    (a) sorted validation MSE of all trials, (b) test MSE after Step 2 against validation MSE
    after Step 1, (c) and (d) validation MSE against layers and against parameters.
    """
    good = trials[trials["status"] != "FAILED"].dropna(subset=["val_mse"])
    if good.empty:
        raise NothingToDrawError("no trial of Step 1 has succeeded yet")
    tested = _usable(retrained)
    label = "trials of a project, best first"
    style = looks(trials["project"])
    return _overview(size, style, good, ("val_mse", _VAL), label, tested, ("val_mse_step1", _VAL))


@styled
def step2(retrained: pd.DataFrame, *, size: Size = PRINT) -> "Figure":
    """Draw Figure 2 after Step 2 (Figure S3): of (b), validation MSE is that of Step 2 too."""
    tested = _usable(retrained)
    if tested.empty:
        raise NothingToDrawError("no network has been retrained yet")
    label = "retrained networks of a project, best first"
    before = ("val_mse", "lowest validation MSE (Step 2)")
    style = looks(retrained["project"].sort_values())
    return _overview(size, style, tested, ("test_mse", _TEST), label, tested, before)


@styled
def fractions(
    hexagons: pd.DataFrame, networks: pd.DataFrame, mode: str = "accum", *, size: Size = PRINT
) -> "Figure":
    """Draw predicted against simulated activated fraction on the holdout (Figure 3).

    A panel for each network and one for ARG2000; MSE and R2 are those of the mode.
    """
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import LogNorm

    shown = hexagons[hexagons["mode"] == mode]
    if shown.empty:
        raise NothingToDrawError(f"there are no predictions of the mode {mode}")
    fig, axes = squares(size, len(networks))
    norm = LogNorm(1, max(10, shown["count"].max()))
    bins = None
    for ax, (_, network) in zip(axes, networks.iterrows(), strict=True):
        here = shown[shown["network"] == network["network"]]
        enough = here["count"] >= FEW * network["rows"]
        for part, many in ((here[~enough], False), (here[enough], True)):
            centres = part[["simulated", "predicted"]].to_numpy()
            drawn = PolyCollection(
                centres[:, None, :] + OUTLINE,
                linewidths=0.2,
                edgecolors="face",
                facecolors=None if many else GREY,
                rasterized=True,
            )
            if many:
                drawn.set(array=part["count"].to_numpy(), norm=norm, cmap=DENSITY)
                bins = drawn
            ax.add_collection(drawn)
        ax.plot([0, 1], [0, 1], color=BLACK, linewidth=0.7 * size.scale)
        ax.text(
            *(0.03, 0.97, _corner(network, mode)),
            va="top",
            transform=ax.transAxes,
            fontsize=0.85 * size.font,
            bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1},
            zorder=3,
        )
        ax.set(xlim=(0, 1), ylim=(0, 1), title=network["network"])
        ax.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    _letter(axes, titled=True)
    fig.supxlabel(f"activated fraction of the parcel model, {MODE_NAMES[mode]} mode")
    fig.supylabel("activated fraction predicted")
    if bins is not None:
        fig.colorbar(bins, ax=axes, label="samples in a bin", shrink=0.9)
    return fig


@styled
def curves(curves: pd.DataFrame, *, size: Size = PRINT) -> "Figure":
    """Draw the validation MSE of every trial of Step 1 by epoch, a panel a project (Figure S1)."""
    from matplotlib.collections import LineCollection

    if curves.empty:
        raise NothingToDrawError("no trial has finished an epoch yet")
    style = looks(curves["project"])
    columns = min(2, len(style))
    rows = -(-len(style) // columns)
    fig = figure(size, 0.42 * rows if columns > 1 else 0.6)
    axes = fig.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for ax, (name, look) in zip(axes, style.items(), strict=False):
        here = curves[curves["project"] == name]
        begins = np.flatnonzero(here["trial"] != here["trial"].shift())
        lines = np.split(here[["epoch", "val_mse"]].to_numpy(float), begins[1:])
        dots = np.concatenate([line for line in lines if len(line) == 1] or [np.zeros((0, 2))])
        alpha = float(np.clip(30 / len(lines), 0.05, 0.6))
        many = len(lines) > _CROWD / 10
        ax.add_collection(
            LineCollection(lines, colors=look.colour, alpha=alpha, linewidths=0.7, rasterized=many)
        )
        ax.plot(*dots.T, ".", color=look.colour, alpha=alpha, rasterized=many)
        ax.set_title(f"{name}, {len(lines):,} trials")
    for ax in axes[len(style) :]:
        ax.set_visible(False)
    axes[0].set_xlim(0, curves["epoch"].max() + 1)
    logarithmic(axes[0].yaxis, curves["val_mse"])
    fig.supxlabel("epoch")
    fig.supylabel("validation MSE")
    return fig


@styled
def complexity(retrained: pd.DataFrame, *, size: Size = PRINT) -> "Figure":
    """Draw how many retrained networks of each size are good, and how many failed (Figure S2)."""
    if retrained.empty:
        raise NothingToDrawError("no network has been retrained yet")
    fig = figure(size, 0.45)
    a, b = fig.subplots(1, 2, sharey=True)
    good = retrained["status"] == "COMPLETED"
    parts = {f"good ({good.sum()})": good, f"failed ({(~good).sum()})": ~good}
    layers = np.arange(retrained["layers"].min(), retrained["layers"].max() + 2) - 0.5
    low, high = retrained["params"].min(), retrained["params"].max()
    params = np.geomspace(0.9 * low, 1.1 * high, 16)
    for ax, column, bins in ((a, "layers", layers), (b, "params", params)):
        values = [retrained.loc[rows, column].to_numpy(float) for rows in parts.values()]
        # The hatch tells failed from good where there is no colour.
        _, _, bars = ax.hist(
            values,
            bins=list(bins),
            stacked=True,
            color=[COLOURS[0], COLOURS[4]],
            edgecolor="white",
            label=list(parts),
        )
        for patch in bars[1]:
            patch.set_hatch("////")
    a.set(xlabel="hidden layers", ylabel="retrained networks")
    whole(a.xaxis)
    whole(a.yaxis)
    b.set(xlabel="learnable parameters")
    logarithmic(b.xaxis, params)
    _letter((a, b))
    legend(fig, a, size)
    return fig


@styled
def inference(times: pd.DataFrame, *, size: Size = PRINT) -> "Figure":
    """Draw the time for 100,000 samples on one core against parameters (Figure S4)."""
    networks = times[times["nodes"] != ARG2000]
    if networks.empty:
        raise NothingToDrawError("no network has been timed")
    reference = times.loc[times["nodes"] == ARG2000, "mean_ms"]
    fig = figure(size, 0.55)
    ax = fig.subplots()
    ax.errorbar(
        networks["params"].astype(float),
        networks["mean_ms"],
        yerr=networks["std_ms"],
        fmt="o",
        color=COLOURS[0],
        ecolor=GREY,
        label="network, mean and standard deviation of 10 repetitions",
    )
    for value in reference:
        ax.axhline(value, color=BLACK, linestyle="--", label=f"ARG2000, {value:.3g} ms")
    logarithmic(ax.xaxis, networks["params"])
    logarithmic(ax.yaxis, [*networks["mean_ms"], *reference])
    ax.set(xlabel="learnable parameters", ylabel="time for 100,000 samples (ms)")
    legend(fig, ax, size)
    return fig


@styled
def plane(
    table: pd.DataFrame,
    times: pd.DataFrame,
    arg2000_mse: float | None = None,
    *,
    size: Size = PRINT,
) -> "Figure":
    """Draw test MSE against time on one core, with the Pareto front and ARG2000.

    The tables are `tables.accuracy_and_cost` and the times that it has them from.
    """
    if table.empty:
        raise NothingToDrawError("no retrained network has been timed")
    fig = figure(size, 0.6)
    ax = fig.subplots()
    style = looks(table["project"].sort_values())
    _points(ax, table, "us_per_sample", "test_mse", style)
    front = table[table["pareto"]].drop_duplicates("us_per_sample").sort_values("us_per_sample")
    # Steps: nothing is promised between two networks.
    ax.step(
        front["us_per_sample"],
        front["test_mse"],
        where="post",
        color="#4D4D4D",
        linestyle="--",
        label="Pareto front",
        zorder=1,
    )
    cost = times.loc[times["nodes"] == ARG2000, "us_per_sample"].iloc[0]
    ax.axvline(cost, color=BLACK, linestyle=":", label=f"ARG2000's time, {cost:.3g} us")
    errors = list(table["test_mse"])
    if arg2000_mse is not None:
        ax.plot(cost, arg2000_mse, "*", color=BLACK, markersize=9 * size.scale, label=ARG2000)
        errors.append(arg2000_mse)
    logarithmic(ax.xaxis, [*table["us_per_sample"], cost])
    logarithmic(ax.yaxis, errors)
    ax.set(xlabel="time of a sample on one core (us), batch 1,024", ylabel=_TEST)
    legend(fig, ax, size)
    return fig


@styled
def ranks(ranks: pd.DataFrame, correlations: pd.DataFrame, *, size: Size = PRINT) -> "Figure":
    """Draw how each smaller subset ranks the architectures, against the largest one."""
    names = list(dict.fromkeys(ranks["project"]))
    if not names:
        raise NothingToDrawError(
            "it takes two runs with different subsets that tried the same architectures: "
            "the same --seed and the same space"
        )
    fig, axes = squares(size, len(names), below=0.1)
    kinds = {
        "in neither shortlist": (GREY, "o"),
        "in the smaller subset's": (COLOURS[0], MARKERS[1]),
        "in the larger subset's": (COLOURS[1], MARKERS[2]),
        "in both shortlists": (COLOURS[2], MARKERS[3]),
    }
    most = 1.04 * ranks[["rank", "rank_in_other"]].to_numpy().max()
    for ax, name in zip(axes, names, strict=True):
        here = ranks[ranks["project"] == name]
        kind = here["shortlisted"].astype(int) + 2 * here["shortlisted_in_other"].astype(int)
        for place, (label, (colour, marker)) in enumerate(kinds.items()):
            points = here[kind == place]
            ax.plot(
                points["rank"],
                points["rank_in_other"],
                marker,
                color=colour,
                label=label,
                rasterized=len(here) > _CROWD,
            )
        other = here["other"].iloc[0]
        pair = (correlations["project"] == name) & (correlations["other"] == other)
        rho = correlations[pair].iloc[0]
        ax.set_title(f"rho {rho['rho']:.2f}")
        ax.set(xlabel=f"rank in {name}", ylabel=f"rank in {other}")
        ax.set(xlim=(0, most), ylim=(0, most))
        for axis in (ax.xaxis, ax.yaxis):
            whole(axis, 4)
    _letter(axes, titled=True)
    legend(fig, axes[0], size)
    return fig


@styled
def regions(regions: pd.DataFrame, networks: pd.DataFrame, *, size: Size = PRINT) -> "Figure":
    """Draw errors by mode, and by updraft, temperature and aerosol number."""
    if networks.empty:
        raise NothingToDrawError("no network has been tested")
    fig = figure(size, 0.9)
    axes = fig.subplots(2, 2, sharey=True).ravel()
    names = list(networks["network"])
    style = looks([name for name in names if name != ARG2000])
    by_mode = [f"mse_{output}" for output in schema.OUTPUTS]
    for name in names:
        row = networks[networks["network"] == name].iloc[0]
        values = [row[column] for column in by_mode]
        _profile(axes[0], list(_SHORT_NAMES), values, name, style)
        for ax, key in zip(axes[1:], ("wbar", "tair", "number"), strict=True):
            here = regions[(regions["network"] == name) & (regions["by"] == key)]
            labels = [
                _interval(low, high) for low, high in zip(here["low"], here["high"], strict=True)
            ]
            _profile(ax, labels, list(here["mse"]), name, style)
            ax.set_xlabel(f"{here['title'].iloc[0]} ({here['units'].iloc[0]})")
    axes[0].set_xlabel("mode")
    for ax in axes:
        ax.tick_params(axis="x", labelrotation=25)
        for label in ax.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    logarithmic(axes[0].yaxis, pd.concat([regions["mse"], networks[by_mode].stack()]))
    fig.supylabel("MSE on the holdout")
    _letter(axes)
    legend(fig, axes[0], size)
    return fig


# --- parts of figures -------------------------------------------------------------------------


def _overview(
    size: Size,
    style: dict[str, Any],
    table: pd.DataFrame,
    mse: tuple[str, str],
    order: str,
    tested: pd.DataFrame,
    before: tuple[str, str],
) -> "Figure":
    """Draw the four panels of Figure 2.

    Parameters
    ----------
    table : pandas.DataFrame
        Of (a), (c) and (d).
    mse, before : tuple of str
        Column and label: of the errors of `table`, and of those before the test in (b).
    order : str
        Label of the x axis of (a).
    tested : pandas.DataFrame
        Of (b); without rows it says so.
    """
    fig = figure(size, 0.85)
    (a, b), (c, d) = fig.subplots(2, 2)
    (column, label), (before_column, before_label) = mse, before
    _sorted(a, table, column, style, order, label)
    if tested.empty:
        _say(b, "no network is retrained yet")
    else:
        _against(b, tested, before_column, "test_mse", style, before_label, _TEST)
        _diagonal(b)
    _by_layers(c, table, column, style, label)
    _against(d, table, "params", column, style, "learnable parameters", label)
    _letter((a, b, c, d))
    legend(fig, a, size)
    return fig


def _usable(retrained: pd.DataFrame) -> pd.DataFrame:
    return retrained[retrained["status"] == "COMPLETED"]


def _points(ax: "Axes", table: pd.DataFrame, x: str, y: str, style: dict[str, Any]) -> None:
    for name, look in style.items():
        here = table[table["project"] == name]
        crowd = len(here) > _CROWD
        ax.plot(
            here[x].astype(float),
            here[y],
            look.marker,
            color=look.colour,
            alpha=0.25 if crowd else 0.75,
            markeredgewidth=0,
            label=name,
            rasterized=crowd,
        )


def _against(
    ax: "Axes",
    table: pd.DataFrame,
    x: str,
    y: str,
    style: dict[str, Any],
    xlabel: str,
    ylabel: str,
) -> None:
    _points(ax, table, x, y, style)
    logarithmic(ax.xaxis, table[x].astype(float))
    logarithmic(ax.yaxis, table[y])
    ax.set(xlabel=xlabel, ylabel=ylabel)


def _sorted(
    ax: "Axes", table: pd.DataFrame, y: str, style: dict[str, Any], xlabel: str, ylabel: str
) -> None:
    for name, look in style.items():
        values = np.sort(table.loc[table["project"] == name, y].to_numpy(float))
        ax.plot(
            np.arange(1, len(values) + 1),
            values,
            look.line,
            color=look.colour,
            # A line of a single point would not be seen.
            marker=look.marker if len(values) <= 12 else "",
            label=name,
        )
    logarithmic(ax.yaxis, table[y])
    whole(ax.xaxis, 5)
    ax.set(xlabel=xlabel, ylabel=ylabel)


def _by_layers(ax: "Axes", table: pd.DataFrame, y: str, style: dict[str, Any], ylabel: str) -> None:
    # The projects side by side, so that one does not hide another.
    shifts = dict(zip(style, np.linspace(-0.3, 0.3, len(style) + 2)[1:-1], strict=True))
    moved = table.assign(layers=table["layers"] + table["project"].map(shifts).astype(float))
    _points(ax, moved, "layers", y, style)
    logarithmic(ax.yaxis, table[y])
    whole(ax.xaxis)
    ax.set_xlim(table["layers"].min() - 0.7, table["layers"].max() + 0.7)
    ax.set(xlabel="hidden layers", ylabel=ylabel)


def _profile(
    ax: "Axes", labels: list[str], values: Iterable[float], name: str, style: dict[str, Any]
) -> None:
    kwargs: dict[str, Any] = {"color": BLACK, "marker": "*", "linestyle": ":"}
    if name in style:
        look = style[name]
        kwargs = {"color": look.colour, "marker": look.marker, "linestyle": look.line}
    ax.plot(range(len(labels)), list(values), label=name, **kwargs)
    ax.set_xticks(range(len(labels)), labels)


def _interval(low: float, high: float) -> str:
    if np.isnan(low):
        return f"<{high:g}"
    return f"\u2265{low:g}" if np.isnan(high) else f"{low:g}\u2013{high:g}"


def _diagonal(ax: "Axes") -> None:
    x, y = ax.get_xlim(), ax.get_ylim()
    ends = [max(x[0], y[0]), min(x[1], y[1])]
    if ends[0] < ends[1]:
        ax.plot(ends, ends, color=BLACK, linewidth=0.7, zorder=1)


def _say(ax: "Axes", text: str) -> None:
    ax.set(xticks=[], yticks=[])
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes, wrap=True)


def _letter(axes: Iterable["Axes"], *, titled: bool = False) -> None:
    for ax, letter in zip(axes, "abcdefghijkl", strict=False):
        ax.set_title(f"({letter}) {ax.get_title(loc='left')}" if titled else f"({letter})")


def _corner(network: pd.Series, mode: str) -> str:
    lines = [f"MSE {network[f'mse_fn_{mode}']:.2e}", f"R² {network[f'r2_fn_{mode}']:.5f}"]
    if network["network"] != ARG2000:
        lines += [f"{network['layers']} layers", f"{network['params']:,} parameters"]
    return "\n".join(lines)
