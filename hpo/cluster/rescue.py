"""A job that has lost its first node, and with it the batch script.

Slurm (22.05) lets a job with ``--no-kill`` run on without it, until its time is over: nobody is
left to start a chief, and the other nodes wait in vain. So the workers look after that.
"""

import os
import shutil
import subprocess


def queue_again_if_headless() -> None:
    """Have Slurm start this process's job anew if its batch script has died with its node.

    Where a job must not be queued again, it is ended: it would only burn time.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if not job or shutil.which("squeue") is None:
        return
    known = _slurm("squeue", "--noheader", f"--jobs={job}", "--states=running", "--format=%B|%N")
    first, _, nodes = known.strip().partition("|")
    if not nodes or first in _slurm("scontrol", "show", "hostnames", nodes).split():
        return
    print(f"Node {first} is lost, and the chief with it: job {job} is queued again", flush=True)
    if _run("scontrol", "requeue", job).returncode:
        _run("scancel", job)


def _slurm(*command: str) -> str:
    return _run(*command).stdout


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
