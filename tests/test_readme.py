"""What README.md says can be run is run, word for word."""

import re
from pathlib import Path

from tests.pages import assert_links_lead_somewhere, assert_runs, blocks

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_first_screen_says_what_it_is_shows_a_result_and_two_commands():
    screen = "\n".join(README.splitlines()[:25])
    assert "aerosol activation" in screen
    (figure,) = re.findall(r"!\[.+\]\((.+\.png)\)", screen)
    assert (ROOT / figure).is_file()
    assert "make run" in screen
    assert "make test" in screen


def test_links_lead_somewhere():
    assert_links_lead_somewhere(ROOT / "README.md")


def test_the_commands_and_the_python_of_the_tour_work(tmp_path):
    section = re.search(r"^## Step by step\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    assert section is not None
    assert [len(blocks(section[1], language)) for language in ("sh", "python")] == [1, 1]
    assert_runs(section[1], tmp_path)
