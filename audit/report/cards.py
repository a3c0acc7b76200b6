"""The audit as a model card for model hubs: Markdown under a block of metadata that leaderboards read. Cost: 0.3 s, for an import."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from audit.records import SHOWN, AuditRecord, Finding, Verdict
from audit.report import plain, wording
from audit.report.backing import explained
from audit.report.declarations import NOT_SUPPLIED, declared, supplied
from audit.report.markdown import escaped, listed, sentences, table
from audit.report.outline import by_requirement, questions_of, untestable
from audit.report.performance import Performance, performances, told
from audit.report.publication import Publication
from audit.report.text import LONGEST, NONE, count, measured, number, p_value, plural, shorten, when

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

MOST_ROWS: Final = 200
TAGS: Final = ("audit", "explainability", "layer-wise relevance propagation", "lrp-audit")
NO_RECOMMENDATION: Final = (
    "An audit reports what it found and recommends nothing; people decide what a disparity means. What was declared:"
)
ABOUT: Final = "Written by an audit from its record; what nobody declared is {}. Numbers in brackets are intervals."


def model_card(shown: Publication) -> bytes:
    """Metadata, then the sections that model hubs ask for."""
    lines = [f"# {escaped(name(shown.record), 160)}", "", ABOUT.format(NOT_SUPPLIED), ""]
    for heading, part in SECTIONS:
        lines += [heading, "", *part(shown.record)]
    body = "\n".join(lines).rstrip()
    return f"---\n{metadata(shown.record)}\n---\n\n{body}\n".encode()


def name(record: AuditRecord) -> str:
    """Of the system, where it is declared; else of the audit."""
    return supplied(record, "system") or shorten(record.name, 160) or "model"


def metadata(record: AuditRecord) -> str:
    """The YAML block: licence, task, and every figure that may be told."""
    from huggingface_hub import ModelCardData

    license_, license_name = _license(record)
    card = ModelCardData(
        model_name=shorten(name(record), 160), pipeline_tag=task(record), tags=list(TAGS), metrics=["accuracy"],
        eval_results=[_result(record, each) for each in told(record)] or None, license=license_, license_name=license_name,
    )  # fmt: skip
    return card.to_yaml()


def task(record: AuditRecord) -> str:
    """What the model does, in the words of model hubs."""
    return "image-classification" if record.config.get("task") == "image" else "text-classification"


def _license(record: AuditRecord) -> tuple[str | None, str | None]:
    """An identifier as hubs write it, or `other` and the name."""
    given = supplied(record, "license")
    if given is None:
        return None, None
    known = spdx(given)
    return (known.lower(), None) if known else ("other", shorten(given, 160))


def spdx(given: str) -> str | None:
    """The identifier of a licence in the list of SPDX, in the case that it has there; None for any other licence."""
    from cyclonedx.spdx import fixup_id

    return fixup_id(given)


def _result(record: AuditRecord, each: Performance) -> "EvalResult":
    from huggingface_hub import EvalResult

    ends = {"low": each.estimate.low, "high": each.estimate.high, "level": each.estimate.level}
    return EvalResult(
        task_type=task(record), dataset_type="audited", dataset_name=shorten(record.data.path, 160) or "audited data",
        metric_type=re.sub("[^a-z0-9]+", "_", each.measure.lower()).strip("_") or "measure", metric_value=each.estimate.value,
        metric_name=f"{each.measure}, {each.part or 'all examples'}", metric_args=ends if each.estimate.low is not None else None,
    )  # fmt: skip


def _declared(record: AuditRecord, *fields: tuple[str, str]) -> list[str]:
    return listed((title, declared(record, key)) for title, key in fields)


def _details(record: AuditRecord) -> list[str]:
    model = record.model
    return [
        *_declared(
            record, ("System", "system"), ("Version", "system_version"), ("Date of the version", "version_date"),
            ("Changes in the version", "version_changes"), ("Documentation", "documentation"), ("Provider", "provider"), ("Owner", "owner"),
            ("Licence", "license"), ("Auditor", "auditor"), ("Independence of the auditor", "auditor_independence"),
        )[:-1],
        *listed((
            ("Model", model.path), ("sha256 of the model", model.sha256), ("Classes", ", ".join(model.classes)),
            ("Notes", "; ".join(model.notes) or "none"), ("Audited", when(record.finished)), ("Run", record.run_id),
        )),
    ]  # fmt: skip


def _risks(record: AuditRecord) -> list[str]:
    shown = [finding for finding in record.findings if finding.verdict in SHOWN]
    return [*sentences(plain.summary(record)), *_findings(shown, "No difference was shown.")]


def _findings(found: Sequence[Finding], none: str) -> list[str]:
    header = ("Question", "Attribute", "Groups", "Quantity", "Estimate", "n", "Adjusted p", "Margin", "Verdict", "Why")
    rows = [
        (
            wording.question_title(each.question), each.attribute, wording.pair(each), wording.quantity(each) or NONE,
            measured(each.estimate), count(each.estimate.n), p_value(each.test.p_adjusted), number(each.margin),
            each.verdict.value, each.grounds or each.reason,
        )
        for each in found[:MOST_ROWS]
    ]  # fmt: skip
    return _table(header, rows, len(found) - len(rows)) if rows else [none, ""]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    return [*table(header, rows), *([f"{plural(left, 'row')} more are in the report.", ""] if left > 0 else [])]


def _untested(record: AuditRecord) -> list[str]:
    missed = untestable(record)
    rows = [
        (wording.question_title(each.question), each.attribute, wording.pair(each), each.reason)
        for each in missed[:MOST_ROWS]
    ]
    none = ["Everything that was asked could be tested.", ""]
    return _table(("Question", "Attribute", "Groups", "Why"), rows, len(missed) - len(rows)) if rows else none


def _data(record: AuditRecord) -> list[str]:
    data = record.data
    excluded = "; ".join(f"{reason} {count(n)}" for reason, n in data.excluded.items()) or "none"
    return [
        *_declared(
            record, ("Source", "data_source"), ("Kind", "data_kind"), ("Period", "data_period"), ("Labels", "label_procedure"),
            ("Population", "population"), ("Training data", "training_data"),
        )[:-1],
        *listed((
            ("File", data.path), ("sha256 of the data", data.sha256), ("Rows", count(data.rows)), ("Used", count(data.used)),
            ("Excluded", excluded), ("Classes", _counts(data.labels)),
        )),
    ]  # fmt: skip


def _factors(record: AuditRecord) -> list[str]:
    rows = [
        (attribute, _counts(groups), count(record.data.unknown.get(attribute, 0)))
        for attribute, groups in record.data.attributes.items()
    ]
    told = (
        table(("Attribute", "Groups and n", "Unknown"), rows) if rows else ["No attribute is a column of the data.", ""]
    )
    words = [(each.attribute, each.source) for each in record.lexicons]
    masks = [(each.name, each.source) for each in record.regions]
    return [
        *_declared(record, ("How groups were found", "group_procedure")),
        *told,
        *(table(("Words of", "Source"), words) if words else ()),
        *(table(("Region", "Source"), masks) if masks else ()),
    ]


def _counts(counts: dict[str, int | None]) -> str:
    return ", ".join(f"{group} {count(n)}" for group, n in counts.items())


def _metrics(record: AuditRecord) -> list[str]:
    asked = [(wording.question_title(each), wording.question_asks(each) or NONE) for each in questions_of(record)]
    return table(("Question", "What it asks"), asked) if asked else ["Nothing was asked.", ""]


def _results(record: AuditRecord) -> list[str]:
    rows = [
        (each.measure, each.part or "all examples", measured(each.estimate), count(each.estimate.n), each.estimate.reason or NONE)
        for each in performances(record)
    ]  # fmt: skip
    return table(("Measure", "Of", "Estimate", "n", "Remark"), rows)


def _summary(record: AuditRecord) -> list[str]:
    rows = [(wording.question_title(each.question), each.state, wording.gate_sentence(each)) for each in record.gates]
    gates = table(("Gate", "State", "Meaning"), rows) if rows else ["No gate was asked.", ""]
    return [escaped(wording.exit_sentence(record.exit_code)), "", *gates]


def _examination(record: AuditRecord) -> list[str]:
    tested = [each for each in record.findings if explained(each) and each.verdict is not Verdict.NOT_TESTABLE]
    rows = [
        (wording.requirement(asks).title, each.by, measured(each.estimate), wording.HOLDS[each.holds])
        for asks, checks in by_requirement(record)
        for each in checks
    ]
    return [
        *listed((("Explained by", wording.method(record)), ("Whether it can be relied on", wording.validity(record)))),
        *_findings(tested, "No question about relevance could be tested."),
        *(table(("Asked of the explanation", "By", "Estimate", "Holds"), rows) if rows else ()),
    ]


def _technical(record: AuditRecord) -> list[str]:
    ran = record.provenance
    return listed((
        ("Architecture", record.model.architecture), ("Parameters", count(record.model.parameters)),
        ("Contrast", record.model.contrast), ("Protocol (sha256)", record.protocol_sha256), ("Seed", str(ran.seed)),
        ("Device", ran.device), ("Platform", f"{ran.platform}, Python {ran.python}"),
        ("Packages", ", ".join(f"{package} {version}" for package, version in sorted(ran.packages.items()))),
    ))  # fmt: skip


SECTIONS: Final[tuple[tuple[str, Callable[[AuditRecord], list[str]]], ...]] = (
    ("## Model Details", _details),
    ("## Uses", lambda _: []),
    ("### Direct Use", lambda record: [escaped(declared(record, "intended_purpose"), LONGEST), ""]),
    ("### Out-of-Scope Use", lambda record: [escaped(declared(record, "out_of_scope"), LONGEST), ""]),
    ("## Bias, Risks and Limitations", _risks),
    ("### Not testable", _untested),
    ("### Limitations", lambda record: sentences(wording.limits(record))),
    ("### Recommendations", lambda record: [NO_RECOMMENDATION, "", *_declared(
        record, ("Harms considered", "harms"), ("Measures taken", "mitigation"), ("On a breach", "action_on_breach"),
        ("Oversight", "oversight"), ("Monitoring", "monitoring"),
    )]),
    ("## Evaluation", lambda _: []),
    ("### Testing Data", _data),
    ("### Factors", _factors),
    ("### Metrics", _metrics),
    ("### Results", _results),
    ("### Summary", _summary),
    ("## Model Examination", _examination),
    ("## Technical Specifications", _technical),
    ("## Model Card Contact", lambda record: [escaped(declared(record, "contact")), ""]),
)  # fmt: skip
