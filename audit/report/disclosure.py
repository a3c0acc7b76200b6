"""Findings as reports may show them: which of their numbers tell, alone or beside others, a count of people below k.

Counts of one attribute complete each other: sizes of groups add up to a total, errors of groups to those of the model, false
positives and false negatives to errors, cells of a crossed attribute to the groups that it crosses. So what is withheld is withheld
for a whole attribute and for every attribute that crosses it: all counts where any is too small, and all rates where one has too few
events. Verdicts stay, and so do intervals of differences of rates, rounded outwards; a p of few events is one of few values, and goes.
Cost: milliseconds.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from pydantic import JsonValue

from audit.records import AuditRecord, Check, Estimate, Finding, Sensitivity, TermEffect, Verdict
from audit.report.rates import ERROR, OF_COLUMNS, compared, estimate_of, near, parts, rate_tables
from audit.report.suppression import OF_A_RATE, counted, masked, outward, rare, shown_estimate, small, table, unvalued
from audit.report.text import WITHHELD

OF_RATES: Final = ("outcome", "link", "unexplained")
NOT_PEOPLE: Final = ("jitter in pixels", "twins flagged at .05 by the others")  # details
SWAPPED: Final = "texts swapped"  # the total of what is swapped one way, "from A to B", and the other
CHANGED: Final = (
    "favourable with ",
    "p of equal changes",
)  # how many swaps change a prediction, and a p of those alone
WITHIN: Final = ("odds ratio of an error", "p of equal odds", "p of one odds ratio")  # of errors by true class
INTERVAL: Final = r" ?\(\d+ % interval [^)]*\)"  # of a difference, in a reason
INTERVALS: Final = r" [+-]\d+\.\d+ \[[^\]]*\]"  # of checks, in the grounds of a grade
ALL: Final = "all"  # label of an effect over every class
FEW: Final = "a rate has few events, or few others"


def shown_findings(record: AuditRecord, told: "Told", absent: Collection[str], k: int) -> tuple[Finding, ...]:
    """`absent`: regions that few photographs lack, or hold."""
    changed = {compared(each) for each in record.findings if _changes_few(each, k)}
    close, terms = near(record, k), hidden_terms(record.effects, k)
    shown = []
    for each in record.findings:
        hidden = (
            (each.question in OF_COLUMNS and each.attribute in told.counts)
            or not set(absent).isdisjoint((*each.groups, str(each.details.get("region"))))
            or each.id in close
            or _of_term(each) in terms
            or any(small(n, k) for n in _counts(each))
            or _one_way(each, k)
        )
        measured = each.attribute in (told.errors if each.details.get("measure", ERROR) == ERROR else told.rates)
        events = each.question == "unexplained" or (
            each.question in OF_RATES and (measured or any(rare(e, k) for e in _inside(each)))
        )
        withheld = (CHANGED if compared(each) in changed else ()) + (WITHIN if each.attribute in told.rates else ())
        shown.append(_finding(each, k, counts=not (hidden or events), events=events, withheld=withheld))
    return tuple(shown)


def hidden_terms(effects: Sequence[TermEffect], k: int) -> frozenset[tuple[str, str, str, str]]:
    """Attribute, group, term and class of the counts that are too small to show, or that would tell one from the count of all classes."""
    sizes: dict[tuple[str, str, str], dict[str, int | None]] = {}
    for each in effects:
        sizes.setdefault((each.attribute, each.group, each.term), {})[each.label] = each.estimate.n
    return frozenset(
        (*term, label)
        for term, by_label in sizes.items()
        for label in table({name: n for name, n in by_label.items() if name != ALL}, by_label.get(ALL), k)
    )


def _of_term(finding: Finding) -> tuple[str, ...]:
    """Attribute, group, term and class of a finding on one."""
    term, label = finding.details.get("term"), finding.details.get("true class")
    return (finding.attribute, *finding.groups[:1], str(term), str(label))


@final
@dataclass(frozen=True, slots=True)
class Told:
    """Attributes of which no `counts` may be shown, no `rates` but those of errors, and none of `errors` either."""

    counts: frozenset[str]
    rates: frozenset[str]
    errors: frozenset[str]


def told_of(record: AuditRecord, groups: Mapping[str, frozenset[str]], k: int) -> Told:
    """Of findings and impact tables; `groups` are those of each column that are withheld.

    Errors of both kinds may be withheld while their sum is shown; without that sum, nothing that adds up to it may be.
    """
    asked = [each for each in record.findings if each.question in OF_COLUMNS]
    tables = rate_tables(record)
    rates = {name for (name, _), table in tables.items() if any(small(n, k) for n in table.events())}
    errors = {name for name, measure in tables if name in rates and measure == ERROR
              and any(small(n, k) for n in tables[name, measure].events())}  # fmt: skip
    counts = {name for (name, _), table in tables.items() if any(small(n, k) for n in table.sizes())}
    counts |= errors | {name for name, hidden in groups.items() if hidden}
    counts |= {each.attribute for each in asked if _set_aside(each, k)}
    crossed = {
        name: parts(name) for name in [each.attribute for each in asked] + [each.attribute for each in record.impact]
    }
    return Told(*(
        frozenset(name for name, own in crossed.items() if any(parts(other) <= own for other in names))
        for names in (counts, rates, errors)
    ))  # fmt: skip


def _set_aside(finding: Finding, k: int) -> bool:
    """Whether it says of which cell there are too few to test, and that is below k."""
    return finding.verdict is Verdict.NOT_TESTABLE and any(small(n, k) for n in _counts(finding))


def _inside(finding: Finding) -> list[Estimate]:
    """Its own estimate and those of its details."""
    return [finding.estimate, *(each for value in finding.details.values() if (each := estimate_of(value)))]


def _counts(finding: Finding) -> Iterator[int]:
    """The counts of people that it shows, but for those of changed predictions."""
    yield from counted(finding.reason, names=finding.groups)
    for each in (finding.estimate, *(opinion.estimate for opinion in finding.second_opinion)):
        yield from (each.n or 0, each.dropped)
    for key, value in finding.details.items():
        if not key.startswith(CHANGED):
            yield from _numbers(key, value)


def _numbers(key: str, value: JsonValue) -> Iterator[int]:
    estimate = estimate_of(value)
    if estimate:
        yield from (estimate.n or 0, estimate.dropped)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _numbers(name, item)
    elif isinstance(value, int) and not isinstance(value, bool) and key not in NOT_PEOPLE:
        yield value


def _changes_few(finding: Finding, k: int) -> bool:
    """Whether few predictions change one way when words are swapped, or few do or do not at all."""
    ways = [n for key, n in finding.details.items() if key.startswith(CHANGED[0]) and isinstance(n, int)]
    return any(small(n, k) for n in ways) or (finding.question == "intervention" and rare(finding.estimate, k))


def _one_way(finding: Finding, k: int) -> bool:
    """Whether few texts are swapped one way, so that the other way tells how many."""
    total = finding.details.get(SWAPPED)
    ways = [n for key, n in finding.details.items() if key.startswith("from ") and isinstance(n, int)]
    return isinstance(total, int) and any(small(part, k) for n in ways for part in (n, total - n))


def _finding(finding: Finding, k: int, *, counts: bool, events: bool, withheld: tuple[str, ...]) -> Finding:
    """Without `counts` if those tell, without rates if they tell few `events`, without details whose names begin as `withheld` say."""
    update: dict[str, object] = {
        "estimate": shown_estimate(finding.estimate, k, counts=counts),
        "reason": masked(finding.reason, k, counts=counts, names=finding.groups),
        "details": {
            key: WITHHELD if key.startswith(withheld) else _detail(key, value, k, counts=counts)
            for key, value in finding.details.items()
        },
        "second_opinion": tuple(
            each.model_copy(update={"estimate": shown_estimate(each.estimate, k, counts=counts)})
            for each in finding.second_opinion
        ),
        "sensitivity": tuple(  # its n less that of the finding would tell how few it leaves out
            each.model_copy(update={"estimate": shown_estimate(each.estimate, k, counts=False)})
            for each in finding.sensitivity
        ),
        "checks": tuple(_check(each, k) for each in finding.checks),
        "grounds": _grounds(finding, k),
    }
    if not counts:
        update["needed_n"] = None
    if small(finding.estimate.n, k) or rare(finding.estimate, k):
        update |= _bare(finding) | {"second_opinion": (), "sensitivity": (), "checks": (), "null": ()}
    elif events:
        update |= _bare(finding) | _rounded(finding, k)
    elif not counts and finding.question in OF_RATES:
        update |= _vague(finding, k)
    return finding.model_copy(update=update)


def _check(check: Check, k: int) -> Check:
    """Without counts: they would tell how many examples were not drawn, or have no control; without what few examples show.

    Flips are shown where k or more, beyond those of the control, change their prediction.
    """
    flips = check.flips
    few = flips is None or flips.value is None or abs(flips.value) * (flips.n or 0) < k
    return check.model_copy(update={
        "estimate": shown_estimate(check.estimate, k, counts=False),
        "flips": None if few or flips is None else shown_estimate(flips, k, counts=False),
    })  # fmt: skip


def _grounds(finding: Finding, k: int) -> str:
    """Without the numbers of checks, where one is of few examples."""
    few = any(small(check.estimate.n, k) for check in finding.checks)
    return masked(re.sub(INTERVALS, "", finding.grounds) if few else finding.grounds, k, counts=not few)


def _bare(finding: Finding) -> dict[str, object]:
    """What a finding without a value keeps: words."""
    return {
        "test": finding.test.model_copy(update={"p": None, "p_adjusted": None, "omnibus": None}),
        "details": {key: value for key, value in finding.details.items() if isinstance(value, str)},
        "detectable": None,
        "needed_n": None,
        "grounds": re.sub(INTERVALS, "", finding.grounds),
        "reason": re.sub(INTERVAL, "", masked(finding.reason, 1, counts=False, names=finding.groups)),
    }


def _rounded(finding: Finding, k: int) -> dict[str, object]:
    """What a difference of rates with few events keeps: one end of its interval leaves k numbers of events or more to who knows
    the sizes of both groups and the events of both together."""
    estimate = shown_estimate(finding.estimate, k, counts=False)
    said = estimate.model_copy(update={"reason": "; ".join(filter(None, (estimate.reason, FEW)))})
    return {
        "estimate": outward(said, 2 * k / fewest(finding)).model_copy(update={"value": None}),
        "sensitivity": _without_values(finding, k),
        "checks": (),
    }


def _vague(finding: Finding, k: int) -> dict[str, object]:
    """What a difference of rates keeps where counts are withheld: its interval rounded outwards, and no number that who knows the
    sizes of the groups could solve for the events of one, as p and the extremes over the unknown are."""
    return {
        "estimate": outward(shown_estimate(finding.estimate, k, counts=False), k / fewest(finding)),
        "test": finding.test.model_copy(update={"p": None, "p_adjusted": None, "omnibus": None}),
        "sensitivity": _without_values(finding, k),
        "checks": (),
        "detectable": None,
    }


def _without_values(finding: Finding, k: int) -> tuple[Sensitivity, ...]:
    return tuple(
        each.model_copy(update={"estimate": unvalued(shown_estimate(each.estimate, k, counts=False), WITHHELD)})
        for each in finding.sensitivity
    )


def fewest(finding: Finding) -> int:
    """The smallest n of its rates."""
    return min(
        (e.n for e in _inside(finding)[1:] if e.n and e.interval.startswith(OF_A_RATE)), default=finding.estimate.n or 1
    )


def _detail(key: str, value: JsonValue, k: int, *, counts: bool) -> JsonValue:
    estimate = estimate_of(value)
    if estimate:
        return shown_estimate(estimate, k, counts=counts).model_dump()
    if isinstance(value, dict):
        return {name: _detail(name, item, k, counts=counts) for name, item in value.items()}
    if isinstance(value, bool) or not isinstance(value, int) or key in NOT_PEOPLE:
        return value
    return WITHHELD if (not counts and value) or small(value, k) else value
