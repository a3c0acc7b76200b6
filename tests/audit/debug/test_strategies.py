"""Strategies: a planted one is recovered, and what is no strategy is not flagged."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from audit.debug.contrasts import OfContrast, declared_signals
from audit.debug.strategies import clusters, shares, vectors
from audit.debug.summary import debugged
from audit.stats.signals import signals
from tests.audit.debug.worlds import FIRST, examples, of_cells, of_words

N, PLANTED = 1000, 50


def photographs(seed: int):
    """Relevance lies on an object in the middle, in 5 % of the photographs on a mark in a corner, which all are of class a."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, N)
    marked = np.zeros(N, dtype=bool)
    marked[rng.permutation(np.flatnonzero(label == 1))[:PLANTED]] = True
    maps = rng.normal(0, 0.3, (N, 8, 8))
    side = np.where(label == 1, 1.0, -1.0)
    row, column = rng.integers(2, 5, N), rng.integers(2, 5, N)
    for i in range(N):
        at = (slice(0, 2), slice(6, 8)) if marked[i] else (slice(row[i], row[i] + 2), slice(column[i], column[i] + 2))
        maps[i][at] += 2 * side[i]
    flat = maps.reshape(N, -1)
    return of_cells(flat / np.abs(flat).sum(axis=1, keepdims=True), examples(label, label)), marked


def texts(seed: int, *, words: int = 300, d: int = 64):
    """Twelve words a text, of which those of its class carry the relevance; in 5 % one neutral word carries as much as they together."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, N)
    relevance = np.full((N, words), np.nan)
    side = np.where(label == 1, 1.0, -1.0)
    held = rng.random((N, words)) < 12 / words
    relevance[held] = rng.normal(0, 0.15, held.sum())
    for i in range(N):
        own = rng.integers(1 + 30 * label[i], 31 + 30 * label[i], 3)
        relevance[i, own] = rng.uniform(0.3, 1.0, 3) * side[i]
    planted = rng.permutation(N)[:PLANTED]
    relevance[:, 200] = np.nan
    relevance[planted, 200] = 2.0 * side[planted]
    marked = np.zeros(N, dtype=bool)
    marked[planted] = True
    return of_words(relevance, examples(label, label), embedding=rng.normal(size=(words, d))), marked


@pytest.mark.parametrize("make", [photographs, texts])
@pytest.mark.parametrize("seed", range(3))
def test_a_planted_strategy_of_five_percent_is_recovered(make, seed: int):
    evidence, marked = make(seed)
    found = signals(evidence)
    side = np.where(evidence.examples.margin < 0, -1.0, 1.0)
    share = shares(found, found.values[FIRST] * side[found.example])
    points = vectors(evidence, found, share)
    made = clusters(points, most=4000, smallest=20, seed=0).number
    best = max(roc_auc_score(marked, made == k) for k in range(made.max() + 1))
    assert best >= 0.95, f"AUC of the best cluster is {best:.3f}"


def test_shares_add_up_to_one_where_anything_speaks_for_the_prediction():
    evidence, _ = texts(0)
    found = signals(evidence)
    share = shares(found, found.values[FIRST])
    total = np.bincount(found.example, share, N)
    assert np.allclose(total[total > 0], 1.0) and (share >= 0).all()
    assert np.allclose(np.linalg.norm(vectors(evidence, found, share)[total > 0], axis=1), 1.0, atol=1e-5)


def test_others_join_the_graph_of_a_sample_and_the_largest_is_the_first():
    evidence, marked = photographs(1)
    found = signals(evidence)
    side = np.where(evidence.examples.margin < 0, -1.0, 1.0)
    points = vectors(evidence, found, shares(found, found.values[FIRST] * side[found.example]))
    made = clusters(points, most=500, smallest=10, seed=0).number
    assert max(roc_auc_score(marked, made == k) for k in range(made.max() + 1)) >= 0.95
    sizes = np.bincount(made[made >= 0])
    assert (np.diff(sizes) <= 0).all()
    again = clusters(points, most=500, smallest=10, seed=0).number
    assert (made == again).all()
    assert (clusters(np.zeros((50, 3)), most=500, smallest=10, seed=0).number == -1).all()


def whole(evidence):
    pushes = OfContrast(signals(evidence), declared_signals(evidence), FIRST, 1)
    return debugged(evidence, [], lambda rows: evidence.examples.scores[rows], pushes, lambda rows, layers: {})


def test_a_strategy_that_errs_is_flagged_with_what_it_looks_at_and_one_that_does_not_is_not():
    evidence, marked = texts(4)
    rng, given = np.random.default_rng(0), evidence.examples
    for seed, wrong in enumerate((rng.random(N) < np.where(marked, 0.8, 0.1), rng.random(N) < 0.2)):
        truth = np.where(wrong, 1 - given.predicted, given.predicted)
        made = whole(of_words_like(evidence, examples(truth, given.predicted)))
        erring = [each for each in made.record.strategies if "misclassified" in each.flagged]
        if seed == 0:
            assert len(erring) == 1 and erring[0].looks[0].name == "w200"
            assert (made.clustered.number == int(erring[0].key.split()[1]) - 1)[marked].mean() > 0.9
        else:
            assert erring == []


def of_words_like(evidence, given):
    return replace(evidence, examples=given)


def test_errors_by_chance_flag_no_strategy_where_a_sample_makes_the_graph():
    alarms = 0
    for seed in range(12):
        evidence, _ = photographs(seed)
        rng, given = np.random.default_rng([seed, 1]), evidence.examples
        wrong = rng.random(N) < 0.12
        chance = of_words_like(
            evidence, examples(np.where(wrong, 1 - given.predicted, given.predicted), given.predicted)
        )
        config = chance.config.model_copy(update={"debug": chance.config.debug.model_copy(update={"clustered": 300})})
        found = whole(replace(chance, config=config)).record.strategies
        alarms += any("misclassified" in each.flagged for each in found)
    assert alarms <= 3, f"{alarms} of 12: more than 3 happen in 1 of 400 such series at alpha .05"
