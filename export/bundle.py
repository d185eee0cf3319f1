"""An emulator with all that it needs to be trusted: network, weights, card, figures, sums."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aeroact import schema
from aeroact.assess import monotony
from aeroact.emulator import CARD_FILE, CARD_TEXT_FILE, ONNX_FILE, SUMS_FILE
from aeroact.files import replacing_folder, sha256

WEIGHTS_FILE = "weights.nc"
FIGURE_FILE = "fn.png"
COST_FIGURE_FILE = "cost.png"
RANKING_FILE = "ranking.csv"


def write(
    path: Path, onnx: bytes, card: dict[str, Any], extra: dict[str, Callable[[Path], object]]
) -> None:
    """Write a bundle, whole or not at all; one of that name is replaced.

    Parameters
    ----------
    path : Path
        The bundle's folder.
    onnx : bytes
        The emulator.
    card : dict
        The model card. It gets the sums of the other files under ``files``, so that it
        cannot pass for the card of another network.
    extra : dict of str to callable
        More files by name, each with what writes it, given a path.
    """
    with replacing_folder(path) as folder:
        (folder / ONNX_FILE).write_bytes(onnx)
        for name, make in extra.items():
            make(folder / name)
        card = {**card, "files": _sums(folder)}
        text = json.dumps(card, separators=(",", ":"), allow_nan=False) + "\n"
        (folder / CARD_FILE).write_text(text, encoding="utf-8")
        (folder / CARD_TEXT_FILE).write_text(render(card), encoding="utf-8")
        sums = "".join(f"{total}  {name}\n" for name, total in _sums(folder).items())
        (folder / SUMS_FILE).write_text(sums, encoding="utf-8")


def _sums(folder: Path) -> dict[str, str]:
    return {file.name: sha256(file) for file in sorted(folder.iterdir())}


def render(card: dict[str, Any]) -> str:
    """Return the model card as Markdown."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("aeroact.export"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown, not HTML
    )
    environment.filters["as"] = _formatted
    template = environment.get_template("CARD.md.j2")
    return template.render(card=card, modes=schema.MODES, steps=monotony.STEPS)


def _formatted(value: float | None, spec: str) -> str:
    """Format a number, or say that there is none."""
    return "none" if value is None else format(value, spec)
