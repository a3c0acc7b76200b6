"""Every estimate that may be published as one tidy table: a row an estimate, a column a property, nothing rounded."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from audit.files import inert
from audit.records import AuditRecord, Category, Estimate, Finding, ImpactTable
from audit.report.page import rates, shows_text
from audit.report.publication import Publication
from audit.report.rates import of_output
from audit.report.text import shorten
from audit.report.wording import HOLDS

Row = dict[str, object]

COLUMNS: Final = (
    "run_id", "section", "id", "question", "attribute", "groups", "composite", "measure", "condition", "value", "low", "high",
    "level", "interval", "unit", "n", "clusters", "dropped", "p", "p_adjusted", "margin", "verdict", "grade", "reason",
)  # fmt: skip
BETWEEN: Final = " | "  # groups of a row
MOST: Final = 32_000  # characters of a cell: spreadsheets cut at 32,767


def estimates_csv(shown: Publication) -> bytes:
    """RFC 4180 in UTF-8: a header, then the rows of every part; an empty cell is what is not known or not told."""
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    for part in PARTS:
        for row in part(shown.record):
            writer.writerow({name: _cell(value) for name, value in {"run_id": shown.record.run_id, **row}.items()})
    return table.getvalue().encode()


def _cell(value: object) -> object:
    return inert(shorten(value, MOST)) if isinstance(value, str) else value


def _row(section: str, estimate: Estimate, /, **cells: object) -> Row:
    """An estimate and what it is of; `reason` joins that of the row and that of the estimate, where they differ."""
    reason = str(cells.pop("reason", ""))
    bounded = estimate.low is not None
    return {
        "section": section, "value": estimate.value, "low": estimate.low, "high": estimate.high,
        "level": estimate.level if bounded else None, "interval": estimate.interval, "unit": estimate.unit, "n": estimate.n,
        "clusters": estimate.clusters, "dropped": estimate.left_out, **cells,
        "reason": reason if estimate.reason in reason else "; ".join(filter(None, (reason, estimate.reason))),
    }  # fmt: skip


def _accuracy(record: AuditRecord) -> Iterator[Row]:
    yield _row("model accuracy", record.model.accuracy, id="accuracy", measure="accuracy")


def _findings(record: AuditRecord) -> Iterator[Row]:
    for finding in record.findings:
        yield from _of_finding(finding)


def _of_finding(finding: Finding) -> Iterator[Row]:
    names = {"id": finding.id, "question": finding.question, "attribute": finding.attribute}
    both = {**names, "groups": BETWEEN.join(finding.groups), "composite": finding.composite}
    estimand, test, measure = finding.estimand, finding.test, str(finding.details.get("measure") or "")
    yield _row(
        "finding", finding.estimate, **both, measure=f"{estimand.measure}: {estimand.contrast}", condition=estimand.condition,
        p=test.p, p_adjusted=test.p_adjusted, margin=finding.margin, verdict=finding.verdict.value,
        grade=finding.grade and finding.grade.value, reason=finding.reason,
    )  # fmt: skip
    for group, rate in rates(finding):
        yield _row("rate", rate, **names, groups=group, measure=measure or estimand.measure)
    for opinion in finding.second_opinion:
        yield _row("second opinion", opinion.estimate, **both | {"composite": opinion.composite}, p=opinion.p)
    for other in finding.sensitivity:
        yield _row("sensitivity", other.estimate, **both, condition=other.changed, verdict=other.verdict.value)
    for check in finding.checks:
        yield _row("check", check.estimate, **both, condition=check.by)
        if check.flips is not None:
            yield _row("check flips", check.flips, **both, condition=check.by)


def _worsenings(record: AuditRecord) -> Iterator[Row]:
    for each in record.worsenings:
        names = {
            "id": each.id,
            "question": each.question,
            "attribute": each.attribute,
            "groups": BETWEEN.join(each.groups),
        }
        yield _row("baseline", each.before, **names, measure=each.quantity, condition="in the baseline")
        yield _row(
            "baseline", each.estimate, **names, measure=each.quantity, condition="further from no difference than in the baseline",
            p=each.test.p, p_adjusted=each.test.p_adjusted, margin=each.margin, verdict=each.standing.value, reason=each.reason,
        )  # fmt: skip


def _effects(record: AuditRecord) -> Iterator[Row]:
    for each in record.effects:
        yield _row(
            "term effect", each.estimate, attribute=each.attribute, groups=each.group, measure=each.term,
            condition=f"true class {each.label}",
        )  # fmt: skip


def _regions(record: AuditRecord) -> Iterator[Row]:
    for region in record.regions:
        yield _row("region", region.size, groups=region.name, measure="share of the pixels")
        for measure, estimates in (("share of |R|", region.share), ("net R over sum |R|", region.net)):
            for composite, estimate in estimates.items():
                yield _row("region", estimate, groups=region.name, composite=composite, measure=measure)
        for against, ratio in region.ratios.items():
            yield _row("region", ratio, groups=region.name, measure="ratio of the mean share", condition=against)


def _described(record: AuditRecord) -> Iterator[Row]:
    for composite, estimate in record.concentration.items():
        yield _row("concentration", estimate, composite=composite)
    for each in record.distributions:
        yield _row("share", each.mean, groups=each.group, composite=each.composite, measure="mean share of |R|")


def _impact(record: AuditRecord) -> Iterator[Row]:
    for table in record.impact:
        for category in table.categories:
            yield from _of_category(table, category)
        for each in table.stratified:
            yield _row(
                "impact odds ratio", each.odds, attribute=table.attribute, groups=each.category, measure="common odds ratio",
                condition=f"within strata of {each.by}", p=each.p,
            )  # fmt: skip


def _of_category(table: ImpactTable, category: Category) -> Iterator[Row]:
    names = {"attribute": table.attribute, "groups": category.name, "condition": table.axis}
    measure = of_output(table.output)
    yield _row("impact rate", category.rate, **names, measure=measure)
    yield _row(
        "impact ratio", category.ratio, **names, measure=f"{measure} over that of the reference", p=category.p,
        p_adjusted=category.p_adjusted, reason=category.excluded or ("the reference" if category.reference else ""),
    )  # fmt: skip
    if category.odds is not None:
        yield _row("impact odds ratio", category.odds, **names, measure="odds ratio against the reference")


def _validity(record: AuditRecord) -> Iterator[Row]:
    for each in record.validity:
        names = {"id": each.asks, "measure": each.asks, "condition": each.by}
        yield _row("validity", each.estimate, **names, reason=HOLDS[each.holds])


def _agreement(record: AuditRecord) -> Iterator[Row]:
    for each in record.agreement:
        for measure, estimate in (("rank correlation", each.spearman), ("agreement of signs", each.sign)):
            yield _row("agreement", estimate, composite=each.composite, measure=measure, condition=each.by)


def _candidates(record: AuditRecord) -> Iterator[Row]:
    """Words of the data are named only where the config lets them be."""
    for each in record.discovery.candidates if record.discovery else ():
        if each.box is not None or shows_text(record):
            names = {"id": each.comparison, "attribute": each.attribute, "groups": BETWEEN.join(each.sides)}
            yield _row(
                "candidate", each.estimate, **names, measure=each.name, condition=each.kind.value, p=each.p, p_adjusted=each.p_adjusted
            )  # fmt: skip


PARTS: Final[tuple[Callable[[AuditRecord], Iterable[Row]], ...]] = (
    _accuracy, _findings, _worsenings, _effects, _regions, _described, _impact, _validity, _agreement, _candidates,
)  # fmt: skip
