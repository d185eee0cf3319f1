"""Run the pilot of a search: Step 1 with the same architectures on several subset sizes."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from aeroact import console, dataset
from aeroact.errors import AeroactError
from aeroact.files import write_text
from aeroact.generate import Job, generate
from aeroact.hpo.config import project_of
from aeroact.hpo.plan import Aim, Pilot, Plan, plan
from aeroact.hpo.run import Request, run


def pilot(
    out: Path,
    settings: dict[str, Any],
    subsets: Sequence[float],
    aim: Aim,
    n_workers: int,
) -> Plan:
    """Run or continue a pilot, and draw up the plan of the whole search.

    Parameters
    ----------
    out : Path
        Folder of the pilot: a run in ``P0.05/`` and so on for each subset size, and
        ``plan.json``.
    settings : dict
        Of the runs; their ``trials`` are those of the pilot.
    subsets : sequence of float
        Fractions of the training rows.
    aim : Aim
        What the whole search is to be.
    n_workers : int
        Processes.

    Raises
    ------
    AeroactError
        If a subset size is not within (0, 1], or a run fails.
    """
    sizes = sorted(set(subsets))
    if not sizes or sizes[0] <= 0 or sizes[-1] > 1:
        raise AeroactError(f"--subsets: {sizes} are not fractions within (0, 1]")
    project = project_of(settings)
    if project.data is None:
        settings = settings | {"data": out / "data.nc"}
        job = Job(n=project.samples, seed=project.seed)
        generate(settings["data"], job, workers=n_workers, progress=console.progress)
    with dataset.open_dataset(Path(settings["data"])) as ds:
        usable = int(np.sum(~dataset.flagged(ds)))
    by_subset = {}
    for size in sizes:
        print(f"Pilot on {size:g} of the training rows", flush=True)
        folder = out / f"P{size:g}"
        request = Request(n_workers, frozenset({1}))
        by_subset[size] = run(folder, settings | {"p_subset": size}, request).step1
    rows = round((1 - project.holdout) * (1 - project.validation) * usable)
    result = plan(Pilot.of(rows, by_subset), aim, project.seed)
    write_text(out / "plan.json", json.dumps(asdict(result), indent=1) + "\n")
    return result
