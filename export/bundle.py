"""An emulator with all that it needs to be trusted: network, weights, card, figure, sums."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aeroact.files import replacing_folder, sha256
from aeroact.zoo import CARD_FILE, ONNX_FILE, SUMS_FILE

WEIGHTS_FILE = "weights.nc"
FIGURE_FILE = "fn.png"


def write(
    path: Path, onnx: bytes, card: dict[str, Any], extra: dict[str, Callable[[Path], None]]
) -> None:
    """Write a bundle, whole or not at all; one of that name is replaced.

    Parameters
    ----------
    path : Path
        The bundle's folder.
    onnx : bytes
        The emulator.
    card : dict
        The model card.
    extra : dict of str to callable
        More files by name, each with what writes it, given a path.
    """
    with replacing_folder(path) as folder:
        (folder / ONNX_FILE).write_bytes(onnx)
        for name, make in extra.items():
            make(folder / name)
        (folder / CARD_FILE).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
        (folder / "CARD.md").write_text(render(card), encoding="utf-8")
        files = sorted(file for file in folder.iterdir())
        sums = "".join(f"{sha256(file)}  {file.name}\n" for file in files)
        (folder / SUMS_FILE).write_text(sums, encoding="utf-8")


def render(card: dict[str, Any]) -> str:
    """Return the model card as Markdown."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("aeroact.export"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, not HTML
    )
    return environment.get_template("CARD.md.j2").render(card=card)
