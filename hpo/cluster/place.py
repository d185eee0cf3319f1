"""Where a process of a cluster is, what it is there for, and how it can be reached.

The variables of Yu et al. (2024, Text S1) decide where they are set: ``KERASTUNER_TUNER_ID``,
``KERASTUNER_ORACLE_IP``, ``KERASTUNER_ORACLE_PORT`` and ``CUDA_VISIBLE_DEVICES``. Where they are
not, Slurm is asked.
"""

import os
import re
import shutil
import socket
import subprocess

from aeroact.errors import AeroactError

CHIEF = "chief"
"""The chief's ``KERASTUNER_TUNER_ID``."""

_LOOPBACK = "127.0.0.1"


def is_chief() -> bool:
    """Return whether this process is to be the chief, by KerasTuner's own rule."""
    return CHIEF in os.environ.get("KERASTUNER_TUNER_ID", "")


def job() -> str:
    """Return the batch job that this process is part of; empty without one."""
    return os.environ.get("SLURM_JOB_ID") or os.environ.get("PBS_JOBID", "")


def node() -> str:
    """Return the name of this machine, as Slurm calls it where it is Slurm's."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def worker_name() -> str:
    """Return what a worker calls itself: its node and GPU, or what its user says."""
    name = os.environ.get("KERASTUNER_TUNER_ID")
    if not name:
        devices = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        task = os.environ.get("SLURM_LOCALID", str(os.getpid()))
        name = f"{node()}-" + (f"gpu{devices}" if devices.isdecimal() else task)
    # It becomes part of a lease's name and of a file's.
    return re.sub(r"[^\w.-]", "_", name)


def keep_to_one_gpu() -> None:
    """Hide from a task of Slurm all GPUs but one, where Slurm itself shows it several."""
    devices = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    if len(devices) > 1 and "SLURM_LOCALID" in os.environ:
        mine = devices[int(os.environ["SLURM_LOCALID"]) % len(devices)]
        os.environ["CUDA_VISIBLE_DEVICES"] = mine


def keep_to_own_cores() -> None:
    """Share out a node's cores among its tasks, where Slurm has not bound them to cores."""
    cores, here = sorted(os.sched_getaffinity(0)), os.environ.get("SLURM_LOCALID")
    tasks = _tasks_per_node()
    if here is not None and tasks > 1 and len(cores) == os.cpu_count():
        os.sched_setaffinity(0, set(cores[int(here) :: tasks]) or {cores[int(here) % len(cores)]})


def _tasks_per_node() -> int:
    """Return the most tasks on a node, from a list such as ``2(x3),1``."""
    counts = re.findall(r"(\d+)(?:\(x\d+\))?", os.environ.get("SLURM_STEP_TASKS_PER_NODE", "1"))
    return max(map(int, counts), default=1)


def chief_port() -> int:
    """Return the port on which the chief must listen; 0 for any that is free.

    Raises
    ------
    AeroactError
        If ``KERASTUNER_ORACLE_PORT`` is no port.
    """
    asked = os.environ.get("KERASTUNER_ORACLE_PORT", "0")
    if not (asked.isdecimal() and int(asked) < 65_536):
        raise AeroactError(f"KERASTUNER_ORACLE_PORT: {asked} is no port; leave it out, or mend it")
    return int(asked)


def chief_address() -> str:
    """Return the address on which the chief listens, and on no other.

    That is ``KERASTUNER_ORACLE_IP``; in a job of several nodes the address by which Slurm itself
    reaches this one, which need not be what its short name means; else this machine's own
    loopback.

    Raises
    ------
    AeroactError
        If it cannot be found out.
    """
    asked = os.environ.get("KERASTUNER_ORACLE_IP")
    if asked:
        return _resolved(asked)
    if int(os.environ.get("SLURM_JOB_NUM_NODES", "1")) > 1:
        return _resolved(_node_address(node()))
    return _LOOPBACK


def note_chief(address: str, port: int) -> None:
    """Set the variables by which KerasTuner finds the chief."""
    os.environ["KERASTUNER_ORACLE_IP"] = address
    os.environ["KERASTUNER_ORACLE_PORT"] = str(port)


def _node_address(name: str) -> str:
    """Return a node's address, which may be a name, as Slurm knows it."""
    if shutil.which("scontrol") is None:
        return name
    asked = ["scontrol", "show", "node", name, "--oneliner"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        return name
    found = re.search(r"\bNodeAddr=(\S+)", done.stdout)
    return found[1] if found else name


def _resolved(name: str) -> str:
    try:
        return socket.getaddrinfo(name, None, socket.AF_INET)[0][4][0]  # type: ignore[return-value]
    except (socket.gaierror, UnicodeError) as error:
        raise AeroactError(
            f"{name}: has no address here ({error}); name this machine's address in "
            "KERASTUNER_ORACLE_IP"
        ) from error
