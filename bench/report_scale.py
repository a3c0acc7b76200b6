"""Time and size of reports of the largest records: `python -m bench.report_scale RUN_DIR` prints JSON.

The record of a finished run is blown up to 1,000,000 examples, 5 copies of every attribute with their findings and terms, and 200
shown examples; what a record holds does not grow with the examples otherwise. Floor: the charts, which are drawn whatever the size.
"""

import json
import shutil
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from audit.records import AuditRecord
from audit.report.render import render
from audit.store.runs import load_record

EXAMPLES: Final = 1_000_000
COPIES: Final = 5
EXHIBITS: Final = 200


def largest(record: AuditRecord) -> AuditRecord:
    """The record, blown up."""
    document: dict[str, Any] = record.model_dump(mode="json")
    times = max(1, EXAMPLES // record.data.used)
    _scale(document, times)
    document["data"]["used"] = EXAMPLES
    for key in ("findings", "terms", "effects", "lexicons", "impact"):
        document[key] = [_renamed(each, i) for i in range(COPIES) for each in document[key]]
    shown = document["exhibits"] or []
    document["exhibits"] = [{**shown[i % len(shown)], "id": f"e{i}"} for i in range(EXHIBITS if shown else 0)]
    return AuditRecord.model_validate(document)


def _renamed(entry: dict[str, Any], i: int) -> dict[str, Any]:
    return entry | {key: f"{entry[key]} {i}" for key in ("id", "attribute") if key in entry}


def _scale(value: Any, times: int) -> None:
    """Every count, in place."""
    if isinstance(value, dict):
        for key, item in value.items():
            if (
                isinstance(item, int)
                and not isinstance(item, bool)
                and key in ("n", "rows", "used", "clusters", "occurrences", "examples")
            ):
                value[key] = item * times
            _scale(item, times)
    elif isinstance(value, list):
        for item in value:
            _scale(item, times)


def opening(path: Path) -> tuple[float, int]:
    """Seconds until Chromium has loaded the page with the network switched off, and requests but that for the page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_context(offline=True).new_page()
        asked = list[str]()
        page.on("request", lambda request: asked.append(request.url))
        start = time.perf_counter()
        page.goto(path.as_uri(), wait_until="load")
        return round(time.perf_counter() - start, 2), len(asked) - 1


def main() -> None:
    """Seconds and MB of both formats, and how long a browser takes."""
    record, found = largest(load_record(sys.argv[1])), dict[str, Any]()
    with TemporaryDirectory() as name:
        folder = Path(name)
        for kind in ("html", "pdf"):
            start = time.perf_counter()
            made = next(path for path in render(record, folder, (kind,)) if path.name == f"report.{kind}")
            found[kind] = {"seconds": round(time.perf_counter() - start, 1), "MB": round(made.stat().st_size / 1e6, 2)}
        found["opening"] = dict(zip(("seconds", "requests"), opening(folder / "report.html"), strict=True))
    found |= {"examples": record.data.used, "findings": len(record.findings), "terms": len(record.terms)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
