"""A browser that has shown the token, and the way of a person from a verdict to a worklist."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from audit.explore.shelf import Shelf
from tests.audit.explore.served import Served


class Visit:
    """A page of a browser; what it asked for and complained of."""

    def __init__(self, browser: Any, at: Served, **context: Any) -> None:
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
        return self.page

    def is_quiet(self) -> bool:
        outside = [url for url in self.asked if not url.startswith((self.at.base, "data:", "blob:"))]
        return not outside and not self.told


def nothing(name: str) -> None:
    """No picture is wanted."""


def from_verdict_to_worklist(page: Any, verdict: str, name: str, picture: Callable[[str], None] = nothing) -> Path:
    """Overview, a finding with this verdict, the examples that drive it, one of them, a worklist, its table: where that lies."""
    picture("overview")
    page.locator("table.grid a", has_text=verdict).first.click()
    page.wait_for_url(lambda url: "/finding?" in url or "verdict=" in url)
    if "/finding?" not in page.url:
        page.locator("h2#findings + .scroll a").first.click()
        page.wait_for_url("**/finding?**")
    assert verdict in page.locator("main").inner_text()
    picture("finding")
    page.locator("h2 ~ p a", has_text="of these").first.click()
    page.wait_for_url("**/examples?**")
    listed = page.url
    assert listed.partition("?")[2].startswith("where=")
    page.locator("tbody .pick").nth(0).check()
    page.locator("tbody .pick").nth(2).check()
    assert page.locator("#selected").inner_text() == ": 2 examples are selected"
    picture("examples")
    page.reload()
    assert page.locator("tbody .pick").nth(2).is_checked() and page.url == listed
    page.locator("table.examples tbody a").first.click()
    page.wait_for_url("**/example?**")
    first = page.locator("h1").inner_text()
    assert "1 of" in page.locator(".kicker").inner_text() and page.locator("#this").is_checked()
    picture("example")
    page.keyboard.press("n")
    page.wait_for_function("was => document.querySelector('h1').innerText !== was", arg=first)
    page.keyboard.press("x")
    assert page.locator("#selected").inner_text() == ": 3 examples are selected"
    page.go_back()
    assert page.locator("h1").inner_text() == first
    page.go_back()
    assert page.url == listed and page.locator("#selected").inner_text() == ": 3 examples are selected"
    page.locator("#keep summary").click()
    page.locator("[name=name]").fill(name)
    page.locator("[name=note]").fill("<b>look</b> at these first")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/worklists**")
    assert "<b>look</b> at these first" in page.locator("main").inner_text()
    picture("worklist")
    with page.expect_download() as got:
        page.get_by_role("link", name="CSV").click()
    assert got.value.suggested_filename == f"{name}.csv"
    return Path(got.value.path())


def drop(shelf: Shelf, name: str) -> None:
    """Remove a worklist again."""
    (shelf.folder / "explorer" / f"{name}.json").unlink()
