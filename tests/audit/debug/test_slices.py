"""Slices: what is planted is found first, chance is flagged in alpha of audits, and true and predicted class are never combined."""

import numpy as np
import pytest

from audit.debug.groups import groups_of
from audit.debug.slices import calibration, confidence, confusion, slices, sure_errors
from tests.audit.debug.worlds import examples, of_words

N = 600


def world(seed: int, *, rate: float = 0.2, planted: float = 0.2, per_cluster: int = 1):
    """`planted` is the error rate of women in the south; errors of a cluster go together where clusters have more than one."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, N)
    who, place = rng.choice(["women", "men"], N), rng.choice(["south", "north"], N)
    draw = np.repeat(rng.random(N // per_cluster), per_cluster) if per_cluster > 1 else rng.random(N)
    wrong = draw < np.where((who == "women") & (place == "south"), planted, rate)
    given = examples(
        label, np.where(wrong, 1 - label, label), cluster=np.arange(N) // per_cluster, who=who, place=place
    )
    return of_words(rng.normal(size=(N, 5)), given)


def test_a_planted_slice_is_the_first_and_has_its_own_rate():
    evidence = world(0, planted=0.6)
    found, rows, tested, untested = slices(evidence, groups_of(evidence, np.full(N, -1)))
    first, examples_ = found[0], evidence.examples
    assert set(first.conditions) == {"who = women", "place = south"} and first.flagged and first.p_adjusted < 1e-6
    mine = (examples_.attributes["who"] == "women") & (examples_.attributes["place"] == "south")
    assert (rows[0] == mine).all() and first.rate.n == mine.sum()
    wrong = examples_.predicted != examples_.label
    assert first.errors == wrong[mine].sum() and first.rate.value == pytest.approx(wrong[mine].mean())
    assert first.gap.value == pytest.approx(wrong[mine].mean() - wrong[~mine].mean())
    assert tested > 20 and untested == 0


@pytest.mark.parametrize("per_cluster", [1, 4])
def test_where_nothing_differs_a_slice_is_flagged_in_alpha_of_audits(per_cluster: int):
    alarms = 0
    for seed in range(150):
        evidence = world(seed, per_cluster=per_cluster)
        found, *_ = slices(evidence, groups_of(evidence, np.full(N, -1)))
        alarms += any(each.flagged for each in found)
    assert alarms <= 15, f"{alarms} of 150: more than 15 happen in 1 of 200 such series at alpha .05"


def test_true_and_predicted_class_are_not_combined_and_pairs_exceed_their_parts():
    evidence = world(3, planted=0.7)
    found, *_ = slices(evidence, groups_of(evidence, np.arange(N) % 3))
    alone = {each.conditions[0]: each.rate.value for each in found if len(each.conditions) == 1}
    for each in found:
        assert not (
            {"true a", "true b"} & set(each.conditions) and {"predicted a", "predicted b"} & set(each.conditions)
        )
        if len(each.conditions) > 1:
            assert all(each.rate.value > alone.get(part, 0.0) for part in each.conditions)


def test_confusion_counts_every_example_once_in_each_attribute():
    evidence = world(1)
    tables = confusion(evidence)

    def total(each) -> int:
        return sum(n for row in each.cells.values() for n in row.values())

    assert total(tables[0]) == N and tables[0].attribute == ""
    for attribute in ("who", "place"):
        assert sum(total(each) for each in tables if each.attribute == attribute) == N
    label, predicted = evidence.examples.label, evidence.examples.predicted
    assert tables[0].cells["b"]["a"] == ((label == 0) & (predicted == 1)).sum()
    assert tables[0].rate.value == pytest.approx((label != predicted).mean())


def test_bins_of_confidence_hold_every_example_and_sure_errors_are_counted():
    evidence = world(2)
    probability = np.random.default_rng(0).uniform(0.5, 1.0, N)
    bins = confidence(evidence, probability)
    assert sum(each.accuracy.n or 0 for each in bins) == N
    assert all(each.low <= each.mean <= each.high for each in bins)
    wrong = evidence.examples.predicted != evidence.examples.label
    off = sum(abs((each.accuracy.value or 0.0) - each.mean) * (each.accuracy.n or 0) for each in bins) / N
    assert calibration(bins).value == pytest.approx(off) and calibration(bins).low is None
    assert sure_errors(evidence, probability).value == pytest.approx((probability[wrong] >= 0.9).mean())
    right = of_words(np.ones((N, 2)), examples(np.ones(N, dtype=int), np.ones(N, dtype=int)))
    assert sure_errors(right, probability).value is None
