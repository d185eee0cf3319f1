"""`aeroact-data`: make and check datasets of simulated activation."""

from pathlib import Path
from typing import Annotated, Any

import typer

from aeroact import console, tables
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


@app.command(epilog="Example: aeroact-data generate -n 1_000_000 --seed 1 --out activation.nc")
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
    sampling: Annotated[
        str, typer.Option(help="How states are sampled: random or sobol, which is more even.")
    ] = "random",
    physics: Annotated[str, typer.Option(help="Physics preset: default or pyrcel.")] = "default",
    accommodation: Annotated[
        float | None,
        typer.Option(help="Mass accommodation coefficient, 0 to 1; by default the preset's."),
    ] = None,
    bins: Annotated[int, typer.Option(min=10, max=1000, help="Size bins a mode.")] = 50,
    rtol: Annotated[float, typer.Option(min=1e-10, max=1e-2, help="Tolerance.")] = 1e-4,
    kinetic: Annotated[
        bool, typer.Option("--kinetic", help="Also fn_kinetic: activated 50 m above the peak.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads; one a core.")] = None,
    debug: Debug = False,
) -> None:
    """Simulate aerosol activation with the cloud parcel model.

    An interrupted job goes on where it stopped, when the same command is run again. The
    same seed gives the same file, whatever the number of workers.
    """
    from typing import get_args

    from aeroact.generate import Job, job_for_states
    from aeroact.generate import generate as run
    from aeroact.physics.constants import preset, resolve
    from aeroact.states import Method

    try:
        preset(physics)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--physics") from error
    try:
        resolve(physics, accommodation)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--accommodation") from error
    if sampling not in get_args(Method):
        methods = ", ".join(get_args(Method))
        raise typer.BadParameter(f"{sampling!r} is not one of {methods}", param_hint="--sampling")
    if n is None and states is None:
        raise typer.BadParameter("say how many states to simulate", param_hint="-n")
    settings: dict[str, Any] = {
        "seed": seed,
        "method": sampling,
        "physics": physics,
        "accommodation": accommodation,
        "bins": bins,
        "rtol": rtol,
        "kinetic": kinetic,
    }
    if states is None:
        job = Job(n=n or 0, **settings)
    else:
        job = job_for_states(states, n, progress=console.progress, **settings)
    statuses = run(out, job, states_file=states, workers=workers, progress=console.progress)
    tables.print_statuses(f"{out}: {job.n:,} parcels", statuses)


@app.command(epilog="Example: aeroact-data check activation.nc")
def check(
    file: Annotated[Path, typer.Argument(help="NetCDF dataset to look at.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all that is printed to this file, too.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Say what is in a dataset, and what is wrong with it.

    Exits with 1 if a row cannot be right: a value that is not finite or out of bounds, or
    no label though the status is OK. States that stand in several rows are no fault by
    themselves, but a warning: what is trained on one may be tested on the other.
    """
    import json

    from aeroact.files import write_text
    from aeroact.survey import survey

    found = survey(file, console.progress)
    if json_file:
        write_text(json_file, json.dumps(found.as_dict(), indent=1, allow_nan=False) + "\n")
    tables.print_survey(found)
    if found.repeated:
        console.warn(
            f"{file}: {found.repeated:,} rows repeat the state of another row; training and "
            "test data may share them"
        )
    if found.findings.reasons:
        raise AeroactError(f"{file}: {len(found.findings.reasons)} kinds of unsound rows")


@app.command(epilog="Example: aeroact-data harvest eam.h1.*.nc -n 200000 --seed 1 --out states.nc")
def harvest(
    files: Annotated[list[Path], typer.Argument(help="History files of E3SM's atmosphere (EAM).")],
    out: Annotated[Path, typer.Option("--out", help="NetCDF file of states to make.")],
    n: Annotated[
        int | None,
        # A subsample is held in memory.
        typer.Option("-n", min=1, max=1_000_000, help="Rows of an even subsample; all by default."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the subsample.")] = 1,
    even: Annotated[
        str, typer.Option(help="Over what the subsample is even: time, space, cloud; or none.")
    ] = "time,space,cloud",
    min_pressure: Annotated[
        float, typer.Option(min=50, max=1000, help="Leave out layers above this level, hPa.")
    ] = 300.0,
    debug: Debug = False,
) -> None:
    """Take the parcel's initial states from what E3SM wrote.

    The files need T, PMID or PS, Q, WSUB, num_a1 to num_a4 and the masses of
    MAM4's species, better instantaneous than means, and CLOUD if they have it.
    Number, radius and hygroscopicity are what E3SM's own activation would see;
    updrafts are at least 0.1 m/s. Without Q, the humidity follows from RELHUM,
    which in E3SM is over a blend of liquid water and ice below 0 C.

    A subsample (-n) is even: the same number of rows from each spell of time (24
    in all), band of latitude (10 of equal area), layer of 100 hPa and class of
    cloudiness (4, clear to cloudy), or all where there are fewer. The same
    files, options and seed give the same rows.
    """
    from aeroact.eam.history import open_history
    from aeroact.harvest import ASPECTS, Plan
    from aeroact.harvest import harvest as run

    aspects = () if even == "none" else tuple(even.split(","))
    unknown = set(aspects) - set(ASPECTS)
    if unknown:
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))!r} is none of {', '.join(ASPECTS)}", param_hint="--even"
        )
    plan = Plan(n=n, seed=seed, even=aspects, min_pressure=min_pressure)
    history = open_history(files)
    for note in history.notes:
        console.warn(note)
    with console.progress("Layers", history.layers, unit="layers") as progress:
        tally = run(history, out, plan, progress=progress)
    title = f"{out}: {tally.written:,} states from {tally.layers:,} layers"
    tables.print_statuses(title, {"usable": tally.usable} | dict(tally.unusable.most_common()))
