"""Every command ends the same way: an exit status, and one line that says what is wrong."""

import errno
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer
from rich.table import Table

from aeroact import console
from aeroact.errors import AeroactError


@pytest.fixture(autouse=True)
def _commands_start_afresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what a command changes in its own process, which here is that of the tests."""
    monkeypatch.setattr(console, "_debug", False)
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def ends_with(
    error: BaseException | None, monkeypatch: pytest.MonkeyPatch, *args: str
) -> int | str | None:
    """Run a command that raises an error; returns its exit status."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @app.command()
    def command(debug: console.Debug = False) -> None:
        if isinstance(error, KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        if error:
            raise error

    monkeypatch.setattr(sys, "argv", ["command", *args])
    with pytest.raises(SystemExit) as exit_:
        console.run(app)
    return exit_.value.code


def test_success_is_zero(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends_with(None, monkeypatch) == 0
    assert capsys.readouterr().err == ""


def test_wrong_use_is_two(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ends_with(None, monkeypatch, "--no-such-option") == 2


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (AeroactError("a.nc: fn is missing"), "error: a.nc: fn is missing"),
        (AeroactError("two\n  lines"), "error: two lines"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.nc"), "error: a.nc: No such file"),
        (
            OSError(errno.ENOSPC, "No space left on device", "a.nc"),
            "error: a.nc: the disk is full; make room and run the same command again",
        ),
        (OSError("something odd"), "error: something odd"),
        (
            ZeroDivisionError("by zero"),
            "error: unexpected ZeroDivisionError: by zero (--debug shows where)",
        ),
    ],
    ids=["ours", "two lines", "no file", "disk full", "bare", "unforeseen"],
)
def test_a_failure_is_one_and_one_line_on_standard_error(
    error: Exception,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ends_with(error, monkeypatch) == 1
    captured = capsys.readouterr()
    assert captured.err == line + "\n"
    assert captured.out == ""


def test_an_interruption_is_130_and_says_that_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends_with(KeyboardInterrupt(), monkeypatch) == 130
    assert "run the same command again" in capsys.readouterr().err


def test_debug_shows_where_an_error_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    error = AeroactError("the cause")
    with pytest.raises(AeroactError, match="the cause"):
        ends_with(error, monkeypatch, "--debug")


def lines_of(
    steps: list[int], capsys: pytest.CaptureFixture[str], total: int = 1000, done: int = 0
) -> list[str]:
    with console.progress("Parcels", total, done) as show:
        for step in steps:
            show(step)
    return capsys.readouterr().out.splitlines()


def test_piped_progress_is_a_plain_line_at_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of(list(range(1, 1001)), capsys)
    assert lines == [f"Parcels: {100 * k:,} of 1,000" for k in range(1, 11)]


def test_piped_progress_does_not_repeat_what_an_earlier_run_did(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert lines_of([500, 800, 1000], capsys, done=500) == [
        "Parcels: 800 of 1,000",
        "Parcels: 1,000 of 1,000",
    ]


class Clock:
    """Takes the place of the module `time`; goes only as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(console, "time", self)

    def monotonic(self) -> float:
        return self.now


def test_piped_progress_of_named_units_has_their_rate_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    # An earlier run's half is no part of the rate.
    with console.progress("Parcels", 1_000_000, 500_000, unit="parcels") as show:
        clock.now += 20.0
        show(600_000)
        clock.now += 5.0
        show(1_000_000)
    assert capsys.readouterr().out.splitlines() == [
        "Parcels: 600,000 of 1,000,000  5,000 parcels/s, 0:01:20 left",
        "Parcels: 1,000,000 of 1,000,000  20,000 parcels/s",
    ]


def test_piped_progress_has_a_line_a_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with console.progress("Parcels", 1_000_000) as show:
        for done in range(1, 10):
            clock.now += 21.0
            show(done)
    assert capsys.readouterr().out.splitlines() == [
        f"Parcels: {done} of 1,000,000" for done in (3, 6, 9)
    ]


@pytest.mark.parametrize("seconds", [1.0, 3.0])
def test_piped_progress_of_short_work_is_silent(
    seconds: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with console.progress("Writing", 10, after=2.0) as show:
        clock.now += seconds
        show(10)
    assert capsys.readouterr().out == ("Writing: 10 of 10\n" if seconds > 2.0 else "")


def test_progress_on_a_terminal_waits_until_work_is_long() -> None:
    shown = on_a_terminal(
        "from aeroact import console\n"
        "from types import SimpleNamespace\n"
        "import time\n"
        "clock = iter([0.0, *[1.0] * 4, *[3.0] * 9])\n"
        "console.time = SimpleNamespace(monotonic=lambda: next(clock))\n"
        "with console.progress('Short', 10, after=2.0) as show:\n"
        "    show(10)\n"
        "clock = iter([0.0, *[3.0] * 9])\n"
        "with console.progress('Long', 4000, unit='rows', after=2.0) as show:\n"
        "    show(1200)"
    )
    assert "Short" not in shown
    assert "Long" in shown
    assert "1,200/4,000" in shown
    assert "400 rows/s, 0:00:07 left" in shown


def test_no_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with console.no_progress("Parcels", 10, unit="parcels") as show:
        show(10)
    assert capsys.readouterr().out == ""


def test_a_warning_is_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    console.warn("two\n lines")
    assert capsys.readouterr() == ("", "warning: two lines\n")


def test_progress_of_nothing_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines_of([0], capsys, total=0) == []


def test_progress_shows_a_remark(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress("Trials", 2) as show:
        show(2, "best MSE 0.001")
    assert capsys.readouterr().out == "Trials: 2 of 2  best MSE 0.001\n"


def on_a_terminal(code: str) -> str:
    """Run code whose standard output is a terminal; returns what it shows."""
    master, terminal = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen([sys.executable, "-c", code], stdout=terminal, env=environment) as child:
        os.close(terminal)
        shown = b""
        while chunk := _read(master):
            shown += chunk
    os.close(master)
    assert child.returncode == 0
    return shown.decode()


def _read(master: int) -> bytes:
    try:
        return os.read(master, 1 << 16)
    except OSError:  # how Linux says that the other end is closed
        return b""


def test_progress_on_a_terminal_is_a_bar_with_the_time_left() -> None:
    shown = on_a_terminal(
        "from aeroact import console\n"
        "with console.progress('Parcels', 1000) as show:\n"
        "    show(500)"
    )
    assert "━" in shown
    assert "500/1,000" in shown
    assert "left" in shown
    assert "\x1b[" in shown


def test_a_piped_table_is_plain_columns(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("[bold]finding[/]", "rows", title="a file")
    table.add_row("usable", "1,000")
    console.print_table(table)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["a", "file"],
        ["finding", "rows"],
        ["usable", "1,000"],
    ]


@pytest.mark.parametrize(
    ("said", "width"), [("100", 100), ("", 160), ("0", 160), ("states.csv", 160), ("-5", 160)]
)
def test_a_width_that_is_none_is_not_taken(
    said: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", said)
    assert console.width() == width


def test_a_table_on_a_terminal_has_a_frame() -> None:
    shown = on_a_terminal(
        "from aeroact import console\n"
        "from rich.table import Table\n"
        "console.print_table(Table('finding', 'rows'))"
    )
    assert "┃" in shown
