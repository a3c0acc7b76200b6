"""The order of a report: its sections, and which findings, questions and choices stand where."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

from audit.records import SHOWN, AuditRecord, Finding, ValidityCheck, Verdict
from audit.report.text import NONE, number
from audit.report.wording import SEVERITY

SECTIONS: Final[Mapping[str, str]] = MappingProxyType({
    "A": "Identity and scope", "B": "Data", "C": "Protocol", "D": "Verdicts", "E": "Outcome disparity", "F": "Relevance disparity",
    "G": "Outcome and relevance together", "H": "Validity of the explanation", "I": "Sensitivity", "J": "Limits, and what was not tested",
    "K": "Provenance and sign-off", "L": "Crosswalk and glossary",
})  # fmt: skip
SECTION_OF: Final[Mapping[str, str]] = MappingProxyType({  # a question; all others are about relevance
    "outcome": "E", "unexplained": "E", "errors": "G", "link": "G",
})  # fmt: skip
AXES: Final[Mapping[str, str]] = MappingProxyType({
    "sex": "sex", "race_ethnicity": "race and ethnicity", "sex x race_ethnicity": "sex crossed with race and ethnicity",
})  # fmt: skip
MENTIONED: Final = " (mentioned)"
MOST_OPEN: Final = 100
MOST_ROWS: Final = 200  # of a table of findings: a page stays below 5 MB


def section_of(question: str) -> str:
    """The letter of the section that holds the findings of a question."""
    return SECTION_OF.get(question, "F")


@final
@dataclass(frozen=True, slots=True)
class Cell:
    """Verdicts of one attribute on one question, worst first, with their findings."""

    verdicts: tuple[tuple[Verdict, tuple[Finding, ...]], ...]


@final
@dataclass(frozen=True, slots=True)
class Row:
    """One attribute of the verdict grid; a cell per question."""

    attribute: str
    cells: tuple[Cell, ...]


@final
@dataclass(frozen=True, slots=True)
class Family:
    """One question as it was asked: how it was tested and corrected, and what came out."""

    question: str
    tests: list[str]
    correction: str
    m: int
    alpha: float | None
    margin: str
    gate: bool
    verdicts: Mapping[Verdict, int]


@final
@dataclass(frozen=True, slots=True)
class Choice:
    """Another choice than the config's: how many findings were `tried` under it, and which come out otherwise."""

    changed: str
    tried: int
    flipped: list[Finding]


def protocol(record: AuditRecord) -> list[Family]:
    """A row a question."""
    return [
        _family(question, [f for f in record.findings if f.question == question]) for question in questions_of(record)
    ]


def _family(question: str, findings: Sequence[Finding]) -> Family:
    tested = [each for each in findings if each.verdict is not Verdict.NOT_TESTABLE]
    margins = sorted({each.margin for each in findings if each.margin is not None})
    return Family(
        question=question,
        tests=list(dict.fromkeys(each.test.name for each in tested)),
        correction=", ".join(dict.fromkeys(each.test.correction for each in tested if each.test.correction)),
        m=max((each.test.m for each in tested), default=0),
        alpha=next((each.test.alpha for each in tested if each.test.alpha is not None), None),
        margin=", ".join(number(margin) for margin in margins) or NONE,
        gate=any(each.gate for each in findings),
        verdicts=Counter(each.verdict for each in findings),
    )


def choices(record: AuditRecord) -> list[Choice]:
    """What was varied, that which changes most first."""
    tried = Counter(other.changed for each in record.findings for other in each.sensitivity)
    flipped = {name: [f for f in record.findings if any(o.changed == name for o in f.flips)] for name in tried}
    return sorted(
        (Choice(name, n, flipped[name]) for name, n in tried.items()), key=lambda c: (-len(c.flipped), c.changed)
    )


def reasons(untestable: Sequence[Finding], most: int = 3) -> list[tuple[str, int, str]]:
    """Question, how many of its findings could not be tested, and the reason of the first; those with most of them first."""
    counts = Counter(each.question for each in untestable)
    first = {each.question: each.reason for each in reversed(untestable)}
    return [(question, n, first[question]) for question, n in counts.most_common(most)]


def questions_of(record: AuditRecord) -> tuple[str, ...]:
    """The questions, in the order of the findings."""
    return tuple(dict.fromkeys(finding.question for finding in record.findings))


def grid(record: AuditRecord) -> tuple[Row, ...]:
    """Attribute by question; an attribute that texts mention shares its row with the lexicon's attribute."""
    questions = questions_of(record)
    attributes = dict.fromkeys(finding.attribute.removesuffix(MENTIONED) for finding in record.findings)
    return tuple(
        Row(attribute, tuple(_cell(record.findings, attribute, question) for question in questions))
        for attribute in attributes
    )


def _cell(findings: Sequence[Finding], attribute: str, question: str) -> Cell:
    mine = [f for f in findings if f.question == question and f.attribute.removesuffix(MENTIONED) == attribute]
    by_verdict = {verdict: tuple(f for f in mine if f.verdict is verdict) for verdict in SEVERITY}
    return Cell(tuple((verdict, found) for verdict, found in by_verdict.items() if found))


def tables(record: AuditRecord, letter: str) -> list[tuple[str, str, list[Finding], int]]:
    """Question, family, the tested findings of a section as far as the page has room, and how many are left out."""
    found: dict[tuple[str, str], list[Finding]] = {}
    for finding in record.findings:
        if finding.verdict is not Verdict.NOT_TESTABLE and section_of(finding.question) == letter:
            found.setdefault((finding.question, finding.test.family), []).append(finding)
    return [(*key, kept(rows, MOST_ROWS), max(0, len(rows) - MOST_ROWS)) for key, rows in found.items()]


def kept(findings: Sequence[Finding], most: int) -> list[Finding]:
    """The most severe in their order."""
    ranked = sorted(range(len(findings)), key=lambda i: (SEVERITY.index(findings[i].verdict), i))[:most]
    return [findings[i] for i in sorted(ranked)]


def untestable(record: AuditRecord) -> list[Finding]:
    """Findings that could not be tested."""
    return [finding for finding in record.findings if finding.verdict is Verdict.NOT_TESTABLE]


def shown_ids(record: AuditRecord) -> frozenset[str]:
    """Of the findings that have a row."""
    rows = [finding for letter in SECTIONS for *_, found, _ in tables(record, letter) for finding in found]
    return frozenset(finding.id for finding in [*rows, *untestable(record)[:MOST_ROWS]])


def by_requirement(record: AuditRecord) -> list[tuple[str, list[ValidityCheck]]]:
    """What was asked of the explanation, in order, with its checks."""
    found: dict[str, list[ValidityCheck]] = {}
    for each in record.validity:
        found.setdefault(each.asks, []).append(each)
    return list(found.items())


def shared(rows: Sequence[Finding]) -> list[str]:
    """Population and unit of a table's estimands, where all its rows have the same."""
    parts = {"Population": {row.estimand.population for row in rows}, "Unit": {row.estimand.unit for row in rows}}
    return [f"{name}: {found.pop()}." for name, found in parts.items() if len(found) == 1]


def open_findings(record: AuditRecord) -> tuple[list[Finding], int]:
    """INCONCLUSIVE findings by question and attribute, and how many were left out."""
    order = questions_of(record)
    found = sorted(
        (finding for finding in record.findings if finding.verdict is Verdict.INCONCLUSIVE),
        key=lambda finding: (order.index(finding.question), finding.attribute),
    )
    return found[:MOST_OPEN], max(0, len(found) - MOST_OPEN)


def links(record: AuditRecord) -> list[tuple[Finding, list[Finding], list[Finding]]]:
    """Per pair of groups: the gap of error rates, and the disparities of relevance that are shown and those that are not."""
    made = []
    for gap in record.findings:
        if gap.question == "outcome" and gap.details.get("measure") == "error rate":
            mine = [
                f for f in record.findings
                if f.question == "disparity" and (f.attribute, f.groups) == (gap.attribute, gap.groups)
                and f.verdict is not Verdict.NOT_TESTABLE
            ]  # fmt: skip
            shown = [f for f in mine if f.verdict in SHOWN]
            made += [(gap, shown, [f for f in mine if f not in shown])] if mine else []
    return made
