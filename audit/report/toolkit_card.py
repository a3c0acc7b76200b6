"""The audit as a model card in the JSON of the Model Card Toolkit, schema 0.0.2, in which every value is a text."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from audit.records import SHOWN, AuditRecord
from audit.report import plain, wording
from audit.report.cards import name, spdx
from audit.report.declarations import declared, supplied
from audit.report.document_json import encoded
from audit.report.outline import untestable
from audit.report.performance import Performance, exact, told
from audit.report.publication import Publication
from audit.report.text import LONGEST, count, shorten

SCHEMA: Final = "0.0.2"


def toolkit_card(shown: Publication) -> bytes:
    """`model_details`, `model_parameters`, `quantitative_analysis` and `considerations`."""
    record = shown.record
    return encoded({
        "schema_version": SCHEMA,
        "model_details": _details(record),
        "model_parameters": _parameters(record),
        "quantitative_analysis": {"performance_metrics": [metric(each) for each in told(record)]},
        "considerations": _considerations(record),
    })  # fmt: skip


def metric(each: Performance) -> Mapping[str, Any]:
    """One figure, with its interval where it has one."""
    estimate = each.estimate
    made: dict[str, Any] = {"type": each.measure, "value": exact(estimate.value or 0.0)}
    if each.part:
        made["slice"] = each.part
    if estimate.low is not None and estimate.high is not None:
        made["confidence_interval"] = {"lower_bound": exact(estimate.low), "upper_bound": exact(estimate.high)}
    return made


def limitations(record: AuditRecord) -> list[str]:
    """Limits, and what could not be tested."""
    missed = (
        f"Not testable: {wording.question_title(each.question)}, {each.attribute}: {each.reason}"
        for each in untestable(record)
    )
    return [shorten(each, LONGEST) for each in (*wording.limits(record), *missed)]


def risks(record: AuditRecord) -> list[tuple[str, str]]:
    """Each difference that is shown, with the measures that were declared against disparities."""
    against = declared(record, "mitigation")
    shown = (each for each in record.findings if each.verdict in SHOWN)
    return [(shorten(plain.finding_sentence(each, record), LONGEST), against) for each in shown]


def _details(record: AuditRecord) -> Mapping[str, Any]:
    licence = supplied(record, "license")
    return {
        "name": name(record),
        "overview": shorten(" ".join(plain.summary(record)), LONGEST),
        "documentation": declared(record, "documentation"),
        "owners": [{"name": declared(record, "owner"), "contact": declared(record, "contact")}],
        "version": {
            "name": declared(record, "system_version"),
            "date": declared(record, "version_date"),
            "diff": declared(record, "version_changes"),
        },
        "licenses": [_license(licence)] if licence else [],
        "path": shorten(record.model.path, LONGEST),
    }


def _license(given: str) -> Mapping[str, str]:
    known = spdx(given)
    return {"identifier": known} if known else {"custom_text": given}


def _parameters(record: AuditRecord) -> Mapping[str, Any]:
    data = record.data
    image = record.config.get("task") == "image"
    about = f"audited data, {count(data.used)} of {count(data.rows)} rows used, sha256 {data.sha256}; kind: {declared(record, 'data_kind')}"
    return {
        "model_architecture": shorten(record.model.architecture, LONGEST),
        "data": [{
            "name": shorten(data.path, LONGEST), "description": shorten(about, LONGEST),
            "sensitive": {"sensitive_data": [shorten(attribute) for attribute in data.attributes]},
        }],
        "input_format": "photograph" if image else "text",
        "output_format": shorten(f"one of the classes {', '.join(record.model.classes)}", LONGEST),
    }  # fmt: skip


def _considerations(record: AuditRecord) -> Mapping[str, Any]:
    return {
        "users": _described([declared(record, "intended_purpose")]),
        "use_cases": _described([declared(record, "intended_purpose"), f"Out of scope: {declared(record, 'out_of_scope')}"]),
        "limitations": _described(limitations(record)),
        "tradeoffs": _described([declared(record, "tradeoffs")]),
        "ethical_considerations": [{"name": risk, "mitigation_strategy": against} for risk, against in risks(record)],
    }  # fmt: skip


def _described(texts: Iterable[str]) -> list[Mapping[str, str]]:
    return [{"description": text} for text in texts]
