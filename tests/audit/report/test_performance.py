"""Figures for cards: which, once each, and of whom."""

from audit.report.performance import exact, performances, told
from tests.audit.report.complete import complete_record, untold
from tests.audit.report.sample import sample_record


def test_accuracy_comes_first_then_rates_and_gaps_of_outcomes_then_impact_tables():
    found = [(each.measure, each.part) for each in performances(complete_record())]
    assert found[:4] == [
        ("accuracy", ""), ("error rate", "age (mentioned): old"), ("error rate", "age (mentioned): young"),
        ("difference in error rate", "age (mentioned): old − young"),
    ]  # fmt: skip
    assert found[-2:] == [("selection rate", "gender: other"), ("impact ratio", "gender: other")]


def test_a_rate_that_several_pairs_share_is_told_once():
    gap = next(each for each in sample_record().findings if each.question == "outcome")
    twice = sample_record().model_copy(
        update={"findings": (gap, gap.model_copy(update={"groups": ("middle", "young")}))}
    )
    parts = [each.part for each in performances(twice)]
    assert parts.count("age (mentioned): young") == 1 and len(parts) == len(set(parts)) == 6


def test_withheld_values_are_listed_and_not_told():
    hidden = untold(complete_record())
    assert len(performances(hidden)) == len(performances(complete_record()))
    assert all(each.estimate.value is not None for each in told(hidden)) and len(told(hidden)) < len(
        performances(hidden)
    )


def test_texts_of_numbers_keep_six_digits_and_small_ones_their_size():
    assert [exact(value) for value in (0.123456789, 1e-9, -0.0, 2981.0)] == ["0.123457", "1e-09", "-0", "2981"]
