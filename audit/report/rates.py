"""Tables of the rates and sizes that the findings on columns tell, and how far they are from totals that readers know."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, final

from pydantic import JsonValue, ValidationError

from audit.questions import QUESTIONS, RATE_OF
from audit.records import AuditRecord, Estimate, Finding, ImpactTable
from audit.report.suppression import known, small
from audit.tables import TIMES, UNKNOWN

OF_COLUMNS: Final = tuple(name for name, question in QUESTIONS.items() if question.of_columns)
ERROR: Final = "error rate"
ERRORS_OF_A_CLASS: Final = ("false positive rate", "false negative rate")  # which add up to all errors
PAIR: Final = ("rate", "reference rate")


@final
@dataclass(frozen=True, slots=True)
class RateTable:
    """Examples and events of each group, of one measure and attribute, and `totals` that these are parts of.

    A total: examples, and events if known, of all that the `cells` named beside it belong to.
    """

    cells: dict[str, tuple[int, int]] = field(default_factory=dict)
    totals: list[tuple[tuple[str, ...], int, int | None]] = field(default_factory=list)

    def sizes(self) -> Iterator[int]:
        """How many examples are in each cell, and in no cell of each total."""
        yield from (n for n, _ in self.cells.values())
        for names, n, _ in self.totals:
            yield n - sum(self.cells[name][0] for name in names)

    def events(self) -> Iterator[int]:
        """Events and others, of each cell and of what is in no cell of a total."""
        for n, happened in self.cells.values():
            yield from (happened, n - happened)
        for names, n, events in self.totals:
            if events is not None:
                others = events - sum(self.cells[name][1] for name in names)
                yield from (others, n - sum(self.cells[name][0] for name in names) - others)


def rate_tables(record: AuditRecord) -> dict[tuple[str, str], RateTable]:
    """By attribute and measure; totals are those of the data, of other attributes, and of the groups that it crosses."""
    found: dict[tuple[str, str], RateTable] = {}
    for each in record.findings:
        measure = each.details.get("measure")
        for name, key in zip(each.groups, PAIR, strict=False) if each.question == "outcome" else ():
            rate = estimate_of(each.details.get(key))
            if rate is not None and rate.value is not None and rate.n is not None and name != "rest":
                cells = found.setdefault((each.attribute, str(measure)), RateTable()).cells
                cells[name] = rate.n, round(rate.value * rate.n)
    _add_impact(record, found)
    for attribute, measure in [key for key in found if key[1] in ERRORS_OF_A_CLASS]:
        _complete(found, attribute, measure)
    for (attribute, measure), table in found.items():
        table.totals.extend(_of_data(record, attribute, measure, table))
        table.totals.extend(_of_crossed(record, found, attribute, measure, table))
        table.totals.extend(
            (
                tuple(table.cells),
                sum(n for n, _ in other.cells.values()),
                sum(events for _, events in other.cells.values()),
            )
            for (name, of), other in found.items()
            if of == measure and name != attribute
        )
    for ratios in record.impact:
        found[ratios.attribute, of_output(ratios.output)].totals.extend(_of_impact(record, found, ratios))
    return found


def _add_impact(record: AuditRecord, found: dict[tuple[str, str], RateTable]) -> None:
    """Every category of an impact table, and the unknown, are cells; errors of a class are then known of everyone."""
    for each in record.impact:
        cells = found.setdefault((each.attribute, of_output(each.output)), RateTable()).cells
        cells.update({c.name: (c.n, c.selected) for c in each.categories if c.n is not None and c.selected is not None})
        if each.unknown:
            cells[UNKNOWN] = each.unknown, each.unknown_selected or 0
        for measure in ERRORS_OF_A_CLASS:
            found.setdefault((each.attribute, measure), RateTable())


def _of_impact(
    record: AuditRecord, found: dict[tuple[str, str], RateTable], table: ImpactTable
) -> Iterator[tuple[tuple[str, ...], int, int | None]]:
    """What else follows: who is selected and not above the median, or the other way round; who is unknown on both of two axes."""
    if table.output == "score" and (table.attribute, RATE_OF["selection"]) in found:
        above = found[table.attribute, RATE_OF["score"]].cells
        yield from (
            ((name,), *cell)
            for name, cell in found[table.attribute, RATE_OF["selection"]].cells.items()
            if name in above
        )
    own = [each for each in record.impact if each.attribute in table.attribute.split(TIMES)]
    if len(own) == 2:
        n, events = (
            sum(getattr(each, part) or 0 for each in own) - (getattr(table, part) or 0)
            for part in ("unknown", "unknown_selected")
        )
        yield (), n, events


def _complete(found: dict[tuple[str, str], RateTable], attribute: str, measure: str) -> None:
    """Adds errors of the other true class where no finding tells them: all errors less those of this one."""
    other = next(name for name in ERRORS_OF_A_CLASS if name != measure)
    told = found.setdefault((attribute, other), RateTable()).cells
    everyone = found[attribute, ERROR].cells if (attribute, ERROR) in found else {}
    for name, (n, wrong) in found[attribute, measure].cells.items():
        if name in everyone and name not in told:
            told[name] = everyone[name][0] - n, everyone[name][1] - wrong


def _of_data(
    record: AuditRecord, attribute: str, measure: str, table: RateTable
) -> Iterator[tuple[tuple[str, ...], int, int | None]]:
    accuracy, everyone = record.model.accuracy, tuple(table.cells)
    if measure == ERROR and accuracy.value is not None and accuracy.n is not None:
        yield everyone, accuracy.n, accuracy.n - round(accuracy.value * accuracy.n)
    if measure in ERRORS_OF_A_CLASS and (total := _errors_of_a_class(record)):
        yield everyone, *total[measure]
    labels = [n for n in record.data.labels.values() if n is not None]
    yield from ((everyone, n, None) for n in (record.data.used, *labels))
    sizes = known(record.data.attributes.get(attribute, {}))
    yield from (((name,), sizes[name], None) for name in everyone if name in sizes)


def _errors_of_a_class(record: AuditRecord) -> dict[str, tuple[int, int]] | None:
    """Of two true classes, how many examples each has and how many errors, where an impact table tells who is selected.

    Errors of both kinds add up to all; those selected less those truly favourable are one kind less the other.
    """
    whole = [each for each in record.impact if each.output == "selection" and each.categories]
    labels, accuracy = known(record.data.labels), record.model.accuracy
    target = record.config.get("target")
    favoured = target.get("favour") if isinstance(target, dict) else None
    if (
        not whole
        or len(labels) != 2
        or not isinstance(favoured, str)
        or favoured not in labels
        or accuracy.value is None
        or accuracy.n is None
    ):
        return None
    selected = sum(each.selected or 0 for each in whole[0].categories) + (whole[0].unknown_selected or 0)
    favourable = labels[favoured]
    positive = (accuracy.n - round(accuracy.value * accuracy.n) + selected - favourable) // 2
    negative = positive - selected + favourable
    sizes = sum(labels.values()) - favourable, favourable
    return dict(zip(ERRORS_OF_A_CLASS, zip(sizes, (positive, negative), strict=True), strict=True))


def _of_crossed(
    record: AuditRecord, found: dict[tuple[str, str], RateTable], attribute: str, measure: str, table: RateTable
) -> Iterator[tuple[tuple[str, ...], int, int | None]]:
    whole: dict[tuple[str, str], tuple[int, int | None]] = {
        (name, group): (n, None)
        for name, groups in record.data.attributes.items()
        for group, n in known(groups).items()
    }
    for (name, of), other in found.items():
        if of == measure:
            whole.update({(name, group): cell for group, cell in other.cells.items()})
    for (name, group), (n, events) in whole.items():
        if parts(name) < parts(attribute):
            names = tuple(cell for cell in table.cells if parts(group) <= parts(cell))
            yield names, n, events


def parts(name: str) -> frozenset[str]:
    """What an attribute or a group crosses."""
    return frozenset(name.split(TIMES))


def of_output(output: str) -> str:
    """What an impact table counts, in words; of another release by its own name."""
    return RATE_OF.get(output, f"{output} rate")


def estimate_of(value: JsonValue) -> Estimate | None:
    """The estimate that a detail is, if it is one."""
    try:
        return Estimate.model_validate(value)
    except ValidationError:
        return None


def compared(finding: Finding) -> tuple[str, ...]:
    """Findings on the same examples: of one question, feature and groups."""
    named = (str(finding.details.get(key, "")) for key in ("feature", "region", "term", "true class"))
    return finding.question, finding.attribute, *named, *finding.groups


def near(record: AuditRecord, k: int) -> frozenset[str]:
    """Ids of findings whose n is 1 to k - 1 below a total that readers know, or away from that of a finding on the same groups."""
    same: dict[tuple[str, ...], set[int]] = {}
    for each in record.findings:
        same.setdefault(compared(each), set()).update({e.n for e in _of_both(each) if e.n})
    return frozenset(
        each.id
        for each in record.findings
        for n in [e.n for e in _of_both(each) if e.n]
        if any(small(abs(total - n), k) for total in (record.data.used, *_totals(record, each), *same[compared(each)]))
        or any(small(size - e.n, k) for size, e in _of_each(record, each) if e.n)
    )


def _of_both(finding: Finding) -> list[Estimate]:
    unmatched = estimate_of(finding.details.get("unmatched"))
    return [finding.estimate, *([unmatched] if unmatched else [])]


def _sizes(record: AuditRecord, finding: Finding) -> dict[str, int]:
    """How many examples each group of its attribute holds, where the column or an impact table says so."""
    if finding.question not in OF_COLUMNS:
        return {}
    told = [{c.name: c.n for c in each.categories} for each in record.impact if each.attribute == finding.attribute]
    return known(record.data.attributes.get(finding.attribute) or next(iter(told), {}))


def _totals(record: AuditRecord, finding: Finding) -> list[int]:
    """How many examples its groups hold."""
    sizes = _sizes(record, finding)
    if set(finding.groups) <= sizes.keys():
        return [sum(sizes[name] for name in finding.groups)]
    return [sum(n for name, n in sizes.items() if name != UNKNOWN)] if sizes else []


def _of_each(record: AuditRecord, finding: Finding) -> list[tuple[int, Estimate]]:
    """The size of each of its groups, with the rate of that group."""
    sizes = _sizes(record, finding)
    rates = [estimate_of(finding.details.get(name)) for name in PAIR]
    return [(sizes[name], rate) for name, rate in zip(finding.groups, rates, strict=False) if rate and name in sizes]
