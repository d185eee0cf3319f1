"""The cluster that other tests use: GPUs, arrays, requeues, the loss of a node, and its own end."""

import re
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests import slurm_cluster
from tests.slurm_cluster import NODES, SlurmCluster

WHY_NOT = slurm_cluster.why_not()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

ROOT = Path(slurm_cluster.__file__).parents[1]

STARTS = """
import sys, time
from pathlib import Path
from tests.slurm_cluster import SlurmCluster
cluster = SlurmCluster(Path(sys.argv[1]))
cluster.start()
print(cluster.submit(Path(sys.argv[2]), "--nodes=3", "--no-kill"), flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with SlurmCluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster
    assert not slurm_cluster.processes(cluster.folder)


@pytest.fixture
def script(tmp_path):
    def write(text: str) -> Path:
        file = tmp_path / "job.sh"
        file.write_text(f"#!/bin/bash\n{text}")
        return file

    return write


@pytest.fixture
def requeues_itself(script):
    return script(
        "#SBATCH --open-mode=append\necho run ${SLURM_RESTART_COUNT:-0}\n"
        "[[ $SLURM_RESTART_COUNT ]] || scontrol requeue $SLURM_JOB_ID\n"
    )


def until(reached, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize("gpus", ["--gres=gpu:2", "--gpus-per-node=2"])
def test_each_task_has_a_gpu_of_its_own(cluster, script, gpus):
    job = cluster.submit(
        script(
            "echo batch $CUDA_VISIBLE_DEVICES\n"
            "srun --overlap --ntasks-per-node=2 --gpus-per-task=1 --gpu-bind=single:1 "
            "bash -c 'echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES'\n"
        ),
        "--nodes=2",
        "--ntasks-per-node=2",
        gpus,
    )
    assert cluster.wait(job, 20) == "COMPLETED"
    lines = sorted(cluster.output(job).splitlines())
    assert lines == ["batch 0,1", "n1 0", "n1 1", "n2 0", "n2 1"]


def test_a_job_that_requeues_itself_waits_for_seconds(cluster, requeues_itself):
    job = cluster.submit(requeues_itself)
    until(lambda: "run 0" in cluster.output(job) and cluster.state(job) == "PENDING")
    said = cluster.ask("scontrol", "show", "job", str(job))
    times = dict(re.findall(r"(SubmitTime|EligibleTime)=(\S+)", said))
    wait = datetime.fromisoformat(times["EligibleTime"]) - datetime.fromisoformat(
        times["SubmitTime"]
    )
    assert 0 < wait.total_seconds() < 10


def test_an_array_fails_with_one_of_its_elements_and_holds_back_what_depends_on_it(cluster, script):
    array = cluster.submit(script("exit $((SLURM_ARRAY_TASK_ID == 1))\n"), "--array=0-2")
    after = cluster.submit(
        script("echo\n"), f"--dependency=afterok:{array}", "--kill-on-invalid-dep=yes"
    )
    assert cluster.wait(array, 20) == "FAILED"
    assert cluster.wait(after, 20) == "CANCELLED"
    assert cluster.state(after + 1000) == "GONE"


def test_what_does_not_finish_is_said_with_its_output(cluster, script):
    job = cluster.submit(script("echo so far\nsleep 600\n"))
    until(lambda: "so far" in cluster.output(job))
    with pytest.raises(AssertionError, match=f"job {job} is RUNNING after 0.5 s.*\nso far"):
        cluster.wait(job, 0.5)
    cluster.cancel_all()
    assert cluster.state(job) == "CANCELLED"
    assert not cluster.processes_of(job)


def test_a_killed_node_takes_only_its_own_processes_and_killed_tests_all(tmp_path, script):
    folder = tmp_path / "slurm"
    folder.mkdir()
    job_script = script("srun --overlap -n3 sleep 600 &\nenv -i sleep 600 &\nwait\n")
    command = [sys.executable, "-c", STARTS, str(folder), str(job_script)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as tests:
        try:
            assert tests.stdout is not None
            job = int(tests.stdout.readline())
            cluster = SlurmCluster(folder)

            def on(node: str) -> list[int]:
                return cluster.processes_of(job, node)

            # On the first node also the script, two of srun, and one without an environment.
            until(lambda: [len(on(name)) for name in NODES] == [5, 1, 1])
            others = on("n1"), on("n2")
            cluster.kill_node("n3")
            assert (*others, []) == (on("n1"), on("n2"), on("n3"))
        finally:
            tests.kill()
    until(lambda: not slurm_cluster.processes(folder))


@pytest.mark.slow
def test_a_job_that_requeues_itself_runs_again(cluster, requeues_itself):
    jobs = [cluster.submit(requeues_itself) for _ in range(5)]
    assert [cluster.wait(job, 40) for job in jobs] == ["COMPLETED"] * 5
    assert all("run 1" in cluster.output(job) for job in jobs)


@pytest.mark.slow
def test_a_job_outlives_a_node_which_comes_back(cluster, script):
    long = script("srun --no-kill --overlap -n3 sleep 30\n")
    job = cluster.submit(long, "--nodes=3", "--no-kill")
    until(lambda: len(cluster.processes_of(job)) == 6)
    cluster.kill_node("n3")
    cluster.revive_node("n3")
    assert cluster.node_state("n3") == "idle"
    assert cluster.state(job) == "RUNNING"
    assert len(cluster.processes_of(job, "n2")) == 1
    assert cluster.wait(job, 40) == "COMPLETED"
    assert cluster.wait(cluster.submit(script("srun -n3 true\n"), "--nodes=3"), 20) == "COMPLETED"
