"""The batch job of a search: one readable script for Slurm, and its submission."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from aeroact.errors import AeroactError
from aeroact.files import make_folder, write_text
from aeroact.hpo.folder import RunFolder

OUT_OF_TIME = 75
"""Exit status of a chief whose job ended before its run (EX_TEMPFAIL: try again)."""

_CHIEFS = 20  # that are started one after the other before a job gives up
_MARGIN = 60  # s: Slurm's signal may come that much too late, and leaving takes time


class Job(BaseModel):
    """What is asked of Slurm; the table ``[slurm]`` of a project file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    nodes: int = Field(1, ge=1)
    """Nodes."""
    gpus_per_node: int = Field(0, ge=0)
    """GPUs on each, a worker for each GPU; 0: workers for the cores."""
    gpu_type: str = ""
    """Of these, where a cluster has several, such as ``v100``."""
    workers_per_gpu: int = Field(1, ge=1)
    """Trials at a time on a GPU, which small networks leave idle otherwise."""
    workers_per_node: int | None = Field(None, ge=1)
    """Trials at a time on a node without GPUs, a core each; None: the whole node."""
    partition: str = ""
    """Of the cluster."""
    account: str = ""
    """That pays."""
    qos: str = ""
    """Quality of service."""
    time: str = ""
    """Limit of a job, as Slurm writes it: ``8:00:00``. A search may take several jobs."""
    signal: int = Field(180, ge=1)
    """Seconds before the limit at which a job begins nothing new."""
    requeue: bool = True
    """Whether a job that runs out of time puts itself into the queue again."""
    sbatch: tuple[str, ...] = ()
    """Further options of sbatch, such as ``--mem=64G``."""
    prologue: str = ""
    """Shell commands before all others: modules, conda."""

    @model_validator(mode="after")
    def _check_workers(self) -> "Job":
        if self.gpus_per_node and self.workers_per_node:
            raise ValueError("workers_per_node is for nodes without GPUs; ask for workers_per_gpu")
        if not self.gpus_per_node and self.workers_per_gpu > 1:
            raise ValueError("workers_per_gpu needs gpus_per_node")
        return self


def script(job: Job, folder: RunFolder) -> str:
    """Return the batch script of a run."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("aeroact.hpo")
    environment = Environment(
        loader=loader,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = lambda value: shlex.quote(str(value))
    return environment.get_template("slurm.sh.j2").render(
        job=job,
        run=folder.path.absolute(),
        command=_command(),
        prologue=job.prologue,
        header=_header(job, folder),
        srun=_srun(job),
        slots=_slots(job),
        spare=max(job.signal - _MARGIN, 0),
        chiefs=_CHIEFS,
        out_of_time=OUT_OF_TIME,
    )


def _command() -> Path:
    """Return this installation's `aeroact-hpo`, so that the job runs what wrote it."""
    return Path(sys.executable).with_name("aeroact-hpo")


def _header(job: Job, folder: RunFolder) -> list[str]:
    path = folder.path.absolute()
    lines = [
        f"--job-name=aeroact-{path.name}",
        f"--output={folder.logs.absolute()}/job-%j.log",
        "--open-mode=append",
        f"--nodes={job.nodes}",
    ]
    if job.gpus_per_node:
        kind = f"{job.gpu_type}:" if job.gpu_type else ""
        lines += [
            f"--ntasks-per-node={job.gpus_per_node}",
            f"--gres=gpu:{kind}{job.gpus_per_node}",
            f"--cpus-per-task={job.workers_per_gpu}",
        ]
    elif job.workers_per_node:
        lines += ["--ntasks-per-node=1", f"--cpus-per-task={job.workers_per_node}"]
    else:
        lines += ["--ntasks-per-node=1", "--exclusive"]
    asked = {name: getattr(job, name) for name in ("partition", "account", "qos", "time")}
    lines += [f"--{name}={value}" for name, value in asked.items() if value]
    # The batch script hears of the end of its time; a lost node does not end the others.
    lines += [f"--signal=B:USR1@{job.signal}", "--no-kill"]
    lines += ["--requeue"] if job.requeue else ["--no-requeue"]
    # Slurm reads these lines as a shell would.
    lines = [shlex.quote(line) for line in lines]
    return lines + [line.removeprefix("#SBATCH").strip() for line in job.sbatch]


def _srun(job: Job) -> list[str]:
    """Return the options that give each worker one GPU, or a node's cores."""
    options = ["--overlap", "--no-kill", "--kill-on-bad-exit=0", "--export=ALL"]
    per_node = job.gpus_per_node or 1
    options += [f"--ntasks={per_node * job.nodes}", f"--ntasks-per-node={per_node}"]
    if job.gpus_per_node:
        cores = f"--cpus-per-task={job.workers_per_gpu}"
        return [*options, cores, "--gpus-per-task=1", "--gpu-bind=single:1"]
    if job.workers_per_node:
        return [*options, f"--cpus-per-task={job.workers_per_node}"]
    return [*options, "--cpu-bind=none"]


def _slots(job: Job) -> str:
    slots = job.workers_per_gpu if job.gpus_per_node else job.workers_per_node
    return f" --slots {slots}" if slots else ""


def write(job: Job, folder: RunFolder) -> Path:
    """Write the batch script into the run's folder."""
    path = folder.cluster / "job.sh"
    write_text(path, script(job, folder))
    # Slurm does not make it, and a job whose output has no place ends without a word.
    make_folder(folder.logs)
    return path


def submit(folder: RunFolder, *, step: int | None = None, after: str = "") -> str:
    """Submit the script that `write` wrote.

    Parameters
    ----------
    folder : RunFolder
        Of the run.
    step : int or None
        The one step that the job does; None: both.
    after : str
        A job that must end well before this one begins.

    Returns
    -------
    str
        The job's number.

    Raises
    ------
    AeroactError
        If there is no Slurm here, or it refuses.
    """
    if shutil.which("sbatch") is None:
        raise AeroactError(
            "sbatch: no such command here; submit on a machine of the cluster, or start chief and "
            "workers by hand (aeroact-hpo worker --help)"
        )
    command = ["sbatch", "--parsable"]
    if after:
        command += [f"--dependency=afterok:{after}", "--kill-on-invalid-dep=yes"]
    command += [str(folder.cluster / "job.sh"), *([str(step)] if step else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AeroactError(f"sbatch refuses: {done.stderr or done.stdout}")
    number = done.stdout.strip().split(";")[0]
    jobs = [*submitted(folder), {"job": number, "step": step}]
    write_text(folder.cluster / "jobs.json", json.dumps(jobs) + "\n")
    return number


def submitted(folder: RunFolder) -> list[dict[str, Any]]:
    """Return the jobs that were submitted for a run: ``job`` and ``step`` (None: both)."""
    try:
        jobs: list[dict[str, Any]] = json.loads((folder.cluster / "jobs.json").read_text())
    except FileNotFoundError:
        return []
    return jobs
