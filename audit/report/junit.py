"""Gates as JUnit XML for build servers: red where, and only where, the exit code is not 0.

A breach is a failure. What is not shown to lie inside its margin is an error: exit code 5 stops a build too, and `skipped` would
show it green. A finding that is not testable is skipped; if no other keeps a gate from holding, and it does not hold, the gate itself
is an error.
"""

from collections import Counter
from typing import Final
from xml.etree import ElementTree as ET

from audit.records import AuditRecord
from audit.report.ci import Case, Outcome, Suite, faults, suites
from audit.report.publication import Publication
from audit.report.text import LONGEST, moment, shorten, to_second

TAGS: Final = {Outcome.BREACHED: "failure", Outcome.OPEN: "error", Outcome.UNTESTED: "skipped"}
TOTALS: Final = {"failures": "failure", "errors": "error", "skipped": "skipped"}
EXPLANATION: Final = "Explanation"
DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>'


def junit(shown: Publication) -> bytes:
    """A suite a gate, a case a finding, and a suite for the explanation."""
    record = shown.record
    root = ET.Element("testsuites", name=f"lrp-audit: {_name(record)}")
    for suite in suites(record):
        _add_suite(root, record, suite)
    _add_explanation(root, record)
    _count(root, root)
    ET.indent(root)
    return f"{DECLARATION}\n{ET.tostring(root, encoding='unicode')}\n".encode()


def _add_suite(root: ET.Element, record: AuditRecord, suite: Suite) -> None:
    made = _suite(root, record, suite.title, seconds=record.seconds.get(f"statistics.{suite.gate.question}", 0.0))
    for case in suite.cases:
        _add_case(made, _class(record, suite.gate.question), case)
    if suite.unsaid:
        gate = ET.SubElement(made, "testcase", classname=_class(record, suite.gate.question), name="gate", time="0")
        ET.SubElement(gate, "error", type=shorten(suite.gate.state), message=shorten(suite.unsaid, LONGEST))
    _count(made, made)


def _add_case(suite: ET.Element, of: str, case: Case) -> None:
    made = ET.SubElement(suite, "testcase", classname=of, name=shorten(case.id, 400), time="0")
    tag = TAGS.get(case.outcome)
    if tag is None:
        ET.SubElement(made, "system-out").text = case.message
    elif tag == "skipped":
        ET.SubElement(made, tag, message=case.message)
    else:
        ET.SubElement(made, tag, type=case.kind, message=case.message)


def _add_explanation(root: ET.Element, record: AuditRecord) -> None:
    """One case: whether the explanation is valid, which every verdict on relevance rests on."""
    made = _suite(root, record, EXPLANATION, seconds=0.0)
    case = ET.SubElement(made, "testcase", classname=_class(record, "explanation"), name="validity", time="0")
    if fault := faults(record):
        ET.SubElement(case, "error", type="invalid explanation", message=fault)
    elif not any(each.holds for each in record.validity):
        ET.SubElement(case, "skipped", message="the validity of the explanation could not be tested")
    _count(made, made)


def _suite(root: ET.Element, record: AuditRecord, title: str, *, seconds: float) -> ET.Element:
    made = ET.SubElement(root, "testsuite", name=title, time=f"{seconds:.3f}")
    if started := moment(record.started):
        made.set("timestamp", to_second(started))  # in UTC and without an offset, as the schema of build servers has it
    facts = {"run_id": record.run_id, "protocol_sha256": record.protocol_sha256, "exit_code": str(record.exit_code)}
    properties = ET.SubElement(made, "properties")
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=name, value=shorten(value, 160))
    return made


def _count(element: ET.Element, within: ET.Element) -> None:
    """Set how many cases lie in an element, and how many of each kind."""
    cases = list(within.iter("testcase"))
    kinds = Counter(child.tag for case in cases for child in case)
    element.set("tests", str(len(cases)))
    for name, tag in TOTALS.items():
        element.set(name, str(kinds[tag]))


def _class(record: AuditRecord, question: str) -> str:
    return f"{_name(record)}.{shorten(question, 80)}"


def _name(record: AuditRecord) -> str:
    return shorten(record.name, 160).replace(".", "_")
