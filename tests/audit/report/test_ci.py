"""What a finding comes to for its gate, against the gate's own state."""

import pytest

from audit.records import Gate, Verdict
from audit.report.ci import Outcome, faults, suites
from audit.stats.verdicts import gate_state
from tests.audit.report.complete import complete_record
from tests.audit.report.sample import sample_record

RED = {Outcome.BREACHED, Outcome.OPEN}


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("margin", [None, 0.05, 10.0])
def test_a_finding_is_red_exactly_where_a_gate_of_it_alone_does_not_hold(verdict, margin):
    like = next(each for each in sample_record().findings if each.question == "outcome")
    finding = like.model_copy(update={"verdict": verdict, "margin": margin})
    gate = gate_state("outcome", [finding])
    (suite,) = suites(sample_record().model_copy(update={"findings": (finding,), "gates": (gate,)}))
    assert (suite.cases[0].outcome in RED) == (gate.state in {"breached", "inconclusive"})
    assert (suite.cases[0].outcome is Outcome.BREACHED) == (gate.state == "breached")
    assert bool(suite.unsaid) == (gate.state == "not tested")


def test_messages_have_the_numbers_or_the_reason():
    found = {case.id: case.message for suite in suites(complete_record()) for case in suite.cases}
    assert "0.143 [0.062, 0.224]" in found["outcome.error_rate.age (mentioned).old-young"]
    assert found["contrast.age.not_testable"].startswith(
        "NOT TESTABLE, Group contrast, age: young − old. terms that occur"
    )


def test_a_state_that_this_release_does_not_know_is_no_pass():
    (suite,) = suites(sample_record().model_copy(update={"gates": (Gate(question="later", state="odd", findings=()),)}))
    assert suite.unsaid == "Later: odd, this release does not know the state"


def test_only_exit_code_4_says_that_the_explanation_is_not_valid():
    told = sample_record().model_copy(update={"warnings": ("the explanation is not valid: noise", "another")})
    assert faults(told) == ""
    assert faults(told.model_copy(update={"exit_code": 4})).endswith("the explanation is not valid: noise")
