"""A record with every part that a format may show, and the same with every number withheld."""

from typing import Any

from pydantic import BaseModel

from audit.config.compliance import Declarations
from audit.records import (
    Agreement,
    AuditRecord,
    Baseline,
    Category,
    Check,
    Estimate,
    Finding,
    Grade,
    ImpactTable,
    RegionRecord,
    Sensitivity,
    Stratified,
    ValidityCheck,
    Verdict,
    Worsening,
)
from audit.report.privacy import published
from audit.report.publication import Publication
from audit.report.wording import quantity
from audit.stats.changes import independent
from audit.stats.worsening import Held, alone, baseline_gate, worsenings
from tests.audit.report.sample import estimate, sample_record

DECLARED = {
    **{name: f"declared {name}" for name in Declarations.model_fields}, "license": "Apache-2.0", "contact": "audit@example.org",
}  # fmt: skip


def complete_record() -> AuditRecord:
    """The sample with regions, impact tables, other choices, interventions, validity and declarations."""
    record = sample_record()
    first, *others = record.findings
    backed = first.model_copy(
        update={
            "grade": Grade.SUPPORTED, "grounds": "hiding by mask and by deletion points the same way",
            "sensitivity": (Sensitivity(changed="without 'her'", estimate=estimate(0.04, 0.03), verdict=Verdict.INCONCLUSIVE),),
            "checks": (Check(by="mask", estimate=estimate(0.05, 0.02), flips=estimate(0.01, 0.004, unit="share")),),
        }
    )  # fmt: skip
    share = dict.fromkeys(("cp_lrp", "attn_lrp"), estimate(0.2, 0.01, unit="share of |R|"))
    region = RegionRecord(
        name="hat", source="masks/hat", provenance="drawn", present=80, absent=20, aligned=False, size=estimate(0.1, 0.01, unit="share"),
        share=share, net=share, ratios={"area": estimate(2.0, 0.2, unit="ratio")},
    )  # fmt: skip
    return record.model_copy(
        update={
            "findings": (backed, *others), "regions": (region,), "baseline": baseline(record),
            "gates": (*record.gates, *(baseline_gate(each, _of(each, baseline(record))) for each in ("contrast", "outcome"))),
            "concentration": dict.fromkeys(("cp_lrp", "attn_lrp"), estimate(0.4, 0.1)), "impact": (_impact(),),
            "agreement": (Agreement(composite="cp_lrp", by="mask", spearman=estimate(0.4, 0.1), sign=estimate(0.8, 0.1)),),
            "validity": (
                ValidityCheck(asks="random order", by="mask", estimate=estimate(0.3, 0.1), holds=True),
                ValidityCheck(asks="likeness of the copy", by="cp_lrp", estimate=estimate(0.1, 0.1), holds=None),
            ),
            "config": {**record.config, "checks": {"validity": 60}, "compliance": {"profile": ["model_card"], "declarations": DECLARED}},
            "provenance": record.provenance.model_copy(
                update={"config_path": "configs/film reviews.yaml", "packages": {"lrp-audit": "0.1.0", **record.provenance.packages}}
            ),
        }
    )  # fmt: skip


def baseline(record: AuditRecord) -> Baseline:
    """The gaps and contrasts of the record held against ones of 0.01, with an interval of 0.02."""
    found = [_worsening(each) for each in record.findings if each.question in ("outcome", "contrast")]
    return Baseline(
        run_id="20260101T000000Z-abcdef", started="2026-01-01T00:00:00+00:00", sha256="a" * 64, model_sha256="b" * 64,
        worsenings=tuple(found),
    )  # fmt: skip


def _of(question: str, made: Baseline) -> list[Worsening]:
    return [each for each in made.worsenings if each.question == question]


def _worsening(finding: Finding) -> Worsening:
    before, after = finding.estimate.model_copy(update={"value": 0.01, "low": 0.0, "high": 0.02}), finding.estimate
    change = independent(before, after)
    if finding.verdict is Verdict.NOT_TESTABLE:
        return worsenings([alone(finding, finding.reason, after=True)], 0.02, 0.05)[0]
    held = Held(finding.model_copy(update={"estimate": before}), finding, change, quantity(finding))
    return worsenings([held], 0.02, 0.05)[0]


def _impact() -> ImpactTable:
    def category(name: str, ratio: float, **known: Any) -> Category:
        return Category(
            name=name, n=300, selected=100, share=0.5, rate=estimate(0.4 * ratio, 0.05, unit="rate"),
            ratio=estimate(ratio, 0.1, unit="ratio"), **known,
        )  # fmt: skip

    return ImpactTable(
        attribute="gender", axis="sex", output="selection", n=600, unknown=31, checks={"counts add up": True},
        categories=(
            category("male", 1.0, reference=True),
            category("female", 0.75, p=0.01, p_adjusted=0.02, odds=estimate(0.6, 0.2, unit="odds ratio")),
            category("other", 0.9, excluded="a smaller share than 2 %"),
        ),
        stratified=(Stratified(category="female", by="site", strata=3, odds=estimate(0.7, 0.2), p=0.03, p_equal=0.4),),
    )  # fmt: skip


def shown(record: AuditRecord) -> Publication:
    """What formats are made of; texts that no file can hold are allowed here, so the hash of `audit.json` is invented."""
    return Publication(published(record), None, "5" * 64)


def untold(record: AuditRecord) -> AuditRecord:
    """The same with every value of an estimate withheld."""
    return _without_values(record)


def _without_values(value: Any) -> Any:
    if isinstance(value, Estimate):
        return Estimate(value=None, n=None, reason="not shown")
    if isinstance(value, BaseModel):
        return value.model_copy(
            update={name: _without_values(getattr(value, name)) for name in type(value).model_fields}
        )
    if isinstance(value, tuple | list):
        return type(value)(_without_values(each) for each in value)
    return {key: _without_values(each) for key, each in value.items()} if isinstance(value, dict) else value
