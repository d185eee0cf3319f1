"""The page in a real browser: nothing is amiss, figures are seen, tables sorted, phones served."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from aeroact.hpo.report import page
from aeroact.hpo.report.page import html_table, verdict

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="needs a browser: apt-get install chromium chromium-driver",
)


@pytest.fixture(scope="module")
def browser() -> Iterator["Chrome"]:
    """Chromium without a screen and without a network."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        driver.execute_cdp_cmd("Network.enable", {})
        driver.execute_cdp_cmd(
            "Network.emulateNetworkConditions",
            {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
        )
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def opened(browser, report_of_four: Path) -> "Chrome":
    browser.set_window_size(1200, 900)
    browser.get((report_of_four / "report.html").as_uri())
    return browser


def find(browser: "Chrome", selector: str) -> "list[WebElement]":
    from selenium.webdriver.common.by import By

    return browser.find_elements(By.CSS_SELECTOR, selector)


@needs_browser
def test_nothing_is_amiss_on_the_console(opened):
    assert opened.title == "Two-step search: P0.05, P0.25, P0.50, P1.00"
    assert opened.get_log("browser") == []


@needs_browser
def test_nothing_is_asked_of_the_network(opened):
    log = (json.loads(entry["message"])["message"] for entry in opened.get_log("performance"))
    asked = [
        m["params"]["request"]["url"] for m in log if m["method"] == "Network.requestWillBeSent"
    ]
    assert all(url.startswith(("file://", "data:")) for url in asked)


@needs_browser
def test_every_figure_is_seen(opened, report_of_four):
    drawn = {path.stem for path in (report_of_four / "figures").glob("*.png")}
    images = find(opened, "figure img")
    assert {image.find_element("xpath", "../..").get_attribute("id") for image in images} == drawn
    for image in images:
        width, shown = opened.execute_script(
            "return [arguments[0].naturalWidth, arguments[0].getBoundingClientRect().width]", image
        )
        assert width > 500
        assert shown > 500
        assert image.get_attribute("alt")


def column(browser: "Chrome", table: str, place: int) -> list[str]:
    return [cell.text for cell in find(browser, f"{table} tbody tr td:nth-child({place})")]


@needs_browser
def test_tables_are_sorted_by_a_click(opened):
    table = "#table_table_s1"
    heads = [head.text.split("\n")[0].strip() for head in find(opened, f"{table} th")]
    params = heads.index("parameters") + 1
    (button,) = find(opened, f"{table} th:nth-child({params}) button")

    def numbers() -> list[int]:
        return [int(text.replace(",", "")) for text in column(opened, table, params)]

    before = numbers()
    opened.execute_script("arguments[0].scrollIntoView()", button)
    button.click()
    assert numbers() == sorted(before) != before
    head = button.find_element("xpath", "..")
    assert head.get_attribute("aria-sort") == "ascending"
    button.click()
    assert numbers() == sorted(before, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    # By the keyboard, a column of text.
    (other,) = find(opened, f"{table} th:nth-child({heads.index('project') + 1}) button")
    other.send_keys("\n")
    texts = column(opened, table, heads.index("project") + 1)
    assert texts == sorted(texts)
    assert head.get_attribute("aria-sort") is None


@needs_browser
def test_what_has_no_value_comes_last(browser, tmp_path):
    table = html_table(pd.DataFrame({"a": [2.0, None, 1.0, 10.0]}))
    script = re.search(r"<script>.*</script>", _rendered(), re.DOTALL)
    assert script
    path = tmp_path / "table.html"
    path.write_text(f"<!doctype html><title>t</title>{table}{script.group()}")
    browser.get(path.as_uri())
    (button,) = find(browser, "th button")
    for expected in (["1", "2", "10", "-"], ["10", "2", "1", "-"]):
        button.click()
        assert column(browser, "table", 1) == expected


@needs_browser
@pytest.mark.parametrize("width", [320, 375, 412])
def test_it_can_be_read_at_phone_width(opened, report_of_four, width):
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 2, "mobile": True},
    )
    try:
        opened.get((report_of_four / "report.html").as_uri())
        page_width, size = opened.execute_script(
            "return [document.documentElement.scrollWidth,"
            " parseFloat(getComputedStyle(document.body).fontSize)]"
        )
        # Nothing but tables is wider than the screen, and they scroll by themselves.
        assert page_width <= width
        assert size >= 16
        for image in find(opened, "figure img"):
            assert image.size["width"] <= width
        assert any(
            opened.execute_script("return arguments[0].scrollWidth > arguments[0].clientWidth", e)
            for e in find(opened, ".scroll")
        )
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        opened.get((report_of_four / "report.html").as_uri())


@needs_browser
def test_links_lead_to_what_they_name(opened):
    for link in find(opened, "nav a"):
        target = str(link.get_attribute("href")).split("#")[1]
        (section,) = find(opened, f"#{target}")
        assert section.find_element("css selector", "h2").text == link.text


def _rendered(**changes: object) -> str:
    projects = pd.DataFrame({"project": ["P0.05"], "p_subset": [0.05], "best_test_mse": [1e-5]})
    provenance = {"runs": {"P0.05": {}}, "report": {"processor": "a", "versions": {}}}
    arguments = {"sections": [], "made": {"projects": projects}, "missing": []} | changes
    return page.render(provenance=provenance, **arguments)  # type: ignore[arg-type]


def test_text_cannot_become_markup():
    rendered = _rendered(missing=["<script>alert(1)</script>"])
    assert "<script>alert" not in rendered
    assert "<b>" not in html_table(pd.DataFrame({"<b>": ["<b>bold</b>"]}))


def test_the_verdict_compares_projects():
    projects = pd.DataFrame(
        {
            "p_subset": [0.05, 1.0],
            "median_val_mse_retrained": [8e-5, 2e-5],
            "best_test_mse": [1e-5, 1.1e-5],
            "median_test_mse": [2e-5, 2e-5],
        }
    )
    text = " ".join(verdict(projects))
    assert "by a factor of 4.00" in text
    assert "median test MSE differs by a factor of 1.00, that of the best by 1.10" in text
    assert verdict(projects.iloc[:1]) == []
