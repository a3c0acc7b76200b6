"""Views in a real browser: read without JavaScript, told by their addresses, nothing asked of the network, and axe finds nothing."""

import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

import axe_core_python
import pytest
from playwright.sync_api import sync_playwright

from audit.explore.views import VIEWS
from audit.pipeline import Run
from tests.audit.explore.served import Served, served
from tests.audit.explore.visits import Visit, drop, from_verdict_to_worklist
from tests.audit.report.test_browser import CHROMIUM, RULES, browser  # noqa: F401 - a fixture
from tests.conftest import FEMALE, MALE

AXE = Path(axe_core_python.__file__).parent / "axe.min.js"
KINDS = ["texts_served", "images_served"]
CONTROLS = "a[href], button, input:not([type=hidden]), select, textarea, canvas[tabindex], summary"
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"


def some_paths(at: Served) -> list[str]:
    """An address of every view, and of what a view shows in more than one way."""
    record, shelf = at.shelf.record, at.shelf
    explained = sorted(shelf.explained)[0]
    others = next(name for name in shelf.column("id").to_pylist() if name not in shelf.explained)
    made = {
        "/": ["/", "/?question=direction"],
        "/finding": [f"/finding?id={quote(each.id)}" for each in record.findings[:1]],
        "/examples": ["/examples?where=correct%3Afalse%3A&sort=-confidence", "/examples?page=2"],
        "/example": [f"/example?id={explained}&where=correct%3Afalse%3A", f"/example?id={others}"],
        "/clusters": ["/clusters"], "/groups": ["/groups"], "/runs": ["/runs"], "/worklists": ["/worklists"],
    }  # fmt: skip
    assert set(made) == set(VIEWS)
    text = "text=she+mamox" if "text" in shelf.types else f"key=id:{explained}&covered=2,2,5,5"
    return [*(path for paths in made.values() for path in paths), f"/live?{text}", "/example?id=nobody"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Any, request: pytest.FixtureRequest, kind: str, scheme: str) -> None:  # noqa: F811
    at = request.getfixturevalue(kind)
    visit = Visit(browser, at, color_scheme=scheme, bypass_csp=True)
    for path in some_paths(at):
        if path in ("/?question=direction", "/examples?page=2"):  # the same with other rows
            continue
        page = visit.to(path)
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate(f"axe.run(document, {{runOnly: {RULES}}})")
        assert len(found["passes"]) > 12
        violations = [(each["impact"], each["id"], each["nodes"][0]["html"][:200]) for each in found["violations"]]
        assert violations == [], path


@pytest.mark.parametrize("kind", KINDS)
def test_with_the_network_blocked_every_page_is_whole_and_asks_nothing_of_it(
    request: pytest.FixtureRequest, kind: str
) -> None:
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine: apt install chromium")
    at, seen = request.getfixturevalue(kind), []

    def look() -> None:  # in a thread: the fixture of the other tests has an event loop in this one
        with sync_playwright() as playwright:
            offline = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", OFFLINE])
            visit = Visit(offline, at)
            for path in some_paths(at)[:-1]:
                page = visit.to(path)
                broken = page.evaluate(
                    "[...document.images].filter((each) => each.complete && !each.naturalWidth).length"
                )
                seen.append((path, page.locator("h1").count(), broken))
            seen.append(("quiet", visit.is_quiet(), visit.told))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert [each for each in seen if each[1:] != (1, 0)] == [("quiet", True, [])]


@pytest.mark.parametrize("kind", KINDS)
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


@pytest.mark.parametrize(("kind", "readable"), [("texts_served", "text"), ("images_served", "file")])
def test_from_a_breach_to_an_exported_worklist(
    browser: Any,  # noqa: F811
    request: pytest.FixtureRequest,
    kind: str,
    readable: str,
) -> None:
    at = request.getfixturevalue(kind)
    visit = Visit(browser, at)
    table = from_verdict_to_worklist(visit.page, "BREACH", "first of all")
    lines = table.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4 and lines[0] == f"id,label,predicted,correct,contrast,{readable}"
    page = visit.page
    page.get_by_role("link", name="first of all").click()
    page.wait_for_url("**/examples?**")
    assert page.locator("table.examples tbody tr").count() == 3
    assert page.locator(".filters").inner_text().startswith("id is in the worklist first of all")
    drop(at.shelf, "first of all")
    assert visit.is_quiet(), visit.told


def test_every_verdict_of_the_grid_leads_to_as_many_findings_as_it_says(browser: Any, texts_served: Served) -> None:  # noqa: F811
    page = Visit(browser, texts_served).page
    cells = [(each.get_attribute("href"), each.inner_text()) for each in page.locator("table.grid td a").all()]
    assert len(cells) > 5
    for address, words in cells:
        page.goto(texts_served.base.removesuffix("/") + address)
        if "/finding?" in address:
            assert "×\u00a0" not in words
            continue
        assert page.locator("h2#findings + .scroll tbody th a").count() == int(words.rpartition("×")[2])


def test_lists_are_selected_row_by_row_with_a_key_or_all_at_once(browser: Any, texts_served: Served) -> None:  # noqa: F811
    page = Visit(browser, texts_served).to("/examples")
    page.locator("table.examples tbody a").nth(4).focus()
    page.keyboard.press("x")
    assert page.locator("tbody .pick").nth(4).is_checked()
    page.locator(".every").check()
    assert page.locator("#selected").inner_text() == ": 50 examples are selected"
    page.locator(".every").uncheck()
    assert page.locator("#selected").inner_text() == ": nothing is selected"
    page.goto(texts_served.base + "/")
    page.keyboard.press("/")
    page.wait_for_url("**/examples")


def test_words_that_a_finding_is_about_are_marked_in_its_examples(browser: Any, texts_served: Served) -> None:  # noqa: F811
    page = Visit(browser, texts_served).to("/finding?id=contrast.gender.female-male")
    found = {each.lower() for each in page.locator("table.examples mark").all_inner_texts()}
    assert found and found <= {*FEMALE, *MALE}
    assert page.locator("h3", has_text="female: argues least against").count() == 0


def test_an_example_shows_what_changes_when_its_words_are_swapped(browser: Any, texts_served: Served) -> None:  # noqa: F811
    sort = "where=present.gender.female:true:&sort=-net.gender.female"
    page = Visit(browser, texts_served).to(f"/examples?{sort}")
    page.locator("table.examples tbody a").first.click()
    swapped = page.locator("article", has=page.get_by_role("heading", name="With words swapped to gender.male"))
    assert swapped.locator("tbody tr").all_inner_texts()[1].startswith("net of gender.female")
    assert "not there" in swapped.inner_text() and swapped.locator(".tokens").inner_text()
    swapped.get_by_text("Ledger").click()
    terms = [float(each.replace("\u2212", "-")) for each in swapped.locator("dd").all_inner_texts()]
    assert sum(terms[:-1]) == pytest.approx(terms[-1], abs=0.002)


def test_facets_a_range_and_a_search_make_one_address(browser: Any, texts_served: Served) -> None:  # noqa: F811
    page = Visit(browser, texts_served).to("/examples")
    label = page.locator("select:has(option[value='label:is:fresh'])")
    page.locator("select:has(option[value='correct:true:'])").select_option("false")
    label.select_option("fresh")
    page.get_by_label("Range of").select_option("contrast")
    page.get_by_label("from").fill("-9.5")
    page.get_by_label("Search the texts").fill("x")
    page.get_by_label("Order by").select_option("-confidence")
    page.get_by_role("button", name="Show").click()
    words = ["correct is false", "label is fresh", "text contains x", "contrast is at least -9.5"]
    assert page.locator(".filters li").all_inner_texts() == [f"{each} remove" for each in words]
    assert "search" not in page.url and page.url.endswith("&sort=-confidence")
    assert label.input_value() == "label:is:fresh"
    label.select_option("any")
    page.get_by_role("button", name="Show").click()
    assert page.locator(".filters li").count() == 3
    page.get_by_role("link", name="Remove: text contains x").click()
    assert page.locator(".filters li").count() == 2


def test_any_other_condition_can_be_added(browser: Any, texts_served: Served) -> None:  # noqa: F811
    page = Visit(browser, texts_served).to("/examples")
    page.get_by_text("Any other condition").click()
    page.locator("#column").select_option("present.gender.male")
    assert page.locator("#operation option:not([disabled])").all_inner_texts() == ["is true", "is false", "is known"]
    page.get_by_role("button", name="Add").click()
    assert page.locator(".filters li").all_inner_texts() == ["present.gender.male is true remove"]


def test_a_loop_on_the_map_selects(browser: Any, texts_served: Served) -> None:  # noqa: F811
    page = Visit(browser, texts_served).to("/clusters")
    page.locator("#map[data-ready]").wait_for()
    box = page.locator("#map").bounding_box()
    corners = [(2, 2), (box["width"] - 2, 2), (box["width"] - 2, box["height"] - 2), (2, box["height"] - 2), (2, 4)]
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    for x, y in corners:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=4)
    page.mouse.up()
    drawn = str(
        page.evaluate("fetch('/points.json').then((answer) => answer.json()).then((points) => points.ids.length)")
    )
    assert 590 < int(drawn) <= 600
    assert page.locator("#selected").inner_text() == f": {drawn} examples are selected"
    page.locator("#map").press("Escape")
    assert page.locator("#selected").inner_text() == f": {drawn} examples are selected"
    page.locator("#keep summary").click()
    page.get_by_role("button", name="Select none").click()
    assert page.locator("#selected").inner_text() == ": nothing is selected"


def test_the_map_is_used_with_keys_alone(browser: Any, texts_served: Served) -> None:  # noqa: F811
    page = Visit(browser, texts_served).to("/clusters")
    page.locator("#map[data-ready]").wait_for()
    page.locator("#map").focus()
    for key in ["ArrowLeft", "ArrowUp", *["+"] * 12]:
        page.keyboard.press(key)
    near = page.locator("#near").inner_text()
    page.keyboard.press("Enter")
    chosen = page.locator("#selected").inner_text()
    assert near.endswith("examples lie in the circle.") and chosen == f": {near.split()[0]} examples are selected"
    for button in page.locator(".strategy").all():
        button.press("Enter")
    assert "selected" in page.locator("#selected").inner_text()


def test_every_control_is_reached_with_the_tab_key(browser: Any, texts_served: Served) -> None:  # noqa: F811
    for path in ("/examples", "/clusters", "/live"):
        page = Visit(browser, texts_served).to(path)
        wanted = page.evaluate(
            f"[...document.querySelectorAll('{CONTROLS}')].filter((each) => each.checkVisibility()).length"
        )
        reached = set()
        for _ in range(wanted + 80):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none" or page.evaluate("document.activeElement === document.body"), path
        assert len(reached) >= wanted, path


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
    for select, value in (("target", "fresh"), ("composite", "attn_lrp")):
        before = page.locator("#explained").inner_text()
        page.locator(f"[name={select}]").select_option(value)
        page.wait_for_function("was => document.getElementById('explained').innerText !== was", arg=before)
        assert value in page.locator("#explained").inner_text()


def test_a_photograph_is_sent_and_covered(browser: Any, images_served: Served, image_run: Run) -> None:  # noqa: F811
    page = Visit(browser, images_served).to("/live")
    photograph = next((image_run.folder.parents[2]).rglob("p0000.png"))
    page.locator("#photograph").set_input_files(photograph)
    page.locator("#explained .seen").wait_for()
    changed = "was => document.getElementById('explained').innerText !== was"
    before = page.locator("#explained").inner_text()
    page.locator("#staged").scroll_into_view_if_needed()
    box = page.locator("#staged").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 30, box["y"] + box["height"] - 30, steps=5)
    page.mouse.up()
    page.wait_for_function(changed, arg=before)
    left, top, width, height = map(int, page.locator("[name=covered]").input_value().split(","))
    assert 0 < left < 5 and 0 < top < 5 and 10 < width < 25 and 10 < height < 25
    assert page.locator("#box").bounding_box()["width"] > 100
    before = page.locator("#explained").inner_text()
    page.locator("#stage").focus()
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowRight")
    assert page.locator("[name=covered]").input_value() == f"{left + 1},{top},{width - 1},{height}"
    page.wait_for_function(changed, arg=before)
    page.keyboard.press("Delete")
    assert page.locator("[name=covered]").input_value() == "" and page.locator("#box").is_hidden()
    page.locator("#photograph").set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": b"no image"})
    page.get_by_text("is none of PNG").wait_for()


def test_an_example_that_is_not_kept_is_explained_by_the_model_at_hand(browser: Any, images_served: Served) -> None:  # noqa: F811
    shelf = images_served.shelf
    other = next(name for name in shelf.column("id").to_pylist() if name not in shelf.explained)
    page = Visit(browser, images_served).to(f"/example?id={other}")
    assert "Explained now by the model at hand" in page.locator("main").inner_text()
    if "outside" in page.locator("main").inner_text() and page.locator("article", has_text="hidden (mean)").count():
        assert page.locator("article img").count() > 1
    page.get_by_role("link", name="Change it live").click()
    page.locator("#explained .seen").wait_for()
    page.get_by_role("button", name="Keep this one beside").click()
    assert page.locator("#pinned .seen").count() == 1
    page.get_by_role("link", name=f"Back to {other}").click()
    page.wait_for_url("**/example?**")
    page.go_back()
    assert page.locator("#staged").evaluate("each => each.naturalWidth") == 25


def test_two_browsers_see_the_same_worklists_and_choose_for_themselves(browser: Any, texts_served: Served) -> None:  # noqa: F811
    one, other = (Visit(browser, texts_served) for _ in range(2))
    one.to("/examples").locator("tbody .pick").first.check()
    assert other.to("/examples").locator("tbody .pick").first.is_checked() is False
    one.page.locator("#keep summary").click()
    one.page.locator("[name=name]").fill("shared")
    one.page.get_by_role("button", name="Save").click()
    one.page.wait_for_url("**/worklists**")
    assert "shared" in other.to("/worklists").locator("main").inner_text()
    drop(texts_served.shelf, "shared")


def test_a_run_that_is_still_being_written_is_told_and_the_finished_one_is_shown(
    browser: Any,  # noqa: F811
    text_run: Run,
    tmp_path: Path,
) -> None:
    import shutil

    folder = tmp_path / "runs" / text_run.folder.name
    shutil.copytree(text_run.folder, folder)
    half = folder.parent / "20990101T000000Z-abcdef"
    half.mkdir()
    (half / "audit.json").write_text("{", encoding="utf-8")
    with served(folder) as at:
        page = Visit(browser, at).to("/runs")
        assert "still being written" in page.locator("main").inner_text()
        assert text_run.record.run_id in page.locator("main").inner_text()
        (folder / "examples.parquet").unlink()
        assert Visit(browser, at).to("/examples?sort=-contrast").locator("table.examples tbody tr").count() == 50
