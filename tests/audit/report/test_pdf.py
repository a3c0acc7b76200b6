"""The PDF is read with pikepdf (structure) and pypdfium2 (text), never compared with a picture."""

import io
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pikepdf
import pypdfium2
import pytest

from audit.report.outline import SECTIONS
from audit.report.page_tree import breakable
from audit.report.pdf import pdf, plain
from audit.report.publication import publication
from tests.audit.report.sample import html, sample_record

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def made():
    return pdf(publication(sample_record()))


@pytest.fixture(scope="module")
def opened(made):
    return pikepdf.open(io.BytesIO(made))


def words(content):
    document = pypdfium2.PdfDocument(content)
    pages = [page.get_textpage().get_text_bounded() for page in document]
    return [" ".join(text.replace("\ufffe", "").split()) for text in pages]


def elements(node):
    """Every element of the structure tree below a node."""
    children = node.get("/K", [])
    for child in children if isinstance(children, pikepdf.Array) else [children]:
        if isinstance(child, pikepdf.Dictionary) and "/S" in child:
            yield child
            yield from elements(child)


@pytest.fixture(scope="module")
def tags(opened):
    return list(elements(opened.Root.StructTreeRoot))


def test_it_claims_ua_1_and_a_2a(opened):
    with opened.open_metadata() as metadata:
        assert metadata["pdfuaid:part"] == "1"
        assert (metadata["pdfaid:part"], metadata["pdfaid:conformance"]) == ("2", "A")


def test_it_is_tagged_in_english_with_a_title_that_is_shown(opened):
    assert opened.Root.MarkInfo.Marked
    assert str(opened.Root.Lang).startswith("en")
    assert opened.Root.ViewerPreferences.DisplayDocTitle
    assert "film_reviews" in str(opened.docinfo["/Title"])


def test_every_table_of_the_page_is_a_tagged_table_with_heads(tags):
    counts = Counter(str(tag.S) for tag in tags)
    page = html(sample_record()).decode()
    assert counts["/Table"] == page.count("<table")
    assert counts["/TH"] >= page.count('scope="col"')
    assert counts["/TR"] >= page.count("<tr")


def test_every_chart_has_an_alternative_text(tags):
    figures = [tag for tag in tags if str(tag.S) == "/Figure"]
    assert len(figures) == html(sample_record()).decode().count("<figure")
    assert all(len(str(figure.Alt)) > 40 for figure in figures)


def test_bookmarks_name_every_section(opened):
    with opened.open_outline() as outline:
        titles = [item.title for item in outline.root]
    for letter, title in SECTIONS.items():
        assert f"{letter}. {title}" in titles


def test_every_page_bears_run_date_and_its_number(made):
    pages = words(made)
    assert len(pages) > 5
    for number, page in enumerate(pages, 1):
        assert "20260501T101500Z-a1b2c3, 2026-05-01" in page and f"page {number} of {len(pages)}" in page


def test_it_says_what_the_page_says(made):
    said = re.sub(r"\W+", "", "".join(words(made)))
    for sentence in ("Relevance is not causation", "the error rate is higher for old than for young", "Exit code 3"):
        assert re.sub(r"\W+", "", sentence) in said


def test_what_a_cell_folds_away_stands_on_paper(made):
    assert "rank among 999 placebo pairs" in " ".join(words(made))


def test_two_processes_give_the_same_bytes(made, tmp_path):
    (tmp_path / "record.json").write_text(sample_record().model_dump_json(), encoding="utf-8")
    script = (
        "import sys; from pathlib import Path; from audit.records import AuditRecord; from audit.report.pdf import pdf; "
        "from audit.report.publication import publication; folder = Path(sys.argv[1]); "
        "record = AuditRecord.model_validate_json((folder / 'record.json').read_text(encoding='utf-8')); "
        "(folder / 'report.pdf').write_bytes(pdf(publication(record)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[2]), "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env=environment, timeout=120)
    assert (tmp_path / "report.pdf").read_bytes() == made


@pytest.mark.parametrize(
    "text",
    [
        '#text(red)[x] $x^2$ *b* _e_ <l> @r "q" \\ `raw`',
        "a\ue000b\U000f0000c\u0378d",
        "漢字 😀 \u202eabc",
        "x" * 1_000_000,
    ],
)
def test_hostile_text_is_typeset_as_text(text):
    record = sample_record()
    finding = record.findings[0].model_copy(update={"attribute": text, "groups": (text, "male"), "reason": text})
    content = pdf(publication(record.model_copy(update={"findings": (finding,), "gates": (), "name": text})))
    said = "".join("".join(words(content)).split())
    assert "".join(text[:20].split()).replace("\ue000", "\ufffd")[:3] in said
    assert len(content) < 2_000_000
    assert not any("/URI" in repr(page.get("/Annots", "")) for page in pikepdf.open(io.BytesIO(content)).pages)


def test_long_runs_may_break_and_other_words_stay_whole():
    assert breakable("a" * 30) == "\u200b".join(("a" * 8, "a" * 8, "a" * 8, "a" * 6))
    assert breakable("a word of normal length") == "a word of normal length"


def test_where_no_font_sets_a_sign_others_of_its_script_are_lost_and_the_report_is_made():
    assert plain("e\u0301 a\u034f\u6f22 \u25b2") == "\u00e9 a\ufffd\ufffd \u25b2"
    record = sample_record()
    finding = record.findings[0].model_copy(update={"attribute": "a\u1ab6b", "groups": ("Z\u0351\u036b\u034f", "male")})
    assert pdf(publication(record.model_copy(update={"findings": (finding,), "gates": ()})))[:5] == b"%PDF-"
