"""What a person sees: a picture that fits the terminal, and lines when there is none."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from aeroact.hpo import screen
from aeroact.hpo.choices import WIDTHS
from aeroact.hpo.journal import Trial
from aeroact.hpo.standing import Standing

NOW = 1_700_000_000.0

ARCHITECTURES = st.lists(st.sampled_from(WIDTHS), min_size=1, max_size=20).map(tuple)
MESSAGES = st.text(max_size=50) | st.sampled_from(["out of memory " * 20, "x" * 300])


def trial(name, status, widths=(64, 32), step=1, **values):
    return Trial(step, name, widths, status, **values)


def completed(name, mse, widths=(64, 32), **values):
    return trial(name, "COMPLETED", widths, val_mse=[0.5, mse], holdout={"mse": mse}, **values)


def search(total=60):
    """Return a step amid its work: 4 trials of 30 s each have ended, 2 run."""
    standing = Standing(1, total)
    ended = {"started": NOW - 30, "ended": NOW}
    standing.add(completed("00", 3e-4, **ended))
    standing.add(completed("01", 2e-4, (512,) * 20, **ended))
    standing.add(trial("02", "PRUNED", val_mse=[0.1], **ended))
    standing.add(trial("03", "FAILED", message="nan in epoch 7", **ended))
    standing.add(trial("04", "RUNNING", started=NOW))
    standing.add(trial("05", "RUNNING", started=NOW))
    return standing


@pytest.fixture(autouse=True)
def _the_time_is_known(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: NOW)


def drawn(standing, width, *, working=True, elapsed=None):
    """Return the lines of a picture on a terminal of some width."""
    console = Console(width=width, record=True, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    with console.file:
        console.print(screen._picture("Step 1, trials", standing, working, elapsed))
    return console.export_text().splitlines()


def test_a_picture_has_all_that_matters(monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    lines = [" ".join(line.split()) for line in drawn(search(), 80, elapsed=65.2)]
    assert set(lines.pop(4)) == {"─"}
    assert lines == [
        "Step 1, trials ━━━━ 4/60",  # without colours, what is left has no bar
        "0:01:05 elapsed, 240 trials/h, 0:14:00 left, 2 running, 1 pruned, 1 failed",
        "Best by validation MSE",
        "rank trial MSE layers parameters epochs nodes",
        "1 01 2.00e-04 20 5,001,220 2 512, 512, 512, 512, 512, …",
        "2 00 3.00e-04 2 3,300 2 64, 32",
        "1 failed: nan in epoch 7",
    ]


def test_of_a_search_that_ended_nothing_is_left():
    lines = drawn(search(total=4), 80, working=False)
    assert lines[1].strip() == "240 trials/h, 2 interrupted, 1 pruned, 1 failed"


@settings(deadline=None, max_examples=60)
@given(
    width=st.sampled_from([80, 120]),
    of=st.lists(st.tuples(ARCHITECTURES, MESSAGES, st.booleans()), max_size=8),
    total=st.sampled_from([0, 8, 10_000]),
)
def test_no_line_is_wider_than_the_terminal_and_no_row_is_folded(width, of, total):
    standing = Standing(1, total)
    for k, (widths, message, good) in enumerate(of):
        name = f"{k:05d}"
        if good:
            standing.add(completed(name, 10.0**-k, widths))
        else:
            standing.add(trial(name, "FAILED", widths, message=message))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.stdout, "isatty", lambda: True)
        lines = drawn(standing, width, elapsed=3e6)
    assert max(cell_len(line) for line in lines) <= width
    table = 3 if standing.completed else 0  # title, heading and rule
    reasons = min(len(standing.failures), 6)
    assert len(lines) == 2 + table + len(standing.best()) + reasons


def test_a_long_reason_is_cut():
    standing = Standing(1, 9)
    standing.add(trial("0", "FAILED", message="x" * 300))
    assert drawn(standing, 80)[-1] == f"1 failed: {'x' * 69}…"


def test_nodes_are_cut_between_two_layers():
    nodes = screen._Nodes(trial("0", "COMPLETED", (64, 512, 8)))
    console = Console(width=9, record=True, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    with console.file:
        console.print(nodes)
    assert console.export_text() == "64, …\n"


def test_seldom_reasons_share_a_line():
    standing = Standing(1, 99)
    for k, why in enumerate("aabcdefg"):
        standing.add(trial(f"{k}", "FAILED", message=why))
    assert screen._failures(standing) == [
        "2 failed: a",
        *(f"1 failed: {why}" for why in "bcde"),
        "2 failed for other reasons",
    ]


def test_piped_it_is_a_line_at_each_tenth(capsys):
    standing = Standing(1, 20)
    with screen.watch(screen.TITLES[1], standing) as tell:
        for k in range(4):
            tell(trial(f"{k}", "RUNNING", started=NOW - 30))
            tell(completed(f"{k}", 1e-3 / (k + 1), started=NOW - 30, ended=NOW))
    assert capsys.readouterr().out.splitlines() == [
        "Step 1, trials: 2 of 20  best validation MSE 5.00e-04  120 trials/h  0:09:00 left",
        "Step 1, trials: 4 of 20  best validation MSE 2.50e-04  120 trials/h  0:08:00 left",
    ]


def test_piped_the_second_step_speaks_of_the_holdout(capsys):
    with screen.watch(screen.TITLES[2], Standing(2, 2)) as tell:
        tell(trial("7", "FAILED", step=2, message="no"))
        tell(completed("8", 1e-3, step=2))
    assert capsys.readouterr().out.splitlines() == [
        "Step 2, retraining: 1 of 2",
        "Step 2, retraining: 2 of 2  best holdout MSE 1.00e-03",
    ]


def test_what_a_dead_process_left_running_does_not_run():
    standing = search()
    with screen.watch(screen.TITLES[1], standing):
        assert standing.running == {}


def test_shown_once_piped_it_is_plain(capsys):
    retraining = Standing(2, 3)
    retraining.add(completed("01", 1e-5, (8,) * 20, step=2, started=NOW - 7200, ended=NOW - 200))
    screen.show(Path("runs/mine"), [search(), retraining], running=True)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "runs/mine: a process is working on it now; the last trial ended 0 s ago",
        "",
        "Step 1, trials: 4 of 60 2 running, 1 pruned, 1 failed best validation MSE 2.00e-04"
        " 240 trials/h 0:14:00 left",
        "Best by validation MSE",
        "rank trial MSE layers parameters epochs nodes",
        "1 01 2.00e-04 20 5,001,220 2 " + ", ".join(["512"] * 20),
        "2 00 3.00e-04 2 3,300 2 64, 32",
        "1 failed: nan in epoch 7",
        "",
        "Step 2, retraining: 1 of 3 best holdout MSE 1.00e-05",
        "Best by holdout MSE",
        "rank trial MSE layers parameters epochs nodes",
        "1 01 1.00e-05 20 1,540 2 " + ", ".join(["8"] * 20),
    ]


def test_piped_no_layer_is_left_out(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    screen.show(Path("runs/mine"), [search()], running=True)
    assert capsys.readouterr().out.count("512") == 20


@pytest.mark.parametrize(
    ("seconds", "ago"),
    [(3, "3 s"), (200, "3 min"), (7_200, "2 h"), (260_000, "3 d"), (-5, "0 s")],
)
def test_it_says_when_the_last_trial_ended(seconds, ago, capsys):
    standing = Standing(1, 2)
    standing.add(completed("0", 0.1, started=NOW - 1e6, ended=NOW - seconds))
    screen.show(Path("run"), [standing], running=False)
    head = capsys.readouterr().out.splitlines()[0]
    assert head == f"run: no process is working on it; the last trial ended {ago} ago"


def test_a_run_is_finished_when_both_steps_are(capsys):
    first, second = search(total=4), Standing(2, 1)
    second.add(completed("01", 0.1, step=2))
    screen.show(Path("run"), [first], running=False)
    assert "finished" not in capsys.readouterr().out
    screen.show(Path("run"), [first, second], running=False)
    assert "run: finished; the last trial" in capsys.readouterr().out


def test_a_run_of_which_nothing_is_known_yet_is_shown(capsys):
    screen.show(Path("run"), [Standing(1, 60)], running=False)
    assert capsys.readouterr().out.splitlines() == [
        "run: no process is working on it",
        "",
        "Step 1, trials: 0 of 60",
    ]


LIVE = """
import time
from dataclasses import replace
from aeroact.hpo import screen
from aeroact.hpo.journal import Trial
from aeroact.hpo.standing import Standing
from aeroact import console
import typer
app = typer.Typer()
screen._CLOCK = {clock}
@app.command()
def search():
    with screen.watch(screen.TITLES[1], Standing(1, {total})) as tell:
        for k in range(3):
            trial = Trial(1, f"{{k}}", (64,) * 20, "RUNNING", started=time.time())
            tell(trial)
            tell(replace(trial, status="COMPLETED", val_mse=[1e-3], ended=time.time() + 1))
        tell(Trial(1, "3", (64,), "RUNNING"))
        while {total} > 3:
            time.sleep(0.1)
console.run(app)
"""


def on_a_terminal(code, interrupt_at=None):
    """Run code on a terminal of 80 columns; returns its exit status and what it shows."""
    master, terminal = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    with subprocess.Popen([sys.executable, "-c", code], stdout=terminal, env=environment) as child:
        os.close(terminal)
        shown, interrupted = b"", False
        while select.select([master], [], [], 60)[0]:
            try:
                shown += os.read(master, 1 << 16)
            except OSError:  # how Linux says that the other end is closed
                break
            if interrupt_at and not interrupted and interrupt_at in shown.decode(errors="ignore"):
                child.send_signal(signal.SIGINT)
                interrupted = True
        else:
            child.kill()  # what was waited for has not come
        os.close(master)
    return child.returncode, shown.decode()


def last_picture(shown):
    """Return the words of the lines drawn last, without what moves the cursor or colours."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown[shown.rindex("Step 1, trials") :])
    return [" ".join(line.split()) for line in plain.splitlines() if line.strip()]


def test_on_a_terminal_the_picture_stays_at_the_end():
    code, shown = on_a_terminal(LIVE.format(total=3, clock=1))
    assert code == 0
    lines = last_picture(shown)
    assert lines[0].endswith("3/3")
    assert "trials/h" in lines[1]
    assert [line.split()[:2] for line in lines[-3:]] == [["1", "0"], ["2", "1"], ["3", "2"]]
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is back


def test_after_ctrl_c_the_picture_stays_and_says_so():
    # Without a clock: what is waited for is drawn because it has changed.
    code, shown = on_a_terminal(LIVE.format(total=60, clock=1e6), interrupt_at="1 running")
    assert code == 130
    lines = last_picture(shown)
    assert lines[0].endswith("3/60")
    assert "1 interrupted" in lines[1]
    assert "left" not in lines[1]
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_the_clock_goes_on_while_nothing_happens():
    code, shown = on_a_terminal(LIVE.format(total=60, clock=1), interrupt_at="0:00:02 elapsed")
    assert code == 130
    assert "0:00:01 elapsed" in shown
