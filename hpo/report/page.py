"""The page of a report: one file that opens offline in any browser."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from aeroact import schema
from aeroact.hpo.report.tables import cell


@dataclass(frozen=True)
class Section:
    """A figure on the page.

    Attributes
    ----------
    name : str
        Of its files.
    title, caption : str
        Around it.
    png : bytes
        The picture; empty, where there is none.
    why : str
        Then: what is missing.
    """

    name: str
    title: str
    caption: str
    png: bytes
    why: str = ""

    @property
    def source(self) -> str:
        """The picture as a data URL."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


_TABLES = {
    "projects": ("Projects", "Seconds of training, summed over the workers."),
    "table_s1": ("Table S1", "The best networks of all projects after Step 2."),
    "correlations": (
        "Ranks on different subsets",
        "rho: Spearman's correlation of the validation MSEs of the architectures that both tried, "
        "with its interval of 80 %; shared: trials in both shortlists; rank of best: that of the "
        "other's best.",
    ),
    "networks": ("Networks on the holdout", "The networks of Figure 3, and ARG2000."),
    "accuracy_cost": (
        "Accuracy and cost",
        "The retrained networks by time of a sample on one core (us).",
    ),
    "worst": (
        "The worst states",
        "The holdout states with the largest errors of the best and of the lightest network, and "
        "the mode that errs. label: the dataset's fn; parcel: the parcel model anew with 200 bins "
        "and a tolerance of 1e-6; label error: between the two.",
    ),
}


def render(
    sections: Sequence[Section],
    made: Mapping[str, pd.DataFrame],
    provenance: Mapping[str, Any],
    missing: Sequence[str],
) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    sections : sequence of Section
        The figures in order.
    made : mapping of str to pandas.DataFrame
        The report's tables.
    provenance : mapping
        What was run, on what.
    missing : sequence of str
        What is not there, and why.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("aeroact.hpo.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    shown = {
        name: (title, caption, html_table(_shown(name, made[name])))
        for name, (title, caption) in _TABLES.items()
        if name in made and not made[name].empty
    }
    return environment.get_template("report.html.j2").render(
        names=list(provenance["runs"]),
        verdict=verdict(made["projects"]),
        missing=missing,
        sections=sections,
        tables=shown,
        provenance=provenance,
    )


def _shown(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return what of a table the page shows, with units."""
    if name == "worst":
        table = table[table["network"].str.contains("best|lightest")]
    units = dict(zip(schema.COLUMNS, schema.COLUMN_UNITS, strict=True)) | {"smax": "1"}
    return table.rename(columns={c: f"{c} ({u})" for c, u in units.items() if u != "1"})


def verdict(projects: pd.DataFrame) -> list[str]:
    """Say what the projects have to say on the paper's hypothesis.

    It is that the errors after Step 2 are alike whatever the subset of Step 1.
    """
    tested = projects.dropna(subset=["best_test_mse"])
    if tested["p_subset"].nunique() < 2:
        return []
    before = tested["median_val_mse_retrained"]
    best, median = tested["best_test_mse"], tested["median_test_mse"]
    return [
        f"After Step 1, the median validation MSE of the shortlisted networks differs between the "
        f"projects by a factor of {before.max() / before.min():.2f}.",
        f"After Step 2, their median test MSE differs by a factor of "
        f"{median.max() / median.min():.2f}, that of the best by {best.max() / best.min():.2f}.",
        "The paper's hypothesis is that the latter two are close to 1.",
    ]


def html_table(table: pd.DataFrame) -> str:
    """Return a table whose columns can be sorted."""
    numeric = [pd.api.types.is_numeric_dtype(table[column]) for column in table.columns]
    heads = "".join(
        f'<th scope="col"{" class=number" if number else ""}>'
        f'<button type="button">{escape(str(column).replace("_", " "))}</button></th>'
        for column, number in zip(table.columns, numeric, strict=True)
    )
    rows = []
    for row in table.itertuples(index=False):
        cells = (
            _cell(value, str(column), number)
            for value, column, number in zip(row, table.columns, numeric, strict=True)
        )
        rows.append(f"<tr>{''.join(cells)}</tr>")
    body = "\n".join(rows)
    return f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _cell(value: Any, column: str, number: bool) -> str:
    text = escape(cell(value, column))
    if not number:
        return f"<td>{text}</td>"
    # What is sorted by: all digits.
    exact = "" if value is pd.NA or value is None or np.isnan(value) else repr(float(value))
    return f'<td class=number data-value="{exact}">{text}</td>'
