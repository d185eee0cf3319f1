"""A search without faults, with which those on a cluster are compared."""

from pathlib import Path

import pytest

from tests import commands

# Trials of a second or two: long enough to be killed in.
SEARCH = [
    "--trials=8",
    "--max-params=3000",
    "--max-layers=3",
    "--p-subset=0.5",
    "--retrain=3",
    "--epochs=80",
    "--patience=80",
    "--retrain-epochs=60",
    "--batch-size=64",
]


@pytest.fixture(scope="session")
def undisturbed(dataset_file, tmp_path_factory) -> Path:
    """The run that every search on the cluster must come to, made by processes here."""
    return commands.search(dataset_file, tmp_path_factory.mktemp("runs") / "undisturbed", SEARCH)
