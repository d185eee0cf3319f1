"""Searches on a real Slurm, and everything that may die under them."""

import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aeroact.hpo.cluster.desk import LEASE
from tests import commands
from tests.commands import run_command
from tests.hpo.cluster.conftest import SEARCH
from tests.slurm_cluster import SlurmCluster
from tests.tables import table


class Search:
    """A search on the cluster that is under way."""

    def __init__(self, cluster: SlurmCluster, folder: Path, data: Path, *options: str) -> None:
        self.cluster, self.folder = cluster, folder
        said = self.command("slurm", folder, "--data", data, *SEARCH, *options, "--submit")
        self.job, *self.later = map(int, re.findall(r"\d+", said.splitlines()[-1].split(";")[0]))

    def command(self, *args: str | Path) -> str:
        """Run aeroact-hpo on the login node."""
        done = run_command("aeroact-hpo", *args, env=self.cluster.env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def records(self) -> list[dict]:
        journal = self.folder / "trials.jsonl"
        return [json.loads(line) for line in journal.open()] if journal.exists() else []

    def ended(self) -> int:
        return sum(record["status"] != "RUNNING" for record in self.records())

    def state(self) -> dict:
        """Return what the chief has written last; empty before that."""
        path = self.folder / "cluster" / "state.json"
        return json.loads(path.read_text()) if path.exists() else {"workers": []}

    def until(self, reached: Callable[[], object], seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < end, self.said()
            assert self.cluster.state(self.job) != "FAILED", self.said()
            time.sleep(0.1)

    def wait(self, job: int | None = None, seconds: float = 150) -> None:
        """Wait until the job has ended well."""
        assert self.cluster.wait(job or self.job, seconds) in {"COMPLETED", "GONE"}, self.said()

    def said(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("logs/*.log")))

    def processes(self, role: str) -> list[int]:
        """Return the chief's process, the workers' (one for each GPU), or those that train."""
        found = []
        for pid in self.cluster.processes_of(self.job):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if "spawn_main" in command:
                kind = "training"
            elif "aeroact-hpo worker" in command and "srun" not in command:
                is_chief = variables(pid).get("KERASTUNER_TUNER_ID") == "chief"
                kind = "chief" if is_chief else "worker"
            else:
                continue
            if kind == role:
                found.append(pid)
        return found

    def assert_undisturbed(self, reference: Path) -> None:
        """Its tables are those of the reference, and no trial was counted twice."""
        for name in ("step1.csv", "step2.csv"):
            assert table(self.folder / name) == table(reference / name), self.said()
        ends = Counter((r["step"], r["name"]) for r in self.records() if r["status"] != "RUNNING")
        assert set(ends.values()) == {1}
        assert not (self.folder / "cluster" / "chief.json").exists()
        assert not (self.folder / "cache").exists()


def variables(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def on_node(pid: int, node: str) -> bool:
    return variables(pid)["SLURMD_NODENAME"] == node


@pytest.fixture
def submit(slurm, dataset_file, tmp_path) -> Iterator[Callable[..., Search]]:
    """Submit a search with options; whatever is left at the end of the test is cancelled."""
    yield lambda *options, data=dataset_file: Search(slurm, tmp_path / "run", data, *options)
    slurm.cancel_all()


def test_a_gpu_for_each_worker_none_for_the_chief_and_the_tables_of_a_laptop(submit, undisturbed):
    search = submit("--nodes=2", "--gpus-per-node=2")
    search.until(lambda: len(search.processes("training")) == 4)
    gpus = {
        (v["SLURMD_NODENAME"], v["CUDA_VISIBLE_DEVICES"])
        for v in map(variables, search.processes("training"))
    }
    assert gpus == {(node, gpu) for node in ("n1", "n2") for gpu in ("0", "1")}
    for pid in search.processes("training"):
        node, gpu = (variables(pid)[name] for name in ("SLURMD_NODENAME", "CUDA_VISIBLE_DEVICES"))
        assert variables(pid)["KERASTUNER_TUNER_ID"] == f"{node}-gpu{gpu}"
        assert variables(pid)["KERASTUNER_ORACLE_IP"] == "127.0.0.1"
        assert int(variables(pid)["KERASTUNER_ORACLE_PORT"]) > 0
    (chief,) = search.processes("chief")
    assert variables(chief)["CUDA_VISIBLE_DEVICES"] == ""

    search.until(lambda: len(search.state()["workers"]) == 4)
    status = search.command("status", search.folder)
    assert f"job {search.job}: RUNNING for" in status
    assert re.search(
        rf"chief of job {search.job} on n1: at work, 4 workers alive with \d trials", status
    )

    search.until(lambda: (search.folder / "step2.csv").exists())
    search.until(lambda: not search.cluster.processes_of(search.job))
    last = max(record.get("ended", 0) for record in search.records())
    assert time.time() - last < 5
    search.wait()
    search.assert_undisturbed(undisturbed)
    logs = {path.stem for path in search.folder.glob("logs/n*.log")}
    assert logs == {f"{node}-gpu{gpu}" for node in ("n1", "n2") for gpu in (0, 1)}
    assert "Step 2, retraining: 3 of 3" in search.command("status", search.folder)


@pytest.mark.slow
def test_cores_instead_of_gpus_and_step2_as_a_job_of_its_own(submit, undisturbed):
    """A third job for the same run says that the first is at it, and leaves."""
    search = submit("--workers-per-node=2", "--two-jobs")
    (second,) = search.later
    assert search.cluster.state(second) == "PENDING"
    assert "PENDING (Dependency)" in search.command("status", search.folder)
    search.until(lambda: search.state().get("job"))
    third = search.cluster.submit(search.folder / "cluster" / "job.sh")
    assert search.cluster.wait(third, 60) in {"FAILED", "GONE"}
    log = (search.folder / "logs" / f"job-{third}.log").read_text()
    assert f"job {search.job} (chief on n1) works on this run already; this one leaves" in log
    search.wait()
    assert (search.folder / "step1.csv").exists()
    assert not (search.folder / "step2.csv").exists()
    search.wait(second)
    search.assert_undisturbed(undisturbed)


@pytest.mark.slow
def test_the_trials_of_killed_workers_are_done_by_another(submit, undisturbed):
    """One is killed itself, of the other only the process that trains."""
    search = submit("--nodes=2", "--gpus-per-node=1")
    search.until(lambda: search.ended() >= 1)
    search.until(lambda: len(search.state()["workers"]) == 2)
    (worker,) = [pid for pid in search.processes("worker") if on_node(pid, "n2")]
    killed = time.time()
    os.kill(worker, signal.SIGKILL)
    os.kill(next(p for p in search.processes("training") if on_node(p, "n1")), signal.SIGKILL)
    search.wait()
    assert "was killed by SIGKILL" in search.said()
    (survivor,) = [w["number"] for w in search.state()["workers"] if w["name"] == "n1-gpu0"]
    lost = [
        record
        for record in search.records()
        if (record["step"], record["status"]) == (1, "COMPLETED")
        and killed + LEASE - 5 < record["started"] < killed + 60
    ]
    assert lost
    assert {record.get("worker", 0) for record in lost} == {survivor}
    search.assert_undisturbed(undisturbed)


@pytest.mark.slow
def test_a_killed_chief_comes_back_and_no_trial_is_lost_or_counted_twice(submit, undisturbed):
    search = submit("--nodes=2", "--gpus-per-node=1")
    for ended in (2, 6):
        search.until(lambda ended=ended: search.ended() >= ended and search.processes("chief"))
        os.kill(search.processes("chief")[0], signal.SIGKILL)
    search.wait()
    assert search.said().count("The chief was killed (status 137)") == 2
    search.assert_undisturbed(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("node", "seconds"),
    [pytest.param("n2", 150, id="a node"), pytest.param("n1", 300, id="that of the chief")],
)
def test_when_a_node_goes_down_the_others_go_on(node, seconds, submit, undisturbed, slurm):
    """Without the chief's, Slurm queues the job again."""
    search = submit("--nodes=2", "--gpus-per-node=1")
    search.until(lambda: search.ended() >= 1)
    slurm.kill_node(node)
    try:
        search.wait(seconds=seconds)
    finally:
        slurm.revive_node(node)
    search.assert_undisturbed(undisturbed)


@pytest.mark.slow
def test_a_job_that_runs_out_of_time_is_queued_again_and_goes_on(submit, dataset_file, tmp_path):
    config = tmp_path / "project.toml"
    config.write_text("[slurm]\nsignal = 12\n")
    longer = ["--trials=16", "--epochs=300", "--patience=300"]
    search = submit("--gpus-per-node=1", "--time=1", f"--config={config}", *longer)
    search.wait(seconds=500)
    assert "The time is over; the job is put into the queue again" in search.said()
    at_once = commands.search(dataset_file, tmp_path / "at once", [*SEARCH, *longer])
    search.assert_undisturbed(at_once)


BAD_GPU = """
import os
if os.environ.get("SLURMD_NODENAME") == "n2":
    import aeroact.hpo.step1
    def train(*args):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    aeroact.hpo.step1.train = train
"""


@pytest.mark.slow
def test_a_worker_all_of_whose_trials_fail_is_put_aside_and_named(submit, undisturbed, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BAD_GPU)
    config = tmp_path / "project.toml"
    config.write_text(f'[slurm]\nprologue = "export PYTHONPATH={tmp_path}"\n')
    search = submit("--nodes=2", "--gpus-per-node=1", f"--config={config}")
    search.wait()
    why = "3 trials in a row failed here and went well elsewhere, the last one on n1-gpu0: "
    assert f"worker n2-gpu0 is put aside: {why}RuntimeError: CUDA error" in search.said()
    assert f"worker n2-gpu0: put aside, {why}" in search.command("status", search.folder)
    search.assert_undisturbed(undisturbed)
