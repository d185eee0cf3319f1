"""The table of a ranking: plain records, and how they look on a screen and in files."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aeroact import console
from aeroact.errors import AeroactError
from aeroact.export.layers import mflop
from aeroact.export.rank import RULES, Candidate, pareto, pick, ranking
from aeroact.files import write_text
from aeroact.metrics import Errors
from aeroact.schema import MODES, OUTPUTS
from aeroact.timing import Timing

if TYPE_CHECKING:
    from rich.table import Table

Record = dict[str, Any]
"""A row by the names of its columns, of numbers, texts and lists of them; None: no value."""

ARG2000 = "ARG2000"


def rows(
    candidates: Sequence[Candidate],
    arg2000: Errors,
    arg2000_timing: Timing,
    *,
    tolerance: float,
    max_mse: float | None,
) -> list[Record]:
    """Return a ranking as records, the best first and ARG2000 last.

    Parameters
    ----------
    candidates : sequence of Candidate
        The emulators.
    arg2000 : Errors
        Of ARG2000 on the same holdout.
    arg2000_timing : Timing
        Of ARG2000, microseconds a state, in the same run.
    tolerance, max_mse
        What is good enough to be picked: see `rank.pick`.

    Returns
    -------
    list of dict
        All with the same columns. Where there is no value, as for an R2 of a mode that never
        varies or the parameters of ARG2000, it is None.
    """
    rules = _rules_by_trial(candidates, tolerance, max_mse)
    front = pareto(candidates)
    records = [
        {
            "rank": rank,
            "trial": c.trial.name,
            "picks": rules.get(c.trial.name, []),
            "pareto": c.trial.name in front,
            "nodes": list(c.trial.widths),
            "layers": len(c.trial.widths),
            "params": c.trial.params,
            "mflop": mflop(c.trial.widths),
            **_errors(c.trial.holdout),
            **_cost(c.timing, arg2000_timing),
            "bytes": len(c.onnx),
            "parity_largest": c.parity.largest,
            "parity_p999": c.parity.p999,
            "parity_at_corners": c.parity.at_corners,
        }
        for rank, c in enumerate(ranking(candidates), start=1)
    ]
    errors = {name: getattr(arg2000, name) for name in ("mse", "r2", "mse_by_mode", "r2_by_mode")}
    reference = {
        "trial": ARG2000,
        "picks": [],
        **_errors(errors),
        **_cost(arg2000_timing, arg2000_timing),
    }
    records.append({column.key: reference.get(column.key) for column in COLUMNS})
    return [{key: _finite(value) for key, value in record.items()} for record in records]


def _rules_by_trial(
    candidates: Sequence[Candidate], tolerance: float, max_mse: float | None
) -> dict[str, list[str]]:
    chosen: dict[str, list[str]] = {}
    for rule in RULES:
        try:
            candidate, _ = pick(candidates, rule, tolerance=tolerance, max_mse=max_mse)
        except AeroactError:
            continue  # no candidate is good enough for this rule
        chosen.setdefault(candidate.trial.name, []).append(rule)
    return chosen


def _errors(errors: Mapping[str, Any]) -> Record:
    return {
        "mse": errors["mse"],
        "r2": errors["r2"],
        **{
            f"{metric}_{output}": float(value)
            for metric in ("mse", "r2")
            for output, value in zip(OUTPUTS, errors[f"{metric}_by_mode"], strict=True)
        },
    }


def _cost(timing: Timing, reference: Timing) -> Record:
    return {
        "us_per_sample": timing.median,
        "us_per_sample_lower": timing.lower,
        "us_per_sample_upper": timing.upper,
        "multiple_of_arg2000": timing.median / reference.median,
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- what a reader sees -----------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes
    ----------
    key : str
        Its name in records, CSV and JSON.
    heading : str
        Its name for a reader, with units unless they are 1.
    text : callable
        Makes its values readable.
    group : int
        The narrower the screen, the fewer groups it shows; 0 is always there.
    left : bool
        Whether it is text, not numbers.
    """

    key: str
    heading: str
    text: Callable[[Any], str]
    group: int = 0
    left: bool = False

    @property
    def lines(self) -> str:
        """Its heading in two lines where it is longer than its numbers."""
        return self.heading.replace(" ", "\n", 1) if self.group > 2 else self.heading

    def cell(self, record: Record) -> str:
        """Return its value in a record for a reader."""
        value = record[self.key]
        return "-" if value is None else self.text(value)


def _number(spec: str, scale: float = 1.0) -> Callable[[float], str]:
    return lambda value: format(value * scale, spec)


def _three_digits(value: float) -> str:
    decimals = 2 - math.floor(math.log10(value)) if value > 0 else 2
    return f"{value:,.{max(decimals, 0)}f}"


def _joined(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def _mark(is_in: bool) -> str:
    return "*" if is_in else ""


COLUMNS = (
    Column("rank", "rank", str, 2),
    Column("trial", "trial", str, left=True),
    Column("picks", "pick", _joined, left=True),
    Column("pareto", "Pareto", _mark),
    Column("nodes", "nodes", _joined, 1, left=True),
    Column("layers", "layers", str, 2),
    Column("params", "parameters", _number(",.0f")),
    Column("mflop", "MFLOP", _three_digits, 2),
    Column("mse", "MSE", _number(".2e")),
    Column("r2", "R2", _number(".5f")),
    *(
        Column(f"mse_{o}", f"MSE {m}", _number(".1e"), 3)
        for o, m in zip(OUTPUTS, MODES, strict=True)
    ),
    *(Column(f"r2_{o}", f"R2 {m}", _number(".4f"), 4) for o, m in zip(OUTPUTS, MODES, strict=True)),
    Column("us_per_sample", "us/sample", _three_digits),
    Column("us_per_sample_lower", "lower quartile (us)", _three_digits, 5),
    Column("us_per_sample_upper", "upper quartile (us)", _three_digits, 5),
    Column("multiple_of_arg2000", "x ARG2000", _three_digits),
    Column("bytes", "kB", _number(",.1f", 1e-3), 2),
    Column("parity_largest", "parity", _number(".1e"), 2),
    Column("parity_p999", "parity 99.9 %", _number(".1e"), 5),
    Column("parity_at_corners", "parity at corners", _number(".1e"), 5),
)

LEGEND = (
    "MSE and R2 of the activated fraction on the holdout, over all modes and by mode; MFLOP a "
    "state; us/sample on one core, the median; kB of the ONNX file; parity: largest difference "
    "from Keras in activated fraction; Pareto *: no other is as accurate and faster."
)

_GAP = 2
_NODES_WIDTH = 18
"""Characters between two columns, and of the nodes in a line where there is no room for more."""


def on_screen(records: Sequence[Record], title: str, width: int | None = None) -> "Table":
    """Return a table for a screen: as many columns as it has room for.

    Parameters
    ----------
    records : sequence of dict
        What `rows` returns.
    title : str
        Printed above.
    width : int, optional
        Characters a line; those of the screen by default.
    """
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=escape(title),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    columns = _fitting(records, console.width() if width is None else width)
    for column in columns:
        table.add_column(
            column.lines,
            justify="left" if column.left else "right",
            no_wrap=column.key != "nodes",
        )
    for record in records:
        cells = {column.key: column.cell(record) for column in columns}
        # A pick a line: all in one would take the room of three columns.
        cells["picks"] = cells["picks"].replace(", ", "\n")
        table.add_row(*map(escape, cells.values()))
    return table


def _fitting(records: Sequence[Record], width: int) -> list[Column]:
    """Return the columns of as many groups as fit into a line."""
    fitting: list[Column] = []
    for last in range(max(column.group for column in COLUMNS) + 1):
        columns = [column for column in COLUMNS if column.group <= last]
        if last and sum(_width(column, records) + _GAP for column in columns) > width:
            break
        fitting = columns
    return fitting


def _width(column: Column, records: Sequence[Record]) -> int:
    if column.key == "picks":
        return len("lightest")
    longest = max(len(column.cell(record)) for record in records)
    if column.key == "nodes":
        longest = min(longest, _NODES_WIDTH)
    return max(longest, *map(len, column.lines.split("\n")), 0)


def refusals(refused: Mapping[str, str]) -> list[str]:
    """Return a line for each trial that could not be exported, with the reason."""
    return [f"refused: trial {name}: {' '.join(why.split())}" for name, why in refused.items()]


# --- files ------------------------------------------------------------------------------------


def as_json(records: Sequence[Record]) -> str:
    """Return strict JSON, a list of objects; null: no value."""
    return json.dumps(records, indent=1, allow_nan=False) + "\n"


def as_csv(records: Sequence[Record]) -> str:
    """Return CSV with a line of headings; lists are joined by commas, no value is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [column.key for column in COLUMNS], lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({k: _joined(v) if isinstance(v, list) else v for k, v in record.items()})
    return text.getvalue()


def as_markdown(records: Sequence[Record]) -> str:
    """Return a pipe table, aligned, with all columns; its legend is `LEGEND`."""
    cells = [[column.heading for column in COLUMNS]]
    cells += [[_cell(column.cell(record)) for column in COLUMNS] for record in records]
    widths = [max(3, *map(len, texts)) for texts in zip(*cells, strict=True)]
    lines = [
        [
            text.ljust(w) if c.left else text.rjust(w)
            for text, w, c in zip(row, widths, COLUMNS, strict=True)
        ]
        for row in cells
    ]
    rule = [
        "-" * w if c.left else "-" * (w - 1) + ":" for w, c in zip(widths, COLUMNS, strict=True)
    ]
    lines.insert(1, rule)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(text: str) -> str:
    """Return a text that cannot end a cell or a row, nor be read as emphasis."""
    for special in "\\|*_`<[":
        text = text.replace(special, f"\\{special}")
    return " ".join(text.split())


_WRITERS = {".json": as_json, ".csv": as_csv, ".md": as_markdown}


def write(path: Path, records: Sequence[Record]) -> None:
    """Write a table as its suffix says: ``.json``, ``.csv`` or ``.md``.

    Raises
    ------
    AeroactError
        If the suffix is another, or the folder cannot be written to.
    """
    if path.suffix not in _WRITERS:
        raise AeroactError(f"{path}: a table is written as one of {', '.join(_WRITERS)}")
    text = _WRITERS[path.suffix](records)
    write_text(path, f"{LEGEND}\n\n{text}" if path.suffix == ".md" else text)
