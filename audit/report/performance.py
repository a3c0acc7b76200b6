"""The figures that model cards and bills of materials ask for: accuracy, rates of groups, their gaps and impact ratios."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from audit.records import AuditRecord, Estimate, Finding
from audit.report.page import rates
from audit.report.rates import of_output
from audit.report.text import shorten

OUTCOME = "outcome"


@final
@dataclass(frozen=True, slots=True)
class Performance:
    """An estimate of `measure` over a `part` of the examples, "" for all of them."""

    measure: str
    part: str
    estimate: Estimate


def performances(record: AuditRecord) -> list[Performance]:
    """In the order of the record, each measure of a part once."""
    found: dict[tuple[str, str], Performance] = {}
    for each in _all(record):
        found.setdefault((each.measure, each.part), each)
    return list(found.values())


def told(record: AuditRecord) -> list[Performance]:
    """Those whose value may be told."""
    return [each for each in performances(record) if each.estimate.value is not None]


def exact(value: float) -> str:
    """A number for programs that want a text: six digits.

    >>> exact(0.0412345678), exact(-2.0)
    ('0.0412346', '-2')
    """
    return f"{value:.6g}"


def _all(record: AuditRecord) -> Iterator[Performance]:
    yield Performance("accuracy", "", record.model.accuracy)
    for finding in record.findings:
        if finding.question == OUTCOME:
            yield from _of_gap(finding)
    for table in record.impact:
        for category in table.categories:
            part = _part(table.attribute, category.name)
            yield Performance(shorten(of_output(table.output), 80), part, category.rate)
            yield Performance("impact ratio", part, category.ratio)


def _of_gap(finding: Finding) -> Iterator[Performance]:
    measure = shorten(str(finding.details.get("measure") or finding.estimand.measure), 80)
    for group, rate in rates(finding):
        yield Performance(measure, _part(finding.attribute, group), rate)
    yield Performance(
        f"difference in {measure}", _part(finding.attribute, " − ".join(finding.groups)), finding.estimate
    )


def _part(attribute: str, group: str) -> str:
    return f"{shorten(attribute, 80)}: {shorten(group, 160)}"
