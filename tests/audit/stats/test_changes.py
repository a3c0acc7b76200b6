"""Changes between two runs against slower definitions: formulas in full, and the bootstrap of whole clusters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from audit.records import Estimate
from audit.stats.changes import (
    INDEPENDENT,
    LEAST,
    Change,
    Pairs,
    independent,
    none,
    paired,
    rescaled,
    settle_changes,
    tail,
)
from audit.stats.intervals import difference_interval, mean_interval
from audit.stats.rates import newcombe, wilson
from audit.stats.resampling import cluster_bootstrap

ALL = np.full


def estimate(value: float | None, low: float | None, high: float | None, **more) -> Estimate:
    return Estimate(value=value, low=low, high=high, **{"n": 100, "clusters": 100, "unit": "rate", **more})


def events(seed: int, n: int = 400, *, rows: int = 1, gained: float = 0.08, lost: float = 0.05) -> Pairs:
    rng = np.random.default_rng(seed)
    before = rng.random(n) < 0.6
    flip = rng.random(n) < np.where(before, lost, gained)
    return Pairs(before, before ^ flip, rng.random(n) < 0.4, np.arange(n) // rows)


def by_formula(before: Estimate, after: Estimate) -> tuple[float, float]:
    """Zou and Donner 2008, equation 4, with no correlation."""
    one, two = after, before
    middle = one.value - two.value
    low = middle - np.sqrt((one.value - one.low) ** 2 + (two.high - two.value) ** 2)
    return low, middle + np.sqrt((one.high - one.value) ** 2 + (two.value - two.low) ** 2)


@given(st.lists(st.floats(0.01, 2), min_size=4, max_size=4), st.floats(-1, 1), st.floats(-1, 1))
def test_independent_runs_are_combined_by_the_formula_of_the_paper(arms, one, two) -> None:
    before, after = estimate(one, one - arms[0], one + arms[1]), estimate(two, two - arms[2], two + arms[3])
    found = independent(before, after).estimate(0.95)
    assert (found.low, found.high) == pytest.approx(by_formula(before, after))
    assert found.low < found.value < found.high and found.value == two - one


def test_two_independent_means_are_combined_as_welch_has_them() -> None:
    rng = np.random.default_rng(2)
    one, two = rng.normal(0, 1, 300), rng.normal(0.2, 2, 300)
    found = independent(*(mean_interval(x, cluster=np.arange(300)) for x in (one, two))).estimate(0.95)
    welch = stats.ttest_ind(two, one, equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx((welch.low, welch.high), abs=0.01)


@pytest.mark.parametrize("level", [0.9, 0.975, 0.999])
def test_an_interval_at_another_level_is_that_made_at_this_level(level: float) -> None:
    x, cluster = np.random.default_rng(3).normal(size=200), np.arange(200) // 4
    made, wanted = (mean_interval(x, cluster=cluster, level=each) for each in (0.95, level))
    found = rescaled(made, level)
    assert (found.low, found.high, found.level) == pytest.approx((wanted.low, wanted.high, level), abs=2e-3)
    event, side = x > 0.8, np.arange(200) % 2 == 0
    made, wanted = (newcombe(event, side, cluster=np.arange(200), level=each) for each in (0.95, level))
    arm = wanted.high - wanted.value
    assert rescaled(made, level).high == pytest.approx(wanted.high, abs=0.1 * arm)


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("level", [0.9, 0.999])
def test_another_level_has_the_quantile_that_made_the_interval(rows: int, level: float) -> None:
    """Normal for rates of independent rows, as Wilson has it; Student's t for rates in clusters, and for every mean."""
    rng, cluster = np.random.default_rng(6), np.arange(24) // rows
    x, df = rng.normal(size=24), 24 // rows - 1
    made = {"mean": mean_interval(x, cluster=cluster), "wilson": wilson(x > 0.3, cluster=cluster)}
    made["newcombe"] = newcombe(x > 0.3, cluster % 2 == 0, cluster=cluster)
    for name, one in made.items():
        by = stats.norm if rows == 1 and name != "mean" else stats.t(df)
        ratio = by.ppf((1 + level) / 2) / by.ppf(0.975)
        found = rescaled(one, level)
        assert (found.high - one.value, one.value - found.low) == pytest.approx(
            (ratio * (one.high - one.value), ratio * (one.value - one.low))
        ), name


def test_the_change_of_a_mean_is_the_mean_of_the_differences_in_clusters() -> None:
    rng = np.random.default_rng(4)
    before, cluster = rng.normal(size=240), np.arange(240) // 3
    after = before + 0.1 + 0.2 * rng.normal(size=80)[cluster]
    change = paired(Pairs(before, after, ALL(240, True), cluster), "sd")
    found = change.estimate(0.95)
    assert found.value == pytest.approx(float((after - before).mean()))
    sums = np.bincount(cluster, after - before)
    se = sums.std(ddof=1) * np.sqrt(80) / 240
    half = stats.t.ppf(0.975, 79) * se
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), rel=0.05)
    assert change.p == pytest.approx(stats.ttest_1samp(sums, 0).pvalue, rel=0.3)
    apart = independent(*(mean_interval(x, cluster=cluster) for x in (before, after))).estimate(0.95)
    assert found.high - found.low < 0.3 * (apart.high - apart.low), "pairs tell more than two intervals"


def test_the_change_of_one_rate_is_by_formula_mover_of_gains_and_losses() -> None:
    pairs = events(5, 300)
    pairs = Pairs(pairs.before, pairs.after, ALL(300, True), np.arange(300))
    found = paired(pairs, "rate").estimate(0.95)
    gained, lost = int((pairs.after & ~pairs.before).sum()), int((pairs.before & ~pairs.after).sum())
    ends = [stats.binomtest(k, 300).proportion_ci(method="wilson") for k in (gained, lost)]
    g, b = gained / 300, lost / 300
    rho = -np.sqrt(g * b / ((1 - g) * (1 - b)))  # of a multinomial

    def reach(x: float, y: float) -> float:
        return np.sqrt(x**2 + y**2 - 2 * rho * x * y)

    low = g - b - reach(g - ends[0].low, ends[1].high - b)
    high = g - b + reach(ends[0].high - g, b - ends[1].low)
    assert (found.value, found.low, found.high) == pytest.approx((g - b, low, high), abs=1e-4)


@pytest.mark.parametrize("rows", [1, 4])
def test_the_change_of_a_gap_agrees_with_the_bootstrap_of_clusters_and_with_the_linearised_difference(
    rows: int,
) -> None:
    pairs = events(6, 2_000, rows=rows)
    moved = pairs.after.astype(float) - pairs.before
    found = paired(pairs, "gap").estimate(0.95)
    side = pairs.side

    def gap(w: np.ndarray) -> np.ndarray:
        return w[:, side] @ moved[side] / w[:, side].sum(1) - w[:, ~side] @ moved[~side] / w[:, ~side].sum(1)

    drawn = cluster_bootstrap(gap, pairs.cluster, rng=np.random.default_rng(0), resamples=4_000)
    assert (found.low, found.high) == pytest.approx(drawn, abs=0.005)
    other = difference_interval(moved, side, cluster=pairs.cluster)
    assert (found.value, found.low, found.high) == pytest.approx((other.value, other.low, other.high), abs=0.003)


def test_where_no_prediction_changed_a_rate_still_has_an_interval() -> None:
    pairs = events(7, 100, gained=0.0, lost=0.0)
    found = paired(pairs, "gap")
    assert found.estimate(0.95).value == 0 and -0.2 < found.estimate(0.95).low < -0.02 and found.p == 1.0
    few = Pairs(pairs.before[:10], pairs.after[:10], ALL(10, True), np.arange(10))
    assert paired(few, "rate").estimate(0.95).high > 0.2
    assert paired(few, "rate").estimate(0.95).reason.startswith("unreliable")


def test_a_mean_that_no_example_changes_is_the_same_and_one_example_leaves_no_interval() -> None:
    x, cluster = np.arange(30.0), np.arange(30)
    same = paired(Pairs(x, x.copy(), ALL(30, True), cluster), "sd").estimate(0.95)
    assert (same.value, same.low, same.high, same.interval) == (0, 0, 0, "the same in every example")
    lone = paired(Pairs(x[:1], x[:1] + 1, ALL(1, True), cluster[:1]), "sd").estimate(0.95)
    assert lone.value is None and lone.reason
    event = x > 3
    lone = paired(Pairs(event, ~event, ALL(30, True), np.zeros(30, dtype=int)), "rate").estimate(0.95)
    assert lone.value is None and "independent units" in lone.reason


def test_p_is_where_the_interval_leaves_out_nothing_changed() -> None:
    pairs = events(8, 600, gained=0.2, lost=0.02)
    pairs = Pairs(pairs.before, pairs.after, ALL(600, True), pairs.cluster)
    change = paired(pairs, "rate")
    p = change.p
    assert LEAST < p < 0.05
    at, inside = change.estimate(1 - p * 1.01), change.estimate(1 - p * 0.99)
    assert at.low > 0 > inside.low
    assert tail(lambda level: estimate(1.0, 1.0, 1.0), 0.0) == LEAST


@pytest.mark.parametrize(
    ("before", "after"), [((0.5, None, None), (0.6, 0.5, 0.7)), ((0.5, 0.4, 0.6), (0.6, None, None))]
)
def test_a_missing_interval_leaves_a_change_without_interval_and_with_its_reason(before, after) -> None:
    two = estimate(*before, reason="no variation"), estimate(*after, reason="no variation")
    found = independent(*two)
    assert found.estimate(0.95).value == pytest.approx(0.1)
    assert found.estimate(0.95).low is None and "no variation" in found.estimate(0.95).reason and found.p is None
    gone = independent(estimate(None, None, None, reason="too few"), estimate(0.6, 0.5, 0.7)).estimate(0.95)
    assert gone.value is None and gone.reason == "before: too few"


def test_a_family_of_changes_is_corrected_by_holm_and_what_has_no_p_does_not_count() -> None:
    def shift(by: float) -> Change:
        return independent(estimate(0.0, -0.1, 0.1), estimate(by, by - 0.1, by + 0.1))

    changes = [shift(0.5), shift(0.165), shift(0.0), none(estimate(1, 0, 2), estimate(1, 0, 2), "another unit")]
    found = settle_changes(changes, 0.05)
    assert [each.m for each in found] == [3] * 4 and found[3].p is None and found[3].estimate.reason == "another unit"
    assert found[1].p_adjusted == pytest.approx(2 * found[1].p) and found[0].p_adjusted == pytest.approx(3 * found[0].p)
    assert found[0].estimate.level == pytest.approx(1 - 0.05 / 3)
    assert found[1].p_adjusted < 0.05 and found[1].estimate.low < 0, "both must show it"
    assert [each.shown(0.05) for each in found] == [True, False, False, False]
    assert found[1].estimate.interval == INDEPENDENT
