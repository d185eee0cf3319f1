"""What tests of bundles, cards and checks share."""

from pathlib import Path

import pytest

from tests.export import small_emulator


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A small dataset with labels that the small emulator nearly knows."""
    path: Path = tmp_path_factory.mktemp("data") / "data.nc"
    small_emulator.write_data(path)
    return path
