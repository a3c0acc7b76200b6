"""Nothing that a user reads claims more than an audit can: no such word in templates, tables of words, profiles and pages."""

from pathlib import Path

import pytest

from tests.audit.report.words import slips

ROOT = Path(__file__).parents[3]
REPORT = ROOT / "audit" / "report"
WORDED = ("wording.py", "plain.py", "outline.py", "conditions.py", "computed.py", "crosswalk.py", "history.py")
READ = (
    *(path for path in (REPORT / "templates").rglob("*") if path.is_file()), *REPORT.glob("profiles/*.yaml"),
    *(REPORT / name for name in WORDED), ROOT / "audit" / "questions.py", ROOT / "audit" / "config" / "compliance.py",
    ROOT / "README.md", *(ROOT / "docs").glob("*.md"),
)  # fmt: skip


@pytest.mark.parametrize("path", sorted(READ), ids=lambda path: path.name)
def test_no_page_says_more_than_an_audit_can(path: Path) -> None:
    assert not list(slips(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "text",
    [
        "The model is compliant with Local Law 144.", "It passes.", "an unbiased model", "a Fair\nmodel", "how to de-bias it",
        "a certified report", "which proves that there is no bias", "this establishes compliance", "it ensures legal compliance",
    ],
)  # fmt: skip
def test_claims_are_found_with_their_line_and_what_to_write(text: str) -> None:
    (slip,) = slips(f"first line\n{text}")
    assert slip.line == 2 and slip.found in text and slip.instead


@pytest.mark.parametrize(
    "text",
    [
        "An audit supports legal compliance and never establishes it.", "it never establishes\nlegal compliance", "1,000 forward passes",
        "assert_passes(checks)", "a provenance, and its improvement", "an affair with models",
    ],
)  # fmt: skip
def test_the_same_words_in_other_meanings_are_left_alone(text: str) -> None:
    assert not list(slips(text))
