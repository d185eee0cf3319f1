"""What a person sees of a search: a live picture on a terminal, plain lines when piped."""

import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from aeroact import console
from aeroact.hpo.journal import Trial
from aeroact.hpo.standing import Standing

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.measure import Measurement
    from rich.table import Table

TITLES = {1: "Step 1, trials", 2: "Step 2, retraining"}
"""What the steps are called on a screen."""

_MSE = {1: "validation MSE", 2: "holdout MSE"}
_REDRAW = 0.25  # seconds between two pictures, at least
_CLOCK = 1.0  # seconds between two pictures where nothing happens
_REASONS = 5  # that are shown


@contextmanager
def watch(title: str, standing: Standing) -> Iterator[Callable[[Trial], None]]:
    """Show how a step goes on while it is worked on in this process.

    On a terminal this is a picture that keeps up with the trials and stays at the end; piped, it
    is a plain line at each tenth of the work and each minute.

    Parameters
    ----------
    title : str
        What is being done.
    standing : Standing
        What an earlier, interrupted process finished; kept up to date here.

    Yields
    ------
    callable
        Is to be told each trial that changed, the running ones as well.
    """
    standing.forget_running()
    if not sys.stdout.isatty():
        with console.progress(title, standing.total, standing.done) as progress:

            def note(trial: Trial) -> None:
                standing.add(trial)
                if trial.status != "RUNNING":
                    progress(standing.done, _remarks(standing))

            yield note
        return

    from rich.live import Live

    began, working = time.monotonic(), True
    lock = threading.Lock()
    changed, ended = threading.Event(), threading.Event()

    def picture() -> "RenderableType":
        with lock:
            return _picture(title, standing, working, time.monotonic() - began)

    def draw() -> None:
        while not ended.is_set():
            changed.wait(_CLOCK)
            # What changes together is drawn together: a trial's end and the next one's beginning.
            ended.wait(_REDRAW)
            changed.clear()
            live.refresh()

    def show(trial: Trial) -> None:
        with lock:
            standing.add(trial)
        changed.set()

    with Live(get_renderable=picture, auto_refresh=False) as live:
        drawing = threading.Thread(target=draw, daemon=True)
        drawing.start()
        try:
            yield show
        finally:
            working = False
            ended.set()
            changed.set()
            drawing.join()


def show(path: Path, standings: list[Standing], running: bool) -> None:
    """Print where a run stands: the same picture, once.

    Parameters
    ----------
    path : Path
        The run's folder.
    standings : list of Standing
        Of the steps that have begun.
    running : bool
        Whether a process is working on the run now.
    """
    from rich.console import Console

    print(f"{path}: {_state(standings, running)}")
    for standing in standings:
        print()
        title = TITLES[standing.step]
        if sys.stdout.isatty():
            Console().print(_picture(title, standing, running))
            continue
        print(f"{title}: {standing.done:,} of {standing.total:,}", end="")
        remarks = [_counts(standing, running), _remarks(standing, left=running)]
        print("".join(f"  {remark}" for remark in remarks if remark))
        if standing.completed:
            console.print_table(_best(standing))
        for line in _failures(standing):
            print(line)


def _state(standings: list[Standing], running: bool) -> str:
    last = max((standing.last_ended for standing in standings), default=0.0)
    if running:
        state = "a process is working on it now"
    elif len(standings) == len(TITLES) and all(s.done == s.total for s in standings):
        state = "finished"
    else:
        state = "no process is working on it"
    return f"{state}; the last trial ended {_ago(time.time() - last)}" if last else state


def _ago(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{max(seconds, 0.0):.0f} s ago"


def _remarks(standing: Standing, left: bool = True) -> str:
    """Return the best MSE and the pace, for a plain line."""
    best = standing.best(1)
    parts = [f"best {_MSE[standing.step]} {standing.mse(best[0]):.2e}"] if best else []
    return "  ".join(parts + _pace(standing, left))


def _pace(standing: Standing, left: bool) -> list[str]:
    now = time.time()
    rate, seconds = standing.trials_per_hour(now), standing.seconds_left(now)
    parts = [f"{rate:,.{0 if rate >= 10 else 1}f} trials/h"] if rate else []
    if left and seconds:
        parts.append(f"{timedelta(seconds=round(seconds))} left")
    return parts


def _counts(standing: Standing, working: bool) -> str:
    counts = {
        "running" if working else "interrupted": len(standing.running),
        "pruned": standing.pruned,
        "failed": standing.failed,
    }
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)


def _failures(standing: Standing) -> list[str]:
    """Return a line for each reason of failures, the most frequent first."""
    reasons = standing.failures.most_common()
    lines = [f"{count:,} failed: {why or 'no reason given'}" for why, count in reasons[:_REASONS]]
    if more := sum(count for _, count in reasons[_REASONS:]):
        lines.append(f"{more:,} failed for other reasons")
    return lines


def _picture(
    title: str, standing: Standing, working: bool, elapsed: float | None = None
) -> "RenderableType":
    """Draw where a step stands, for a terminal of any width."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    head = Table.grid(padding=(0, 1), expand=True)
    head.add_column(no_wrap=True)
    head.add_column(ratio=1)
    head.add_column(no_wrap=True)
    head.add_row(
        Text(title),
        ProgressBar(total=standing.total, completed=standing.done),
        f"{standing.done:,}/{standing.total:,}",
    )
    remarks = [] if elapsed is None else [f"{timedelta(seconds=int(elapsed))} elapsed"]
    remarks += [*_pace(standing, left=working), _counts(standing, working)]
    parts: list[RenderableType] = [head, Text(", ".join(filter(None, remarks)))]
    if standing.completed:
        parts.append(_best(standing))
    parts += [Text(line, no_wrap=True, overflow="ellipsis") for line in _failures(standing)]
    return Group(*parts)


def _best(standing: Standing) -> "Table":
    from rich import box
    from rich.table import Table

    title = f"Best by {_MSE[standing.step]}"
    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for heading in ("rank", "trial", "MSE", "layers", "parameters", "epochs"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("nodes", min_width=len("nodes"))
    for rank, trial in enumerate(standing.best(), start=1):
        table.add_row(
            str(rank),
            trial.name,
            f"{standing.mse(trial):.2e}",
            str(len(trial.widths)),
            f"{trial.params:,}",
            str(len(trial.val_mse)),
            _Nodes(trial) if sys.stdout.isatty() else _Nodes(trial).text,
        )
    return table


class _Nodes:
    """The nodes of a trial's layers in one line, as many as there is room for."""

    def __init__(self, trial: Trial) -> None:
        from aeroact.hpo.tables import nodes_text

        self.text = nodes_text(trial)

    def __rich_measure__(self, console: "Console", options: "ConsoleOptions") -> "Measurement":
        from rich.measure import Measurement

        return Measurement(1, len(self.text))

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        yield textwrap.shorten(self.text, max(options.max_width, 2), placeholder=" …")
