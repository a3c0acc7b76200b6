"""How a run stands against its baseline is shown, and what would tell a small count is not."""

import pytest

from audit.records import Standing
from audit.report import plain, wording
from audit.report.baseline import shown_baseline
from audit.report.document import html
from audit.report.publication import publication
from tests.audit.report.complete import complete_record
from tests.audit.report.sample import sample_record

GAP = "baseline.outcome.error_rate.age (mentioned).old-young"
CONTRAST = "baseline.contrast.gender.female-male"


def shown(k: int, record=None):
    record = record or complete_record()
    findings = publication(record, least=k).record.findings
    return {each.id: each for each in shown_baseline(record.baseline, findings, k).worsenings}


def test_the_page_and_the_first_sentences_tell_the_run_and_the_worst():
    record = complete_record()
    page = html(publication(record, least=1)).decode()
    assert 'id="baseline"' in page and record.baseline.run_id in page and "0.133 [0.069, 0.197]" in page
    said = plain.baseline(record)
    assert "2 grew by more than the margin" in said and "0.010 there and 0.143 now" in said
    assert plain.baseline(sample_record()) == "" and 'id="baseline"' not in html(publication(sample_record())).decode()


def test_what_the_published_finding_withholds_is_withheld_of_its_worsening_too():
    record = complete_record()
    hidden = tuple(
        each.model_copy(
            update={"estimate": each.estimate.model_copy(update={"value": None, "low": None, "high": None})}
        )
        for each in record.findings
    )
    found = shown_baseline(record.baseline, hidden, 5).worsenings
    for each in found:
        assert {e.value for e in (each.before, each.after, each.estimate)} == {None}
        assert each.test.p is None and each.test.p_adjusted is None and each.needed_n is None
    bare = record.model_copy(update={"baseline": record.baseline.model_copy(update={"worsenings": found})})
    assert "an amount that is not shown" in plain.baseline(bare) and "not shown there" in plain.baseline(bare)
    assert [each.standing for each in found] == [each.standing for each in record.worsenings]


def test_a_change_of_rates_is_rounded_to_steps_of_k_examples_and_other_changes_keep_their_digits():
    found, whole = shown(10), {each.id: each for each in complete_record().worsenings}
    gap, contrast = found[GAP].estimate, found[CONTRAST]
    assert gap.n is None and gap.value != whole[GAP].estimate.value and gap.low <= whole[GAP].estimate.low
    assert gap.high >= whole[GAP].estimate.high and "rounded" in gap.reason and found[GAP].test.p is None
    assert contrast.estimate.value == whole[CONTRAST].estimate.value and contrast.test.p == whole[CONTRAST].test.p
    assert contrast.estimate.n is None


def test_counts_in_reasons_are_masked():
    told = " ".join(each.reason for each in complete_record().worsenings)
    assert "muslim 1 examples" in told
    assert "muslim 1 examples" not in " ".join(each.reason for each in shown(5).values())


def test_the_public_is_not_told_where_the_baseline_lies():
    record = complete_record()
    secret = {**record.config, "baseline": {"run": "/home/someone/accepted", "worse_by": 0.1}}
    told = publication(record.model_copy(update={"config": secret}), public=True).record
    assert told.config["baseline"]["run"] == "accepted"


@pytest.mark.parametrize("standing", Standing)
def test_every_state_has_its_sentence_and_its_look(standing):
    assert standing.value in wording.STANDINGS and standing.value in wording.GATES and standing in plain.STANDS
    gate = next(each for each in complete_record().gates if each.question == "outcome, against the baseline")
    assert wording.gate_sentence(gate.model_copy(update={"state": standing.value})) == wording.STANDINGS[standing.value]
    assert wording.gate_extent(gate, (), complete_record().worsenings) == "4 tested, 1 not testable"
    lone = gate.model_copy(update={"state": standing.value, "lone": 1})
    assert wording.gate_sentence(lone).endswith(
        "; 1 finding has an estimate in one run alone, so nothing is said of it"
    )
    assert (
        wording.gate_extent(lone, (), complete_record().worsenings)
        == "4 tested, 1 not testable, 1 of these in one run alone"
    )
    assert wording.question_title(gate.question) == "Outcome gaps, against the baseline"
    assert "earlier run" in wording.question_asks(gate.question)
