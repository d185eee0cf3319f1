"""Roles, names, GPUs, cores and addresses: by Slurm, unless the user says otherwise."""

import importlib.util
import os
import runpy
import socket
from pathlib import Path

import pytest

from aeroact.errors import AeroactError
from aeroact.hpo.cluster import place

TUNER, DEVICES = "KERASTUNER_TUNER_ID", "CUDA_VISIBLE_DEVICES"
IP, PORT = "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT"


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch):
    """Neither Slurm nor a user has said anything; what a test sets is gone after it."""
    of_slurm = [name for name in os.environ if name.startswith(("SLURM", "PBS"))]
    for name in (TUNER, IP, PORT, DEVICES, *of_slurm):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def put(monkeypatch):
    """Set variables of the environment."""

    def put(**variables: object) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    return put


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """Put on the PATH a Slurm that says something of any node."""

    def say(text: str) -> Path:
        command = tmp_path / "scontrol"
        command.write_text(f"#!/bin/sh\necho \"$@\" >> {tmp_path}/asked\necho '{text}'\n")
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return tmp_path / "asked"

    return say


@pytest.fixture
def _no_scontrol(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize(("name", "chief"), [("chief", True), ("n1-gpu0", False), (None, False)])
def test_the_chief_is_whose_tuner_id_says_so(put, name, chief):
    if name is not None:
        put(KERASTUNER_TUNER_ID=name)
    assert place.is_chief() == chief


def test_the_chief_is_the_same_to_kerastuner(put):
    """By its own rule, in a file that can do without TensorFlow."""
    root = importlib.util.find_spec("keras_tuner")
    assert root is not None
    assert root.origin is not None
    utils = runpy.run_path(str(Path(root.origin).parent / "src" / "distribute" / "utils.py"))
    put(KERASTUNER_ORACLE_IP="127.0.0.1", KERASTUNER_ORACLE_PORT="8000")
    for name in ("chief", "my-chief-1", "worker", "tuner0"):
        put(KERASTUNER_TUNER_ID=name)
        assert place.is_chief() == utils["is_chief_oracle"]()


# Names


def test_a_worker_is_called_after_its_node_and_gpu(put):
    put(SLURMD_NODENAME="n1", SLURM_LOCALID=3, CUDA_VISIBLE_DEVICES="2")
    assert place.worker_name() == "n1-gpu2"


@pytest.mark.parametrize("devices", [None, "", "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"])
def test_a_worker_without_the_number_of_a_gpu_is_called_after_its_task(put, devices):
    put(SLURMD_NODENAME="n1", SLURM_LOCALID=3)
    if devices is not None:
        put(CUDA_VISIBLE_DEVICES=devices)
    assert place.worker_name() == "n1-3"


def test_a_worker_started_by_hand_is_called_after_its_machine_and_process():
    assert place.worker_name().startswith(f"{socket.gethostname()}-")
    assert place.worker_name().endswith(f"-{os.getpid()}")


def test_what_the_user_calls_a_worker_it_is_called(put):
    put(KERASTUNER_TUNER_ID="mine", SLURMD_NODENAME="n1", CUDA_VISIBLE_DEVICES="0")
    assert place.worker_name() == "mine"


@pytest.mark.parametrize("name", ["a/b", "../../etc/passwd", "a b\nc", "x" * 3 + "/1/2"])
def test_a_name_is_fit_for_a_lease_and_for_a_file(put, name):
    put(KERASTUNER_TUNER_ID=name)
    assert not set(place.worker_name()) & set("/ \n\0")


# GPUs and cores


@pytest.mark.parametrize(("task", "gpu"), [(0, "4"), (1, "5"), (2, "7"), (3, "4")])
def test_of_several_gpus_that_slurm_shows_a_task_it_takes_its_own(put, task, gpu):
    put(CUDA_VISIBLE_DEVICES="4,5,7", SLURM_LOCALID=task)
    place.keep_to_one_gpu()
    assert os.environ[DEVICES] == gpu


def test_the_one_gpu_that_slurm_shows_a_task_is_kept(put):
    put(CUDA_VISIBLE_DEVICES="5", SLURM_LOCALID=1)
    place.keep_to_one_gpu()
    assert os.environ[DEVICES] == "5"


@pytest.mark.parametrize("devices", ["0,1", "", None])
def test_without_slurm_gpus_are_the_users_affair(put, devices):
    if devices is not None:
        put(CUDA_VISIBLE_DEVICES=devices)
    place.keep_to_one_gpu()
    assert os.environ.get(DEVICES) == devices


@pytest.fixture
def cores_of(monkeypatch, put):
    """Say which cores a task of so many is left with, on a node of eight that it sees some of."""

    def cores_of(task: object, tasks: str, seen: set[int]) -> set[int]:
        kept = set(seen)
        if task is not None:
            put(SLURM_LOCALID=task)
        put(SLURM_STEP_TASKS_PER_NODE=tasks)
        monkeypatch.setattr(os, "cpu_count", lambda: 8)
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(kept))

        def keep(pid: int, cores: set[int]) -> None:
            kept.clear()
            kept.update(cores)

        monkeypatch.setattr(os, "sched_setaffinity", keep)
        place.keep_to_own_cores()
        return kept

    return cores_of


@pytest.mark.parametrize("tasks", [1, 2, 3, 4, 8])
def test_tasks_that_slurm_has_not_bound_share_out_the_cores(cores_of, tasks):
    shares = [cores_of(task, f"{tasks}(x2)", set(range(8))) for task in range(tasks)]
    assert sorted(core for share in shares for core in share) == list(range(8))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_more_tasks_than_cores_have_one_each(cores_of):
    assert [cores_of(task, "10", set(range(8))) for task in (0, 7, 8, 9)] == [{0}, {7}, {0}, {1}]


def test_the_fullest_node_decides_how_cores_are_shared(cores_of):
    assert cores_of(1, "2(x3),4,1", set(range(8))) == {1, 5}


def test_cores_to_which_slurm_has_bound_a_task_are_kept(cores_of):
    assert cores_of(1, "4(x2)", {2, 3}) == {2, 3}


def test_without_slurm_all_cores_are_kept(cores_of):
    assert cores_of(None, "4", set(range(8))) == set(range(8))


# Addresses


def test_on_a_single_node_the_chief_is_on_the_loopback(put):
    assert place.chief_address() == "127.0.0.1"
    put(SLURM_JOB_NUM_NODES=1, SLURMD_NODENAME="n1")
    assert place.chief_address() == "127.0.0.1"


def test_of_several_nodes_the_chief_takes_the_address_that_slurm_knows(put, scontrol):
    asked = scontrol("NodeName=n1 Arch=x86_64 NodeAddr=127.0.0.7 NodeHostName=n1 Version=22")
    put(SLURM_JOB_NUM_NODES=2, SLURMD_NODENAME="n1")
    assert place.chief_address() == "127.0.0.7"
    assert asked.read_text().split() == ["show", "node", "n1", "--oneliner"]


@pytest.mark.usefixtures("_no_scontrol")
def test_of_several_nodes_without_scontrol_the_name_decides(put):
    put(SLURM_JOB_NUM_NODES=2, SLURMD_NODENAME="localhost")
    assert place.chief_address() == "127.0.0.1"


def test_where_slurm_says_nothing_of_a_node_its_name_decides(put, scontrol):
    scontrol("Node n1 not found")
    put(SLURM_JOB_NUM_NODES=2, SLURMD_NODENAME="localhost")
    assert place.chief_address() == "127.0.0.1"


def test_the_address_that_the_user_names_is_taken(put, scontrol):
    scontrol("NodeName=n1 NodeAddr=127.0.0.7")
    put(SLURM_JOB_NUM_NODES=2, SLURMD_NODENAME="n1", KERASTUNER_ORACLE_IP="127.0.0.3")
    assert place.chief_address() == "127.0.0.3"
    put(KERASTUNER_ORACLE_IP="localhost")
    assert place.chief_address() == "127.0.0.1"


# A name with an empty part is one that Python itself does not even look up.
@pytest.mark.parametrize("name", ["no such name", "10..0.1", "n" * 70])
@pytest.mark.usefixtures("_no_scontrol")
def test_a_name_without_an_address_is_told_in_one_line(put, name):
    put(SLURM_JOB_NUM_NODES=2, SLURMD_NODENAME=name)
    with pytest.raises(AeroactError, match=rf"{name}: has no address here \(.*") as raised:
        place.chief_address()
    assert "name this machine's address in KERASTUNER_ORACLE_IP" in str(raised.value)
    put(KERASTUNER_ORACLE_IP=name)
    with pytest.raises(AeroactError, match="has no address here"):
        place.chief_address()


def test_any_port_will_do_unless_the_user_names_one(put):
    assert place.chief_port() == 0
    put(KERASTUNER_ORACLE_PORT=8000)
    assert place.chief_port() == 8000


@pytest.mark.parametrize("port", ["http", "-1", "65536", "80.5", "", "²"])
def test_a_port_that_is_none_is_told_in_one_line(put, port):
    put(KERASTUNER_ORACLE_PORT=port)
    with pytest.raises(AeroactError, match=f"{PORT}: .*is no port; leave it out, or mend it"):
        place.chief_port()


def test_kerastuner_itself_finds_the_chief_that_was_noted(put):
    put(KERASTUNER_ORACLE_IP="", KERASTUNER_ORACLE_PORT="")
    place.note_chief("127.0.0.9", 4321)
    assert (os.environ[IP], os.environ[PORT]) == ("127.0.0.9", "4321")


def test_a_job_is_slurms_or_that_of_pbs_or_none(put):
    assert place.job() == ""
    put(PBS_JOBID="12.head")
    assert place.job() == "12.head"
    put(SLURM_JOB_ID=77)
    assert place.job() == "77"
