"""report.sarif is read by models that were generated from the official schema of SARIF 2.1.0."""

import json
import re
from urllib.parse import urlsplit

import pytest
from fluidattacks_core.sarif import SarifLog

from audit.records import Verdict
from audit.report.sarif import sarif
from tests.audit.report.complete import complete_record, shown
from tests.audit.report.hostile import LATER, TURNS, UNWRITABLE, hostile_record
from tests.audit.report.sample import sample_record


def run(record=None):
    content = sarif(shown(record or complete_record()))
    SarifLog.model_validate_json(content)
    (found,) = json.loads(content)["runs"]
    return found


def test_the_models_of_the_schema_refuse_what_is_not_in_it():
    document = json.loads(sarif(shown(sample_record())))
    document["runs"][0]["results"][0]["levels"] = "error"
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        SarifLog.model_validate(document)


def test_a_rule_a_question_and_a_result_for_each_finding_that_is_not_shown_to_hold():
    found, record = run(), complete_record()
    rules = [rule["id"] for rule in found["tool"]["driver"]["rules"]]
    assert rules == [gate.question for gate in record.gates] and found["tool"]["driver"]["version"] == "0.1.0"
    assert all(rules[each["ruleIndex"]] == each["ruleId"] for each in found["results"])
    counted = [(each["ruleId"], each["level"], each["properties"]["verdict"]) for each in found["results"]]
    assert counted == [
        ("contrast", "warning", "INCONCLUSIVE"), ("contrast", "note", "NOT TESTABLE"), ("contrast", "note", "NOT TESTABLE"),
        ("intervention", "warning", "DIFFERENT"), ("intervention", "note", "NOT TESTABLE"),
        ("outcome", "error", "BREACH"), ("outcome", "warning", "INCONCLUSIVE"), ("outcome", "warning", "INCONCLUSIVE"),
        ("outcome", "note", "NOT TESTABLE"),
        *(("contrast, against the baseline", level, verdict) for level, verdict in (
            ("error", "breached"), ("warning", "inconclusive"), ("note", "not tested"), ("note", "not tested"),
        )),
        *(("outcome, against the baseline", level, verdict) for level, verdict in (
            ("error", "breached"), *[("warning", "inconclusive")] * 3, ("note", "not tested"),
        )),
    ]  # fmt: skip
    assert "−0.071 [−0.163, 0.021] sd of the contrast logit" in found["results"][0]["message"]["text"]


def test_results_lie_in_the_config_and_keep_their_fingerprint_from_run_to_run():
    found = run()
    places = {json.dumps(each["locations"], sort_keys=True) for each in found["results"]}
    (place,) = places
    assert json.loads(place)[0]["physicalLocation"]["artifactLocation"]["uri"] == "configs/film%20reviews.yaml"
    later = run(complete_record().model_copy(update={"run_id": "later", "finished": "2027-01-01T00:00:00+00:00"}))
    prints = [[each["partialFingerprints"] for each in one["results"]] for one in (found, later)]
    assert prints[0] == prints[1] and len({each["primaryLocationLineHash"] for each in prints[0]}) == len(prints[0])


def test_the_invocation_has_exit_code_and_times():
    (call,) = run()["invocations"]
    assert (call["exitCode"], call["executionSuccessful"]) == (3, True)
    assert (call["startTimeUtc"], call["endTimeUtc"]) == ("2026-05-01T10:15:00Z", "2026-05-01T10:19:42Z")
    broken = complete_record().model_copy(update={"exit_code": 4, "warnings": ("the explanation is not valid: noise",)})
    (note,) = run(broken)["invocations"][0]["toolExecutionNotifications"]
    assert note["level"] == "error" and "the explanation is not valid: noise" in note["message"]["text"]


def test_a_gate_that_could_not_be_tested_is_a_warning_of_its_own():
    untested = tuple(
        each for each in sample_record().findings if each.verdict is Verdict.NOT_TESTABLE and each.question == "outcome"
    )
    gate = sample_record().gates[2].model_copy(update={"state": "not tested", "findings": (untested[0].id,)})
    levels = [
        each["level"]
        for each in run(sample_record().model_copy(update={"findings": untested, "gates": (gate,)}))["results"]
    ]
    assert levels == ["note", "warning"]


@pytest.mark.parametrize(
    "path", ["javascript:alert(1)", "//evil.org/x", "http://evil.org", "/etc/a b", "../x.yaml", "%2e\\x"]
)
def test_a_path_is_a_relative_reference_whatever_it_holds(path):
    record = complete_record()
    source = record.provenance.model_copy(update={"config_path": path})
    uri = run(record.model_copy(update={"provenance": source}))["artifacts"][0]["location"]["uri"]
    assert urlsplit(uri)[:2] == ("", "") and not uri.startswith("/") and re.fullmatch(r"[A-Za-z0-9._~/%-]+", uri)


@pytest.mark.parametrize("turn", [*TURNS, LATER])
def test_hostile_text_is_neither_link_nor_placeholder_nor_control(turn):
    found = run(hostile_record(turn, UNWRITABLE))
    assert len(found["results"]) >= 9
    for message in (each["message"]["text"] for each in found["results"]):
        assert "](" not in message and not re.search(r"(?<!\{)(\{\{)*\{\d", message) and len(message) < 9_000
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e]", message)
