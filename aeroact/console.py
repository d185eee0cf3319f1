"""What all commands share: exit status, errors in one line, progress."""

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from aeroact.errors import AeroactError

if TYPE_CHECKING:
    from rich.table import Table

_debug = False


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
        _fail("interrupted; the same command goes on from here", error, status=130)
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


def print_table(table: "Table") -> None:
    """Print a table: framed on a terminal, plain columns wide enough for it when piped."""
    from rich.console import Console

    if sys.stdout.isatty():
        Console().print(table)
        return
    screen = Console(width=int(os.environ.get("COLUMNS", "160")), highlight=False)
    # A title would be folded to the width of its table.
    screen.print(table.title, soft_wrap=True)
    table.title = table.box = None
    screen.print(table)


class Progress(Protocol):
    """Something that can be told how far the work has come."""

    def __call__(self, done: int, note: str = "") -> None:
        """Say that `done` units of the work are finished, with a short remark."""


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[Progress]:
    """Show how far long work has come, with the time that is left.

    On a terminal this is a bar; piped, it is a plain line at each tenth of the work.

    Parameters
    ----------
    title : str
        What is being done.
    total : int
        Units of work in all.
    done : int
        Units that an earlier, interrupted run finished.
    """
    if not sys.stdout.isatty():
        yield _plain_progress(title, total, done)
        return

    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    ]
    with Bar(*columns) as bar:
        task = bar.add_task(title, total=total, completed=done, note="")

        def show(done: int, note: str = "") -> None:
            bar.update(task, completed=done, note=note)

        yield show


def _plain_progress(title: str, total: int, done: int) -> Progress:
    shown = 10 * done // max(total, 1)

    def show(done: int, note: str = "") -> None:
        nonlocal shown
        tenth = 10 * done // max(total, 1)
        if tenth > shown:
            shown = tenth
            print(f"{title}: {done:,} of {total:,}{'  ' + note if note else ''}", flush=True)

    return show
