"""The batch script of a search, and its submission to a Slurm that only pretends."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from aeroact.errors import AeroactError
from aeroact.files import locked
from aeroact.hpo.cli import app
from aeroact.hpo.cluster import job as batch
from aeroact.hpo.cluster.job import Job
from aeroact.hpo.config import checked
from aeroact.hpo.folder import RunFolder
from tests.commands import fails, run_command

RUN = RunFolder(Path("/scratch/runs/mine"))


def script(folder: RunFolder = RUN, **asked) -> str:
    return batch.script(Job(**asked), folder)


def options(script: str) -> list[str]:
    """Options for sbatch, as it reads them: words that may be quoted as in a shell."""
    lines = script.split("\n\n")[0].splitlines()
    assert lines[0] == "#!/bin/bash"
    return [word for line in lines if line.startswith("#SBATCH") for word in shlex.split(line)[1:]]


def line_with(what: str, script: str) -> list[str]:
    """Words of the one line of a script that has something in it."""
    (line,) = [line for line in script.splitlines() if what in line]
    return shlex.split(line)


KINDS: dict[str, dict[str, Any]] = {
    "GPUs": {"nodes": 2, "gpus_per_node": 8, "gpu_type": "v100"},
    "several workers a GPU": {"gpus_per_node": 4, "workers_per_gpu": 3},
    "cores": {"nodes": 3, "workers_per_node": 40},
    "whole nodes": {"nodes": 3},
    "all else": {
        "partition": "gpu",
        "account": "abc123",
        "qos": "high",
        "time": "8:00:00",
        "requeue": False,
        "sbatch": ("--mem=64G", "#SBATCH --constraint='a b'"),
        "prologue": "module load cuda\nsource $HOME/conda.sh\n",
    },
}


@pytest.mark.parametrize("asked", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("name", ["mine", "a b", "it's", 'say "5%"', "$HOME `date` ; exit 1"])
def test_bash_understands_the_script_whatever_the_run_is_called(asked, name, tmp_path):
    folder = RunFolder(tmp_path / name)
    text = script(folder, **asked)
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

    beginning = "\n".join(line for line in text.splitlines() if line.startswith(("run=", "hpo=")))
    said = subprocess.run(
        ["bash", "-c", beginning + '\nprintf "%s\\n" "$run" "$hpo"'], capture_output=True, text=True
    )
    assert said.stdout.splitlines() == [
        str(folder.path),
        str(Path(sys.executable).parent / "aeroact-hpo"),
    ]


@pytest.mark.parametrize("name", ["mine", "a b", "it's", 'say "5%"', "#1"])
def test_sbatch_is_told_the_name_and_the_log_whatever_the_run_is_called(name, tmp_path):
    told = options(script(RunFolder(tmp_path / name)))
    assert f"--job-name=aeroact-{name}" in told
    assert f"--output={tmp_path / name}/logs/job-%j.log" in told
    assert all(option.startswith("--") for option in told)


def test_a_relative_folder_is_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    text = script(RunFolder(Path("runs/mine")))
    assert f"run={tmp_path}/runs/mine" in text.splitlines()
    assert f"--output={tmp_path}/runs/mine/logs/job-%j.log" in options(text)


def test_each_gpu_of_each_node_has_a_worker_and_the_chief_has_none():
    text = script(**KINDS["GPUs"])
    told = options(text)
    for option in ("--nodes=2", "--ntasks-per-node=8", "--gres=gpu:v100:8", "--cpus-per-task=1"):
        assert option in told
    assert "--exclusive" not in told
    assert not any(option.startswith("--ntasks=") for option in told)
    srun = line_with("srun ", text)
    for option in ("--ntasks=16", "--ntasks-per-node=8", "--gpus-per-task=1"):
        assert option in srun
    assert srun[srun.index("$hpo") :] == ["$hpo", "worker", "$run", "--slots", "1", "&"]
    chief = text[text.index("KERASTUNER_TUNER_ID=chief") :].splitlines()[0]
    assert "CUDA_VISIBLE_DEVICES= " in chief
    assert "srun" not in chief


def test_several_workers_on_a_gpu_are_one_with_as_many_cores_and_trials():
    text = script(**KINDS["several workers a GPU"])
    assert {"--ntasks-per-node=4", "--gres=gpu:4", "--cpus-per-task=3"} <= set(options(text))
    srun = line_with("srun ", text)
    assert {"--ntasks=4", "--cpus-per-task=3", "--gpus-per-task=1"} <= set(srun)
    assert srun[-3:] == ["--slots", "3", "&"]


def test_without_gpus_each_node_has_one_worker_with_the_cores_that_were_asked_for():
    text = script(**KINDS["cores"])
    told = options(text)
    assert {"--nodes=3", "--ntasks-per-node=1", "--cpus-per-task=40"} <= set(told)
    assert not any("gpu" in option or "gres" in option for option in told)
    assert "--exclusive" not in told
    srun = line_with("srun ", text)
    assert {"--ntasks=3", "--ntasks-per-node=1", "--cpus-per-task=40"} <= set(srun)
    assert srun[-3:] == ["--slots", "40", "&"]


def test_without_a_number_of_cores_a_worker_has_its_whole_node():
    text = script(**KINDS["whole nodes"])
    assert {"--nodes=3", "--ntasks-per-node=1", "--exclusive"} <= set(options(text))
    srun = line_with("srun ", text)
    assert {"--ntasks=3", "--cpu-bind=none"} <= set(srun)
    assert srun[-3:] == ["worker", "$run", "&"]


def test_what_is_not_asked_for_is_left_to_slurm():
    told = options(script())
    for name in ("partition", "account", "qos", "time", "mem"):
        assert not any(option.startswith(f"--{name}") for option in told)
    assert "--requeue" in told


def test_what_is_asked_for_is_passed_on_and_the_users_own_lines_come_last():
    told = options(script(**KINDS["all else"]))
    for option in ("--partition=gpu", "--account=abc123", "--qos=high", "--time=8:00:00"):
        assert option in told
    assert "--no-requeue" in told
    assert "--requeue" not in told
    assert told[-2:] == ["--mem=64G", "--constraint=a b"]


def test_the_script_that_does_not_requeue_does_not_ask_for_it():
    assert "scontrol requeue" in script()
    assert "scontrol requeue" not in script(requeue=False)


def test_the_prologue_comes_before_all_that_needs_it():
    lines = script(**KINDS["all else"]).splitlines()
    first = lines.index("module load cuda")
    assert lines[first + 1] == "source $HOME/conda.sh"
    assert first < min(k for k, line in enumerate(lines) if '"$hpo"' in line)


def test_the_chief_hears_of_the_end_before_the_job_ends_and_has_less_time_than_that():
    text = script(signal=300)
    assert "--signal=B:USR1@300" in options(text)
    assert line_with("--spare", text)[-2:] == ["240", "&"]
    assert line_with("--spare", script(signal=20))[-2:] == ["0", "&"]


def test_the_script_is_written_with_a_place_for_the_log(tmp_path):
    folder = RunFolder(tmp_path)
    path = batch.write(Job(), folder)
    assert path == tmp_path / "cluster" / "job.sh"
    assert path.read_text() == script(folder)
    assert (tmp_path / "logs").is_dir()


# The command

SMALL = ["--trials=5", "--max-layers=2"]


@pytest.fixture
def data(dataset_file) -> Path:
    return dataset_file


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """Put on the PATH an sbatch that notes its arguments and does as it is told."""

    def does(then: str = "") -> Path:
        command = tmp_path / "bin" / "sbatch"
        command.parent.mkdir()
        calls = tmp_path / "calls"
        command.write_text(f'#!/bin/sh\necho "$@" >> "{calls}"\n{then}\nwc -l < "{calls}"\n')
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
        return calls

    return does


@pytest.fixture
def slurm(capsys):
    """The command within this process, without the second that Python takes to start."""

    def slurm(*args: str | Path) -> str:
        app(["slurm", *map(str, args)], standalone_mode=False)
        return capsys.readouterr().out

    return slurm


def test_the_command_shows_the_script_that_it_writes_and_how_to_submit_it(data, tmp_path, slurm):
    run = tmp_path / "run"
    done = run_command("aeroact-hpo", "slurm", run, "--data", data, "--gpus-per-node=2", *SMALL)
    assert (done.returncode, done.stderr) == (0, "")
    path = run / "cluster" / "job.sh"
    assert done.stdout == f"{path.read_text()}File: {path}; submit it with: sbatch {path}\n"
    assert RunFolder(run).project().trials == 5
    # It goes on with a run, and asks for something else of Slurm.
    again = slurm(run, "--gpus-per-node=4", "--two-jobs")
    assert "--gres=gpu:4" in options(again)
    assert again.endswith("job.sh 1, and with 2 after that\n")


def test_a_job_is_submitted_and_remembered(data, tmp_path, sbatch, slurm):
    calls, run = sbatch(), tmp_path / "run"
    said = slurm(run, "--data", data, *SMALL, "--submit")
    assert said.endswith(f"Submitted as job 1; see how it is with: aeroact-hpo status {run}\n")
    assert calls.read_text() == f"--parsable {run}/cluster/job.sh\n"
    slurm(run, "--submit")
    assert batch.submitted(RunFolder(run)) == [
        {"job": "1", "step": None},
        {"job": "2", "step": None},
    ]


def test_step2_as_a_job_of_its_own_begins_when_step1_has_ended_well(data, tmp_path, sbatch, slurm):
    calls, run = sbatch(), tmp_path / "run"
    said = slurm(run, "--data", data, *SMALL, "--two-jobs", "--submit")
    assert "Submitted as job 1 and 2;" in said
    assert calls.read_text().splitlines() == [
        f"--parsable {run}/cluster/job.sh 1",
        f"--parsable --dependency=afterok:1 --kill-on-invalid-dep=yes {run}/cluster/job.sh 2",
    ]
    assert batch.submitted(RunFolder(run)) == [{"job": "1", "step": 1}, {"job": "2", "step": 2}]


def test_the_number_of_a_job_of_another_cluster_is_understood(tmp_path, sbatch):
    """As sbatch --parsable says it where there are several clusters."""
    sbatch('echo "4711;perlmutter"; exit 0')
    folder = RunFolder(tmp_path)
    batch.write(Job(), folder)
    assert batch.submit(folder) == "4711"


def test_an_sbatch_that_refuses_is_quoted_in_one_line(data, tmp_path, sbatch):
    sbatch('echo "sbatch: error: Invalid account" >&2; echo "  or partition" >&2; exit 1')
    said = fails("aeroact-hpo", "slurm", tmp_path / "run", "--data", data, *SMALL, "--submit")
    assert said == "error: sbatch refuses: sbatch: error: Invalid account or partition"
    assert batch.submitted(RunFolder(tmp_path / "run")) == []


def test_where_there_is_no_sbatch_that_is_told(data, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    said = fails("aeroact-hpo", "slurm", tmp_path / "run", "--data", data, *SMALL, "--submit")
    assert "sbatch: no such command here; submit on a machine of the cluster" in said
    assert (tmp_path / "run" / "cluster" / "job.sh").exists()


CONFIG = """
trials = 7
max_layers = 2

[slurm]
nodes = 3
gpus_per_node = 4
time = "2:00:00"
signal = 90
sbatch = ["--mem=64G"]
prologue = "module load cuda"
"""


def test_a_file_holds_both_settings_and_options_win_over_it(data, tmp_path, slurm):
    config = tmp_path / "project.toml"
    config.write_text(CONFIG)
    said = slurm(
        tmp_path / "run", f"--config={config}", f"--data={data}", "--nodes=1", "--trials=9"
    )
    assert {"--nodes=1", "--gres=gpu:4", "--time=2:00:00", "--mem=64G"} <= set(options(said))
    assert "--signal=B:USR1@90" in options(said)
    assert "\nmodule load cuda\n" in said
    project = RunFolder(tmp_path / "run").project()
    assert (project.trials, project.max_layers) == (9, 2)


def test_settings_may_stand_in_a_table_of_their_own_beside_that_of_slurm(data, tmp_path, slurm):
    config = tmp_path / "project.toml"
    config.write_text("[project]\ntrials = 7\n[slurm]\nnodes = 3\n")
    assert "--nodes=3" in options(slurm(tmp_path / "run", f"--config={config}", f"--data={data}"))
    assert RunFolder(tmp_path / "run").project().trials == 7


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("nodess = 2", "nodess: Extra inputs are not permitted"),
        ("workers_per_gpu = 2", "workers_per_gpu needs gpus_per_node"),
        (
            "gpus_per_node = 1\nworkers_per_node = 2",
            "workers_per_node is for nodes without GPUs; ask for workers_per_gpu",
        ),
    ],
)
def test_a_bad_table_is_told_in_one_line_and_leaves_no_trace(table, why, data, tmp_path):
    config = tmp_path / "project.toml"
    config.write_text(f"[slurm]\n{table}\n")
    run = tmp_path / "run"
    said = fails("aeroact-hpo", "slurm", run, f"--config={config}", f"--data={data}", *SMALL)
    assert why in said
    assert not run.exists()


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"nodes": 0}, "nodes: Input should be greater than or equal to 1"),
        ({"gpus_per_node": -1}, "gpus_per_node: Input should be greater than or equal to 0"),
        ({"workers_per_gpu": 0}, "workers_per_gpu: Input should be greater than or equal to 1"),
        ({"sbatch": "--mem=1G"}, "sbatch: Input should be a valid tuple"),
        ({"signal": 0}, "signal: Input should be greater than or equal to 1"),
    ],
)
def test_a_number_that_makes_no_sense_is_named(asked, why):
    with pytest.raises(AeroactError, match=why):
        checked(Job, asked)


def test_what_is_no_table_is_told_in_one_line(data, tmp_path):
    config = tmp_path / "project.toml"
    config.write_text("slurm = 3\n")
    said = fails("aeroact-hpo", "slurm", tmp_path / "run", f"--config={config}", f"--data={data}")
    assert "slurm" in said


def test_bad_data_are_told_in_one_line_and_leave_no_trace(data, tmp_path):
    run = tmp_path / "run"
    said = fails("aeroact-hpo", "slurm", run, f"--data={tmp_path}/missing.nc", *SMALL)
    assert f"{tmp_path}/missing.nc" in said
    unlabelled = tmp_path / "states.nc"
    with xr.open_dataset(data) as ds:
        ds.drop_vars("fn").to_netcdf(unlabelled)
    said = fails("aeroact-hpo", "slurm", run, f"--data={unlabelled}", *SMALL)
    assert f"{unlabelled}: variable fn is missing; aeroact-data generate --states" in said
    assert not run.exists()


def test_a_folder_in_which_another_process_works_is_left_alone(data, tmp_path):
    run = tmp_path / "run"
    with locked(run):
        said = fails("aeroact-hpo", "slurm", run, f"--data={data}", *SMALL)
    assert "another process is working here" in said
    assert not (run / "cluster").exists()


def test_another_run_in_the_folder_is_left_alone(data, tmp_path, slurm):
    run = tmp_path / "run"
    slurm(run, "--data", data, *SMALL)
    shutil.rmtree(run / "cluster")
    assert "holds a run with trials = 5, not 6" in fails("aeroact-hpo", "slurm", run, "--trials=6")
    assert not (run / "cluster").exists()


def test_jobs_are_remembered_in_a_file_that_people_can_read(tmp_path, sbatch):
    sbatch()
    folder = RunFolder(tmp_path)
    assert batch.submitted(folder) == []
    batch.write(Job(), folder)
    batch.submit(folder, step=1)
    jobs = json.loads((tmp_path / "cluster" / "jobs.json").read_text())
    assert jobs == [{"job": "1", "step": 1}]
