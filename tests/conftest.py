"""What several tests share: a small real dataset, and a small finished search of it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import commands, disks
from tests.slurm_cluster import SlurmCluster, why_not

# No example has a time limit on a busy machine. Where a failure would stop a change that did
# not cause it, the examples are always the same; elsewhere each run looks for new ones.
settings.register_profile("aeroact", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("aeroact")

# Enough for the 10,000 holdout states on which an export is compared with Keras.
ROWS = 13_000

SMALL_SEARCH = [
    "--trials=5",
    "--max-params=3000",
    "--max-layers=3",
    "--p-subset=0.5",
    "--retrain=3",
    "--epochs=8",
    "--retrain-epochs=25",
    "--schedule=constant",
    "--batch-size=64",
    "--learning-rate=0.004",
    "--workers=2",
]


@pytest.fixture(scope="session")
def run_command():
    """Run a command of aeroact as a user would: name and arguments in, what it said out."""
    return commands.run_command


@pytest.fixture(scope="session")
def small_search() -> list[str]:
    """Options of a search that takes seconds."""
    return SMALL_SEARCH


@pytest.fixture(scope="session")
def slurm(tmp_path_factory) -> Iterator[SlurmCluster]:
    """A cluster of three nodes with two GPUs each."""
    why = why_not()
    if why is not None:
        pytest.skip(why)
    with SlurmCluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system that a search fills; see `disks.resize`."""
    with disks.mounted(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture(scope="session")
def dataset_file(tmp_path_factory) -> Path:
    """A dataset of parcels that the package simulated."""
    from aeroact.generate import Job, generate

    path = tmp_path_factory.mktemp("data") / "activation.nc"
    generate(path, Job(n=ROWS, seed=7))
    return path


@pytest.fixture(scope="session")
def finished_run(dataset_file, tmp_path_factory) -> Path:
    """The folder of a small search, done by the command."""
    return commands.search(dataset_file, tmp_path_factory.mktemp("runs") / "small", SMALL_SEARCH)


@pytest.fixture(scope="session")
def bundle(finished_run, tmp_path_factory) -> Path:
    """An exported emulator, made by the command."""
    folder = tmp_path_factory.mktemp("emulators") / "small-lightest"
    done = commands.run_command(
        "aeroact-export", finished_run, "--pick", "lightest", "--out", folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder
