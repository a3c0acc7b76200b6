"""The pictures of docs/explorer.md, by the way that the tests go: `python -m tests.audit.explore.pictures`.

Texts are made-up words and photographs are blurred, because the repository holds no dataset.
"""

import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import sync_playwright

from audit.explore.live import Live
from tests.audit.explore.conftest import image_run_in, text_run_in
from tests.audit.explore.served import Served, served
from tests.audit.explore.visits import Visit, drop, from_verdict_to_worklist
from tests.audit.report.test_browser import CHROMIUM
from tests.conftest import classifier, save_model

IMAGES = Path(__file__).parents[3] / "docs" / "images"
NAME = "to look at"
SHOWN = {"text": ("overview", "finding", "example", "clusters"), "vision": ("examples", "example", "live")}


def main() -> None:
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        texts, model, photographs = (Path(folder) / name for name in ("texts", "model", "photographs"))
        for each in (texts, photographs):
            each.mkdir()
        text = text_run_in(texts, save_model(model, classifier(planted=6.0))).folder
        vision = image_run_in(photographs, "report.images=blur").folder
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for kind, run in (("text", text), ("vision", vision)):
            with served(run, live=Live(run)) as at:
                drawn(browser, at, kind)


def drawn(browser: Any, at: Served, kind: str) -> None:
    visit = Visit(browser, at)
    page = visit.page
    page.set_viewport_size({"width": 1100, "height": 760})

    def picture(name: str) -> None:
        if name in SHOWN[kind]:
            page.wait_for_timeout(300)
            written(page, f"explorer-{kind}-{name}.png")

    from_verdict_to_worklist(page, "BREACH", NAME, picture)
    drop(at.shelf, NAME)
    visit.to("/clusters").locator("#map[data-ready]").wait_for(timeout=120_000)
    picture("clusters")
    first = sorted(at.shelf.explained)[0]
    query = "text=the+actress+mamox+kidax+and+her+bidex" if kind == "text" else f"key=id:{first}&covered=14,2,7,7"
    visit.to(f"/live?{query}").wait_for_timeout(500)
    picture("live")


def written(page: Any, name: str) -> None:
    """With as few colours as a page has, which makes it small."""
    from PIL import Image

    with Image.open(io.BytesIO(page.screenshot())) as seen:
        seen.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(IMAGES / name, optimize=True)


if __name__ == "__main__":
    main()
