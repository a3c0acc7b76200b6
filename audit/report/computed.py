"""Answers of a profile that no part of the record holds as such: dates held against declarations, and what tables say of themselves.

Numbers are the record's own; only days are counted here, from a declaration that is no part of the run and may be mended after it.
"""

from collections.abc import Callable, Mapping
from datetime import MAXYEAR, date
from types import MappingProxyType
from typing import Final

from audit.records import AuditRecord
from audit.report.declarations import supplied
from audit.report.text import moment


def audit_age(record: AuditRecord) -> tuple[str | None, str]:
    """The audit against the day of first use: an answer, or None and why there is none. A year ends on the same day of the next."""
    audited, first = _day(record.finished), _day(supplied(record, "distribution_date"))
    if audited is None:
        return None, "the record has no time of the audit"
    last = _anniversary(audited)
    until = f"an audit of {audited} is one year old on {last or 'no day of the calendar'}"
    if first is None:
        return None, f"no declaration distribution_date, or none that reads YYYY-MM-DD; {until}"
    days = (first - audited).days
    if days < 0:
        return f"first use {first} is {-days} days before this audit, so an earlier audit must cover it; {until}", ""
    within = "within one year" if last is None or first <= last else "MORE than one year"
    return f"first use {first} is {days} days after this audit, {within}; {until}", ""


def _day(given: object) -> date | None:
    time = moment(str(given))
    return time and time.date()


def _anniversary(day: date) -> date | None:
    """The same day a year later; of 29 February the day before; None after the last year of the calendar."""
    leap = (day.month, day.day) == (2, 29)
    return None if day.year == MAXYEAR else day.replace(year=day.year + 1, day=28 if leap else day.day)


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
