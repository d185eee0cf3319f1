"""What `aeroact-data` prints: tables of statuses, findings and distributions."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aeroact import console

if TYPE_CHECKING:
    from rich.table import Table

    from aeroact.survey import Distribution, Survey

_WIDE = 130
"""Columns of a screen on which a distribution fits into one table."""


def print_statuses(title: str, statuses: Mapping[str, int]) -> None:
    """Print rows by status, with their share."""
    total = sum(statuses.values())
    table = _table(title, "status", "rows", "share")
    for name, rows in statuses.items():
        table.add_row(name, f"{rows:,}", f"{rows / max(total, 1):.2%}")
    console.print_table(table)


def print_survey(survey: "Survey") -> None:
    """Print all that a survey of a dataset tells."""
    from rich.markup import escape

    findings = survey.findings
    title = f"{survey.file}: {findings.rows:,} rows, {survey.modes} modes, {_size(survey.bytes)}"
    labelled = any(variable.name == "fn" for variable in survey.variables)
    table = _table(title, "finding", "rows")
    table.add_row("usable" if labelled else "usable as states (no fn)", f"{findings.n_usable:,}")
    table.add_row("without a label by the parcel model's status", f"{findings.flagged:,}")
    table.add_row("repeat the state of another row", f"{survey.repeated:,}")
    for reason, rows in findings.reasons.most_common():
        table.add_row(escape(reason), f"{rows:,}")
    console.print_table(table)

    if survey.statuses is not None:
        print()
        print_statuses("Status of the parcel model", survey.statuses)

    print()
    table = _table("Variables", "variable", "dimensions", "type", "units", numbers=False)
    for variable in survey.variables:
        dims = ", ".join(variable.dims)
        table.add_row(*map(escape, (variable.name, dims, variable.dtype, variable.units or "-")))
    console.print_table(table)
    _print_distributions(survey.distributions)


def _print_distributions(distributions: "list[Distribution]") -> None:
    from rich.markup import escape

    from aeroact.survey import PERCENTILES, QUANTILE_ROWS

    moments, percentiles = ["min", "max", "mean", "std"], [f"{p} %" for p in PERCENTILES]
    values = {
        d.column: dict(zip(moments, (d.min, d.max, d.mean, d.std), strict=True))
        | dict(zip(percentiles, d.percentiles, strict=True))
        for d in distributions
    }
    # A narrow screen has one table below the other.
    together = console.width() >= _WIDE
    for heads in [moments + percentiles] if together else [moments, percentiles]:
        print()
        about = f"; percentiles of at most {QUANTILE_ROWS:,} rows" if "50 %" in heads else ""
        # The second table would be too wide with them.
        units = ["units"] if moments[0] in heads else []
        table = _table(f"Distribution of finite values{about}", "column", *heads, *units)
        for d in distributions:
            numbers = (_number(values[d.column][head]) for head in heads)
            table.add_row(escape(d.column), *numbers, *[escape(d.units)] * len(units))
        console.print_table(table)


def _number(value: float | None) -> str:
    """Return at most eight characters."""
    if value is None:
        return "-"
    return f"{value:.4g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.2e}"


def _table(title: str, *heads: str, numbers: bool = True) -> "Table":
    """Return an empty table whose columns but the first are numbers, or text."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(*heads, title=escape(title), title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right" if numbers else "left"
    return table


def _size(n_bytes: int) -> str:
    size, unit = float(n_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}"
