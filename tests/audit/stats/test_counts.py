"""Small counts: exact tests against enumeration, scipy and statsmodels, and their true size."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as oracle
from statsmodels.stats.proportion import proportion_confint

from audit.stats.counts import BOSCHLOO_TABLES, mcnemar, small_counts


def rows(a: int, n: int, b: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Event and group of a events in n rows of the group, b in m of the others."""
    return np.repeat([True, False, True, False], [a, n - a, b, m - b]), np.arange(n + m) < n


def test_score_test_where_expected_counts_are_10_and_an_exact_one_below() -> None:
    p, name = small_counts(*rows(10, 20, 10, 20))
    assert name == "score test" and p == pytest.approx(1.0)
    p, name = small_counts(*rows(9, 40, 20, 50))
    assert p == pytest.approx(stats.chi2_contingency([[9, 31], [20, 30]], correction=False).pvalue)
    p, name = small_counts(*rows(1, 20, 8, 20))
    assert name == "Boschloo's exact test" and p == pytest.approx(stats.boschloo_exact([[1, 8], [19, 12]]).pvalue)
    p, name = small_counts(*rows(4, 20, 5, BOSCHLOO_TABLES))
    assert name == "Fisher's exact test"
    assert p == pytest.approx(stats.fisher_exact([[4, 5], [16, BOSCHLOO_TABLES - 5]]).pvalue)


def slow_boschloo(a: int, n: int, b: int, m: int) -> float:
    """Twice the smaller one-sided p: largest chance, over a grid of rates, of a one-sided Fisher p as small."""
    grid, sides = np.linspace(0.001, 0.999, 999), []
    for side in ("less", "greater"):
        fisher = {
            (i, j): stats.fisher_exact([[i, j], [n - i, m - j]], alternative=side).pvalue
            for i, j in product(range(n + 1), range(m + 1))
        }
        chance = sum(
            stats.binom.pmf(i, n, grid) * stats.binom.pmf(j, m, grid)
            for (i, j), p in fisher.items()
            if p <= fisher[a, b] * (1 + 1e-9)
        )
        sides.append(np.max(chance))
    return min(1.0, 2 * float(min(sides)))


@pytest.mark.parametrize(("a", "b"), [(0, 4), (1, 5), (5, 1), (2, 3)])
def test_exact_p_is_that_of_enumerating_all_tables(a: int, b: int) -> None:
    assert small_counts(*rows(a, 6, b, 7))[0] == pytest.approx(slow_boschloo(a, 6, b, 7), abs=1e-3)


def test_true_size_of_the_exact_test_is_at_most_5_percent_at_every_rate() -> None:
    n, m = 6, 12
    rejected = {
        (i, j)
        for i, j in product(range(n + 1), range(m + 1))
        if (small_counts(*rows(i, n, j, m))[0] or 0.0) <= 0.05 and 0 < i + j < n + m
    }
    grid = np.linspace(0.01, 0.99, 99)
    size = sum(stats.binom.pmf(i, n, grid) * stats.binom.pmf(j, m, grid) for i, j in rejected)
    assert np.max(size) <= 0.05 + 1e-6
    assert np.max(size) > 0.02


@pytest.mark.parametrize(("sizes", "rate"), [((20, 200), 0.25), ((60, 60), 0.1), ((20, 200), 0.5)])
def test_choosing_between_score_and_exact_test_holds_the_level(sizes: tuple[int, int], rate: float) -> None:
    rng, group, hits = np.random.default_rng(1), np.arange(sum(sizes)) < sizes[0], 0
    known: dict[tuple[int, int], float] = {}
    for _ in range(2000):
        event = rng.random(len(group)) < rate
        key = int(event[group].sum()), int(event[~group].sum())
        if key not in known:
            known[key] = small_counts(event, group)[0] or 1.0
        hits += known[key] <= 0.05
    low, high = proportion_confint(hits, 2000, method="wilson")
    assert low <= 0.05 and high >= 0.03


@pytest.mark.parametrize("counts", [(0, 5, 0, 9), (5, 5, 9, 9), (0, 0, 3, 9), (3, 9, 0, 0), (0, 0, 0, 0)])
def test_one_group_or_no_variation_gives_no_p(counts: tuple[int, int, int, int]) -> None:
    assert small_counts(*rows(*counts)) == (None, "none")


@given(st.integers(0, 8), st.integers(0, 8), st.integers(8, 30), st.integers(8, 30))
@settings(max_examples=40, deadline=None)
def test_swapping_groups_or_events_changes_no_p(a: int, b: int, n: int, m: int) -> None:
    event, group = rows(a, n, b, m)
    p = small_counts(event, group)[0]
    for other in (small_counts(event, ~group)[0], small_counts(~event, group)[0]):
        assert other == p if p is None else other == pytest.approx(p, abs=2e-3)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_mcnemar_is_that_of_statsmodels(gained: int, lost: int, same: int) -> None:
    before = np.repeat([False, True, True], [gained, lost, same])
    found = mcnemar(before, np.repeat([True, False, True], [gained, lost, same]))
    assert (found.gained, found.lost, found.n) == (gained, lost, gained + lost + same)
    assert found.discordant == gained + lost and found.hopeless == (gained + lost < 6)
    if found.p is None:
        assert gained + lost == 0
    else:
        assert found.p == pytest.approx(float(oracle([[same, lost], [gained, 0]], exact=True).pvalue), abs=1e-12)


@pytest.mark.parametrize("discordant", range(1, 12))
def test_hopeless_says_whether_any_split_reaches_5_percent(discordant: int) -> None:
    found = mcnemar(np.zeros(discordant, dtype=bool), np.ones(discordant, dtype=bool))
    assert found.p == pytest.approx(2 / 2**discordant)
    assert found.hopeless == (found.p is not None and found.p > 0.05)


def test_mcnemar_holds_its_level() -> None:
    pairs = np.arange(200)
    size = sum(
        stats.binom.pmf(k, 60, 0.5)
        for k in range(61)
        if (mcnemar(pairs < 60 - k, (pairs >= 60 - k) & (pairs < 60)).p or 0.0) <= 0.05
    )
    assert 0.02 < size <= 0.05
