"""A job that has lost its first node, and with it the batch script.

Slurm (22.05) lets a job with ``--no-kill`` run on without it, until its time is over: nobody is
left to start a chief, and the other nodes wait in vain. So the workers look after that.
"""

import contextlib
import os
import shutil
import subprocess


def queue_again_if_headless() -> None:
    """Have Slurm start this process's job anew if its batch script has died with its node.

    Where a job must not be queued again, it is ended: it would only burn time.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if not job or not (shutil.which("squeue") and shutil.which("scontrol")):
        return
    # A Slurm that does not answer now is asked again later.
    with contextlib.suppress(subprocess.TimeoutExpired):
        known = _run("squeue", "-h", f"--jobs={job}", "--states=running", "--format=%B|%N").stdout
        first, _, nodes = known.strip().partition("|")
        names = _run("scontrol", "show", "hostnames", nodes).stdout.split() if nodes else []
        if not names or first in names:
            return
        print(f"Node {first} is lost, and the chief with it: job {job} is queued again", flush=True)
        if _run("scontrol", "requeue", job).returncode:
            _run("scancel", job)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
