"""`aeroact-export`: from a finished search to a ranked ONNX emulator."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aeroact import console
from aeroact.console import Debug
from aeroact.errors import AeroactError

if TYPE_CHECKING:
    from aeroact.export.run import Ranking
    from aeroact.hpo.folder import RunFolder

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


def main() -> None:
    """Run `aeroact-export`."""
    console.run(app)


@app.command(epilog="Example: aeroact-export runs/default --pick lightest --tolerance 1.5")
def export(
    run: Annotated[
        Path | None, typer.Argument(help="A run's folder; the newest under runs/ by default.")
    ] = None,
    pick: Annotated[
        str, typer.Option(help="lightest, best, fastest, heaviest, knee, or a trial's name.")
    ] = "lightest",
    out: Annotated[
        Path | None, typer.Option("--out", help="Bundle to make: emulators/RUN-PICK by default.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=1.0, help="Good enough is this multiple of the best MSE.")
    ] = 1.5,
    max_mse: Annotated[
        float | None, typer.Option(help="Good enough is this MSE, whatever the best.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="States a call in the benchmark.")] = 1024,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the ranking to this file too.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Turn a finished search into a ranked ONNX emulator that a climate model can run.

    Every retrained network is converted, compared with Keras on the holdout, and timed on
    one core beside ARG2000. The one that --pick chooses becomes a bundle: ONNX, weights
    for Fortran, model card, figure, checksums.
    """
    from aeroact.export.run import export as export_run
    from aeroact.export.run import networks
    from aeroact.files import write_text
    from aeroact.hpo.folder import RunFolder

    folder = RunFolder(run or _newest_run())
    out = out or Path("emulators") / f"{folder.path.resolve().name}-{pick}"
    with console.progress("Converting", len(networks(folder))) as progress:
        ranking, chosen, meaning = export_run(
            folder,
            out,
            pick,
            tolerance=tolerance,
            max_mse=max_mse,
            batch=batch,
            progress=progress,
        )
    records = _records(ranking, tolerance, max_mse)
    if json_file is not None:
        write_text(json_file, json.dumps(records, indent=1) + "\n")
    _print(folder, records, ranking)
    print(f"Picked trial {chosen.trial.name}, {pick}: {meaning}.")
    print(f"Emulator: {out}/emulator.onnx")
    print(f"Its card: {out}/CARD.md")
    print(f"Its figure: {out}/fn.png")


def _newest_run() -> Path:
    runs = sorted(Path("runs").glob("*/step2.csv"), key=lambda file: file.stat().st_mtime)
    if not runs:
        raise AeroactError("runs: no finished run is here; start one with aeroact-hpo run")
    return runs[-1].parent


def _records(ranking: "Ranking", tolerance: float, max_mse: float | None) -> list[dict[str, Any]]:
    """Return the ranking as records, best first, ARG2000 last."""
    from aeroact.export.rank import RULES, pick

    rules: dict[str, list[str]] = {}
    for rule in RULES:
        try:
            chosen, _ = pick(ranking.candidates, rule, tolerance=tolerance, max_mse=max_mse)
        except AeroactError:
            continue  # no candidate is good enough for this rule
        rules.setdefault(chosen.trial.name, []).append(rule)
    reference = ranking.arg2000_timing.median
    records = [
        {
            "rank": rank,
            "trial": c.trial.name,
            "picks": rules.get(c.trial.name, []),
            "nodes": list(c.trial.widths),
            "params": c.trial.params,
            "mse": c.mse,
            "r2": c.trial.holdout["r2"],
            "us_per_sample": c.timing.median,
            "us_per_sample_quartiles": [c.timing.lower, c.timing.upper],
            "multiple_of_arg2000": c.timing.median / reference,
            "bytes": len(c.onnx),
            "parity": c.parity,
        }
        for rank, c in enumerate(ranking.candidates, start=1)
    ]
    arg2000 = {
        "trial": "ARG2000",
        "mse": ranking.arg2000.mse,
        "r2": ranking.arg2000.r2,
        "us_per_sample": reference,
        "us_per_sample_quartiles": [ranking.arg2000_timing.lower, ranking.arg2000_timing.upper],
        "multiple_of_arg2000": 1.0,
    }
    return [*records, arg2000]


def _print(folder: "RunFolder", records: list[dict[str, Any]], ranking: "Ranking") -> None:
    from rich.table import Table

    n_trials = len(folder.journal.finished(1))
    table = Table(
        title=f"{folder.path}: {n_trials} trials, {len(records) - 1} emulators, "
        f"{ranking.arg2000.rows:,} holdout states, one core, batch {ranking.batch}"
    )
    table.add_column("trial", no_wrap=True)
    table.add_column("pick", no_wrap=True)
    table.add_column("nodes")
    for heading in ("parameters", "MSE", "R2", "us/sample", "x ARG2000"):
        table.add_column(heading, justify="right", no_wrap=True)
    for record in records:
        table.add_row(
            record["trial"],
            "\n".join(record.get("picks", [])),
            ", ".join(map(str, record.get("nodes", []))),
            f"{record['params']:,}" if "params" in record else "",
            f"{record['mse']:.2e}",
            f"{record['r2']:.4f}",
            f"{record['us_per_sample']:.3f}",
            f"{record['multiple_of_arg2000']:.1f}",
        )
    console.print_table(table)
    for name, reason in ranking.refused.items():
        print(f"refused: trial {name}: {reason}")
