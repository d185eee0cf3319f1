"""Pages of documentation: where their links lead, and what of them can be run."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.commands import COMMANDS


def blocks(text: str, language: str) -> list[str]:
    """Return the pieces of code in a language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def assert_links_lead_somewhere(page: Path) -> None:
    """See that what a page links to is there."""
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def assert_runs(text: str, folder: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Run the shell commands of a text and then its Python, word for word, in a folder."""
    shell, python = "\n".join(blocks(text, "sh")), "\n".join(blocks(text, "python"))
    assert shell or python
    path = f"{COMMANDS}{os.pathsep}{environment['PATH']}"
    for command in (["bash", "-ec", shell], [sys.executable, "-c", python]):
        done = subprocess.run(
            command,
            cwd=folder,
            env={**environment, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
