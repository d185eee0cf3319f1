"""What all commands share: exit status, errors in one line, progress."""

import errno
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from aeroact.errors import AeroactError

if TYPE_CHECKING:
    from rich.table import Table

_debug = False

_PLAIN_INTERVAL = 60.0  # seconds without a line of progress, at most


def _set_debug(value: bool) -> None:
    global _debug
    _debug = _debug or value


Debug = Annotated[
    bool,
    typer.Option("--debug", help="Show a traceback with an error.", callback=_set_debug),
]


class _Interrupted(BaseException):
    """Ctrl-C, under a name that typer does not swallow."""


def _interrupt(*_: object) -> None:
    raise _Interrupted


def run(app: typer.Typer) -> None:
    """Run a command and exit as every command of aeroact does.

    Exit status 0 is success, 2 wrong use, 1 a failure with one line on standard
    error (and a traceback with ``--debug``), 130 an interruption by Ctrl-C.
    """
    # Under nohup and in the background of a script, Ctrl-C is not meant for us.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        app()
    except AeroactError as error:
        _fail(str(error), error)
    except OSError as error:
        _fail(_describe(error), error)
    except _Interrupted as error:
        _fail("interrupted; run the same command again", error, status=130)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a line, not a page
        _fail(f"unexpected {type(error).__name__}: {error} (--debug shows where)", error)


def _describe(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"{where}the disk is full; make room and run the same command again"
    return f"{where}{error.strerror or error}"


def _fail(message: str, error: BaseException, status: int = 1) -> None:
    if _debug:
        raise error
    sys.stdout.flush()
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)


def width() -> int:
    """Return the columns of the terminal, or those of a plain line where there is none."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console().width
    said = os.environ.get("COLUMNS", "")
    return int(said) if said.isdecimal() and int(said) else 160


def print_table(table: "Table") -> None:
    """Print a table: framed on a terminal, plain columns wide enough for it when piped."""
    from rich.console import Console

    if sys.stdout.isatty():
        Console().print(table)
        return
    screen = Console(width=width(), highlight=False)
    # A title would be folded to the width of its table.
    screen.print(table.title, soft_wrap=True)
    table.title = table.box = None
    screen.print(table)


def warn(message: str) -> None:
    """Say on standard error, in one line, what the user should know though work goes on."""
    print(f"warning: {' '.join(message.split())}", file=sys.stderr, flush=True)


class Progress(Protocol):
    """Something that can be told how far the work has come."""

    def __call__(self, done: int, note: str = "") -> None:
        """Say that `done` units of the work are finished, with a short remark."""


class ProgressBar(Protocol):
    """Something that shows one stretch of work after another, as `progress` does."""

    def __call__(
        self, title: str, total: int, done: int = 0, *, unit: str = "", after: float = 0.0
    ) -> AbstractContextManager[Progress]:
        """Begin with the next stretch."""


@contextmanager
def progress(
    title: str, total: int, done: int = 0, *, unit: str = "", after: float = 0.0
) -> Iterator[Progress]:
    """Show how far long work has come, with the time that is left.

    On a terminal this is a bar; piped, it is a plain line at each tenth of the work and
    each minute.

    Parameters
    ----------
    title : str
        What is being done.
    total : int
        Units of work in all.
    done : int
        Units that an earlier, interrupted run finished.
    unit : str
        What the units are called. With a name, their number a second is shown.
    after : float
        Seconds before anything is shown: work that ends sooner goes without a word.
    """
    pace = _Pace(total, done, unit)
    if not sys.stdout.isatty():
        yield _plain_progress(title, pace, after)
        return

    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = [
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[pace]}"),
        TextColumn("{task.fields[note]}"),
    ]
    bar = Bar(*columns, expand=True)
    task = bar.add_task(title, total=total, completed=done, note="", pace="")
    if not after:
        bar.start()

    def show(done: int, note: str = "") -> None:
        bar.update(task, completed=done, note=note, pace=pace.text(done))
        if pace.seconds >= after:
            bar.start()

    try:
        yield show
    finally:
        bar.stop()


@contextmanager
def no_progress(
    title: str, total: int, done: int = 0, *, unit: str = "", after: float = 0.0
) -> Iterator[Progress]:
    """Show nothing; takes the place of `progress` in scripts and tests."""

    def ignore(done: int, note: str = "") -> None:
        pass

    yield ignore


class _Pace:
    """How fast work goes since it was taken up, and so how long it will still take."""

    def __init__(self, total: int, done: int, unit: str) -> None:
        self.total, self.first, self.unit = total, done, unit
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def text(self, done: int) -> str:
        rate = (done - self.first) / max(self.seconds, 1e-6)
        parts = [f"{rate:,.0f} {self.unit}/s"] if self.unit else []
        if done < self.total:
            left = f"{timedelta(seconds=round((self.total - done) / rate))}" if rate else "?"
            parts.append(f"{left} left")
        return ", ".join(parts)


def _plain_progress(title: str, pace: _Pace, after: float) -> Progress:
    shown, at = 10 * pace.first // max(pace.total, 1), 0.0

    def show(done: int, note: str = "") -> None:
        nonlocal shown, at
        tenth, seconds = 10 * done // max(pace.total, 1), pace.seconds
        if seconds >= after and (tenth > shown or seconds > at + _PLAIN_INTERVAL):
            shown, at = tenth, seconds
            remarks = [pace.text(done)] if pace.unit else []
            remarks += [note] if note else []
            print("  ".join([f"{title}: {done:,} of {pace.total:,}", *remarks]), flush=True)

    return show
