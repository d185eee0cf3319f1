"""Write the tables of docs/zoo.md, and its figure, from the cards of the released emulators.

    python zoo/page.py

A number on that page is a number of a card: nothing is copied by hand.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EMULATORS = ROOT / "aeroact" / "emulators"
PAGE = ROOT / "docs" / "zoo.md"
FIGURE = ROOT / "docs" / "figures" / "zoo.png"

Card = dict[str, Any]

GOALS = {
    "mam4-feather": (0.5, 1e-5),
    "mam4-light": (1.0, 1.5e-6),
    "mam4-knee": (1.5, 7e-7),
    "mam4-best": (None, 3e-7),
}
"""What each was to reach: time a state in multiples of ARG2000's, and MSE on the holdout."""


def cards() -> list[Card]:
    """Return the cards, the cheapest emulator first."""
    found = [json.loads(p.read_text(encoding="utf-8")) for p in EMULATORS.glob("*/card.json")]
    return sorted(found, key=lambda card: card["network"]["params"])


def table(headings: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table, numbers to the right."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def overview(found: list[Card]) -> str:
    """Return what each emulator is, what it costs and how far it errs."""
    headings = ["name", "hidden layers", "parameters", "MSE of fn", "goal", "R2"]
    headings += ["us a state, native", "ONNX Runtime", "times ARG2000", "goal"]
    rows = []
    for card in found:
        cost, (time_goal, mse_goal) = card["cost"]["fortran"], GOALS[card["name"]]
        at = {
            backend: next(t for t in cost[backend] if t["batch"] == cost["fastest"]["batch"])
            for backend in ("native", "ort")
            if cost[backend]
        }
        rows.append(
            [
                f"[`{card['name']}`](../aeroact/emulators/{card['name']}/CARD.md)",
                "-".join(map(str, card["network"]["nodes"])),
                f"{card['network']['params']:,}",
                f"{card['holdout']['mse']:.2e}",
                f"{mse_goal:g}",
                f"{card['holdout']['r2']:.6f}",
                *(f"{at[b]['us_per_sample']:.3f}" if b in at else "" for b in ("native", "ort")),
                f"**{cost['fastest']['multiple_of_arg2000']:.2f}**",
                f"{time_goal:g}" if time_goal else "",
            ]
        )
    arg2000 = found[0]["arg2000"]
    times = [card["cost"]["fortran"]["arg2000_us_per_sample"] for card in found]
    span = f"{min(times):.3f} to {max(times):.3f}"
    rows.append(
        ["ARG2000", "", "", f"{arg2000['mse']:.2e}", "", f"{arg2000['r2']:.3f}", span, "", "1", ""]
    )
    return table(headings, rows)


def trust(found: list[Card]) -> str:
    """Return how far each may be believed beyond its mean error."""
    headings = ["", *(f"`{card['name']}`" for card in found), "ARG2000", "parcel model"]

    def worst(card: Card, domain: str) -> str:
        errors = [abs(w["error"]) for w in card["assessment"]["worst"] if w["domain"] == domain]
        return f"{max(errors):.3f}" if errors else ""

    def size(key: str) -> Callable[[Card], str]:
        return lambda card: f"{card['size_of_errors']['emulator'][key]:.1e}"

    def droplets(key: str, who: str = "emulator") -> Callable[[Card], str]:
        return lambda card: f"{card['assessment']['droplets'][who][key]:.2g} %"

    def falling(who: str) -> Callable[[Card], str]:
        return lambda card: f"{100 * card['assessment']['monotony'][who]['falling']['0.01']:.2g} %"

    def fall(who: str) -> Callable[[Card], str]:
        return lambda card: f"{card['assessment']['monotony'][who]['largest']:.1e}"

    def jitter(who: str) -> Callable[[Card], str]:
        return lambda card: f"{card['assessment']['smoothness'][who]['rms_difference']:.1e}"

    first = found[0]
    reference = first["size_of_errors"]["arg2000"]
    measures: list[tuple[str, Callable[[Card], str], str, str]] = [
        ("99 % of the errors of fn are below", size("p99"), f"{reference['p99']:.2f}", ""),
        ("largest error, holdout", size("largest"), f"{reference['largest']:.2f}", ""),
        ("largest an optimizer finds, sampled", lambda c: worst(c, "sampled"), "", ""),
        ("the same in the whole box", lambda c: worst(c, "box"), "", ""),
        (
            "droplet number, absolute errors summed",
            droplets("absolute"),
            droplets("absolute", "arg2000")(first),
            "",
        ),
        ("droplet number, bias", droplets("bias"), droplets("bias", "arg2000")(first), ""),
        (
            "states in which some fn falls by over 0.01 as the updraft rises",
            falling("emulator"),
            falling("arg2000")(first),
            falling("parcel")(first),
        ),
        ("largest such fall", fall("emulator"), fall("arg2000")(first), fall("parcel")(first)),
        (
            "change between neighbours, off by (root mean square)",
            jitter("emulator"),
            jitter("arg2000")(first),
            "",
        ),
    ]
    return table(
        headings, [[title, *map(of, found), arg, parcel] for title, of, arg, parcel in measures]
    )


def columns(found: list[Card]) -> str:
    """Return the errors on columns of E3SM."""
    some = [card for card in found if card["assessment"].get("columns")]
    if not some:
        return "Not measured: no columns were given."
    headings = ["on E3SM columns", "MSE of fn", "largest error", "fn_accum", "fn_aitken"]
    headings += ["fn_coarse", "fn_pcarbon", "droplet number"]
    rows = []
    for name, errors in [
        *((f"`{c['name']}`", c["assessment"]["columns"]["emulator"]) for c in some),
        ("ARG2000", some[0]["assessment"]["columns"]["arg2000"]),
    ]:
        numbers = [errors["mse"], errors["largest"], *errors["mse_by_mode"]]
        rows.append(
            [name, *(f"{v:.1e}" for v in numbers), f"{errors['droplets']['absolute']:.2g} %"]
        )
    one = some[0]["assessment"]["columns"]
    note = (
        f"{one['answers']:,} of {one['layers']:,} layers have an answer of the parcel model; "
        f"{one['in_domain']:,} lie within the training bounds. MSE by mode; droplet number: "
        "absolute errors summed, in per cent of the droplets."
    )
    return table(headings, rows) + "\n\n" + note


def draw(found: list[Card]) -> None:
    """Draw error against cost, ARG2000 among the emulators."""
    sys.path.append(str(ROOT / "docs" / "figures"))
    import matplotlib.pyplot as plt
    import style

    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    for i, card in enumerate(found):
        cost, mse = card["cost"]["fortran"]["fastest"], card["holdout"]["mse"]
        axes.plot(cost["multiple_of_arg2000"], mse, "o", color=style.MODE_COLOURS[0], ms=7)
        axes.annotate(
            card["name"],
            (cost["multiple_of_arg2000"], mse),
            (0, -16 if i % 2 else 8),  # in turn below and above, so that neighbours do not meet
            textcoords="offset points",
            ha="center",
            bbox={"fc": "white", "ec": "none", "pad": 0.5},
        )
    axes.plot(1.0, found[0]["arg2000"]["mse"], "s", color=style.MODE_COLOURS[1], ms=7)
    axes.annotate("ARG2000", (1.0, found[0]["arg2000"]["mse"]), (8, -3), textcoords="offset points")
    axes.axvline(1.0, color=style.MODE_COLOURS[1], lw=0.8, ls="--")
    right = max(card["cost"]["fortran"]["fastest"]["multiple_of_arg2000"] for card in found)
    axes.set(
        xlabel="time a state on one core, in multiples of ARG2000's",
        ylabel="mean squared error of fn",
        yscale="log",
        xlim=(0, 1.35 * max(right, 1.0)),
        ylim=(min(card["holdout"]["mse"] for card in found) / 3, 3e-2),
    )
    style.save(figure, FIGURE)


def page(text: str, found: list[Card]) -> str:
    """Return the page with its tables anew."""
    for name, make in {"overview": overview, "trust": trust, "columns": columns}.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, found_begin, rest = text.partition(begin)
        _, found_end, after = rest.partition(end)
        if not (found_begin and found_end):
            raise ValueError(f"{PAGE}: has no {begin} ... {end}")
        text = f"{before}{begin}\n{make(found)}\n{end}{after}"
    return text


def main() -> None:
    """Write tables and figure."""
    found = cards()
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    draw(found)


if __name__ == "__main__":
    main()
