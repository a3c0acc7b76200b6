"""What a profile may ask of a record by name: whether something is there.

A section that stands in every report does not hold every answer in every run, and what is published may withhold it; `CONDITIONS` say
which. They read what sections show: a number elsewhere in the record is no answer there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

from audit.records import AuditRecord, Category, Estimate, ImpactTable, Verdict
from audit.report.declarations import block, supplied
from audit.report.impact import UNCOUNTED
from audit.report.outline import section_of
from audit.report.text import WITHHELD
from audit.tables import TIMES

HIDDEN: Final = UNCOUNTED.partition("{}")[0]  # how the reason of a table without counts begins


@final
@dataclass(frozen=True, slots=True)
class Condition:
    """Names of what is asked for, and whether the record has it (None: withheld); `otherwise` is said where it has none."""

    parts: Callable[[AuditRecord], Iterable[tuple[str, bool | None]]]
    otherwise: str

    def holds(self, record: AuditRecord) -> bool:
        """Whether the record has any of it."""
        return any(there for _, there in self.parts(record))

    def withheld(self, record: AuditRecord) -> list[str]:
        """Names, such as attributes, of which all of it is withheld."""
        found = list(self.parts(record))
        shown = {name for name, there in found if there}
        return list(dict.fromkeys(name for name, there in found if there is None and name not in shown))


def untold(estimate: Estimate) -> bool:
    """Whether its value and its interval are withheld."""
    return estimate.value is None and estimate.low is None and estimate.reason.startswith(WITHHELD)


def uncounted(table: ImpactTable) -> bool:
    """Whether counts of the table are withheld."""
    return table.reason.startswith(HIDDEN)


def numbered(table: ImpactTable) -> bool:
    """Whether the table shows a number besides the reference's ratio to itself."""
    return any(_any(table, has) for has in (_n, _selected, _rate, _ratio))


def _any(table: ImpactTable, has: Callable[[Category], bool]) -> bool:
    return any(has(each) for each in table.categories)


def _n(each: Category) -> bool:
    return each.n is not None


def _selected(each: Category) -> bool:
    return each.selected is not None


def _rate(each: Category) -> bool:
    return each.rate.value is not None


def _ratio(each: Category) -> bool:
    return not each.reference and each.ratio.value is not None


def _named(record: AuditRecord, table: ImpactTable) -> bool:
    return bool(table.categories)


def _compared(record: AuditRecord, table: ImpactTable) -> bool:
    """Whether a category is held against a reference, whatever is shown of it."""
    return _any(table, lambda one: one.reference) and _any(table, lambda one: not (one.reference or one.excluded))


def _within(record: AuditRecord, table: ImpactTable) -> bool:
    """Whether the config asks for strata, and the table is not made of them."""
    strata = block(record).get("strata")
    return _compared(record, table) and bool(strata) and strata not in table.attribute.split(TIMES)


def _if(holds: Callable[[AuditRecord], bool], otherwise: str) -> Condition:
    return Condition(lambda record: [("", holds(record))], otherwise)


def _tables(
    shows: Callable[[ImpactTable], bool],
    otherwise: str,
    *,
    could: Callable[[AuditRecord, ImpactTable], bool] = _compared,
) -> Condition:
    """What a table shows; withheld where it `could` show it, and what is published holds numbers of the table back."""

    def there(record: AuditRecord, table: ImpactTable) -> bool | None:
        return shows(table) or (None if could(record, table) and _holds_back(table) else False)

    return Condition(lambda record: [(each.attribute, there(record, each)) for each in record.impact], otherwise)


def _of_category(
    has: Callable[[Category], bool],
    otherwise: str,
    *,
    could: Callable[[AuditRecord, ImpactTable], bool] = _compared,
) -> Condition:
    return _tables(lambda table: _any(table, has), otherwise, could=could)


def _holds_back(table: ImpactTable) -> bool:
    estimates = [found for each in table.categories for found in (each.rate, each.ratio, each.odds) if found]
    return uncounted(table) or any(map(untold, (*estimates, *(each.odds for each in table.stratified))))


def _tested(questions: Iterable[str], otherwise: str, *, measures: tuple[str, ...] = ()) -> Condition:
    """Findings of such a question, and such a measure, that could be tested."""
    asked = frozenset(questions)

    def parts(record: AuditRecord) -> Iterator[tuple[str, bool | None]]:
        for each in record.findings:
            if each.question in asked and (not measures or each.details.get("measure") in measures):
                yield each.attribute, _shown(each.estimate, each.verdict)

    return Condition(parts, otherwise)


def _shown(estimate: Estimate, verdict: Verdict) -> bool | None:
    return False if verdict is Verdict.NOT_TESTABLE else None if untold(estimate) else True


def _crossed(record: AuditRecord) -> Iterator[tuple[str, bool | None]]:
    """Findings of section E and impact tables of attributes that are crossed; a column may have " x " in its name."""
    for each in record.findings:
        if TIMES in each.attribute and section_of(each.question) == "E":
            yield each.attribute, _shown(each.estimate, each.verdict)
    for table in record.impact:
        if TIMES in table.attribute and table.categories:
            yield table.attribute, numbered(table) or None


def _excluded(record: AuditRecord) -> bool:
    """True where no table says so, for then nobody knows."""
    return not record.impact or any(one.excluded for each in record.impact for one in each.categories)


def _valid(*requirements: str, otherwise: str) -> Condition:
    """The explanation was tested so, and there was enough to say something."""

    def parts(record: AuditRecord) -> Iterator[tuple[str, bool | None]]:
        for each in record.validity:
            if each.asks in requirements:
                yield each.by, None if untold(each.estimate) else each.estimate.value is not None

    return Condition(parts, otherwise)


# `when` of a field: without it the text does not ask; where it is not known, it asks
CONDITIONS: Final[Mapping[str, Condition]] = MappingProxyType({
    "data may be test data": _if(
        lambda record: supplied(record, "data_kind") != "historical", "the data are declared historical"
    ),
    "ratios of scores": _if(lambda record: block(record).get("output") == "score", "ratios are of selection rates"),
    "groups are unknown": _if(
        lambda record: any(n is None or n > 0 for n in record.data.unknown.values()), "the group of every example is known"
    ),
    "a category is excluded": _if(_excluded, "no category is excluded"),
    # `needs` of a section
    "counts": _of_category(_n, "there is no impact table", could=_named),
    "selected": _of_category(_selected, "there is no impact table", could=_named),
    "rates": _of_category(_rate, "there is no impact table", could=_named),
    "reference": _of_category(lambda one: one.reference, "no table has a reference, which needs somebody who is selected"),
    "ratios": _of_category(_ratio, "no impact ratio is shown"),
    "intervals of ratios": _of_category(
        lambda one: not one.reference and one.ratio.low is not None, "no impact ratio is shown with an interval"
    ),
    "four fifths": _of_category(lambda one: one.four_fifths is not None, "no category is held against four fifths"),
    "tests of ratios": _of_category(lambda one: one.p is not None, "no test of a category is shown"),
    "deviations": _of_category(
        lambda one: one.deviations is not None, "no difference in standard deviations is shown"
    ),
    "shortfall": _of_category(lambda one: one.shortfall is not None, "no shortfall is shown"),
    "one selection more": _of_category(lambda one: one.crosses is not None, "no category says so"),
    "odds": _of_category(lambda one: one.odds is not None and one.odds.value is not None, "no odds ratio is shown"),
    "readings": _of_category(lambda one: bool(one.reading), "no category was read"),
    "bounds": _of_category(
        lambda one: not one.reference and one.lowest is not None, "no bounds are shown, as no two categories are compared"
    ),
    "expected minimum": _tables(lambda table: table.expected is not None, "no smallest ratio by chance is shown"),
    "strata": _tables(
        lambda table: any(one.odds.value is not None or one.p is not None for one in table.stratified),
        "nothing was tested within strata (compliance.strata)", could=_within,
    ),
    "outcome gaps": _tested(["outcome"], "no gap of rates between groups could be tested"),
    "error rates": _tested(
        ["outcome"], "no gap of error rates between groups could be tested",
        measures=("error rate", "false positive rate", "false negative rate"),
    ),
    "false positives and negatives": _tested(
        ["outcome"], "no gap of false positive or false negative rates could be tested",
        measures=("false positive rate", "false negative rate"),
    ),
    "relevance": _tested(  # those on errors stand in section G
        ["reliance", "contrast", "direction", "disparity"], "no question on relevance could be tested"
    ),
    "disparities": _tested(["contrast", "disparity"], "no disparity of relevance between groups could be tested"),
    "crossed groups": Condition(_crossed, "no attributes are crossed (statistics.intersections, compliance.axes)"),
    "tests": _if(
        lambda record: any(each.verdict is not Verdict.NOT_TESTABLE for each in record.findings), "nothing could be tested"
    ),
    "gates": _if(lambda record: bool(record.gates), "no gate is declared"),
    "sensitivity": _if(
        lambda record: any(each.sensitivity for each in record.findings), "no finding was computed under another choice"
    ),
    "candidates": _if(lambda record: record.discovery is not None, "no candidates were looked for (checks.candidates)"),
    "interventions": _if(
        lambda record: bool(record.agreement), "relevance was not held against what hiding does (checks.examples)"
    ),
    "validity": _if(lambda record: bool(record.validity), "the explanation was not tested"),
    "faithfulness": _valid(
        "random order", "mean map", otherwise="whether relevance moves the logit was not tested"
    ),
    "randomisation": _valid(
        "re-initialised copy", "likeness of the copy", otherwise="no copy with random weights was explained"
    ),
    "noise": _valid("noise", otherwise="the explanation was not tested under noise"),
    "composites": _valid("composites", otherwise="the explanation was not held against that of another composite"),
    "annotations": _if(
        lambda record: bool(record.lexicons or record.regions), "neither lexicons nor regions are declared"
    ),
    "annotations or columns": _if(
        lambda record: bool(record.lexicons or record.regions or record.data.attributes), "no groups are declared"
    ),
    "detectable effects": _if(
        lambda record: any(f.detectable is not None and f.verdict is Verdict.INCONCLUSIVE for f in record.findings),
        "no INCONCLUSIVE finding tells the smallest effect that it could have shown",
    ),
})  # fmt: skip
