"""`aeroact-hpo`: the two-step search."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from aeroact import console
from aeroact.console import Debug
from aeroact.hpo import options as o
from aeroact.hpo.choices import Mode
from aeroact.hpo.cluster.place import is_chief
from aeroact.hpo.config import settings_of

if TYPE_CHECKING:
    from aeroact.hpo.run import Request, Result

_FAILURES = 10  # that are told one by one

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


@app.command(
    epilog="Example: aeroact-hpo run --data activation.nc --trials 200 --retrain 10 --out runs/mine"
)
def run(
    data: o.Data = None,
    out: o.Out = Path("runs/default"),
    preset: o.Preset = "laptop",
    config: o.Config = None,
    samples: o.Samples = None,
    seed: o.Seed = None,
    transform: o.Transform = None,
    holdout: o.Holdout = None,
    validation: o.Validation = None,
    algorithm: o.Algorithm_ = None,
    trials: o.Trials = None,
    p_subset: o.PSubset = None,
    min_layers: o.MinLayers = None,
    max_layers: o.MaxLayers = None,
    max_params: o.MaxParams = None,
    activation: o.Activation_ = None,
    epochs: o.Epochs = None,
    patience: o.Patience = None,
    batch_size: o.BatchSize = None,
    learning_rate: o.LearningRate = None,
    droplet_weight: o.DropletWeight = None,
    monotony_weight: o.MonotonyWeight = None,
    prune: o.Prune_ = None,
    retrain: o.Retrain = None,
    p_retrain: o.PRetrain = None,
    shortlist: o.Shortlist = None,
    cost: o.Cost = None,
    retrain_epochs: o.RetrainEpochs = None,
    schedule: o.Schedule_ = None,
    retrain_learning_rate: o.RetrainLearningRate = None,
    trial_timeout: o.TrialTimeout = None,
    max_failed: o.MaxFailed = None,
    workers: o.Workers = None,
    retry_failed: o.RetryFailed = False,
    tensorboard: o.TensorBoard = False,
    debug: Debug = False,
) -> None:
    """Run both steps: many architectures on a subset, then the best few on all the data.

    A folder that holds a run is continued: no finished trial is repeated. Where
    KERASTUNER_TUNER_ID is "chief", trials are left to those who call aeroact-hpo worker.
    """
    settings = settings_of(preset, config, o.settings_in(locals()))

    from aeroact.hpo.run import Request
    from aeroact.hpo.run import run as search

    request = Request(o.n_workers(workers), retry_failed=retry_failed, tensorboard=tensorboard)
    result = _lead(out, settings, request) if is_chief() else search(out, settings, request)
    _print_step2(out, result)


@app.command(epilog="Example: aeroact-hpo step1 --data activation.nc --trials 200 --out runs/mine")
def step1(
    data: o.Data = None,
    out: o.Out = Path("runs/default"),
    preset: o.Preset = "laptop",
    config: o.Config = None,
    samples: o.Samples = None,
    seed: o.Seed = None,
    transform: o.Transform = None,
    holdout: o.Holdout = None,
    validation: o.Validation = None,
    algorithm: o.Algorithm_ = None,
    trials: o.Trials = None,
    p_subset: o.PSubset = None,
    min_layers: o.MinLayers = None,
    max_layers: o.MaxLayers = None,
    max_params: o.MaxParams = None,
    activation: o.Activation_ = None,
    epochs: o.Epochs = None,
    patience: o.Patience = None,
    batch_size: o.BatchSize = None,
    learning_rate: o.LearningRate = None,
    droplet_weight: o.DropletWeight = None,
    monotony_weight: o.MonotonyWeight = None,
    prune: o.Prune_ = None,
    trial_timeout: o.TrialTimeout = None,
    max_failed: o.MaxFailed = None,
    workers: o.Workers = None,
    retry_failed: o.RetryFailed = False,
    tensorboard: o.TensorBoard = False,
    debug: Debug = False,
) -> None:
    """Run Step 1 alone: many architectures on a subset of the training rows."""
    settings = settings_of(preset, config, o.settings_in(locals()))

    from aeroact.hpo.run import Request
    from aeroact.hpo.run import run as search

    request = Request(
        o.n_workers(workers), frozenset({1}), retry_failed=retry_failed, tensorboard=tensorboard
    )
    _print_failures(search(out, settings, request))
    print(f"Files: {out}/step1.csv; next: aeroact-hpo step2 {out}")


@app.command(
    epilog="Example: aeroact-hpo step2 runs/mine --shortlist pareto --retrain 10 --max-params 20000"
)
def step2(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    retrain: o.Retrain = None,
    p_retrain: o.PRetrain = None,
    shortlist: o.Shortlist = None,
    cost: o.Cost = None,
    max_layers: Annotated[
        int | None, typer.Option(min=1, help="Most hidden layers of what is retrained.")
    ] = None,
    max_params: Annotated[
        int | None, typer.Option(min=1, help="Most learnable parameters of what is retrained.")
    ] = None,
    retrain_epochs: o.RetrainEpochs = None,
    schedule: o.Schedule_ = None,
    retrain_learning_rate: o.RetrainLearningRate = None,
    droplet_weight: Annotated[
        float | None,
        typer.Option(
            min=0, help="Of the droplet number's error in Step 2; by default as in Step 1."
        ),
    ] = None,
    monotony_weight: Annotated[
        float | None,
        typer.Option(min=0, help="Of falling fractions in Step 2; by default as in Step 1."),
    ] = None,
    trial_timeout: o.TrialTimeout = None,
    workers: o.Workers = None,
    retry_failed: o.RetryFailed = False,
    tensorboard: o.TensorBoard = False,
    debug: Debug = False,
) -> None:
    """Run Step 2 alone: retrain a shortlist of Step 1 on all training rows.

    May be repeated with another shortlist: what was retrained before is kept.
    """
    of_step2 = {
        "max_layers": "shortlist_max_layers",
        "max_params": "shortlist_max_params",
        "droplet_weight": "retrain_droplet_weight",
        "monotony_weight": "retrain_monotony_weight",
    }
    asked = o.settings_in(locals()).items()
    settings = {of_step2.get(name, name): value for name, value in asked if value is not None}

    from aeroact.hpo.run import Request
    from aeroact.hpo.run import run as search

    request = Request(
        o.n_workers(workers), frozenset({2}), retry_failed=retry_failed, tensorboard=tensorboard
    )
    _print_step2(folder, search(folder, settings, request))


@app.command(
    epilog="Example: aeroact-hpo plan --data activation.nc --trials 10000 --workers 16 "
    "--out runs/pilot"
)
def plan(
    data: o.Data = None,
    out: o.Out = Path("runs/pilot"),
    pilot_trials: Annotated[
        int, typer.Option(min=2, help="Architectures that the pilot tries, on each subset.")
    ] = 40,
    subsets: Annotated[
        str, typer.Option(help="Fractions of the training rows, two or three, with commas.")
    ] = "0.05,0.2,1",
    trials: o.Trials = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes of the search; by default one a core here.")
    ] = None,
    chance: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="Wanted that the best survives Step 1.")
    ] = 0.9,
    preset: o.Preset = "laptop",
    config: o.Config = None,
    samples: o.Samples = None,
    seed: o.Seed = None,
    transform: o.Transform = None,
    holdout: o.Holdout = None,
    validation: o.Validation = None,
    min_layers: o.MinLayers = None,
    max_layers: o.MaxLayers = None,
    max_params: o.MaxParams = None,
    activation: o.Activation_ = None,
    epochs: o.Epochs = None,
    patience: o.Patience = None,
    batch_size: o.BatchSize = None,
    learning_rate: o.LearningRate = None,
    droplet_weight: o.DropletWeight = None,
    monotony_weight: o.MonotonyWeight = None,
    retrain_epochs: o.RetrainEpochs = None,
    trial_timeout: o.TrialTimeout = None,
    debug: Debug = False,
) -> None:
    """Say which --p-subset and --retrain a search needs, and what it will cost, from a pilot.

    The pilot tries the same few dozen architectures on each subset, on the cores of this
    machine; it goes on where it was interrupted.
    """
    settings = settings_of(preset, config, o.settings_in(locals()))

    from aeroact.hpo.config import project_of
    from aeroact.hpo.pilot import pilot
    from aeroact.hpo.plan import Aim, advice, table

    project = project_of(settings)
    aim = Aim(project.trials, o.n_workers(workers), project.retrain_epochs, chance)
    settings |= {"trials": pilot_trials, "prune": "none", "algorithm": "random"}
    try:
        sizes = [float(size) for size in subsets.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{subsets}: not numbers with commas", param_hint="--subsets"
        ) from None
    result = pilot(out, settings, sizes, aim, o.n_workers(None))
    console.print_table(table(result))
    for line in advice(result):
        print(line)
    print(f"Files: {out}/plan.json")


@app.command(epilog="Example: aeroact-hpo status runs/mine")
def status(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    debug: Debug = False,
) -> None:
    """Show how far a run has come, whether or not a process works on it now."""
    from aeroact.hpo.status import show

    show(folder)


@app.command(
    epilog="Example: aeroact-hpo slurm runs/mine --data activation.nc --preset paper "
    "--nodes 2 --gpus-per-node 8 --time 8:00:00 --submit"
)
def slurm(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, new or begun.")],
    nodes: Annotated[int | None, typer.Option(min=1, help="Nodes \\[default: 1].")] = None,
    gpus_per_node: Annotated[
        int | None,
        typer.Option(min=0, help="GPUs on each, with a worker for each; without, a worker a core."),
    ] = None,
    gpu_type: Annotated[str | None, typer.Option(help="Of the GPUs, such as v100.")] = None,
    workers_per_gpu: Annotated[
        int | None, typer.Option(min=1, help="Trials at a time on a GPU \\[default: 1].")
    ] = None,
    workers_per_node: Annotated[
        int | None,
        typer.Option(min=1, help="Cores of each node without GPUs; by default the whole node."),
    ] = None,
    partition: Annotated[str | None, typer.Option(help="Of the cluster.")] = None,
    account: Annotated[str | None, typer.Option(help="That pays.")] = None,
    qos: Annotated[str | None, typer.Option(help="Quality of service.")] = None,
    time: Annotated[
        str | None, typer.Option(help="Limit of a job, 8:00:00; the next one goes on.")
    ] = None,
    requeue: Annotated[
        bool | None,
        typer.Option(
            "--requeue/--no-requeue", help="Queue again when the time is over \\[default: yes]."
        ),
    ] = None,
    two_jobs: Annotated[
        bool, typer.Option("--two-jobs", help="Step 2 as a job of its own, after Step 1's.")
    ] = False,
    submit: Annotated[
        bool, typer.Option("--submit", help="Submit the script, after it was shown.")
    ] = False,
    data: o.Data = None,
    preset: o.Preset = "laptop",
    config: o.Config = None,
    samples: o.Samples = None,
    seed: o.Seed = None,
    transform: o.Transform = None,
    holdout: o.Holdout = None,
    validation: o.Validation = None,
    algorithm: o.Algorithm_ = None,
    trials: o.Trials = None,
    p_subset: o.PSubset = None,
    min_layers: o.MinLayers = None,
    max_layers: o.MaxLayers = None,
    max_params: o.MaxParams = None,
    activation: o.Activation_ = None,
    epochs: o.Epochs = None,
    patience: o.Patience = None,
    batch_size: o.BatchSize = None,
    learning_rate: o.LearningRate = None,
    droplet_weight: o.DropletWeight = None,
    monotony_weight: o.MonotonyWeight = None,
    prune: o.Prune_ = None,
    retrain: o.Retrain = None,
    p_retrain: o.PRetrain = None,
    shortlist: o.Shortlist = None,
    cost: o.Cost = None,
    retrain_epochs: o.RetrainEpochs = None,
    schedule: o.Schedule_ = None,
    retrain_learning_rate: o.RetrainLearningRate = None,
    trial_timeout: o.TrialTimeout = None,
    max_failed: o.MaxFailed = None,
    debug: Debug = False,
) -> None:
    r"""Run both steps on a Slurm cluster: write the batch script, show it, submit it.

    What is asked of Slurm may also stand in the table \\[slurm] of --config, which takes
    further lines for sbatch and a prologue. A job goes on where an earlier one ended.
    """
    asked = locals()
    settings = settings_of(preset, config, o.settings_in(asked))

    from aeroact.hpo.cluster import job as batch
    from aeroact.hpo.config import checked, read_settings
    from aeroact.hpo.folder import RunFolder
    from aeroact.hpo.run import begin

    of_slurm = {name: v for name in batch.Job.model_fields if (v := asked.get(name)) is not None}
    job = checked(batch.Job, (read_settings(config, "slurm") if config else {}) | of_slurm)
    begin(folder, settings, frozenset({1, 2}))
    run = RunFolder(folder)
    script = batch.write(job, run)
    print(script.read_text(), end="")
    if not submit:
        steps = "1, and with 2 after that" if two_jobs else ""
        print(f"File: {script}; submit it with: sbatch {script} {steps}".rstrip())
        return
    first = batch.submit(run, step=1 if two_jobs else None)
    numbers = [first, batch.submit(run, step=2, after=first)] if two_jobs else [first]
    print(
        f"Submitted as job {' and '.join(numbers)}; see how it is with: aeroact-hpo status {folder}"
    )


@app.command(
    epilog="Example: aeroact-hpo worker runs/mine, on as many machines as you like, and on one "
    "more KERASTUNER_TUNER_ID=chief aeroact-hpo worker runs/mine"
)
def worker(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    slots: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Trials at a time; by default one if CUDA_VISIBLE_DEVICES names a GPU, else one "
            "a core of ours.",
        ),
    ] = None,
    step: Annotated[
        int | None, typer.Option(min=1, max=2, help="Of the chief: this step alone.")
    ] = None,
    spare: Annotated[
        float, typer.Option(min=0, help="Of the chief: seconds for what runs after SIGUSR1.")
    ] = 60.0,
    retry_failed: o.RetryFailed = False,
    tensorboard: o.TensorBoard = False,
    debug: Debug = False,
) -> None:
    """Be the chief of a run or one of its workers, as a batch job starts them.

    The chief is whose KERASTUNER_TUNER_ID is "chief"; it finishes when the run is done. The
    others find it by the run's folder, or by KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT.
    """
    if not is_chief():
        from aeroact.hpo.cluster.worker import serve

        serve(folder, slots)
        return

    from aeroact.hpo.folder import RunFolder
    from aeroact.hpo.run import Request

    RunFolder(folder).project()  # there must be a run
    steps = frozenset({step}) if step else frozenset({1, 2})
    request = Request(o.n_workers(None), steps, retry_failed=retry_failed, tensorboard=tensorboard)
    result = _lead(folder, {}, request, spare)
    if 2 in steps:
        _print_step2(folder, result)
    else:
        _print_failures(result)


@app.command(epilog="Example: aeroact-hpo report runs/P0.05 runs/P1.00 --out report")
def report(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, finished or not.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="The report's folder: report/ in the first run.")
    ] = None,
    mode: Annotated[Mode, typer.Option(help="Whose fractions Figure 3 shows.")] = "accum",
    size: Annotated[
        Literal["print", "slide"], typer.Option(help="What the figures are for.")
    ] = "print",
    holdout: Annotated[
        bool, typer.Option("--holdout/--no-holdout", help="Predict the holdout by the best.")
    ] = True,
    timing: Annotated[
        bool, typer.Option("--timing/--no-timing", help="Time the networks on one core.")
    ] = True,
    debug: Debug = False,
) -> None:
    """Draw every figure and table of the paper for a run, or for several with other subsets.

    Figures are PNG and PDF, tables CSV and Markdown; report.html shows all of it offline.
    """
    from aeroact.hpo.report import build
    from aeroact.hpo.report.style import SIZES
    from aeroact.schema import MODES

    out = out or folders[0] / "report"
    modes = MODES if mode == "all" else (mode,)
    options = build.Options(modes, SIZES[size], holdout, timing)
    for reason in build.build(folders, out, options, console.progress):
        print(f"missing: {reason}")
    print(f"Files: {out}/{build.PAGE}, {out}/figures/, {out}/tables/")


def _lead(path: Path, settings: dict[str, Any], request: "Request", spare: float = 0.0) -> "Result":
    """Be the chief of a run; exits with the status that asks for another job if time runs out."""
    from aeroact.hpo.cluster.chief import OutOfTimeError, lead
    from aeroact.hpo.cluster.job import OUT_OF_TIME

    try:
        return lead(path, settings, request, spare)
    except OutOfTimeError as error:
        print(error)
        raise typer.Exit(OUT_OF_TIME) from None


def _print_step2(out: Path, result: "Result") -> None:
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
    _print_failures(result)
    print(result.cost.text())
    print(f"Files: {out}/step1.csv, {out}/step2.csv, {out}/models/")


def _print_failures(result: "Result") -> None:
    trials = (*result.step1.values(), *result.step2.values())
    failed = [trial for trial in trials if trial.status == "FAILED"]
    for trial in failed[:_FAILURES]:
        print(f"failed: trial {trial.name} in Step {trial.step}: {trial.message}")
    if len(failed) > _FAILURES:
        print(f"failed: {len(failed) - _FAILURES:,} more, see step1.csv and step2.csv")
