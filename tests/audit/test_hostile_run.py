"""Two hundred hostile strings as texts, ids, clusters, groups and file names of a real dataset, through a whole run in every format."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlencode

import pytest

from audit.config.output import Format
from audit.pipeline import Run, run
from audit.report.formats import FORMATS
from audit.store.runs import verify
from tests.audit.explore.served import served
from tests.audit.explore.visits import Visit
from tests.audit.report.hostile import LONG, strings
from tests.audit.report.test_browser import browser, opened  # noqa: F401 - a fixture
from tests.conftest import project_in, texts

GROUPS = 6  # of hostile names, which must be large enough to be tested


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Run:
    odd, tmp_path = strings(), tmp_path_factory.mktemp("hostile")
    project = project_in(tmp_path, model_folder)
    short = [each for each in odd if each not in LONG]
    rows: list[dict[str, Any]] = [
        {
            "id": f"{short[i % len(short)]}{i}",
            "text": f"{odd[i % len(odd)]} {text}",
            "label": "fresh" if i % 2 else "rotten",
            "film": short[(i // 3) % len(short)],
            "place": short[i % GROUPS],
        }
        for i, text in enumerate(texts(420))
    ]
    lines = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / "hostile.jsonl").write_text(f"{lines}\n", encoding="utf-8")
    columns = {"cluster": "film", "attributes": {"place": "place"}}
    declared = {"system": odd[0], "auditor": odd[40], "intended_purpose": odd[100] * 500, "contact": odd[60]}
    return run(
        project(
            data={"path": "hostile.jsonl", "columns": columns},
            report={"formats": list(get_args(Format)), "hash_ids": False, "smallest_cell": 1},
            compliance={"profile": ["nyc_ll144", "model_card"], "axes": {"sex": "place"}, "declarations": declared},
            about=odd[5],
        )
    )


def test_a_hostile_dataset_is_audited_and_breaks_no_file_of_the_run(finished: Run, browser: Any) -> None:  # noqa: F811
    folder, record = finished.folder, finished.record
    assert {file for each in FORMATS.values() for file in each.files} <= {path.name for path in folder.iterdir()}
    assert verify(folder) == []
    assert record.data.used + sum(record.data.excluded.values()) == 420 and record.data.used > 380
    assert len(record.impact) == 1 and len(record.impact[0].categories) == GROUPS
    for name in ("report.html", "debug.html"):
        page, asked = opened(browser, folder / name, viewport={"width": 390, "height": 900})
        assert asked == [(folder / name).as_uri()] and page.locator("h1").count() == 1
        assert "xq7" not in page.title() and page.locator("script, iframe, object, form, base").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        assert (folder / name).stat().st_size < 5_000_000
    for name in ("worklist.csv", "report.csv"):
        rows = list(csv.reader(io.StringIO((folder / name).read_text(encoding="utf-8"), newline="")))
        assert len({len(row) for row in rows}) == 1
        assert not [cell for row in rows for cell in row if re.match(r"\s*[=+@]", cell)], name
    kept = [json.loads(line) for line in (folder / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(kept) == sum(record.data.excluded.values())


def test_the_explorer_shows_every_hostile_string_as_text(finished: Run, browser: Any) -> None:  # noqa: F811
    with served(finished.folder) as at:
        visit, shelf = Visit(browser, at), at.shelf
        names, shown = shelf.column("id").to_pylist(), 0
        held = [
            each
            for each in strings()
            if any(each.strip() in one for one in (*names, *shelf.column("text").to_pylist()))
        ]
        assert len(held) >= 200
        paths = [f"/examples?page={page}" for page in range(1, len(names) // 50 + 2)]
        paths += [f"/groups?{urlencode({'by': 'place', 'a': one})}" for one in shelf.values("place")]
        paths += [f"/examples?{urlencode({'where': f'place:is:{one}'})}" for one in shelf.values("place")]
        paths += [
            "/",
            "/clusters",
            *(f"/finding?{urlencode({'id': each.id})}" for each in finished.record.findings[:8]),
        ]
        for path in (*paths, *(f"/example?{urlencode({'id': name})}" for name in names[:210:3])):
            page = visit.to(path)
            shown += page.locator("table.examples tbody a").count() if path.startswith("/examples?page") else 0
            assert page.locator("h1").count() == 1 and page.title().endswith(" - lrp-audit explorer"), path
            assert page.locator("iframe, object, base, form[action^=http], main script").count() == 0, path
            assert page.evaluate("getComputedStyle(document.querySelector('main')).display") != "none", path
        assert shown == len(names)
        visit.to("/examples").locator("tbody .pick").nth(3).check()
        visit.page.locator("#keep summary").click()
        visit.page.locator("[name=note]").fill("\r\n".join(strings()[:20]))
        visit.page.locator("[name=name]").fill("hostile")
        visit.page.locator("[name=every]").check()
        visit.page.get_by_role("button", name="Save").click()
        visit.page.wait_for_url("**/worklists**")
        with visit.page.expect_download() as got:
            visit.page.get_by_role("link", name="CSV").click()
        rows = list(csv.reader(io.StringIO(Path(got.value.path()).read_text(encoding="utf-8"), newline="")))
        assert len(rows) == len(names) + 1 and len({len(row) for row in rows}) == 1
        assert not [cell for row in rows for cell in row if re.match(r"\s*[=+@]", cell)]
        assert visit.is_quiet(), visit.told


def test_file_names_that_leave_the_data_folder_or_hold_markup_are_quarantined_or_shown_as_text(
    tmp_path: Path,
) -> None:
    from PIL import Image

    names = [
        each
        for each in strings()
        if len(each) < 150 and "/" not in each and "\x00" not in each and ":" not in each and each.strip(". ")
    ]
    folder = tmp_path / "photographs"
    folder.mkdir()
    rows, n = [], 120
    for i in range(n):
        name = f"{names[i % len(names)]}{i}.png"
        Image.new("L", (25, 25), 60 + 100 * (i % 2) + i % 50).save(folder / name)
        rows.append({"id": f"{names[i % len(names)]}{i}", "image": name, "label": "face" if i % 2 else "not face", "left": 3, "top": 3,
                     "right": 9, "bottom": 9})  # fmt: skip
    rows += [
        {**rows[0], "id": f"out{i}", "image": odd}
        for i, odd in enumerate(("../secret.png", "/etc/passwd", "a\\..\\..\\b.png"))
    ]
    (folder / "photographs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    shipped = Path(__file__).parents[2] / "configs" / "quickstart_vision.yaml"
    finished = run(
        shipped,
        (
            f"data.path={folder / 'photographs.jsonl'}",
            "data.columns.cluster=null",
            "statistics.twins=20",
            "statistics.twin_examples=40",
            "checks.validity=20",
            f"report.formats={list(get_args(Format))}",
        ),
        tmp_path / "out",
    )
    data = finished.record.data
    kept = (finished.folder / "quarantine.jsonl").read_text(encoding="utf-8")
    assert data.used == n and sum(data.excluded.values()) == 3, kept
    assert "secret" not in (finished.folder / "report.html").read_text(encoding="utf-8")
    assert verify(finished.folder) == []
