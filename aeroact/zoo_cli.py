"""`aeroact-zoo`: released emulators, and whether one is fit for states of one's own."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aeroact import console
from aeroact.console import Debug
from aeroact.errors import AeroactError

if TYPE_CHECKING:
    from rich.table import Table

    from aeroact.suitability import Compared, Suitability
    from aeroact.zoo import Entry
    from aeroact.zoo_checks import Finding

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Released emulators of aerosol activation: list, look at, verify and install them.",
)

SEED = 987_654
"""Of new parcels: one that no released emulator was trained with."""

_FEWEST = 100  # parcels on which an error means anything


def main() -> None:
    """Run `aeroact-zoo`."""
    console.run(app)


Name = Annotated[str, typer.Argument(help="An emulator of the zoo, or a bundle's folder.")]
Zoo = Annotated[
    str | None,
    typer.Option(
        "--zoo",
        help="Folder of bundles, or https address of an index.json; by default what AEROACT_ZOO "
        "names, and else the zoo of this package.",
    ),
]
Json = Annotated[Path | None, typer.Option("--json", help="Write all of it to this file too.")]


@app.command(name="list", epilog="Example: aeroact-zoo list")
def list_(zoo: Zoo = None, json_file: Json = None, debug: Debug = False) -> None:
    """List the emulators of a zoo: size, error, and time beside ARG2000's.

    The error is the mean squared one of the activated fraction on parcels that the search
    never saw. Time is that of a state in multiples of ARG2000's, measured in turn on one core.
    """
    from dataclasses import asdict

    from aeroact.zoo import open_zoo

    opened = open_zoo(zoo)
    entries = opened.entries()
    _write_json(json_file, {"zoo": opened.where, "emulators": [asdict(e) for e in entries]})
    console.print_table(_listed(entries, opened.where))


@app.command(epilog="Example: aeroact-zoo show mam4-light")
def show(name: Name, zoo: Zoo = None, debug: Debug = False) -> None:
    """Show an emulator's model card: what it is for, its errors and limits, its cost."""
    from aeroact.emulator import CARD_TEXT_FILE, verify_sums
    from aeroact.zoo import find

    folder = find(name, zoo, console.progress)
    verify_sums(folder)
    text = (folder / CARD_TEXT_FILE).read_text(encoding="utf-8")
    if not sys.stdout.isatty():
        sys.stdout.write(text)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))


@app.command(epilog="Example: aeroact-zoo verify mam4-light --states states.nc")
def verify(
    name: Annotated[
        str | None,
        typer.Argument(help="An emulator of the zoo, or a bundle's folder; all without a name."),
    ] = None,
    zoo: Zoo = None,
    parcels: Annotated[
        int,
        typer.Option(min=0, help=f"New parcels to measure the error on; {_FEWEST} or more, or 0."),
    ] = 2000,
    states: Annotated[
        Path | None,
        typer.Option("--states", help="Say instead if it is fit for the states of this file."),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="With --states: rows of it to simulate, 1000 by default."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the new parcels, or of the sample.")] = SEED,
    json_file: Json = None,
    debug: Debug = False,
) -> None:
    """Verify an emulator: its files, its fractions, and its error on new parcels.

    New parcels are states sampled as its training states were, with another seed, and
    simulated here. It fails where the error is larger than the card says by more than
    sampling explains.

    With --states it says whether the emulator is fit for these: how many are out of its
    training bounds, and by which variables; its errors there, beside ARG2000's; and whether
    to retrain. Other units than the schema's are converted.
    """
    if states is None and samples is not None:
        raise typer.BadParameter("is for --states; add that", param_hint="--samples")
    if 0 < parcels < _FEWEST:
        raise typer.BadParameter(
            f"{parcels} are too few; {_FEWEST} or more, or 0", param_hint="--parcels"
        )
    if states is not None:
        if name is None:
            raise typer.BadParameter("say which emulator", param_hint="NAME")
        _verify_for(name, zoo, states, samples or 1000, seed, json_file)
        return
    from dataclasses import asdict

    from aeroact.zoo import open_zoo
    from aeroact.zoo_checks import check

    names = open_zoo(zoo).names() if name is None else [name]
    if not names:
        raise AeroactError(f"{open_zoo(zoo).where}: has no emulator to verify")
    found: list[Finding] = []
    for each in names:
        found += check(each, zoo, parcels=parcels, seed=seed, progress=console.progress)
    _write_json(json_file, {"findings": [asdict(finding) for finding in found]})
    console.print_table(_checked(found))
    if failed := [f"{f.emulator}: {f.check}: {f.text}" for f in found if f.ok is False]:
        raise AeroactError(f"failed: {'; '.join(failed)}")


@app.command(epilog="Example: aeroact-zoo install mam4-light --out emulators/mam4-light")
def install(
    name: Name,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The bundle's new folder.")],
    zoo: Zoo = None,
    debug: Debug = False,
) -> None:
    """Copy an emulator's bundle to where a climate model finds it, whole or not at all.

    A bundle that is there already is replaced, and nothing else is.
    """
    from aeroact.emulator import ONNX_FILE
    from aeroact.zoo import copy_bundle, find

    copy_bundle(find(name, zoo, console.progress), out)
    print(f"Emulator: {out}/{ONNX_FILE}")


@app.command(epilog="Example: aeroact-zoo index zoo")
def index(
    folder: Annotated[Path, typer.Argument(help="A folder of bundles.")], debug: Debug = False
) -> None:
    """Write the index of a folder of bundles, which makes a zoo of it.

    Serve the folder by https, or share it, and name it or its index.json with --zoo.
    """
    from aeroact.zoo import INDEX_FILE, write_index

    entries = write_index(folder)
    print(f"{folder / INDEX_FILE}: {', '.join(e.name for e in entries) or 'no emulators'}")


def _verify_for(
    name: str, zoo: str | None, states: Path, samples: int, seed: int, json_file: Path | None
) -> None:
    """Say whether an emulator is fit for the states of a file."""
    from aeroact.emulator import open_bundle, require_fractions
    from aeroact.zoo import find

    emulator = open_bundle(find(name, zoo, console.progress))
    require_fractions(emulator)

    from aeroact.suitability import assess

    found = assess(emulator, states, samples=samples, seed=seed, progress=console.progress)
    _write_json(json_file, {"emulator": name, **found.as_dict()})
    _print_suitability(name, found)


def _write_json(path: Path | None, content: dict[str, Any]) -> None:
    if path is not None:
        from aeroact.files import write_text

        write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _table(title: str, *heads: str, text: int = 1) -> "Table":
    """Return an empty table whose first columns are text, and the others numbers."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left")
    for j, head in enumerate(heads):
        table.add_column(head, justify="left" if j < text else "right")
    return table


def _listed(entries: "list[Entry]", where: str) -> "Table":
    from rich.markup import escape

    heads = ("name", "nodes", "parameters", "MSE of fn", "times ARG2000", "timed in", "size")
    some = "1 emulator" if len(entries) == 1 else f"{len(entries)} emulators"
    table = _table(f"{some} of {where}", *heads, text=2)
    for entry in sorted(entries, key=lambda entry: entry.params):
        table.add_row(
            escape(entry.name),
            "-".join(map(str, entry.nodes)),
            f"{entry.params:,}",
            f"{entry.mse:.2e}",
            f"{entry.multiple_of_arg2000:.2f}",
            entry.timed_in,
            f"{entry.bytes / 1e3:,.0f} kB",
        )
    return table


def _checked(found: "list[Finding]") -> "Table":
    from rich.markup import escape

    results = {True: "ok", False: "FAILED", None: "left out"}
    n_failed = sum(finding.ok is False for finding in found)
    table = _table(
        f"{len(found)} checks, {n_failed} failed", "emulator", "check", "result", "finding", text=4
    )
    for finding in found:
        table.add_row(
            escape(finding.emulator), finding.check, results[finding.ok], escape(finding.text)
        )
    return table


def _print_suitability(name: str, found: "Suitability") -> None:
    from aeroact.suitability import FEW
    from aeroact.tables import print_statuses

    share = found.outside / found.rows
    title = f"{found.file}: {found.outside:,} of {found.rows:,} rows ({share:.2%}) out of bounds"
    if found.unsound:
        title += f"; {found.unsound:,} more are no states"
    heads = ("column", "units", "lowest", "bound", "below", "highest", "bound", "above")
    table = _table(title, *heads, text=2)
    for each in found.excursions:
        numbers = (f"{v:.4g}" for v in (each.lowest, each.low, each.highest, each.high))
        lowest, low, highest, high = numbers
        counts = f"{each.below:,}", f"{each.above:,}"
        table.add_row(each.column, each.units, lowest, low, counts[0], highest, high, counts[1])
    console.print_table(table)
    print()
    sampled = sum(found.statuses.values())
    print_statuses(f"{sampled:,} of them in the parcel model ({found.truth})", found.statuses)
    for where, compared in (("within", found.within), ("out of", found.beyond)):
        if compared:
            print()
            console.print_table(_compared(name, where, compared, found.holdout_mse))
    if found.beyond and found.beyond["emulator"].rows < FEW:
        print(f"Fewer than {FEW} rows out of bounds: little is known of the errors there.")
    print()
    print(f"{name}: {found.advice}")


def _compared(name: str, where: str, compared: "Compared", holdout_mse: float) -> "Table":
    from aeroact.schema import MODE_NAMES

    emulator, arg2000 = compared["emulator"], compared["arg2000"]
    title = (
        f"{emulator.rows:,} rows {where} the bounds; MSE {emulator.mse:.2e} +- "
        f"{emulator.standard_error:.1e}, on the card's holdout {holdout_mse:.2e}"
    )
    heads = ("mode", "MSE", "of ARG2000", "R2", "of ARG2000", "largest error", "of ARG2000")
    table = _table(title, *heads)
    rows = [
        ("all", [(m.mse, m.r2, max(m.largest_by_mode)) for m in (emulator, arg2000)]),
        *(
            (
                mode,
                [
                    (m.mse_by_mode[j], m.r2_by_mode[j], m.largest_by_mode[j])
                    for m in (emulator, arg2000)
                ],
            )
            for j, mode in enumerate(MODE_NAMES)
        ),
    ]
    for mode, (ours, theirs) in rows:
        cells = [f"{ours[0]:.2e}", f"{theirs[0]:.2e}", f"{ours[1]:.4f}", f"{theirs[1]:.4f}"]
        table.add_row(mode, *cells, f"{ours[2]:.3f}", f"{theirs[2]:.3f}")
    return table
