"""How much each choice of physics moves the maximum supersaturation and the activated fraction.

    python benchmarks/physics_choices.py [--parcels N] [--markdown FILE] [--json FILE]

One choice at a time is changed against the preset `default`: first to what the preset `pyrcel`
has, then the accommodation coefficients and the humidity at the start.  The states are the
sampler's, all started at a relative humidity of 0.98 unless that is what is changed.
"""

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from aeroact.console import print_table
from aeroact.physics.activation import Activation
from aeroact.physics.constants import Physics, preset
from aeroact.physics.parcel import simulate
from aeroact.schema import split_state
from aeroact.states import sample_rows

SEED = 3
RTOL = 1e-6  # solver noise then hides not even the smallest choice
START_RH = 0.98

FIELDS = {
    "latent heat 2.25e6 J kg-1, not L(T)": ("latent_heat", "latent_heat_slope"),
    "diffusivity 2.6 % lower": ("diffusivity",),
    "number per volume, not per mass": ("number_per_mass",),
    "dS/dt for a humidity near 1": ("exact_humidity",),
    "heat capacity 1004 J kg-1 K-1": ("heat_capacity",),
    "gravity 9.81 m s-2": ("gravity",),
    "molar masses and gas constant": ("molar_mass_water", "molar_mass_air", "gas_constant"),
}
"""What the presets differ in, by the constants of `Physics`."""


@dataclass(frozen=True)
class Choice:
    """Another choice than that of the preset `default`.

    Attributes
    ----------
    name : str
        What is chosen.
    physics : Physics
        The constants with this choice.
    rh : float
        Relative humidity at the start, 1.
    """

    name: str
    physics: Physics = field(default_factory=lambda: preset("default"))
    rh: float = START_RH


def choices() -> list[Choice]:
    """List the choices.

    Raises
    ------
    ValueError
        If the presets differ in a constant that no choice names.
    """
    default, pyrcel = preset("default"), preset("pyrcel")
    differing = {
        name for name in Physics._fields if getattr(default, name) != getattr(pyrcel, name)
    }
    # The bins are no physics, and at this tolerance the answer is the same with either.
    unnamed = (
        differing - {"name", "even_bins"} - {name for names in FIELDS.values() for name in names}
    )
    if unnamed:
        raise ValueError(f"name the choices in FIELDS that these are: {sorted(unnamed)}")

    one_by_one = [
        Choice(title, default._replace(**{name: getattr(pyrcel, name) for name in names}))
        for title, names in FIELDS.items()
    ]
    # The two together do far more than either: the latent heat then stands for the slope of the
    # saturation vapour pressure too.
    approximate = default._replace(
        exact_humidity=False,
        latent_heat=pyrcel.latent_heat,
        latent_heat_slope=pyrcel.latent_heat_slope,
    )
    constant_heat = default._replace(latent_heat_slope=0.0)
    return [
        *one_by_one,
        Choice("both: latent heat 2.25e6 J kg-1, dS/dt near 1", approximate),
        Choice("all of these: the preset `pyrcel`", pyrcel),
        Choice("latent heat 2.501e6 J kg-1, not L(T)", constant_heat),
        Choice("mass accommodation 0.5, not 1", default._replace(mass_accommodation=0.5)),
        Choice("mass accommodation 0.1, not 1", default._replace(mass_accommodation=0.1)),
        Choice("thermal accommodation 1, not 0.96", default._replace(thermal_accommodation=1.0)),
        *(Choice(f"start at rh {rh}, not {START_RH}", rh=rh) for rh in (0.90, 0.95, 0.995)),
    ]


def compare(states: dict[str, Any], choice: Choice, reference: Activation) -> dict[str, Any]:
    """Relative change of Smax, and change of the fractions, by a choice."""
    answer = simulate(**states | {"rh": choice.rh}, physics=choice.physics, rtol=RTOL)
    both = answer.ok & reference.ok
    smax = answer.smax[both] / reference.smax[both] - 1.0
    fn = answer.fn[both] - reference.fn[both]
    low, high = np.percentile(smax, (5.0, 95.0))
    return {
        "choice": choice.name,
        "parcels": int(both.sum()),
        "smax_mean": float(smax.mean()),
        "smax_p5": float(low),
        "smax_p95": float(high),
        "fn_accum_mean": float(fn[:, 0].mean()),
        "fn_aitken_mean": float(fn[:, 1].mean()),
    }


HEADINGS = ("choice", "mean", "5 to 95 % of the parcels", "fn accumulation", "fn Aitken")


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Write the changes of Smax in percent, those of the fractions as they are."""
    return (
        row["choice"],
        f"{100 * row['smax_mean']:+.2f} %",
        f"{100 * row['smax_p5']:+.2f} to {100 * row['smax_p95']:+.2f} %",
        f"{row['fn_accum_mean']:+.4f}",
        f"{row['fn_aitken_mean']:+.4f}",
    )


def markdown(rows: list[dict[str, Any]]) -> str:
    """Write the table for the documentation."""
    lines = [HEADINGS, ("---", *["---:"] * (len(HEADINGS) - 1)), *map(cells, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parcels", type=int, default=500, help="sampled states")
    parser.add_argument("--markdown", type=Path, help="where to write the table as Markdown")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args()

    states: dict[str, Any] = dict(split_state(sample_rows(0, options.parcels, SEED)))
    reference = simulate(**states | {"rh": START_RH}, rtol=RTOL)
    rows = [compare(states, choice, reference) for choice in choices()]

    table = Table(title=f"Change of Smax and fn against `default`, {options.parcels} states")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "choice" else "right")
    for row in rows:
        table.add_row(*cells(row))
    print_table(table)
    if options.markdown:
        options.markdown.write_text(markdown(rows))
    if options.json:
        options.json.write_text(json.dumps({"seed": SEED, "choices": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
