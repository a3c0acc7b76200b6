"""Two-part test: its parts are the library's own tests, and it holds the level where zeros, strata and clusters meet."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from audit.stats.counts import small_counts
from audit.stats.intervals import newcombe
from audit.stats.stratified import common_odds
from audit.stats.tests import brunner_munzel, two_proportions
from audit.stats.two_part import TwoPart, two_part


def shares(seed: int = 0, n: int = 240) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.beta(0.6, 4, n) * (rng.random(n) < 0.5), np.arange(n) < n // 3


def test_parts_are_the_tests_of_presence_and_of_the_values_above_0() -> None:
    values, group = shares()
    rows = np.arange(240)
    found = two_part(values, group, cluster=rows)
    delta, p = brunner_munzel(values[values > 0], group[values > 0], cluster=rows[values > 0])
    expected = newcombe(values > 0, group, cluster=rows, unit=found.presence.estimate.unit)
    assert found.presence.estimate == expected and found.positive.estimate == delta
    assert (found.presence.p, found.presence.test) == small_counts(values > 0, group)
    assert found.positive.p == p and found.presence.p is not None and p is not None
    assert found.p == pytest.approx(min(1.0, 2 * min(found.presence.p, p)))
    assert found.p in (found.presence.p_adjusted, found.positive.p_adjusted)


def test_clusters_are_kept_in_both_parts() -> None:
    values, group = shares(1, 960)
    code = np.arange(960) // 4
    found = two_part(values, group, cluster=code)
    assert found.presence.p == two_proportions(values > 0, group, cluster=code)
    assert found.positive.p == brunner_munzel(values[values > 0], group[values > 0], cluster=code[values > 0])[1]


def test_with_strata_presence_is_the_mantel_haenszel_difference() -> None:
    values, group = shares(2)
    strata = np.arange(240) % 3
    found = two_part(values, group, cluster=np.arange(240), strata=strata)
    odds = common_odds(values > 0, group, strata=strata)
    above, below = 0.0, 0.0
    for code in range(3):
        inside, outside = ((values > 0)[(strata == code) & side] for side in (group, ~group))
        weight = len(inside) * len(outside) / (len(inside) + len(outside))
        above, below = above + weight * (inside.mean() - outside.mean()), below + weight
    assert found.presence.estimate.value == pytest.approx(above / below)
    assert odds is not None and found.presence.p == odds.p and found.presence.test.startswith("Cochran")
    grouped = two_part(values, group, cluster=np.arange(240) // 2, strata=strata)
    assert grouped.presence.p is not None and grouped.presence.test.startswith("t test")


def test_opposite_effects_on_presence_and_amount_are_found_where_one_rank_test_is_blind() -> None:
    rng = np.random.default_rng(3)
    group = np.arange(400) < 200
    present = rng.random(400) < np.where(group, 0.42, 0.7)
    values = present * rng.beta(np.where(group, 4.0, 1.6), 4)
    found, (delta, blind) = (
        two_part(values, group, cluster=np.arange(400)), brunner_munzel(values, group, cluster=np.arange(400))
    )  # fmt: skip
    assert blind is not None and blind > 0.05 and delta.value is not None
    assert found.p is not None and found.p < 1e-4
    first, second = found.presence.estimate.value, found.positive.estimate.value
    assert first is not None and second is not None and first < 0 < second


@given(st.integers(0, 10**6), st.sampled_from([0.25, 0.5, 2.0, 4.0]))
@settings(max_examples=40, deadline=None)
def test_the_unit_of_the_values_changes_nothing(seed: int, unit: float) -> None:
    values, group = shares(seed, 60)
    once, twice = (two_part(x, group, cluster=np.arange(60)) for x in (values, values * unit))
    assert once == twice


def without_p(found: TwoPart) -> bool:
    return found.p is None and found.presence.p is None and found.positive.p is None


def test_all_zeros_no_rows_and_one_group_have_no_p() -> None:
    half, rows = np.arange(40) < 20, np.arange(40)
    for strata in (None, np.arange(40) % 2):
        assert without_p(two_part(np.zeros(40), half, cluster=rows, strata=strata))
        assert without_p(two_part(np.full(40, np.nan), half, cluster=rows, strata=strata))
        assert without_p(two_part(np.linspace(0, 1, 40), np.ones(40, dtype=bool), cluster=rows, strata=strata))
        assert without_p(two_part(np.zeros(0), half[:0], cluster=rows[:0], strata=None if strata is None else rows[:0]))


def test_a_part_without_variation_leaves_the_other_its_own_p() -> None:
    values, group = np.random.default_rng(4).beta(2, 4, 60), np.arange(60) < 30
    positive = two_part(values, group, cluster=np.arange(60))
    assert positive.presence.p is None and positive.p == positive.positive.p is not None
    binary = two_part((values > 0.3).astype(float), group, cluster=np.arange(60))
    assert binary.positive.p is None and binary.p == binary.presence.p is not None


def test_few_values_above_0_have_an_estimate_and_no_p() -> None:
    values, group = np.zeros(100), np.arange(100) < 50
    values[[*range(9), *range(50, 80)]] = np.arange(1, 40)
    found = two_part(values, group, cluster=np.arange(100))
    assert found.positive.p is None and "fewer than 20" in found.positive.estimate.reason
    assert found.positive.estimate.value is not None and found.p == found.presence.p


def test_missing_values_are_dropped_and_counted_and_negative_ones_are_refused() -> None:
    values, group = shares(5)
    values[:7] = np.nan
    found = two_part(values, group, cluster=np.arange(240))
    assert found.presence.estimate.dropped == 7 == found.positive.estimate.dropped
    assert found.presence.estimate.n == 233
    values[8] = -0.25
    with pytest.raises(ValueError, match=r"at least 0, got -0\.25"):
        two_part(values, group, cluster=np.arange(240))


def holds(draw: Callable[[np.random.Generator], TwoPart], *, seed: int, replicates: int = 1500) -> None:
    """Wilson's 95 % interval of the rate of p <= .05 reaches .05 or less, for the whole and for each part that has a p."""
    rng = np.random.default_rng(seed)
    found = [draw(rng) for _ in range(replicates)]
    for p in ([x.p for x in found], [x.presence.p for x in found], [x.positive.p for x in found]):
        known = [q for q in p if q is not None]
        low, high = proportion_confint(sum(q <= 0.05 for q in known), replicates, method="wilson")
        assert low <= 0.05 and (high >= 0.02 or len(known) < replicates / 2)


@pytest.mark.parametrize("inside", [20, 40])
def test_level_against_200_with_zeros_and_unequal_variances(inside: int) -> None:
    """With 20, about 14 are above 0, where a rank test of unequal variances alarms at .06: only presence has a p then."""
    group = np.arange(inside + 200) < inside

    def draw(rng: np.random.Generator) -> TwoPart:
        values = np.where(group, rng.beta(0.5, 0.5, len(group)), rng.beta(8, 8, len(group)))
        return two_part(values * (rng.random(len(group)) < 0.7), group, cluster=np.arange(len(group)))

    def zeros(rng: np.random.Generator) -> TwoPart:
        values = rng.beta(0.6, 4, len(group)) * (rng.random(len(group)) < 0.5)
        return two_part(values, group, cluster=np.arange(len(group)))

    replicates = 300 if inside == 20 else 1500  # Boschloo's exact p takes .05 s
    holds(draw, seed=1, replicates=replicates)
    holds(zeros, seed=2, replicates=replicates)


@pytest.mark.parametrize("rows", [1, 8])
def test_strata_hold_the_level_under_class_imbalance(rows: int) -> None:
    units = 240 if rows == 1 else 60
    code = np.repeat(np.arange(units), rows)
    group = (np.arange(units) < units // 2)[code]

    def draw(rng: np.random.Generator) -> TwoPart:
        label = (rng.random(len(code)) < np.where(group, 0.75, 0.25)).astype(int)
        often = (0.5 if rows == 1 else rng.beta(1, 1, units)[code]) * (0.6 + 0.8 * label)
        values = rng.beta(0.6 + label + 4 * rng.random(units)[code], 4) * (rng.random(len(code)) < often)
        return two_part(values, group, cluster=code, strata=label)

    holds(draw, seed=3)


def test_level_with_30_clusters_of_8_rows_a_group_and_pooled_rows_do_not_hold_it() -> None:
    code, group = np.repeat(np.arange(60), 8), np.repeat([True, False], 240)

    def data(rng: np.random.Generator) -> np.ndarray:
        present = rng.random(480) < rng.beta(1, 2, 60)[code]
        return np.asarray(rng.beta(1 + 4 * rng.random(60)[code], 4) * present)

    holds(lambda rng: two_part(data(rng), group, cluster=code), seed=4)
    rng = np.random.default_rng(4)
    pooled = [two_part(data(rng), group, cluster=np.arange(480)).p or 1.0 for _ in range(200)]
    assert np.mean(np.array(pooled) <= 0.05) > 0.15
