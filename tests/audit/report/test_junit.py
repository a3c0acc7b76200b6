"""report.junit.xml is read by an XML parser; what is red there must be what makes the exit code other than 0."""

import re
from xml.etree import ElementTree as ET

import pytest
from lxml import etree

from audit.records import Gate, Verdict
from audit.report.junit import junit
from audit.stats.verdicts import exit_code, gate_state
from tests.audit.report.complete import complete_record, shown, untold
from tests.audit.report.hostile import LATER, TURNS, UNWRITABLE, hostile_record
from tests.audit.report.sample import sample_record

RED = ("failure", "error")


def read(record=None):
    return ET.fromstring(junit(shown(record or complete_record())))


def kinds(suite):
    return [[child.tag for child in case] for case in suite.iter("testcase")]


def with_verdicts(*verdicts, margin=0.05):
    """One gate with a finding of each verdict."""
    like = next(each for each in sample_record().findings if each.question == "outcome")
    found = tuple(
        like.model_copy(update={"id": f"outcome.{i}", "verdict": each, "margin": margin})
        for i, each in enumerate(verdicts)
    )
    gate = gate_state("outcome", found)
    return sample_record().model_copy(update={"findings": found, "gates": (gate,), "exit_code": exit_code([gate])})


def test_a_suite_a_gate_and_a_case_a_finding_of_it():
    record, root = complete_record(), read()
    assert [suite.get("name") for suite in root] == [
        "Group contrast", "Swaps", "Outcome gaps", "Group contrast, against the baseline", "Outcome gaps, against the baseline",
        "Explanation",
    ]  # fmt: skip
    names = [[case.get("name") for case in suite.iter("testcase")] for suite in root]
    assert names[:5] == [list(gate.findings) for gate in record.gates] and names[5] == ["validity"]
    assert root[2].get("timestamp") == "2026-05-01T10:15:00" and root[2].get("time") == "4.500"
    assert {each.get("name"): each.get("value") for each in root[0].iter("property")}["exit_code"] == "3"


def test_a_breach_fails_what_is_not_settled_is_an_error_and_what_is_not_testable_is_skipped_with_its_reason():
    root = read()
    by_name = {case.get("name"): case for case in root.iter("testcase")}
    breach = by_name["outcome.error_rate.age (mentioned).old-young"].find("failure")
    assert breach.get("type") == "BREACH" and "0.143 [0.062, 0.224] difference in error rate" in breach.get("message")
    assert "lies wholly beyond the margin of 0.05" in breach.get("message")
    assert by_name["outcome.selection_rate.age (mentioned).old-young"].find("error").get("type") == "INCONCLUSIVE"
    assert by_name["intervention.age.old-young"].find("error").get("type") == "DIFFERENT"
    skipped = by_name["contrast.age.not_testable"].find("skipped").get("message")
    assert "terms that occur in at least 10 examples: young 3, old 2" in skipped
    assert [child.tag for child in by_name["contrast.gender.female-male"]] == [
        "system-out"
    ]  # DIFFERENT, inside its margin


def test_how_findings_stand_against_the_baseline_is_told_in_suites_of_their_own():
    by_name = {case.get("name"): case for case in read().iter("testcase")}
    worse = by_name["baseline.outcome.error_rate.age (mentioned).old-young"].find("failure")
    assert worse.get(
        "type"
    ) == "breached" and "0.010 in the baseline, 0.143 now, worse by 0.133 [0.069, 0.197]" in worse.get("message")
    assert (
        by_name["baseline.outcome.selection_rate.age (mentioned).old-young"].find("error").get("type") == "inconclusive"
    )
    assert "young 3, old 2" in by_name["baseline.contrast.age.not_testable"].find("skipped").get("message")


def test_totals_are_those_of_the_cases():
    root = read()
    for element in (root, *root):
        found = [tag for case in kinds(element) for tag in case]
        told = {name: int(element.get(name)) for name in ("tests", "failures", "errors", "skipped")}
        assert told == {
            "tests": len(kinds(element)), "failures": found.count("failure"), "errors": found.count("error"),
            "skipped": found.count("skipped"),
        }  # fmt: skip
    assert (root.get("failures"), root.get("errors")) == ("3", "8")


@pytest.mark.parametrize("verdicts", [
    (Verdict.EQUIVALENT,), (Verdict.EQUIVALENT, Verdict.NOT_TESTABLE), (Verdict.NOT_TESTABLE,), (Verdict.INCONCLUSIVE, Verdict.EQUIVALENT),
    (Verdict.BREACH,), (Verdict.DIFFERENT,), (),
])  # fmt: skip
@pytest.mark.parametrize("margin", [0.05, 10.0])
def test_it_is_red_exactly_where_the_exit_code_is_not_0(verdicts, margin):
    record = with_verdicts(*verdicts, margin=margin)
    red = [tag for case in kinds(read(record)) for tag in case if tag in RED]
    assert bool(red) == (record.exit_code != 0)
    assert ("failure" in red) == (record.exit_code == 3)


def test_a_gate_that_holds_is_green_though_its_intervals_are_withheld():
    record = with_verdicts(Verdict.DIFFERENT, margin=10.0)
    assert record.exit_code == 0 and not [tag for case in kinds(read(untold(record))) for tag in case if tag in RED]


def test_a_gate_without_a_testable_finding_is_an_error_of_the_gate():
    root = read(with_verdicts(Verdict.NOT_TESTABLE))
    gate = next(case for case in root.iter("testcase") if case.get("name") == "gate")
    assert "no finding of this question could be tested" in gate.find("error").get("message")


def test_an_explanation_that_is_not_valid_is_an_error_and_one_that_could_not_be_tested_is_skipped():
    assert kinds(read()[5]) == [[]] and kinds(read(sample_record())[-1]) == [["skipped"]]
    broken = complete_record().model_copy(update={"exit_code": 4, "warnings": ("the explanation is not valid: noise",)})
    error = read(broken)[5].find("testcase/error")
    assert error.get("message").endswith("so no verdict on relevance is given. the explanation is not valid: noise")


@pytest.mark.parametrize("turn", [*TURNS, LATER])
def test_hostile_text_leaves_the_structure_as_it_is(turn):
    content = junit(shown(hostile_record(turn, UNWRITABLE)))
    strict = etree.fromstring(content, etree.XMLParser(resolve_entities=False, huge_tree=False))
    assert {each.tag for each in strict.iter()} == {each.tag for each in read().iter()}
    assert len(list(strict.iter("testcase"))) == len(list(read().iter("testcase")))
    assert (
        not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", content.decode("utf-8"))
        and len(content) < 1_000_000
    )


def test_a_gate_names_no_finding_that_the_record_lacks():
    record = sample_record().model_copy(
        update={"gates": (Gate(question="outcome", state="holds", findings=("gone",)),)}
    )
    assert [suite.get("tests") for suite in read(record)] == ["0", "1"]
