import re

import pytest

from audit.questions import QUESTIONS
from audit.records import Verdict
from audit.report import plain
from tests.audit.report.sample import html, sample_record


def test_what_was_asked_names_model_data_and_attributes():
    assert plain.asked(sample_record()).startswith("This audit assesses what the model relies on when it tells ")
    assert " in 2,981 texts, and how much of that lies on words about " in plain.asked(sample_record())


def test_three_sentences_state_counts_the_clearest_difference_and_what_is_open():
    counted, worst, still_open = plain.summary(sample_record())
    assert counted.startswith(
        "16 findings from 2,981 examples in 404 clusters: 1 BREACH, 2 DIFFERENT, 5 INCONCLUSIVE, 3 EQUIVALENT, 5 NOT TESTABLE"
    )
    assert worst == (
        "The clearest difference: age: the error rate is higher for old than for young, by 0.143 [0.062, 0.224] difference in error rate "
        "(98.75\u00a0% interval, n = 302 in 120 clusters, adjusted p = 0.001, margin 0.050). "
        "BREACH: beyond the margin that was agreed beforehand."
    )
    assert still_open.startswith("Still open: 5 INCONCLUSIVE findings (nationality contrast, gender reliance,")
    assert still_open.endswith("open means neither a disparity nor its absence is shown.")


def test_no_difference_is_never_said_to_be_none():
    record = sample_record()
    quiet = tuple(f for f in record.findings if f.verdict not in (Verdict.BREACH, Verdict.DIFFERENT))
    sentence = plain.summary(record.model_copy(update={"findings": quiet}))[1]
    assert sentence == (
        "No difference was shown in 8 tested findings; this does not say that there is none, except within the margin "
        "where the verdict is EQUIVALENT."
    )


@pytest.mark.parametrize("finding", sample_record().findings, ids=lambda finding: finding.id)
def test_a_finding_in_words_turns_with_its_sign_and_leaves_no_gap(finding):
    def said(value):
        estimate = finding.estimate.model_copy(update={"value": value})
        return plain.in_words(finding.model_copy(update={"estimate": estimate}), sample_record())

    assert not re.search(r"[{}]|None", said(1.0))
    if finding.details.get("measure") != "flips":
        assert said(1.0) != said(-1.0)


def test_every_question_has_its_words():
    asked = {(question, task == "image") for question, each in QUESTIONS.items() for task in each.put}
    assert {question for question, _ in asked} <= {question for question, _ in plain.SAID}


def test_the_first_page_says_that_it_establishes_no_legal_conclusion():
    page = html(sample_record()).decode()
    assert plain.CAVEAT in page[: page.index('aria-label="Contents"')]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"value": -0.3, "low": -0.4, "high": -0.2}, "carry less of the relevance"),
        ({"value": None, "low": -0.4, "high": -0.2}, "carry less of the relevance"),
        ({"value": None, "low": 0.1, "high": 0.2}, "carry more of the relevance"),
        ({"value": None, "low": -0.05, "high": 0.2}, "in a direction that is not shown"),
        ({"value": None, "low": None, "high": None}, "in a direction that is not shown"),
    ],
)
def test_a_direction_that_is_withheld_is_not_told(change, said):
    record = sample_record()
    finding = next(each for each in record.findings if each.question == "disparity")
    shown = finding.model_copy(
        update={"estimate": finding.estimate.model_copy(update=change), "groups": ("female", "male")}
    )
    assert said in plain.in_words(shown, record)
    assert ("by " in plain.finding_sentence(shown, record)) == (change["low"] is not None)


def test_a_ratio_below_one_is_less():
    record = sample_record()
    finding = next(each for each in record.findings if each.estimate.unit == "ratio" and each.question == "reliance")
    for value, word in ((0.9, "less"), (1.1, "more")):
        shown = finding.model_copy(update={"estimate": finding.estimate.model_copy(update={"value": value})})
        assert word in plain.in_words(shown, record)


def test_a_finding_without_groups_has_words():
    finding = sample_record().findings[0].model_copy(update={"groups": ()})
    assert plain.in_words(finding, sample_record())
