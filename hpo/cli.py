"""`aeroact-hpo`: the two-step search."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from aeroact import console
from aeroact.console import Debug
from aeroact.hpo.config import Project, settings_of

if TYPE_CHECKING:
    from aeroact.hpo.run import Result

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Find neural emulators of aerosol activation by a two-step hyperparameter search.",
)


def main() -> None:
    """Run `aeroact-hpo`."""
    console.run(app)


@app.callback()
def _group() -> None:
    pass


def _option(name: str, text: str, **kwargs: Any) -> Any:
    """Return an option that shows the default of `Project`, but does not insist on it."""
    default = Project.model_fields[name.removeprefix("--").replace("-", "_")].default
    # The backslash keeps rich from taking the bracket for markup.
    return typer.Option(name, help=f"{text} \\[default: {default}]", show_default=False, **kwargs)


@app.command(
    epilog="Example: aeroact-hpo run --data activation.nc --trials 200 --retrain 10 --out runs/mine"
)
def run(
    data: Annotated[
        Path | None,
        typer.Option("--data", help="NetCDF dataset; without one, parcels are simulated."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The run's folder.")] = Path("runs/default"),
    preset: Annotated[
        Literal["laptop", "paper"],
        typer.Option(help="Defaults for 300,000 samples, or all settings of Yu et al. (2024)."),
    ] = "laptop",
    config: Annotated[
        Path | None, typer.Option(help="TOML file with the same names; the command line wins.")
    ] = None,
    samples: Annotated[
        int | None, _option("--samples", "Parcels to simulate without --data.", min=1000)
    ] = None,
    seed: Annotated[int | None, _option("--seed", "Decides all that is random.", min=0)] = None,
    transform: Annotated[
        Literal["log", "zscore"] | None,
        _option("--transform", "Z-score after a log of wide-ranging inputs, or z-score alone."),
    ] = None,
    holdout: Annotated[
        float | None, _option("--holdout", "Fraction of the samples kept for the test.")
    ] = None,
    algorithm: Annotated[
        Literal["random"] | None, _option("--algorithm", "How architectures are chosen.")
    ] = None,
    trials: Annotated[
        int | None, _option("--trials", "Architectures that Step 1 tries.", min=1)
    ] = None,
    p_subset: Annotated[
        float | None, _option("--p-subset", "Fraction of the training rows in Step 1.")
    ] = None,
    retrain: Annotated[
        int | None, _option("--retrain", "Best architectures that Step 2 retrains.", min=1)
    ] = None,
    p_retrain: Annotated[
        float | None, typer.Option("--p-retrain", help="The same as a fraction of the trials.")
    ] = None,
    min_layers: Annotated[int | None, _option("--min-layers", "Fewest hidden layers.")] = None,
    max_layers: Annotated[int | None, _option("--max-layers", "Most hidden layers.")] = None,
    max_params: Annotated[
        int | None, _option("--max-params", "Most learnable parameters.", min=1)
    ] = None,
    epochs: Annotated[int | None, _option("--epochs", "Most epochs in Step 1.", min=1)] = None,
    patience: Annotated[
        int | None,
        _option("--patience", "Epochs without a better validation MSE that end Step 1.", min=1),
    ] = None,
    retrain_epochs: Annotated[
        int | None, _option("--retrain-epochs", "Epochs in Step 2; the best one is kept.", min=1)
    ] = None,
    batch_size: Annotated[int | None, _option("--batch-size", "Rows of a batch.", min=1)] = None,
    learning_rate: Annotated[float | None, _option("--learning-rate", "Of Adam.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes, one thread each; one a core.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Run both steps: many architectures on a subset, then the best few on all the data.

    A folder that holds a run is continued: no finished trial is repeated.
    """
    options = {
        name: value
        for name, value in locals().items()
        if name in Project.model_fields or name == "p_retrain"
    }
    settings = settings_of(preset, config, options)

    import os

    from aeroact.hpo.run import run as search

    cores = len(os.sched_getaffinity(0))
    result = search(out, settings, workers or cores)
    _print_result(out, result)


def _print_result(out: Path, result: "Result") -> None:
    from rich.table import Table

    from aeroact.hpo.tables import by_holdout, nodes_text

    table = Table(title=f"Step 2 of {out}: holdout errors of the retrained networks")
    for heading in ("rank", "trial", "MSE", "R2", "layers", "parameters"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("nodes")
    for rank, trial in enumerate(by_holdout(result.step2), start=1):
        table.add_row(
            str(rank),
            trial.name,
            f"{trial.holdout['mse']:.3e}",
            f"{trial.holdout['r2']:.5f}",
            str(len(trial.widths)),
            f"{trial.params:,}",
            nodes_text(trial),
        )
    console.print_table(table)
    for trial in (*result.step1.values(), *result.step2.values()):
        if trial.status == "FAILED":
            print(f"failed: trial {trial.name} in Step {trial.step}: {trial.message}")
    cost, project = result.cost, result.project
    print(f"Cost: {cost.step1:.0f} s of training in Step 1, {cost.step2:.0f} s in Step 2:")
    print(
        f"  {cost.fraction:.2f} of a one-step search, estimated at {cost.one_step:.0f} s; "
        f"p_subset + p_retrain = {project.p_subset:g} + {project.p_retrain:g} = {cost.nominal:g}"
    )
    print(f"Files: {out}/step1.csv, {out}/step2.csv, {out}/models/")
