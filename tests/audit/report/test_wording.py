import doctest
import re
from pathlib import Path

import pytest

import audit.report.backing as backing
import audit.report.text
import audit.report.wording as wording
from audit.records import Gate, Sensitivity, Verdict
from audit.report.document import TEMPLATES
from tests.audit.report.sample import html, sample_record

FORBIDDEN = ("unbiased", "fair model", "debias", "no bias", "passes", "passed", "bias-free", "proves", "discriminat")


def test_no_forbidden_word_in_the_report_or_its_sources():
    sources = [
        html(sample_record()).decode(),
        *(path.read_text(encoding="utf-8") for path in Path(wording.__file__).parent.rglob("*.py")),
    ]
    sources += [path.read_text(encoding="utf-8") for path in TEMPLATES.rglob("*.*")]
    found = [
        (word, text[max(0, m.start() - 40) : m.end()])
        for text in sources
        for word in FORBIDDEN
        for m in re.finditer(word, text, re.I)
    ]
    assert found == []


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(audit.report.text).attempted >= 6
    assert doctest.testmod(audit.report.text).failed == 0


def test_every_verdict_and_gate_state_has_words_and_its_own_symbol():
    assert set(wording.VERDICTS) == set(Verdict)
    assert len({words.symbol for words in wording.VERDICTS.values()}) == len(Verdict)
    assert set(wording.GATES) == {"holds", "breached", "inconclusive", "not tested"}


@pytest.mark.parametrize("code", range(6))
def test_every_exit_code_is_explained(code):
    assert wording.exit_sentence(code) == f"Exit code {code}: {wording.EXITS[code]}."


def test_states_of_a_later_release_are_named_as_unknown():
    gate = Gate(question="contrast", state="later", findings=())
    assert wording.gate_verdict(gate) is Verdict.NOT_TESTABLE
    assert wording.gate_sentence(gate) == "this release does not know the state"
    assert wording.exit_sentence(99) == "Exit code 99: unknown to this release."


def test_a_choice_that_leaves_nothing_to_test_is_named_and_is_no_other_verdict():
    finding = next(f for f in sample_record().findings if f.verdict is Verdict.BREACH)
    other, same = (
        Sensitivity(changed=changed, estimate=finding.estimate, verdict=verdict)
        for changed, verdict in (
            ("masks shrunk by 1 pixel", Verdict.NOT_TESTABLE),
            ("masks grown by 1 pixel", Verdict.BREACH),
        )
    )
    flipped = same.model_copy(update={"verdict": Verdict.EQUIVALENT})
    said = {
        name: backing.fragility(finding.model_copy(update={"sensitivity": given}))
        for name, given in (("none", ()), ("untested", (other,)), ("one", (same, other)), ("flips", (flipped, other)))
    }
    assert said["none"] == "" and said["untested"] == "Not testable: masks shrunk by 1 pixel"
    assert said["one"] == (
        "The verdict survives 1 other choice (masks grown by 1 pixel), estimates 0.143 to 0.143. Not testable: masks shrunk by 1 pixel"
    )
    assert said["flips"].startswith(
        "Fragile: another verdict or direction in 1 of 1 other choice: masks grown by 1 pixel: EQUIVALENT"
    )
    assert not finding.model_copy(update={"sensitivity": (same, other)}).fragile
    assert finding.model_copy(update={"sensitivity": (flipped, other)}).fragile


@pytest.mark.parametrize("verdict", [Verdict.BREACH, Verdict.DIFFERENT, Verdict.INCONCLUSIVE, Verdict.EQUIVALENT])
def test_a_gap_and_the_disparities_beside_it_are_in_one_of_four_cells(verdict):
    gap = sample_record().findings[0].model_copy(update={"verdict": verdict})
    shown = verdict in (Verdict.BREACH, Verdict.DIFFERENT)
    assert wording.link(gap, [gap]) == (
        "gap with disparity of relevance" if shown else "disparity of relevance without a gap: a latent risk"
    )
    assert wording.link(gap, []).startswith("gap, no measured" if shown else "neither")


def test_fragile_findings_are_counted_where_verdicts_are():
    steady = sample_record().findings[0]
    other = next(verdict for verdict in Verdict if verdict not in (steady.verdict, Verdict.NOT_TESTABLE))
    moved = steady.model_copy(
        update={"sensitivity": (Sensitivity(changed="x", estimate=steady.estimate, verdict=other),)}
    )
    assert backing.fragile([steady]) == "" and backing.fragile([moved]) == ", fragile"
    assert backing.fragile([steady, moved, moved]) == ", 2 fragile"


def test_limits_name_composites_under_which_little_reaches_the_inputs():
    record = sample_record()
    first = record.ledger[0]
    little = first.model_copy(update={"composite": "weak", "attribute": "", "entries": {"inputs": -0.2, "bias": 0.8}})
    most = first.model_copy(update={"composite": "strong", "attribute": "", "entries": {"inputs": 0.7, "bias": 0.3}})
    told = wording.limits(record.model_copy(update={"ledger": (little, most)}))
    assert told[: len(record.limits)] == list(record.limits) and len(told) == len(record.limits) + 1
    assert told[-1].startswith("Under weak only 20")
