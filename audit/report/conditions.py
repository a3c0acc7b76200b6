"""What a profile may ask of a record by name: whether something is there, and answers that are computed from dates and tables.

A section that stands in every report does not hold every answer in every run; `CONDITIONS` say when it does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any, Final, final

from audit.records import AuditRecord, Verdict
from audit.report.outline import said
from audit.report.text import moment

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
CROSSED: Final = (" × ", " x ")


def asked(record: AuditRecord) -> Mapping[str, Any]:
    """The block `compliance` of the recorded config; empty in a record that is older."""
    block = record.config.get("compliance")
    return block if isinstance(block, Mapping) else NOTHING


@final
@dataclass(frozen=True, slots=True)
class Condition:
    """Whether it holds of a record, and what to say where it does not."""

    holds: Callable[[AuditRecord], bool]
    otherwise: str


def _tested(*questions: str, measures: tuple[str, ...] = ()) -> Callable[[AuditRecord], bool]:
    """Whether a finding of such a question, and such a measure, could be tested."""
    return lambda record: any(
        each.question in questions
        and each.verdict is not Verdict.NOT_TESTABLE
        and (not measures or each.details.get("measure") in measures)
        for each in record.findings
    )


def _crossed(record: AuditRecord) -> bool:
    tested = (each.attribute for each in record.findings if each.verdict is not Verdict.NOT_TESTABLE)
    tables = (each.attribute for each in record.impact if each.categories)
    return any(sign in name for name in (*tested, *tables) for sign in CROSSED)


def _excluded(record: AuditRecord) -> bool:
    """True where no table says so, for then nobody knows."""
    return not record.impact or any(one.excluded for each in record.impact for one in each.categories)


def _of_a_category(name: str) -> Callable[[AuditRecord], bool]:
    return lambda record: any(getattr(one, name) is not None for each in record.impact for one in each.categories)


def _of_a_ratio(name: str) -> Callable[[AuditRecord], bool]:
    return lambda record: any(getattr(one.ratio, name) is not None for each in record.impact for one in each.categories)


def _valid(*requirements: str) -> Callable[[AuditRecord], bool]:
    """Whether the explanation was tested so, and there was enough to say something."""
    return lambda record: any(each.asks in requirements and each.estimate.value is not None for each in record.validity)


# `when` of a field: without it the text does not ask; where it is not known, it asks
CONDITIONS: Final[Mapping[str, Condition]] = MappingProxyType({
    "data may be test data": Condition(
        lambda record: said(record).get("data_kind") != "historical", "the data are declared historical"
    ),
    "ratios of scores": Condition(lambda record: asked(record).get("output") == "score", "ratios are of selection rates"),
    "groups are unknown": Condition(
        lambda record: any(n is None or n > 0 for n in record.data.unknown.values()), "the group of every example is known"
    ),
    "a category is excluded": Condition(_excluded, "no category is excluded"),
    # `needs` of a section
    "ratios": Condition(_of_a_ratio("value"), "no impact ratio is shown"),
    "intervals of ratios": Condition(_of_a_ratio("low"), "no impact ratio is shown with an interval"),
    "counts": Condition(lambda record: any(each.categories for each in record.impact), "there is no impact table"),
    "four fifths": Condition(_of_a_category("four_fifths"), "no category is held against four fifths"),
    "tests of ratios": Condition(_of_a_category("p"), "no test of a category is shown"),
    "deviations": Condition(_of_a_category("deviations"), "no difference in standard deviations is shown"),
    "shortfall": Condition(_of_a_category("shortfall"), "no shortfall is shown"),
    "one selection more": Condition(_of_a_category("crosses"), "no category says so"),
    "odds": Condition(_of_a_category("odds"), "no odds ratio is shown"),
    "readings": Condition(
        lambda record: any(one.reading for each in record.impact for one in each.categories), "no category was read"
    ),
    "bounds": Condition(_of_a_category("lowest"), "no bounds are shown: no impact table, or no group is unknown"),
    "expected minimum": Condition(
        lambda record: any(each.expected for each in record.impact), "no smallest ratio by chance is shown"
    ),
    "strata": Condition(
        lambda record: any(each.stratified for each in record.impact), "nothing was stratified (compliance.strata)"
    ),
    "outcome gaps": Condition(_tested("outcome"), "no gap of rates between groups could be tested"),
    "error rates": Condition(
        _tested("outcome", measures=("error rate", "false positive rate", "false negative rate")),
        "no gap of error rates between groups could be tested",
    ),
    "false positives and negatives": Condition(
        _tested("outcome", measures=("false positive rate", "false negative rate")),
        "no gap of false positive or false negative rates could be tested",
    ),
    "relevance": Condition(
        _tested("reliance", "contrast", "direction", "disparity", "errors"), "no question on relevance could be tested"
    ),
    "disparities": Condition(_tested("contrast", "disparity"), "no disparity of relevance between groups could be tested"),
    "crossed groups": Condition(_crossed, "no attributes are crossed (statistics.intersections, compliance.axes)"),
    "tests": Condition(
        lambda record: any(each.verdict is not Verdict.NOT_TESTABLE for each in record.findings), "nothing could be tested"
    ),
    "gates": Condition(lambda record: bool(record.gates), "no gate is declared"),
    "sensitivity": Condition(
        lambda record: any(each.sensitivity for each in record.findings), "no finding was computed under another choice"
    ),
    "candidates": Condition(
        lambda record: record.discovery is not None, "no candidates were looked for (checks.candidates)"
    ),
    "interventions": Condition(
        lambda record: bool(record.agreement) or any(each.checks for each in record.findings),
        "nothing was hidden to check relevance (checks.examples)",
    ),
    "validity": Condition(lambda record: bool(record.validity), "the explanation was not tested"),
    "faithfulness": Condition(_valid("random order", "mean map"), "whether relevance moves the logit was not tested"),
    "randomisation": Condition(
        _valid("re-initialised copy", "likeness of the copy"), "no copy with random weights was explained"
    ),
    "noise": Condition(_valid("noise"), "the explanation was not tested under noise"),
    "composites": Condition(
        lambda record: _valid("composites")(record) or any(each.second_opinion for each in record.findings),
        "no second composite was used",
    ),
    "annotations": Condition(
        lambda record: bool(record.lexicons or record.regions), "neither lexicons nor regions are declared"
    ),
    "annotations or columns": Condition(
        lambda record: bool(record.lexicons or record.regions or record.data.attributes), "no groups are declared"
    ),
    "detectable effects": Condition(
        lambda record: any(each.detectable is not None for each in record.findings),
        "no finding tells the smallest effect that it could have shown",
    ),
})  # fmt: skip


def audit_age(record: AuditRecord) -> tuple[str | None, str]:
    """The audit against the day of first use: an answer, or None and why there is none. A year ends on the same day of the next."""
    audited, first = _day(record.finished), _day(said(record).get("distribution_date"))
    if audited is None:
        return None, "the record has no time of the audit"
    until = f"an audit of {audited} is one year old on {_anniversary(audited)}"
    if first is None:
        return None, f"no declaration distribution_date, or none that reads YYYY-MM-DD; {until}"
    days = (first - audited).days
    if days < 0:
        return f"first use {first} is {-days} days before this audit, so an earlier audit must cover it; {until}", ""
    within = "within one year" if first <= _anniversary(audited) else "MORE than one year"
    return f"first use {first} is {days} days after this audit, {within}; {until}", ""


def _day(given: object) -> date | None:
    time = moment(str(given))
    return time and time.date()


def _anniversary(day: date) -> date:
    """The same day a year later; of 29 February the day before."""
    leap = (day.month, day.day) == (2, 29)
    return day.replace(year=day.year + 1, day=28 if leap else day.day)


def table_checks(record: AuditRecord) -> tuple[str | None, str]:
    """Whether counts, rates and references of every impact table add up; those that do not are named."""
    if not record.impact:
        return None, "there is no impact table"
    failed = [f"{each.attribute}: {name}" for each in record.impact for name, holds in each.checks.items() if not holds]
    made = sum(len(each.checks) for each in record.impact)
    if not made:
        return None, "no check was recorded"
    named = f"; NOT: {', '.join(failed)}" if failed else ""
    return f"{made - len(failed)} of {made} checks hold{named}", ""


def medians(record: AuditRecord) -> tuple[str | None, str]:
    """The median score of the full sample, which is one for all tables."""
    found = sorted({each.threshold for each in record.impact if each.threshold is not None})
    return (", ".join(f"{value:.4g}" for value in found), "") if found else (None, "no impact table of scores")


def excluded_categories(record: AuditRecord) -> tuple[str | None, str]:
    """Categories that have no ratio, with their share; their counts and rates stand in the tables."""
    if not record.impact:
        return None, "there is no impact table"
    named = [
        f"{each.attribute} {one.name}: {one.excluded}"
        for each in record.impact
        for one in each.categories
        if one.excluded
    ]
    return "; ".join(named) or "none", ""


# an answer that a profile names, or None and the reason
COMPUTED: Final[Mapping[str, Callable[[AuditRecord], tuple[str | None, str]]]] = MappingProxyType(
    {
        "audit age": audit_age,
        "table checks": table_checks,
        "medians": medians,
        "excluded categories": excluded_categories,
    }
)
