"""`aeroact-export`: from a finished search to a ranked ONNX emulator."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aeroact import console
from aeroact.console import Debug
from aeroact.errors import AeroactError

if TYPE_CHECKING:
    from rich.table import Table

    from aeroact.export.bench import Report
    from aeroact.export.native import FortranReport
    from aeroact.export.run import Ranking
    from aeroact.hpo.folder import RunFolder

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
parts = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")

PARTS = ("bench", "rank", "verify", "fortran-src")
"""First words that ask for a part; any other is a run's folder."""


def main() -> None:
    """Run `aeroact-export`, or the part of it that its first word names."""
    console.run(parts if sys.argv[1:2] and sys.argv[1] in PARTS else app)


Run = Annotated[
    Path | None, typer.Argument(help="A run's folder; the newest under runs/ by default.")
]
Tolerance = Annotated[
    float, typer.Option(min=1.0, help="Good enough is this multiple of the best MSE.")
]
MaxMse = Annotated[
    float | None, typer.Option(help="Good enough is this MSE, for every rule, whatever the best.")
]
Batch = Annotated[int, typer.Option(min=1, help="States a call in the times that decide.")]
Guard = Annotated[
    bool,
    typer.Option(
        "--with-guard", help="Add the output in_domain: is a state within the training bounds?"
    ),
]
Native = Annotated[
    bool,
    typer.Option(
        "--native",
        help="Time it in compiled Fortran too, as a climate model runs it; needs gfortran.",
    ),
]
Json = Annotated[Path | None, typer.Option("--json", help="Write the ranking to this file too.")]
Csv = Annotated[Path | None, typer.Option("--csv", help="The same, as CSV.")]
Markdown = Annotated[Path | None, typer.Option("--markdown", help="The same, as Markdown.")]


@app.command(epilog="Example: aeroact-export runs/default --pick lightest --tolerance 1.5")
def export(
    run: Run = None,
    pick: Annotated[
        str, typer.Option(help="lightest, best, fastest, heaviest, knee, or a trial's name.")
    ] = "lightest",
    out: Annotated[
        Path | None, typer.Option("--out", help="Bundle to make: emulators/RUN-PICK by default.")
    ] = None,
    tolerance: Tolerance = 1.5,
    max_mse: MaxMse = None,
    batch: Batch = 1024,
    with_guard: Guard = False,
    optimize: Annotated[
        bool, typer.Option("--optimize", help="Try smaller and faster forms of the pick.")
    ] = False,
    max_growth: Annotated[
        float, typer.Option(min=0.0, help="By how much of itself the MSE may grow for one.")
    ] = 0.01,
    native: Native = False,
    assess: Annotated[
        bool,
        typer.Option(
            "--assess", help="Deciles, droplets, worst state, monotony, limits, for the card."
        ),
    ] = False,
    columns: Annotated[
        Path | None, typer.Option(help="With --assess: a CSV file of E3SM columns to compare on.")
    ] = None,
    json_file: Json = None,
    csv_file: Csv = None,
    markdown_file: Markdown = None,
    debug: Debug = False,
) -> None:
    """Turn a finished search into a ranked ONNX emulator that a climate model can run.

    Every retrained network is converted, compared with Keras on the holdout, and timed on
    one core beside ARG2000. The one that --pick chooses becomes a bundle: ONNX, weights
    for Fortran, model card, figures, checksums.

    Parts of it: aeroact-export bench, rank, verify, fortran-src; each has its own --help.
    """
    from aeroact.export.run import Choice, Form
    from aeroact.export.run import export as export_run
    from aeroact.hpo.folder import RunFolder

    if columns is not None and not assess:
        raise typer.BadParameter("is for --assess; add that", param_hint="--columns")
    folder = RunFolder(run or _newest_run())
    out = out or Path("emulators") / f"{folder.path.resolve().name}-{pick}"
    exported = export_run(
        folder,
        out,
        Choice(pick, tolerance, max_mse, batch),
        Form(with_guard, optimize, max_growth),
        console.progress,
        in_fortran=native,
        assess=assess,
        columns=columns,
    )
    _show(folder, exported.ranking, batch, [json_file, csv_file, markdown_file])
    for form in exported.card["optimized"] or []:
        print(f"{form['name']}: {form['verdict']}: {form['how']}; {form['reason']}")
    print(f"Picked trial {exported.chosen.trial.name}, {pick}: {exported.meaning}.")
    if fortran := exported.card["cost"]["fortran"]:
        print(
            "In Fortran: {us_per_sample:.3g} us a state, {multiple_of_arg2000:.3g} times ARG2000, "
            "by {backend} in batches of {batch:,}.".format(**fortran["fastest"])
        )
    print(f"Emulator: {out}/emulator.onnx")
    print(f"Its card: {out}/CARD.md")
    print(f"Its figures: {out}/fn.png, {out}/cost.png")


@parts.command(epilog="Example: aeroact-export rank runs/default --markdown ranking.md")
def rank(
    run: Run = None,
    tolerance: Tolerance = 1.5,
    max_mse: MaxMse = None,
    batch: Batch = 1024,
    json_file: Json = None,
    csv_file: Csv = None,
    markdown_file: Markdown = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw accuracy against cost into this file.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Rank the retrained networks of a run by accuracy and cost, and write no bundle."""
    from aeroact.export import run as exporting
    from aeroact.files import replacing
    from aeroact.hpo.folder import RunFolder

    folder = RunFolder(run or _newest_run())
    choice = exporting.Choice(tolerance=tolerance, max_mse=max_mse, batch=batch)
    ranking = exporting.rank(folder, choice, progress=console.progress)
    _show(folder, ranking, batch, [json_file, csv_file, markdown_file])
    if figure is not None:
        with replacing(figure) as part:
            exporting.draw(folder, ranking, choice).savefig(part)


@parts.command(epilog="Example: aeroact-export bench emulators/default-lightest")
def bench(
    emulators: Annotated[
        list[Path] | None,
        typer.Argument(help="Bundles, ONNX files or runs; the newest run by default."),
    ] = None,
    batches: Annotated[
        list[int] | None,
        typer.Option("--batch", min=1, help="States a call; 1, 16, 128 and 1024 by default."),
    ] = None,
    figure_s4: Annotated[
        bool, typer.Option(help="Also 100,000 samples, ten times over (the paper's Figure S4).")
    ] = True,
    native: Native = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all times to this file too.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Time emulators on one core, ARG2000 beside them."""
    from aeroact.export import bench as timing
    from aeroact.export import native as compiled
    from aeroact.export.sources import onnx_of
    from aeroact.files import write_text
    from aeroact.states import sample_rows

    if native:
        compiled.require_compiler()
    contents = onnx_of(emulators or [_newest_run()])
    x = sample_rows(0, 4096, seed=0)
    batches = batches or list(timing.BATCHES)
    with console.progress("Timing on one core, rounds", timing.units(figure_s4)) as progress:
        report = timing.measure(contents, x, batches, figure_s4=figure_s4, progress=progress)
    content, tables = report.as_dict(), [_times(report)]
    if native:
        with console.progress("Timing in Fortran, rounds", compiled.UNITS) as progress:
            fortran = compiled.measure(contents, x, batches, progress=progress)
        content["fortran"] = fortran.as_dict()
        tables.append(_times_in_fortran(fortran))
    if json_file is not None:
        write_text(json_file, json.dumps(content, indent=1) + "\n")
    for table in tables:
        console.print_table(table)


@parts.command(epilog="Example: aeroact-export verify emulators/default-lightest")
def verify(
    bundle: Annotated[Path, typer.Argument(help="A bundle that aeroact-export made.")],
    data: Annotated[
        Path | None, typer.Option(help="Dataset on which the card's errors are measured again.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Check a bundle: that it is whole, that its files agree, that its errors are the card's."""
    from aeroact.export import verify as checking

    findings = checking.verify(bundle, data, console.progress)
    console.print_table(checking.table(findings))
    if failed := checking.failed(findings):
        raise AeroactError(f"{bundle}: failed: {', '.join(failed)}")


@parts.command(name="fortran-src", epilog="Example: aeroact-export fortran-src aeroact-fortran")
def fortran_src(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    debug: Debug = False,
) -> None:
    """Copy the Fortran library's sources, to build them into a climate model."""
    from aeroact.export import fortran_src as sources

    sources.copy(folder)
    print(f"Sources: {folder}")
    print("Build with CMake, or see README.md there for make, fpm and E3SM:")
    print(f"  cmake -S {folder} -B {folder}/build")
    print(f"  cmake --build {folder}/build")
    print(f"  cmake --install {folder}/build --prefix PREFIX")
    if library := sources.runtime_library():
        print("ONNX Runtime, for the backend that uses it:")
        print(f"  export AEROACT_ORT_LIB={library}")


def _times(report: "Report") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    machine, arg2000 = report.machine, report.arg2000
    table = Table(
        title=f"us a sample on one core (times ARG2000: {arg2000.median:.3f} us); "
        f"{machine.processor}, {report.gflops:.0f} GFLOP/s, "
        f"ONNX Runtime {machine.versions['onnxruntime']}"
    )
    table.add_column("emulator")
    batches = list(next(iter(report.timings.values())))
    headings = [f"batch {batch:,}" for batch in batches]
    headings += ["Figure S4, ms"] if report.figure_s4 else []
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, timings in report.timings.items():
        cells = [f"{t.median:.3g} ({report.multiple(name, b):.3g})" for b, t in timings.items()]
        if name in report.figure_s4:
            s4 = report.figure_s4[name]
            cells.append(f"{s4.mean:.1f} +- {s4.std:.1f}")
        table.add_row(escape(name), *cells)
    return table


def _times_in_fortran(report: "FortranReport") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=f"us a state in Fortran on one core (times ARG2000: {report.arg2000.median:.3f} us); "
        f"{report.compiler} {report.flags}, {report.library or 'no ONNX Runtime'}"
    )
    for heading in ("emulator", "backend"):
        table.add_column(heading)
    batches = next(by_batch for of in report.timings.values() for by_batch in of.values())
    for batch in batches:
        table.add_column(f"batch {batch:,}", justify="right", no_wrap=True)
    for name, of_backends in report.timings.items():
        for backend, timings in of_backends.items():
            times = [
                f"{t.median:.3g} ({report.multiple(name, backend, batch):.3g})"
                for batch, t in timings.items()
            ]
            table.add_row(escape(name), backend, *times)
    return table


def _newest_run() -> Path:
    runs = sorted(Path("runs").glob("*/step2.csv"), key=lambda file: file.stat().st_mtime)
    if not runs:
        raise AeroactError("runs: no finished run is here; start one with aeroact-hpo run")
    return runs[-1].parent


def _show(folder: "RunFolder", ranking: "Ranking", batch: int, files: "list[Path | None]") -> None:
    """Print a ranking, and write it in the forms that are asked for."""
    from aeroact.export import table
    from aeroact.files import write_text

    for path, render in zip(files, (table.as_json, table.as_csv, table.as_markdown), strict=True):
        if path is not None:
            write_text(path, render(ranking.records))
    n_trials = len(folder.journal.finished(1))
    title = (
        f"{folder.path}: {n_trials} trials, {len(ranking.candidates)} emulators, "
        f"{ranking.arg2000.total.errors.rows:,} holdout states, one core, batch {batch}"
    )
    console.print_table(table.on_screen(ranking.records, title))
    for line in table.refusals(ranking.refused):
        print(line)
