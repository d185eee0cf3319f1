"""What `aeroact-hpo status` says of jobs and workers, from the run's folder and Slurm."""

import json
import shutil
import subprocess
import time
from typing import Any

from aeroact.hpo.cluster.job import submitted
from aeroact.hpo.folder import RunFolder

_FRESH = 60.0
"""Seconds after which a chief that has written nothing is thought dead."""

_NAMED = 10  # workers that are told one by one


def at_work(folder: RunFolder) -> bool:
    """Return whether a chief works on a run, on whatever machine."""
    state = _state(folder)
    return state is not None and state["state"] == "at work" and _age(state) < _FRESH


def lines(folder: RunFolder) -> list[str]:
    """Return a line for each job in the queue, for the chief, and for what ails workers."""
    jobs = [line for job in submitted(folder) if (line := _job(job))]
    state = _state(folder)
    return jobs + ([] if state is None else _workers(state))


def _state(folder: RunFolder) -> dict[str, Any] | None:
    try:
        text = (folder.cluster / "state.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    state: dict[str, Any] = json.loads(text)
    return state


def _age(state: dict[str, Any]) -> float:
    return time.time() - float(state["written"])


def _job(job: dict[str, Any]) -> str | None:
    """Say where a job is, if Slurm is here and still knows it."""
    if shutil.which("squeue") is None:
        return None
    asked = ["squeue", "--noheader", f"--jobs={job['job']}", "--format=%T|%r|%M|%L|%D|%N"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=30)
    except subprocess.TimeoutExpired:
        return f"job {job['job']}: squeue does not answer"
    if done.returncode or not done.stdout.strip():
        return None
    state, why, spent, left, nodes, names = done.stdout.strip().split("|")
    what = f"job {job['job']}" + (f" (Step {job['step']})" if job["step"] else "")
    if state == "RUNNING":
        return f"{what}: RUNNING for {spent}, {left} left, on {nodes} nodes: {names}"
    return f"{what}: {state} ({why})"


def _workers(state: dict[str, Any]) -> list[str]:
    members = state["workers"]
    present = [member for member in members if member["present"]]
    trials = sum(len(member["running"]) for member in present)
    job = f" of job {state['job']}" if state["job"] else ""
    chief = f"chief{job} on {state['host']}: {state['state']}"
    if state["state"] == "at work" and _age(state) >= _FRESH:
        chief = f"chief{job} on {state['host']}: silent for {_age(state):.0f} s; dead?"
    elif state["state"] == "at work":
        chief += f", {len(present)} workers alive with {trials} trials"
    ailing = [line for member in members if (line := _ailment(member, state))]
    more = [f"{len(ailing) - _NAMED} more workers are gone"] if len(ailing) > _NAMED else []
    return [chief, *ailing[:_NAMED], *more]


def _ailment(member: dict[str, Any], state: dict[str, Any]) -> str | None:
    name = f"worker {member['name']}"
    if member["aside"]:
        return f"{name}: put aside, {member['aside']}"
    if member["present"] or state["state"] != "at work":
        return None
    if member["left"]:
        return f"{name}: left, {member['left']}"
    return f"{name}: lost, not heard of for {member['silent']:.0f} s"
