"""Differences of features against a slow oracle written from the definition, and how often chance is taken for one."""

import numpy as np
import pytest
from scipy import stats

from audit.debug.differences import Sides, differences, every_difference, gaps
from audit.stats.signals import Signals, signals
from tests.audit.debug.worlds import FIRST, examples, of_words


def texts(seed: int, *, n: int = 120, words: int = 7, per_cluster: int = 1) -> tuple[Signals, np.ndarray, Sides]:
    rng = np.random.default_rng(seed)
    relevance = np.where(rng.random((n, words)) < 0.6, rng.normal(size=(n, words)), np.nan)
    cluster = np.arange(n) // per_cluster
    first = rng.random(n) < 0.4
    found = signals(of_words(relevance, examples(first.astype(int), first.astype(int))))
    assert found is not None
    return found, cluster, Sides(first & (rng.random(n) < 0.9), ~first)


def slow(found: Signals, values: np.ndarray, sides: Sides, cluster: np.ndarray, feature: int) -> tuple[float, float]:
    """Mean minus mean of the whole column, and the root of the sum of squared cluster sums of its influence, or of those without sides."""
    column = np.zeros(len(found.usable))
    rows = found.feature == feature
    column[found.example[rows]] = values[rows]
    one, two = column[sides.first].mean(), column[sides.second].mean()
    influence = np.where(
        sides.first,
        (column - one) / sides.first.sum(),
        np.where(sides.second, -(column - two) / sides.second.sum(), 0.0),
    )
    used = np.unique(cluster[sides.both])
    total = sum(influence[cluster == c].sum() ** 2 for c in used)
    centred = np.where(sides.both, column - column[sides.both].mean(), 0.0)
    alike = sum(centred[cluster == c].sum() ** 2 for c in used) / (sides.first.sum() * sides.second.sum())
    return one - two, float(np.sqrt(max(total, alike) * len(used) / (len(used) - 1)))


@pytest.mark.parametrize("per_cluster", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_gaps_are_those_of_the_definition(seed: int, per_cluster: int):
    found, cluster, sides = texts(seed, per_cluster=per_cluster)
    for values in (
        found.values[FIRST],
        np.maximum(found.values[FIRST], 0.0),
        np.minimum(found.values[FIRST], 0.0),
    ):
        made = gaps(found, values, sides, cluster)
        for feature in range(len(found.names)):
            value, se = slow(found, values, sides, cluster, feature)
            assert made.value[feature] == pytest.approx(value, abs=1e-12)
            assert made.se[feature] == pytest.approx(se, abs=1e-12)
        assert made.df == min(len(np.unique(cluster[side])) for side in (sides.first, sides.second)) - 1


def test_where_each_example_is_a_cluster_p_is_welchs_to_a_hundredth():
    found, cluster, sides = texts(5, n=600)
    made = every_difference(found, found.values[FIRST], sides, cluster)  # word 0 is declared
    assert [each.name for each in made] == ["w0"]
    column = np.zeros(len(found.usable))
    column[found.example[found.feature == 0]] = found.values[FIRST][found.feature == 0]
    welch = stats.ttest_ind(column[sides.first], column[sides.second], equal_var=False)
    assert gaps(found, found.values[FIRST], sides, cluster).p[0] == pytest.approx(welch.pvalue, abs=0.01)
    assert made[0].estimate.value == pytest.approx(column[sides.first].mean() - column[sides.second].mean())


def test_what_argues_and_what_is_missing_are_told_apart():
    rng = np.random.default_rng(0)
    n = 200
    first = np.arange(n) < 60
    relevance = rng.normal(
        0, 0.1, (n, 6)
    )  # of both signs, so that 1 more is seen in what argues and in what is missing
    relevance[first, 1] += 1.0  # argues for the other class
    relevance[~first, 2] -= 1.0  # supports the own one, where it goes right
    found = signals(of_words(relevance, examples(first.astype(int), first.astype(int))))
    assert found is not None
    told = differences(found, found.values[FIRST], Sides(first, ~first), np.arange(n), fewest=5)
    assert told.argued[0].name == "w1" and {each.name for each in told.missing[:2]} == {"w1", "w2"}
    assert all((each.p_adjusted or 0.0) > 0.001 for each in told.missing[2:])
    assert told.m == 6 and told.argued[0].holders == 60 and (told.argued[0].p_adjusted or 0.0) < 1e-6


def test_rare_features_are_not_compared_and_chance_is_named_in_alpha_of_comparisons():
    alarms = 0
    for seed in range(200):
        found, cluster, sides = texts(seed, n=150, words=20)
        told = differences(found, found.values[FIRST], sides, cluster, fewest=5)
        assert told.m == 20
        alarms += any((each.p_adjusted or 0.0) < 0.05 for each in (*told.argued, *told.missing))
    assert alarms <= 20, f"{alarms} of 200: more than 20 happen in 1 of 1,000 such series at alpha .05"
    found, cluster, sides = texts(0)
    assert differences(found, found.values[FIRST], sides, cluster, fewest=1000).m == 0


@pytest.mark.parametrize(("first", "second"), [(80, 900), (250, 1000)])
def test_rare_words_on_sides_of_unequal_size_are_no_differences_by_chance(first: int, second: int):
    n, words, alarms = first + second, 150, 0
    for seed in range(60):
        rng = np.random.default_rng([seed, first])
        rate = np.exp(rng.uniform(np.log(0.005), np.log(0.3), words))
        relevance = np.where(rng.random((n, words)) < rate, rng.normal(0, 1, (n, words)), np.nan)
        side = np.arange(n) < first
        found = signals(of_words(relevance, examples(side.astype(int), side.astype(int))))
        assert found is not None
        told = differences(found, found.values[FIRST], Sides(side, ~side), np.arange(n), fewest=5)
        alarms += any((each.p_adjusted or 0.0) < 0.05 for each in (*told.argued, *told.missing))
        assert told.m > 30
    assert alarms <= 8, f"{alarms} of 60: more than 8 happen in 1 of 200 such series at alpha .05"
