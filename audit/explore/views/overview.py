"""Verdicts first: the grid, the findings that an address asks for, and how the last runs ended."""

from typing import Any, Final

from audit.errors import AuditError
from audit.explore.query import Pairs
from audit.explore.shelf import Shelf
from audit.history import history
from audit.records import AuditRecord, Finding, Verdict
from audit.report import outline, plain
from audit.report.outline import MENTIONED

FIRST: Final = 12  # findings, where the address asks for none
LAST: Final = 8  # runs
MOST_RUNS: Final = 200  # beside this one; of more the first page would be slow, and `/runs` has them


def overview(shelf: Shelf, pairs: Pairs) -> dict[str, Any]:
    """`?attribute=…&question=…&verdict=…` asks for findings."""
    record, asked = shelf.record, {name: value for name, value in pairs if name in ("attribute", "question", "verdict")}
    found = _asked(record, asked)
    return {
        "summary": plain.summary(record), "grid": outline.grid(record), "questions": outline.questions_of(record), "asked": asked,
        "findings": found if asked else outline.kept([f for f in found if f.verdict is not Verdict.NOT_TESTABLE], FIRST),
        "steps": _steps(shelf),
    }  # fmt: skip


def _asked(record: AuditRecord, asked: dict[str, str]) -> list[Finding]:
    def meets(finding: Finding) -> bool:
        told = {
            "attribute": finding.attribute.removesuffix(MENTIONED),
            "question": finding.question,
            "verdict": finding.verdict.value,
        }
        return all(told[name] == value for name, value in asked.items())

    return [each for each in record.findings if meets(each)]


def _steps(shelf: Shelf) -> tuple[Any, ...]:
    """The last runs of this audit, the newest first."""
    parent = shelf.folder.resolve().parent
    try:
        if sum(1 for _ in parent.iterdir()) > MOST_RUNS:
            return ()
        return next(iter(history(parent, last=LAST))).steps[::-1]
    except (AuditError, OSError, StopIteration):
        return ()
