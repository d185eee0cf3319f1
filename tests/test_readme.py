"""What README.md says can be run is run, word for word."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str, heading: str) -> list[str]:
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    assert section is not None, heading
    return re.findall(rf"```{language}\n(.*?)```", section[1], re.DOTALL)


def test_first_screen_says_what_it_is_shows_a_result_and_two_commands():
    screen = "\n".join(README.splitlines()[:25])
    assert "aerosol activation" in screen
    (figure,) = re.findall(r"!\[.+\]\((.+\.png)\)", screen)
    assert (ROOT / figure).is_file()
    assert "make run" in screen
    assert "make test" in screen


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_the_commands_and_the_python_of_the_tour_work(tmp_path):
    (shell,), (python,) = blocks("sh", "Step by step"), blocks("python", "Step by step")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in (["bash", "-ec", shell], [sys.executable, "-c", python]):
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
