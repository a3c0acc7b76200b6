"""The page is checked as a structure (headings, ids, numbers, escaped text), not byte for byte."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest

from audit.config.output import Format
from audit.errors import OutputError
from audit.records import AuditRecord, Verdict
from audit.report.formats import FORMATS
from audit.report.publication import publication
from audit.report.render import render
from audit.store.manifest import write_manifest
from audit.store.runs import load_record, write_record
from tests.audit.report.sample import HOSTILE, html, sample_record

HERE = Path(__file__).parent
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Tags, ids, links, text by element, and unbalanced tags."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.tags, self.ids, self.links, self.open, self.wrong = [], [], [], [], []
        self.headings, self.text, self.captions = [], [], 0
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if attributes.get("href", "").startswith("#"):
            self.links.append(attributes["href"][1:])
        if tag not in VOID:
            self.open.append(tag)
        elif tag == "br":
            self.text.append(" ")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        self.text.append(" " if tag in {"td", "th", "dt", "dd", "li", "p"} else "")
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] not in {"style", "script"}:
            self.text.append(data)
        if self.open and self.open[-1] in {"h1", "h2", "h3"}:
            self.headings.append((self.open[-1], data))

    @property
    def words(self):
        return " ".join("".join(self.text).split())


@pytest.fixture(scope="module")
def source():
    return html(sample_record()).decode("utf-8")


@pytest.fixture(scope="module")
def shown(source):
    return Page(source)


def without(**changes):
    return sample_record().model_copy(update=changes)


def test_render_writes_one_file_a_format(tmp_path):
    assert render(sample_record(), tmp_path, ("html", "html")) == [tmp_path / "report.html"]
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_bytes() == html(sample_record())


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(
        OutputError, match=r"--format 'docx': this release renders html, pdf, json, .*; give one of these"
    ):
        render(sample_record(), tmp_path, ("html", "docx"))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_gone_is_refused_with_the_cure(tmp_path):
    with pytest.raises(OutputError, match=r"report\.html: cannot be written .*; give a run folder that you may write"):
        render(sample_record(), tmp_path / "gone")


def test_the_written_record_gives_the_same_bytes_as_the_one_in_memory(tmp_path):
    write_record(tmp_path, sample_record())
    write_manifest(tmp_path)
    assert html(load_record(tmp_path)) == html(sample_record())


def test_another_process_without_torch_and_pandas_gives_the_same_bytes(tmp_path, source):
    (tmp_path / "record.json").write_text(sample_record().model_dump_json(), encoding="utf-8")
    script = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "pandas", "seaborn", "sklearn", "pyarrow", "lrp"}:
            raise ModuleNotFoundError(f"blocked: {name}", name=name)
sys.meta_path.insert(0, Blocker())
from pathlib import Path
from audit.records import AuditRecord
from audit.report.render import render
folder = Path(sys.argv[1])
from audit.report.formats import FORMATS
render(AuditRecord.model_validate_json((folder / "record.json").read_text(encoding="utf-8")), folder, tuple(FORMATS))
try:
    import pandas
except ModuleNotFoundError as error:
    print(error)
"""
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE.parents[2]),
        "PYTHONHASHSEED": "77",
        "TZ": "Asia/Tokyo",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(tmp_path)], capture_output=True, text=True, env=environment, timeout=120
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "blocked: pandas\n"), done.stderr
    assert (tmp_path / "report.html").read_bytes() == source.encode("utf-8")
    for file, make in (each for name in FORMATS if name != "html" for each in FORMATS[name].files.items()):
        assert (tmp_path / file).read_bytes() == make(publication(sample_record())), file


def test_sections_come_in_the_agreed_order(shown):
    assert [text for level, text in shown.headings if level == "h2"] == [
        "What came out", "Contents", "A. Identity and scope", "B. Data", "C. Protocol", "D. Verdicts", "E. Outcome disparity",
        "F. Relevance disparity", "G. Outcome and relevance together", "H. Validity of the explanation", "I. Sensitivity",
        "J. Limits, and what was not tested", "K. Provenance and sign-off", "L. Crosswalk and glossary",
    ]  # fmt: skip
    assert [text for level, text in shown.headings if level == "h1"] == ["film_reviews"]


def test_the_page_is_well_formed_and_every_inner_link_has_a_target(shown):
    assert shown.wrong == [] and shown.open == []
    assert len(shown.ids) == len(set(shown.ids))
    assert set(shown.links) <= set(shown.ids) and shown.links


def test_every_table_has_a_caption_and_scoped_headers_in_a_named_scrollable_region(source, shown):
    tags = [tag for tag, _ in shown.tags]
    assert tags.count("table") == tags.count("caption") == tags.count("thead") > 8
    assert all(attributes.get("scope") in {"row", "col"} for tag, attributes in shown.tags if tag == "th")
    regions = [attributes for _, attributes in shown.tags if attributes.get("class") == "scroll"]
    assert len(regions) == tags.count("table") and all(r["aria-label"] and r["tabindex"] == "0" for r in regions)


def test_seconds_are_stated_by_stage_and_by_family_of_questions(shown):
    text = " ".join("".join(shown.text).split())
    assert (
        "relevance 201.5, statistics 41.0 Seconds of statistics Group contrast 31.25, Outcome gaps 4.50 Record" in text
    )
    old = sample_record().model_copy(update={"seconds": {"statistics": 41.0}})
    assert "<dd>not noted by family</dd>" in html(old).decode()


def test_landmarks_language_and_names_for_every_chart(shown):
    tags = [tag for tag, _ in shown.tags]
    assert [tags.count(tag) for tag in ("header", "nav", "main", "footer")] == [1, 1, 1, 1]
    assert ("html", {"lang": "en"}) in shown.tags
    figures = [attributes for tag, attributes in shown.tags if tag == "figure"]
    assert len(figures) == tags.count("svg") == tags.count("figcaption") == 10
    assert all(len(figure["aria-label"]) > 40 for figure in figures)


def test_nothing_is_loaded_and_only_the_own_style_sheet_may_apply(source, shown):
    assert not {"script", "link", "img", "iframe", "object", "form"} & {tag for tag, _ in shown.tags}
    assert not [
        attributes
        for _, attributes in shown.tags
        if "style" in attributes or any(k.startswith("on") for k in attributes)
    ]
    addresses = set(re.findall(r'(?:href|src)="([^#"][^"]*)"', source)) | set(
        re.findall(r"url\(([^#)][^)]*)\)", source)
    )
    assert addresses == set() and "@import" not in source
    css = re.search(r"<style>(.*?)</style>", source, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = next(a["content"] for tag, a in shown.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert (
        policy == f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def test_hostile_text_is_shown_as_text(source, shown):
    assert "<script" not in source and "onerror=alert(2)&gt;" in source
    for text in HOSTILE[:3] + HOSTILE[5:]:
        assert text in shown.words
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", source)
    assert "\ufffdesrever\ufffd override" in shown.words and 'dir="auto"' in source


def test_every_verdict_is_shown_as_symbol_word_and_style(source):
    for symbol, word, style in (("▲", "BREACH", "breach"), ("◆", "DIFFERENT", "different"), ("□", "INCONCLUSIVE", "inconclusive"),
                                ("●", "EQUIVALENT", "equivalent"), ("×", "NOT TESTABLE", "untestable")):  # fmt: skip
        assert re.search(rf'class="chip {style}"[^>]*><span aria-hidden="true">{symbol}</span> {word}', source)
    assert {Verdict(word) for word in re.findall("</span> ([A-Z ]{6,})<", source)} == set(Verdict)


def test_the_grid_has_a_row_per_attribute_and_merges_mentions(shown):
    grid = shown.words[: shown.words.index("What could not be tested")]
    assert re.search(
        r"gender ◆ DIFFERENT ● EQUIVALENT × 2 □ INCONCLUSIVE × 2 × NOT TESTABLE □ INCONCLUSIVE ● EQUIVALENT", grid
    )
    assert "nationality □ INCONCLUSIVE not asked not asked not asked not asked" in grid
    assert "age × NOT TESTABLE ◆ DIFFERENT not asked not asked ▲ BREACH □ INCONCLUSIVE" in grid
    assert "(mentioned)" not in grid


def test_every_finding_has_a_row_with_its_numbers(source, shown):
    rows = re.findall(r'<tr id="f-(.*?)</tr>', source, re.DOTALL)
    assert len(rows) == len(sample_record().findings)
    words = Page(
        "<table>" + next(row for row in rows if row.startswith("contrast.nationality.french")).partition(">")[2]
    ).words
    for part in (
        "nationality: french − american", "mean signed relevance of french words minus that of american words", "−0.071 [−0.163, 0.021]",
        "97.5 %, cluster-robust t, wider where skewed", "96 (71)", "0.104", "0.100", "INCONCLUSIVE", "neither a difference nor its absence",
        "MDE 0.131 sd of the contrast logit at power 0.8; about n = 412", "attn_lrp: 0.012 [−0.098, 0.122], p 0.610",
        "rank among 999 placebo pairs",
    ):  # fmt: skip
        assert part in words, part
    assert "Family: contrast of word groups, 2 tests corrected together (Holm, m = 2). A gate." in shown.words


def test_both_rates_of_an_outcome_gap_and_their_warnings_are_shown_unfolded(shown):
    assert (
        "Newcombe, effective n old 0.453 [0.393, 0.513] (95 %), n = 151 young 0.310 [0.250, 0.370] (95 %), n = 151 "
        in shown.words
    )
    record = sample_record()
    finding = next(f for f in record.findings if f.id == "outcome.error_rate.age (mentioned).old-young")
    few = finding.estimate.model_copy(update={"reason": "from six films"})
    one = finding.model_copy(update={"estimate": few, "details": {"rate": few.model_dump(), "measure": "error rate"}})
    words = Page(html(without(findings=(one,), gates=())).decode()).words
    assert "Newcombe, effective n; from six films 302" in words
    said = one.model_copy(update={"reason": f"{one.reason}; from six films"})
    assert Page(html(without(findings=(said,), gates=())).decode()).words.count("from six films") == 1
    assert "rate: 0.143 [0.062, 0.224], n = 302" in words


def test_what_was_not_testable_is_listed_with_its_reason(shown):
    listed = shown.words[
        shown.words.index("What was not testable, and why") : shown.words.index("What could have been found")
    ]
    for finding in sample_record().findings:
        assert (finding.reason in listed) == (finding.verdict is Verdict.NOT_TESTABLE)


def test_what_could_have_been_found_lists_every_inconclusive_finding(source, shown):
    start = source.index('<h3 id="detectable"')
    section = source[start : source.index('<h3 id="limits"', start)]
    names = [finding.id for finding in sample_record().findings if finding.verdict is Verdict.INCONCLUSIVE]
    assert section.count("<tr><th") - 1 == len(names) == 5
    for part in (
        "Group contrast nationality: french − american sd of the contrast logit −0.071 0.100 0.131 96 (71) 412",
        "Reliance gender: female ratio 0.940 – 1.420 331 (200) –",
        "Outcome gaps age (mentioned): old − young , selection rate difference in selection rate −0.038 0.050 0.094 302 (120) 2,960",
    ):  # fmt: skip
        assert " ".join(part.replace(" , ", ", ").split()) in shown.words, part


def test_what_could_have_been_found_is_sorted_by_question_and_counts_what_it_leaves_out():
    findings = [f for f in sample_record().findings if f.verdict is Verdict.INCONCLUSIVE]
    many = tuple(
        finding.model_copy(update={"id": f"{finding.id}.{i}", "attribute": f"a{i:02}"})
        for i in range(30)
        for finding in reversed(findings)
    )
    page = html(without(findings=many, gates=())).decode()
    start = page.index('<h3 id="detectable"')
    section = page[start : page.index('<h3 id="limits"', start)]
    assert section.count("<tr><th") - 1 == 100 and "50 INCONCLUSIVE findings more are in the tables above" in section
    titles = re.findall(r'<tr><th scope="row">([^<]*)', section)
    assert titles == ["Outcome gaps"] * 60 + ["Reliance"] * 40  # in the order in which the questions come
    attributes = re.findall(r'">(a\d\d):', section)
    assert attributes[:60] == sorted(attributes[:60]) and attributes[60:] == sorted(attributes[60:])


def test_without_an_inconclusive_finding_the_page_says_so():
    findings = tuple(f for f in sample_record().findings if f.verdict is not Verdict.INCONCLUSIVE)
    assert "No finding is INCONCLUSIVE." in Page(html(without(findings=findings)).decode()).words


def test_gates_and_exit_code_are_explained(shown):
    assert "Exit code 3: the audit ran and at least one gate is breached." in shown.words
    assert (
        "Outcome gaps ▲ breached at least one finding lies wholly beyond its margin 4 tested, 1 not testable"
        in shown.words
    )


def test_counts_ledger_and_provenance_are_printed(shown):
    for part in (
        "Rows 3,100 Used 2,981 Excluded 19 Excluded: empty text 12", "Truncated to the model's length (used) 5", "Unknown gender",
        "cp_lrp all 0.282 −0.118 −0.310 0.200 7.2e-08",
        "bed5d4aee31210891326e75897108b0bddb3f962 with uncommitted changes", "d" * 64, "e" * 64,
        "numpy 2.4.6, torch 2.13.0", "Seed 7", "show_text: true", "Relevance is not causation", "<b>christian</b> 2",
    ):  # fmt: skip
        assert part in shown.words, part


def test_token_signs_differ_in_more_than_colour_and_groups_are_outlined(source):
    css = re.search(r"<style>(.*?)</style>", source, re.DOTALL)[1]
    assert re.search(r"\.p1,.*border-bottom: 2px solid", css) and re.search(r"\.n1,.*border-bottom: 2px dotted", css)
    assert re.search(r'<span class="[pn]?\d? ?group" title="gender.female">her</span>', source)
    steps = {name[1] for name in re.findall(r'<span class="([pn]\d)', source)}
    assert steps == {"1", "2", "3", "4", "5"}


def test_a_page_stays_small_even_with_many_long_exhibits(source):
    assert len(source) < 300_000
    record = sample_record()
    token = record.exhibits[0].tokens[1]
    long = record.exhibits[0].model_copy(update={"tokens": (token,) * 2_000})
    page = html(record.model_copy(update={"exhibits": (long,) * 200})).decode()
    assert len(page) < 5_000_000 and "500 tokens more" in page and "180 more are in audit.json" in page


def test_a_config_that_hides_text_hides_exhibits_and_forms():
    record = sample_record()
    hidden = record.model_copy(update={"config": {**record.config, "report": {"show_text": False}}})
    words = Page(html(hidden).decode()).words
    assert "so no dataset text is shown" in words and "hidden by the config" in words
    assert not any(text in words for text in ("still a bore", "alert(1)", "Her 23"))


def test_a_record_without_findings_still_renders():
    empty = without(
        findings=(), gates=(), effects=(), distributions=(), exhibits=(), terms=(), lexicons=(), ledger=(), exit_code=5
    )
    page = Page(html(empty).decode())
    assert page.wrong == [] and set(page.links) <= set(page.ids)
    assert "The record holds no finding: nothing was asked." in page.words


def test_hostile_names_break_neither_ids_nor_charts():
    name = '"><script>alert(3)</script>$\\frac \u202e\x00 漢字'
    quoted = json.dumps(name)
    text = sample_record().model_dump_json().replace('"gender"', quoted).replace('"gender.female"', quoted)
    record = AuditRecord.model_validate_json(text)
    source = html(record).decode()
    page = Page(source)
    assert "<script" not in source and page.wrong == [] and len(page.ids) == len(set(page.ids))
    assert set(page.links) <= set(page.ids)


def test_formats_and_their_files_are_those_of_the_documentation_and_of_the_config():
    assert list(FORMATS) == list(get_args(Format))
    page = (HERE.parents[2] / "docs" / "reports.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| ([^|]+) \| ([^|]+) \|$", page, re.MULTILINE)
    told = {name: (about.strip(), re.findall("`([^`]+)`", files)) for name, files, about in rows}
    assert told == {name: (each.about, list(each.files)) for name, each in FORMATS.items()}
    files = [file for each in FORMATS.values() for file in each.files]
    assert len(files) == len(set(files)) and not {"audit.json", "manifest.json"} & set(files)
