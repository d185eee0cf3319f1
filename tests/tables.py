"""The tables of a search, as tests compare them."""

import csv
from pathlib import Path

MEASURED = ("seconds", "inference_us")


def rows_of(path: Path) -> list[dict[str, str]]:
    """All rows of a table."""
    with path.open() as file:
        return list(csv.DictReader(file))


def table(path: Path) -> list[dict[str, str]]:
    """Rows of a table, without what was measured by the clock."""
    return [{k: v for k, v in row.items() if k not in MEASURED} for row in rows_of(path)]
