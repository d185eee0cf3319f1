"""The picture of a result: predicted against simulated activated fraction; small files of it."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aeroact.schema import MODE_NAMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def predicted_against_simulated(
    simulated: NDArray[np.floating], predicted: Mapping[str, NDArray[np.floating]], mode: int = 0
) -> "Figure":
    """Draw hexagonally binned predictions, a panel each (Yu et al., 2024, Figure 3).

    Parameters
    ----------
    simulated : ndarray, shape (n, 4)
        Activated fractions of the parcel model.
    predicted : mapping of str to ndarray, shape (n, 4)
        Predictions by the panel's title.
    mode : int
        The mode to show.

    Returns
    -------
    matplotlib.figure.Figure
        MSE and R2 in each panel are of this mode.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * len(predicted) + 0.9, 4.2), dpi=120, layout="constrained")
    axes = figure.subplots(1, len(predicted), sharex=True, sharey=True, squeeze=False)[0]
    truth = simulated[:, mode]
    norm = LogNorm(1, max(10, len(truth) / 20))
    for ax, (title, prediction) in zip(axes, predicted.items(), strict=True):
        bins = ax.hexbin(
            truth,
            prediction[:, mode],
            gridsize=60,
            extent=(0, 1, 0, 1),
            mincnt=1,
            norm=norm,
            cmap="viridis",
            linewidths=0.1,
        )
        ax.plot([0, 1], [0, 1], color="black", linewidth=0.8)
        mse = float(np.mean((prediction[:, mode] - truth) ** 2))
        r2 = 1 - mse / float(np.var(truth))
        ax.text(0.04, 0.96, f"MSE {mse:.1e}\nR² {r2:.6f}", va="top", transform=ax.transAxes)
        ax.set(title=title, xlim=(0, 1), ylim=(0, 1), aspect="equal")
        ax.set_xlabel("simulated by the parcel model")
    axes[0].set_ylabel("predicted")
    figure.colorbar(bins, ax=axes, label="samples a bin", shrink=0.85)
    figure.suptitle(f"Activated fraction of the {MODE_NAMES[mode]} mode")
    return figure


_COLOURS = 64
"""Of a picture in a bundle: enough for its bins and its text, at a quarter of the size."""


def save(path: Path, figure: "Figure") -> None:
    """Write a figure as a small PNG file, the same bytes each time."""
    from PIL import Image

    content = BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    image = Image.open(content).convert("RGB")
    image.quantize(_COLOURS, dither=Image.Dither.NONE).save(path, format="PNG", optimize=True)
