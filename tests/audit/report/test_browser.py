"""Pages in a real browser: Chromium, with the network switched off, and axe-core's rules of WCAG 2.2 AA."""

import os
import shutil
from pathlib import Path

import axe_core_python
import pytest
from playwright.sync_api import sync_playwright

from audit.report.document import debug_html, history_html
from tests.audit.report.sample import html, sample_record
from tests.audit.report.test_debugging import debugged_record
from tests.audit.report.test_history_page import of, some_nights

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NAMES = ["report.html", "debug.html", "history.html", "histories.html"]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM and not os.environ.get("LRP_AUDIT_NEEDS_BROWSER"):
        pytest.skip("no Chromium on this machine: apt install chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    made = {"report.html": html(sample_record()), "debug.html": debug_html(debugged_record())}
    made["history.html"] = history_html([some_nights()])
    made["histories.html"] = history_html([some_nights(), of(*(each.run for each in some_nights().every), name="two")])
    for name, content in made.items():
        (folder / name).write_bytes(content)
    return folder


def opened(browser, path: Path, **context):
    """The page, and the addresses that it asked for."""
    page = browser.new_context(offline=True, bypass_csp=True, **context).new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    return page, asked


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(browser, pages, name, scheme, width):
    page, _ = opened(browser, pages / name, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.evaluate((Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate(f"axe.run(document, {{runOnly: {RULES}}})")
    assert len(found["passes"]) > 15
    assert [(each["impact"], each["id"], each["nodes"][0]["html"][:200]) for each in found["violations"]] == []


@pytest.mark.parametrize("name", NAMES)
def test_nothing_but_the_page_is_asked_for(browser, pages, name):
    _, asked = opened(browser, pages / name)
    assert asked == [(pages / name).as_uri()]


@pytest.mark.parametrize("name", NAMES)
def test_a_phone_scrolls_tables_and_never_the_page(browser, pages, name):
    page, _ = opened(browser, pages / name, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_page_needs_no_javascript(browser, pages):
    page, _ = opened(browser, pages / "report.html", java_script_enabled=False)
    assert page.inner_text("h1") == "film_reviews"
    assert page.locator("svg").count() > 5


def test_the_history_needs_no_javascript(browser, pages):
    page, _ = opened(browser, pages / "history.html", java_script_enabled=False)
    assert page.inner_text("h1") == "nightly"
    assert page.locator("figure svg").count() == 2


def test_links_of_the_contents_lead_to_their_sections(browser, pages):
    page, _ = opened(browser, pages / "report.html", viewport={"width": 1280, "height": 900})
    page.click("nav >> text=K. Provenance and sign-off")
    assert page.evaluate("document.querySelector(':target').id") == "K"
