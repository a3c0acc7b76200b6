"""Contrasts: of each confusion that there is, with more than two classes, of groups, and with the reason where there are too few."""

from dataclasses import replace

import numpy as np

from audit.debug.contrasts import OfContrast, OfPairs, confused, contrasts, declared_signals, of_errors, of_unsure
from audit.debug.groups import Group
from audit.debug.labels import doubtful, listed
from audit.stats.signals import Signals, signals
from tests.audit.debug.worlds import FIRST, examples, of_words

N = 600


def three_classes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A fifth of class 0 is taken for class 2, because of word 1."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, N)
    taken = (label == 0) & (rng.random(N) < 0.3)
    return label, np.where(taken, 2, label), taken


def test_with_three_classes_each_pair_is_explained_for_itself_and_what_is_declared_is_known():
    label, predicted, taken = three_classes()
    rng = np.random.default_rng(1)
    evidence = of_words(rng.normal(0, 0.1, (N, 4)), examples(label, predicted))
    evidence = replace(evidence, classes=("x", "y", "z"))
    asked: list[tuple[int, int]] = []

    def explain(rows: np.ndarray, targets: np.ndarray) -> Signals:
        asked.extend(map(tuple, np.unique(targets, axis=0).tolist()))
        relevance = np.full((N, 4), np.nan)
        relevance[rows] = rng.normal(0, 0.1, (len(rows), 4))
        relevance[np.intersect1d(rows, np.flatnonzero(taken)), 1] += 1.0
        found = signals(of_words(relevance, evidence.examples))
        assert found is not None
        return found

    (found,) = contrasts(evidence, of_errors(evidence, ()), OfPairs(explain, frozenset({"w1"}), most=50), "contrast")
    assert asked == [(2, 0)] and found.name == "true x, predicted z" and (found.n, found.others) == (50, 50)
    assert found.argued[0].name == "w1" and found.argued[0].declared and not found.declared


def test_only_confusions_that_there_are_are_asked_and_too_few_say_so():
    label, predicted, _ = three_classes()
    predicted[np.flatnonzero(label == 1)[:3]] = 0
    given = examples(label, predicted)
    assert confused(given) == [(0, 2), (1, 0)]
    evidence = replace(of_words(np.random.default_rng(0).normal(size=(N, 4)), given), classes=("x", "y", "z"))
    found = signals(evidence)
    assert found is not None
    pushes = OfContrast(found, declared_signals(evidence), FIRST, 0)
    group = Group("who", "who = a", np.arange(N) % 2 == 0)
    made = contrasts(evidence, of_errors(evidence, [group]), pushes, "contrast")
    assert [(each.group, each.name) for each in made[:2]] == [
        ("", "true x, predicted z"),
        ("who = a", "true x, predicted z"),
    ]
    assert "20 a side are needed" in made[-1].reason and made[-1].argued == ()


def test_unsure_examples_are_compared_within_their_predicted_class():
    label = np.random.default_rng(0).integers(0, 2, N)
    evidence = of_words(np.random.default_rng(1).normal(size=(N, 3)), examples(label, label))
    unsure = np.arange(N) < 100
    for each in of_unsure(evidence, unsure, 1 - label):
        rows = each.sides.first
        assert len(np.unique(label[each.sides.both])) == 1 and (rows == (unsure & (label == label[rows][0]))).all()
        assert (each.towards[rows] == 1 - label[rows]).all() and (each.away[rows] == label[rows]).all()


def test_a_turned_label_is_doubted_first_and_a_missing_class_is_not_asked():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, N)
    label = truth.copy()
    turned = rng.permutation(N)[:15]
    label[turned] = 1 - label[turned]
    evidence = of_words(rng.normal(size=(N, 3)), examples(label, truth))
    right = rng.uniform(0.8, 0.99, N)
    probabilities = np.where(np.arange(2) == truth[:, None], right[:, None], 1 - right[:, None])
    found = doubtful(evidence, probabilities)
    assert found is not None
    sure = turned[
        right[turned] >= np.mean(right)
    ]  # confident learning asks for more than the mean probability of a class
    assert (
        set(found.tolist()) <= set(turned.tolist()) and len(set(found.tolist()) & set(sure.tolist())) >= len(sure) - 2
    )
    shown = listed(evidence, probabilities, found[:3])
    assert [each.probability for each in shown] == sorted(each.probability for each in shown)
    assert all(each.label != each.suggested for each in shown)
    alone = of_words(rng.normal(size=(N, 3)), examples(np.zeros(N, dtype=int), truth))
    assert doubtful(alone, probabilities) is None
