"""Every command and every piece of Python in docs/ is run, word for word, page by page."""

import shutil
from pathlib import Path

import pytest

from tests.eam_file import write_eam
from tests.pages import assert_links_lead_somewhere, assert_runs

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = sorted(page.name for page in DOCS.glob("*.md"))
BRIDGE = DOCS.parent / "fortran_bridge"


@pytest.mark.parametrize(
    "page",
    [*(DOCS / page for page in PAGES), BRIDGE / "README.md", BRIDGE / "e3sm" / "README.md"],
    ids=lambda page: f"{page.parent.name}/{page.name}",
)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    assert_links_lead_somewhere(page)


def test_the_index_lists_every_page() -> None:
    index = (DOCS / "README.md").read_text()
    for page in PAGES:
        assert page == "README.md" or f"({page})" in index


# README.md's tour has the commands that matter most.
SLOW = {"bring-your-own.md", "export.md", "fortran.md", "planning.md", "report.md", "search.md"}


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow if page in SLOW else ())
        for page in PAGES
        if page not in {"README.md", "cluster.md", "limits.md"}
    ],
)
def test_what_a_page_says_can_be_run(page: str, tmp_path: Path) -> None:
    if page == "fortran.md" and not (shutil.which("gfortran") and shutil.which("cmake")):
        pytest.skip("needs a Fortran compiler and CMake: apt-get install gfortran cmake make")
    # What a user has who harvests: two months of E3SM's history.
    for month, first in ((1, 0.0), (2, 31.0)):
        history = tmp_path / f"eam.h1.0001-{month:02d}.nc"
        write_eam(history, times=4, levels=12, columns=(100,), first_time=first, seed=month)
    assert_runs((DOCS / page).read_text(), tmp_path)


@pytest.mark.slow
def test_what_the_page_on_clusters_says_can_be_run(slurm, tmp_path: Path) -> None:
    try:
        assert_runs((DOCS / "cluster.md").read_text(), tmp_path, slurm.env)
    finally:
        slurm.cancel_all()
