"""Two hundred hostile strings through names, ids, labels, paths, reasons and declarations, in every format at once."""

import csv
import io
import json
import re
from xml.etree import ElementTree

import pikepdf
import pypdfium2
import pytest
import yaml
from pydantic import BaseModel

from audit.records import AuditRecord
from audit.report.formats import FORMATS
from audit.report.publication import publication
from tests.audit.report.complete import complete_record
from tests.audit.report.hostile import KEPT, LONG, MARK, OWN_KEYS, TURNS, hostile_record, strings
from tests.audit.report.test_browser import browser, opened  # noqa: F401 - a fixture


def texts(value, name=""):
    """Every text of a record, with the name of its field."""
    if isinstance(value, BaseModel):
        for field in type(value).model_fields:
            if field != "config":
                yield from texts(getattr(value, field), field)
    elif isinstance(value, tuple | list | dict):
        for each in (*value, *value.values()) if isinstance(value, dict) else value:
            yield from texts(each, name)
    elif isinstance(value, str):
        yield name, value


@pytest.fixture(scope="module", params=TURNS)
def files(request):
    shown = publication(hostile_record(request.param))
    return {name: make(shown) for each in FORMATS.values() for name, make in each.files.items()}


@pytest.fixture(scope="module")
def page(files, tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile") / "report.html"
    path.write_bytes(files["report.html"])
    return path


def test_there_are_two_hundred_each_of_them_in_every_record_which_can_be_loaded():
    assert len(set(strings())) >= 200
    for turn in TURNS:
        record = hostile_record(turn)
        held = {text for _, text in texts(record)}
        assert not [each for each in strings() if not any(text.startswith(each) for text in held)]
        assert AuditRecord.model_validate_json(record.model_dump_json()).run_id != complete_record().run_id


def test_every_field_that_holds_text_is_hostile():
    plain, kept = set(texts(complete_record())), KEPT | {"question", "larger", "verdict", "grade", "kind", "standing"}
    left = {(name, text) for name, text in texts(hostile_record(0)) if (name, text) in plain and text.strip()}
    assert {name for name, text in left if text not in OWN_KEYS} <= kept


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_runs_loads_or_breaks_out_in_a_browser(browser, page, width):  # noqa: F811
    shown, asked = opened(browser, page, viewport={"width": width, "height": 900})
    assert "bias audit" in shown.title() and asked == [page.as_uri()]
    assert shown.locator("h1").count() == 1
    assert [shown.locator(f"section#{letter}").is_visible() for letter in "ABCDEFGHIJKL"] == [True] * 12
    assert shown.locator("script, iframe, object, form, base, link, a[href^=javascript], a[href^=http]").count() == 0
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_page_stays_small_with_lines_of_a_megabyte(files):
    assert len(files["report.html"]) < 3_000_000 and len(files["report.pdf"]) < 8_000_000


def test_the_pdf_shows_text_alone(files):
    document = pikepdf.open(io.BytesIO(files["report.pdf"]))
    raw = b"".join(bytes(each.unparse()) for each in document.objects if not isinstance(each, pikepdf.Stream))
    assert not re.search(rb"/(JavaScript|JS|Launch|URI|EmbeddedFile|SubmitForm|GoToR)\b", raw)
    assert all(
        tuple(map(float, each.MediaBox)) == tuple(map(float, document.pages[0].MediaBox)) for each in document.pages
    )
    text = pypdfium2.PdfDocument(files["report.pdf"])[0].get_textpage().get_text_bounded()
    assert MARK in text.replace("\u200b", "") and "root:" not in text


def test_no_cell_is_a_formula_and_every_row_has_its_cells(files):
    rows = list(csv.reader(io.StringIO(files["report.csv"].decode("utf-8"), newline="")))
    assert len({len(row) for row in rows}) == 1 and len(rows) > 20
    formula = re.compile(r"^[\s\uff1d]*[=+@\uff1d]|^-(?!\d)")
    assert not [cell[:60] for row in rows for cell in row if formula.match(cell)]


def test_machines_read_what_was_meant(files):
    for name in ("report.json", "model-card.json", "report.sarif", "ml-bom.cdx.json"):
        assert isinstance(json.loads(files[name]), dict), name
    root = ElementTree.fromstring(files["report.junit.xml"])
    assert {each.tag for each in root.iter()} <= {
        "testsuites",
        "testsuite",
        "testcase",
        "system-out",
        "failure",
        "error",
        "skipped",
        "properties",
        "property",
    }
    card = files["model-card.md"].decode("utf-8")
    header = yaml.safe_load(card.split("---")[1])
    assert isinstance(header, dict) and len(header["model-index"]) == 1


def test_no_control_character_reaches_a_terminal(files):
    for name, content in files.items():
        if not name.endswith(".pdf"):
            assert not re.search(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]", content), name


def test_lines_of_a_megabyte_are_among_them():
    assert all(len(each) >= 1_000_000 for each in LONG)
