"""Gates as SARIF 2.1.0 for code scanning: a rule a question, a result for each finding that keeps its gate from being shown to hold."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from audit.questions import INVALID
from audit.records import AuditRecord
from audit.report import wording
from audit.report.ci import Case, Outcome, Suite, faults, suites
from audit.report.document_json import encoded
from audit.report.publication import Publication
from audit.report.text import moment, shorten, to_second

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS: Final = {Outcome.BREACHED: "error", Outcome.OPEN: "warning", Outcome.UNTESTED: "note"}
BRACES: Final = str.maketrans({"{": "{{", "}": "}}"})  # else they are placeholders (section 3.11.5)


def sarif(shown: Publication) -> bytes:
    """One run: what was asked, what came out, and how the audit ended."""
    record = shown.record
    asked = suites(record)
    results = [
        _result(record, suite, case, i)
        for i, suite in enumerate(asked)
        for case in suite.cases
        if case.outcome in LEVELS
    ]
    results += [_of_gate(record, suite, i) for i, suite in enumerate(asked) if suite.unsaid]
    driver = {"name": "lrp-audit", "rules": [_rule(suite) for suite in asked]}
    if version := record.provenance.packages.get("lrp-audit"):
        driver["version"] = shorten(version, 80)
    audit = "/".join(quote(shorten(part, 160), safe="") for part in (record.name, record.run_id))
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"lrp-audit/{audit}"},
        "artifacts": [{"location": {"uri": _uri(record)}, "roles": ["userSpecifiedConfiguration"]}],
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(record)],
        "results": results,
    }  # fmt: skip
    return encoded({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(suite: Suite) -> Mapping[str, Any]:
    asks = wording.question_asks(suite.gate.question) or suite.title
    return {
        "id": _id(suite),
        "name": suite.title,
        "shortDescription": _message(suite.title),
        "fullDescription": _message(asks),
        "defaultConfiguration": {"level": "error"},
    }


def _id(suite: Suite) -> str:
    return shorten(suite.gate.question, 80) or "gate"


def _result(record: AuditRecord, suite: Suite, case: Case, rule: int) -> Mapping[str, Any]:
    facts = {"verdict": case.kind, "grade": case.grade}
    return {
        "ruleId": _id(suite), "ruleIndex": rule, "level": LEVELS[case.outcome],
        "message": _message(case.message), **_place(record, case.id),
        "properties": {name: value for name, value in facts.items() if value is not None},
    }  # fmt: skip


def _of_gate(record: AuditRecord, suite: Suite, rule: int) -> Mapping[str, Any]:
    """A gate that does not hold though none of its findings says so: nothing could be tested, or one run alone has a finding."""
    return {
        "ruleId": _id(suite), "ruleIndex": rule, "level": "warning", "message": _message(suite.unsaid),
        **_place(record, f"gate {suite.gate.question}"),
    }  # fmt: skip


def _place(record: AuditRecord, key: str) -> Mapping[str, Any]:
    """The config, which asked; and what tells the same finding of another run: without it, viewers merge all of one line."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    place = {"artifactLocation": {"uri": _uri(record), "index": 0}, "region": {"startLine": 1}}
    return {
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"lrpAuditFinding/v1": digest, "primaryLocationLineHash": f"{digest[:16]}:1"},
    }


def _invocation(record: AuditRecord) -> Mapping[str, Any]:
    times = {"startTimeUtc": moment(record.started), "endTimeUtc": moment(record.finished)}
    made: dict[str, Any] = {
        "executionSuccessful": True,
        "exitCode": record.exit_code,
        "exitCodeDescription": wording.exit_sentence(record.exit_code),
        **{name: f"{to_second(time)}Z" for name, time in times.items() if time},
    }
    if record.exit_code == INVALID:
        made["toolExecutionNotifications"] = [{"level": "error", "message": _message(faults(record))}]
    return made


def _message(text: str) -> Mapping[str, str]:
    """A text in which nothing is a link (section 3.11.6) or a placeholder."""
    return {"text": text.replace("](", "] (").translate(BRACES) or "-"}


def _uri(record: AuditRecord) -> str:
    """The config's path as a relative reference, or the audit's name in older records; no scheme and no host can come from it."""
    path = record.provenance.config_path or record.name
    return quote(shorten(path, 1_000).lstrip("/"), safe="/") or "config"
