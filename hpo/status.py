"""How far a run has come, read from its folder while another process may work on it."""

from pathlib import Path

from aeroact.files import is_locked
from aeroact.hpo import screen
from aeroact.hpo.cluster import overview
from aeroact.hpo.cost import cost_of
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.journal import Trial
from aeroact.hpo.shortlist import shortlist
from aeroact.hpo.standing import Standing
from aeroact.hpo.step1 import settled


def show(path: Path) -> None:
    """Print where a run stands: both steps, the best networks, failures, and the cost so far.

    Raises
    ------
    AeroactError
        If there is no run, or its record is damaged.
    """
    folder = RunFolder(path)
    project = folder.project()
    by_step: dict[int, dict[str, Trial]] = {1: {}, 2: {}}
    for (step, name), trial in folder.journal.read().items():
        by_step[step][name] = trial
    done = {s: {n: t for n, t in by_step[s].items() if t.status != "RUNNING"} for s in by_step}
    complete = folder.step1_table.exists()
    if complete:
        by_step[1] |= settled(done[1], project)
    standings = [Standing.of(1, len(done[1]) if complete else project.trials, by_step[1].values())]
    if complete and by_step[2]:
        chosen = {trial.name for trial in shortlist(by_step[1], project)}
        standings.append(Standing.of(2, len(chosen | by_step[2].keys()), by_step[2].values()))
    # A lock may not be seen from another machine; what a chief writes is.
    screen.show(path, standings, running=is_locked(path) or overview.at_work(folder))
    for line in overview.lines(folder):
        print(line)
    cost = cost_of(project, done[1].values(), done[2].values())
    if cost.one_step:
        print(cost.text())
