"""`aeroact-data`: make and check datasets of simulated activation."""

from pathlib import Path
from typing import Annotated

import typer

from aeroact import console
from aeroact.console import Debug
from aeroact.errors import AeroactError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Make and check datasets of simulated aerosol activation.",
)


def main() -> None:
    """Run `aeroact-data`."""
    console.run(app)


@app.callback()
def _group() -> None:
    pass


@app.command(epilog="Example: aeroact-data generate -n 200000 --seed 1 --out activation.nc")
def generate(
    out: Annotated[Path, typer.Option("--out", help="NetCDF file to make.")],
    n: Annotated[
        int | None, typer.Option("-n", min=1, help="States to simulate; with --states, all of it.")
    ] = None,
    states: Annotated[
        Path | None,
        typer.Option("--states", help="Take the states from this NetCDF file, do not sample them."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampled states.")] = 1,
    physics: Annotated[str, typer.Option(help="Physics preset: default or pyrcel.")] = "default",
    bins: Annotated[int, typer.Option(min=10, max=1000, help="Size bins a mode.")] = 50,
    rtol: Annotated[float, typer.Option(min=1e-10, max=1e-2, help="Tolerance.")] = 1e-4,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads; one a core.")] = None,
    debug: Debug = False,
) -> None:
    """Simulate aerosol activation with the cloud parcel model.

    An interrupted job goes on where it stopped. The same seed gives the same file,
    whatever the number of workers.
    """
    from aeroact.generate import Job, job_for_states, rows_done
    from aeroact.generate import generate as run
    from aeroact.physics.constants import preset

    try:
        preset(physics)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--physics") from error
    if states is not None:
        job = job_for_states(states, n, seed=seed, physics=physics, bins=bins, rtol=rtol)
    elif n is None:
        raise typer.BadParameter("say how many states to simulate", param_hint="-n")
    else:
        job = Job(n=n, seed=seed, physics=physics, bins=bins, rtol=rtol)
    with console.progress("Parcels", job.n, rows_done(out, job)) as progress:
        statuses = run(out, job, states_file=states, workers=workers, progress=progress)
    counts = ", ".join(f"{name} {count:,}" for name, count in statuses.items())
    print(f"{out}: {job.n:,} parcels ({counts})")


@app.command(epilog="Example: aeroact-data check activation.nc")
def check(
    file: Annotated[Path, typer.Argument(help="NetCDF dataset to look at.")],
    debug: Debug = False,
) -> None:
    """Say what is wrong with a dataset: row counts by reason. Exits with 1 if anything is."""
    from rich.markup import escape
    from rich.table import Table

    from aeroact import dataset

    with dataset.open_dataset(file) as ds:
        report = dataset.check(ds)
        labelled = "fn" in ds
    table = Table("finding", "rows", title=escape(f"{file}: {report.rows:,} rows"))
    table.columns[1].justify = "right"
    table.add_row("usable" if labelled else "usable as states (no fn)", f"{report.usable.sum():,}")
    table.add_row("without a label by the parcel model's status", f"{report.flagged:,}")
    for reason, rows in report.reasons.most_common():
        table.add_row(escape(reason), f"{rows:,}")
    console.print_table(table)
    if report.reasons:
        raise AeroactError(f"{file}: {len(report.reasons)} kinds of unsound rows")
