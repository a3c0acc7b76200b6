"""Views in a real browser: read without JavaScript, told by their addresses, nothing asked of the network, and axe finds nothing."""

from pathlib import Path
from typing import Any

import axe_core_python
import pytest

from audit.pipeline import Run
from tests.audit.explore.served import Served
from tests.audit.report.test_browser import RULES, browser  # noqa: F401 - a fixture

VIEWS = (
    "/",
    "/examples?where=correct%3Afalse%3A&sort=-confidence",
    "/clusters",
    "/groups",
    "/runs",
    "/worklists",
    "/live",
)
AXE = Path(axe_core_python.__file__).parent / "axe.min.js"


class Visit:
    """A page of a browser that has shown the token; what it asked for and complained of."""

    def __init__(self, browser: Any, at: Served, **context: Any) -> None:  # noqa: F811
        self.page = browser.new_context(viewport={"width": 1280, "height": 900}, **context).new_page()
        self.at, self.asked, self.told = at, list[str](), list[str]()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on(
            "console", lambda message: self.told.append(message.text) if message.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.told.append(str(error)))
        self.page.goto(at.entry)

    def to(self, path: str) -> Any:
        self.page.goto(self.at.base + path)
        self.page.wait_for_load_state("networkidle")
        return self.page

    def is_quiet(self) -> bool:
        outside = [url for url in self.asked if not url.startswith((self.at.base, "data:", "blob:"))]
        return not outside and [each for each in self.told if "favicon" not in each] == []


def some_paths(at: Served) -> list[str]:
    record = at.shelf.record
    wrong = record.exhibits[0].id if record.exhibits else at.shelf.cells("id", [0])[0]
    return [*VIEWS, f"/finding/{record.findings[0].id}", f"/example/{wrong}"]


@pytest.mark.parametrize("kind", ["texts_served", "images_served"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_no_page_asks_anything_of_the_network(
    browser: Any,  # noqa: F811
    request: pytest.FixtureRequest,
    kind: str,
    scheme: str,
) -> None:
    at = request.getfixturevalue(kind)
    visit = Visit(browser, at, color_scheme=scheme, bypass_csp=True)
    for path in some_paths(at):
        page = visit.to(path)
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate(f"axe.run(document, {{runOnly: {RULES}}})")
        assert len(found["passes"]) > 12
        assert [(each["impact"], each["id"], each["nodes"][0]["html"][:200]) for each in found["violations"]] == [], (
            path
        )
    assert visit.is_quiet(), (visit.asked, visit.told)


@pytest.mark.parametrize("kind", ["texts_served", "images_served"])
def test_pages_are_read_without_javascript_and_fit_a_phone(
    browser: Any,  # noqa: F811
    request: pytest.FixtureRequest,
    kind: str,
) -> None:
    at = request.getfixturevalue(kind)
    visit = Visit(browser, at, java_script_enabled=False)
    for path in some_paths(at):
        assert visit.to(path).locator("h1").count() == 1 and visit.page.locator("main").inner_text().strip(), path
    narrow = Visit(browser, at)
    narrow.page.set_viewport_size({"width": 390, "height": 900})
    for path in some_paths(at):
        assert narrow.to(path).evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_from_a_breach_to_an_exported_worklist(browser: Any, texts_served: Served) -> None:  # noqa: F811
    visit = Visit(browser, texts_served)
    page = visit.page
    page.locator("a", has_text="BREACH").first.click()
    assert "BREACH" in page.locator("main").inner_text()
    page.get_by_role("link", name="All of these").first.click()
    assert page.url.partition("?")[2].startswith("where=")
    filtered = page.url
    page.locator("tbody .pick").nth(0).check()
    page.locator("tbody .pick").nth(2).check()
    assert page.locator("#selected").inner_text() == "2 examples are selected."
    page.reload()
    assert page.locator("tbody .pick").nth(2).is_checked() and page.url == filtered
    page.locator("table.examples tbody a").first.click()
    assert "Groups of words" in page.locator("main").inner_text()
    page.go_back()
    assert page.url == filtered and page.locator("#selected").inner_text() == "2 examples are selected."
    page.get_by_label("Name").fill("moved by she")
    page.get_by_label("Note").fill("<b>look</b> at the word")
    page.get_by_role("button", name="Save").click()
    assert page.url.endswith("/worklists") and "<b>look</b> at the word" in page.locator("main").inner_text()
    with page.expect_download() as got:
        page.get_by_role("link", name="CSV").click()
    lines = Path(got.value.path()).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3 and got.value.suggested_filename == "moved by she.csv"
    (texts_served.shelf.folder / "explorer" / "moved by she.json").unlink()
    assert visit.is_quiet(), visit.told


def test_conditions_are_added_one_by_one_and_removed(browser: Any, texts_served: Served) -> None:  # noqa: F811
    page = Visit(browser, texts_served).to("/examples")
    page.locator("#column").select_option("label")
    assert page.locator("#operation option:not([disabled])").all_inner_texts() == ["is", "is not", "is known"]
    page.locator("#value").fill("fresh")
    page.get_by_role("button", name="Add condition").click()
    page.get_by_label("Search the texts").fill("she")
    page.get_by_role("button", name="Search").click()
    assert page.locator(".filters li").all_inner_texts() == ["label is fresh remove", "text contains she remove"]
    assert all("she" in each.lower() for each in page.locator("table.examples td.cell").all_inner_texts())
    page.get_by_role("link", name="Remove: label is fresh").click()
    assert page.locator(".filters li").count() == 1


def test_a_loop_on_the_map_selects(browser: Any, texts_served: Served) -> None:  # noqa: F811
    page = Visit(browser, texts_served).to("/clusters")
    box = page.locator("#map").bounding_box()
    corners = [(2, 2), (box["width"] - 2, 2), (box["width"] - 2, box["height"] - 2), (2, box["height"] - 2), (2, 4)]
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    for x, y in corners:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=4)
    page.mouse.up()
    assert "examples are selected" in page.locator("#selected").inner_text()
    page.locator("#map").press("Escape")
    assert page.locator("#selected").inner_text() == "Nothing is selected."


def test_a_text_is_explained_while_it_is_typed(browser: Any, texts_served: Served) -> None:  # noqa: F811
    page = Visit(browser, texts_served).to("/live")
    page.locator("#live-text").fill("she mamox girl")
    page.locator("#explained .tokens").wait_for()
    before = page.locator("#explained").inner_text()
    page.locator("#live-text").fill("he mamox boy")
    page.wait_for_function("was => document.getElementById('explained').innerText !== was", arg=before)
    assert "text=he" in page.url
    page.reload()
    assert "he mamox boy" in page.locator("#explained .tokens").inner_text()


def test_a_photograph_is_sent_and_covered(browser: Any, images_served: Served, image_run: Run) -> None:  # noqa: F811
    page = Visit(browser, images_served).to("/live")
    photograph = next((image_run.folder.parents[2]).rglob("p0000.png"))
    page.locator("#photograph").set_input_files(photograph)
    page.locator("#seen").wait_for()
    before = page.locator("#explained").inner_text()
    page.locator("[name=covered]").fill("0,0,20,20")
    page.wait_for_function("was => document.getElementById('explained').innerText !== was", arg=before)
    page.locator("#photograph").set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": b"no image"})
    page.get_by_text("none of").wait_for()


def test_two_browsers_see_the_same_worklists(browser: Any, texts_served: Served) -> None:  # noqa: F811
    one, other = (Visit(browser, texts_served) for _ in range(2))
    one.to("/examples").locator("tbody .pick").first.check()
    one.page.get_by_label("Name").fill("shared")
    one.page.get_by_role("button", name="Save").click()
    assert "shared" in other.to("/worklists").locator("main").inner_text()
    (texts_served.shelf.folder / "explorer" / "shared.json").unlink()
