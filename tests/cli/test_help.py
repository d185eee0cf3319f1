"""Every command's help: an example, and the defaults that hold."""

import re
import tomllib
from pathlib import Path

import pytest

from aeroact.hpo.config import Project

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
COMMANDS: list[tuple[str, ...]] = [
    ("aeroact-data", "generate"),
    ("aeroact-data", "check"),
    ("aeroact-data", "harvest"),
    ("aeroact-hpo", "run"),
    ("aeroact-hpo", "step1"),
    ("aeroact-hpo", "step2"),
    ("aeroact-hpo", "plan"),
    ("aeroact-hpo", "status"),
    ("aeroact-hpo", "report"),
    ("aeroact-hpo", "slurm"),
    ("aeroact-hpo", "worker"),
    ("aeroact-export",),
    ("aeroact-export", "bench"),
    ("aeroact-export", "rank"),
    ("aeroact-export", "verify"),
    ("aeroact-export", "fortran-src"),
    ("aeroact-zoo", "list"),
    ("aeroact-zoo", "show"),
    ("aeroact-zoo", "verify"),
    ("aeroact-zoo", "install"),
    ("aeroact-zoo", "index"),
]


def text_of(help_page: str) -> str:
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", help_page).split())


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example_of_the_command(command, run_command):
    done = run_command(*command, "--help")
    assert done.returncode == 0
    assert f"Example: {' '.join(command)}" in text_of(done.stdout)


@pytest.mark.parametrize("command", sorted(SCRIPTS))
def test_no_command_of_a_group_is_left_out_above(command, run_command):
    page = run_command(command, "--help").stdout
    if listed := re.search(r"Commands ─+╮\n(.*?)╰", page, re.DOTALL):
        names = re.findall(r"^│ ([\w-]+) ", listed[1], re.MULTILINE)
        offered: set[tuple[str, ...]] = {(command, name) for name in names}
    else:  # a command that has parts beside itself names them in a sentence
        parts = re.search(rf"Parts of it: {command} ([\w, -]+);", text_of(page))
        names = parts[1].split(", ") if parts else []
        offered = {(command,), *((command, name) for name in names)}
    assert offered == {known for known in COMMANDS if known[0] == command}


def test_help_of_the_search_tells_the_defaults_that_hold(run_command):
    page = text_of(run_command("aeroact-hpo", "run", "--help").stdout)
    for name in ("trials", "p_subset", "retrain", "max_params", "epochs", "batch_size", "seed"):
        default = Project.model_fields[name].default
        option = re.search(rf"--{name.replace('_', '-')} .*?\[default: (.*?)\]", page)
        assert option is not None, name
        assert option[1] == str(default)
