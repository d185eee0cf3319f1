"""Draw `trajectory.png`: the ascent of one parcel through its maximum supersaturation.

python docs/figures/trajectory.py
"""

import matplotlib.pyplot as plt
import numpy as np
import style
from matplotlib.ticker import MaxNLocator

from aeroact.physics.activation import Trajectory
from aeroact.physics.parcel import simulate
from aeroact.schema import MODE_NAMES

PARCEL = {
    "tair": 283.0,
    "pressure": 900.0,
    "rh": 0.95,
    "wbar": 150.0,
    "num_aer": [400.0, 600.0, 0.5, 100.0],
    "r_aer": [0.06, 0.016, 0.8, 0.04],
    "kappa": [0.45, 0.4, 0.8, 0.01],
}
PERCENTILES = (5.0, 15.0, 30.0, 50.0, 70.0, 85.0, 95.0)  # of a mode's number: the bins shown


def shown_bins(path: Trajectory, mode: int, fraction: float) -> list[tuple[int, bool]]:
    """Find the bins at the percentiles of a mode's number, and whether each activates."""
    own = np.flatnonzero(path.mode == mode)
    above = 1.0 - np.cumsum(path.number[own]) / path.number[own].sum()
    middle = above + 0.5 * path.number[own] / path.number[own].sum()
    shown = np.searchsorted(-above, np.asarray(PERCENTILES) / 100.0 - 1.0)
    return [(int(own[i]), bool(middle[i] < fraction)) for i in shown]


def main() -> None:
    """Simulate, draw and write."""
    answer = simulate(**PARCEL, trajectory=True)
    path = answer.trajectory
    assert path is not None
    peak = path.height[np.argmax(path.supersaturation)]

    figure = plt.figure(figsize=(9.0, 4.6))
    air, *panels = figure.subplots(1, 5, sharey=True, width_ratios=(1.7, 1, 1, 1, 1))

    air.plot(100.0 * path.supersaturation, path.height, color="black")
    air.plot(100.0 * answer.smax, peak, "o", color=style.HIGHLIGHT)
    air.set(xlabel="supersaturation (%)", ylabel="height above the start (m)", ylim=(0, None))
    air.set_xlim(-1.0, 1.25 * 100.0 * answer.smax[0])
    air.xaxis.set_major_locator(MaxNLocator(4))
    air.annotate(
        f"maximum\n{100 * answer.smax[0]:.2f} %",
        (100.0 * answer.smax[0], peak),
        xytext=(-40, 6),
        textcoords="offset points",
        ha="right",
        color=style.HIGHLIGHT,
    )
    temperature = air.twiny()
    temperature.plot(path.tair, path.height, color="black", linestyle=":")
    temperature.set_xlabel("temperature (K), dotted")
    temperature.xaxis.set_major_locator(MaxNLocator(4))
    temperature.grid(visible=False)
    temperature.spines["top"].set_visible(True)

    for mode, panel in enumerate(panels):
        colour = style.MODE_COLOURS[mode]
        panel.axhline(peak, color=style.HIGHLIGHT, linewidth=0.8)
        for i, activated in shown_bins(path, mode, answer.fn[0, mode]):
            panel.plot(
                path.wet_radius[:, i],
                path.height,
                color=colour,
                linestyle="-" if activated else ":",
                linewidth=1.4 if activated else 1.0,
            )
        panel.set(xscale="log", xlabel="wet radius (µm)", xlim=(0.008, 40.0))
        panel.set_xticks((0.01, 0.1, 1.0, 10.0), ("0.01", "0.1", "1", "10"))
        panel.set_title(f"{MODE_NAMES[mode]}\n{100 * answer.fn[0, mode]:.0f} % activated")
    figure.supxlabel(
        "particles at the 5th to 95th percentile of each mode's number: "
        "solid, activated; dotted, haze",
        fontsize="medium",
    )
    style.save(figure, __file__)


if __name__ == "__main__":
    main()
