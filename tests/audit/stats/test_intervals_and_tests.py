"""Oracles from scipy and statsmodels, and simulated error rates of intervals and tests (fixed seeds)."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from audit.stats.intervals import UNRELIABLE, difference_interval, mean_interval
from audit.stats.outcomes import _above
from audit.stats.rates import newcombe, two_proportions, wilson
from audit.stats.tests import brunner_munzel, rank_effect, sign_flip, stratified_permutation

Draw = Callable[[np.random.Generator], float | None]


def rejection(draw: Draw, *, seed: int, replicates: int = 1000) -> float:
    rng = np.random.default_rng(seed)
    p = [draw(rng) for _ in range(replicates)]
    assert None not in p
    return float(np.mean([value <= 0.05 for value in p if value is not None]))


def clustered(rng: np.random.Generator, clusters: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    code = np.repeat(np.arange(clusters), rows)
    return rng.normal(size=clusters)[code] + rng.normal(size=clusters * rows), code


samples = st.lists(st.integers(0, 6), min_size=4, max_size=30)


@given(samples, samples)
@settings(max_examples=200, deadline=None)
def test_brunner_munzel_equals_scipy_for_rows_on_their_own(x: list[int], y: list[int]) -> None:
    values = np.array([*x, *y], dtype=float)
    estimate, p = brunner_munzel(values, np.arange(len(values)) < len(x), cluster=np.arange(len(values)))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns at complete separation
        expected = stats.brunnermunzel(x, y).pvalue
    assert estimate.value == pytest.approx(np.sign(np.subtract.outer(x, y)).mean(), abs=1e-12)
    if np.isfinite(expected) and estimate.low is not None and estimate.interval.startswith("cluster"):
        assert p == pytest.approx(expected, abs=1e-10)


def test_complete_separation_gives_the_exact_permutation_p() -> None:
    values = np.array([1.0, 2, 3, 10, 11, 12, 13])
    estimate, p = brunner_munzel(values, values > 5, cluster=np.arange(7))
    assert p == pytest.approx(2 / 35)
    assert estimate.value == 1.0 and estimate.high == 1.0 and estimate.low is not None and estimate.low < 1


def test_equal_values_everywhere_leave_no_p_and_no_interval() -> None:
    estimate, p = brunner_munzel(np.ones(40), np.arange(40) < 20, cluster=np.arange(40))
    assert p is None and estimate.low is None and "no variation" in estimate.reason


@given(st.lists(st.booleans(), min_size=2, max_size=60))
def test_wilson_equals_statsmodels_for_rows_on_their_own(successes: list[bool]) -> None:
    estimate = wilson(np.array(successes), cluster=np.arange(len(successes)))
    expected = proportion_confint(sum(successes), len(successes), method="wilson")
    assert (estimate.low, estimate.high) == pytest.approx(expected, abs=1e-12)


def test_newcombe_and_score_test_equal_statsmodels_for_rows_on_their_own() -> None:
    values = np.repeat([True, False, True, False], [9, 31, 20, 30])
    group = np.arange(90) < 40
    estimate = newcombe(values, group, cluster=np.arange(90))
    assert (estimate.low, estimate.high) == pytest.approx(confint_proportions_2indep(9, 40, 20, 50, method="newcomb"))
    expected = stats.chi2_contingency([[9, 31], [20, 30]], correction=False).pvalue
    assert two_proportions(values, group, cluster=np.arange(90)) == pytest.approx(expected, abs=1e-12)


def test_difference_of_symmetric_samples_equals_welch_for_rows_on_their_own_and_paired_t_for_shared_clusters() -> None:
    rng = np.random.default_rng(0)
    x, y = (np.concatenate([half, -half]) for half in (rng.normal(0, 3, 10), rng.normal(0, 1, 10)))
    values, group = np.concatenate([x, y]), np.arange(40) < 20
    welch = stats.ttest_ind(x, y, equal_var=False).confidence_interval()
    single = difference_interval(values, group, cluster=np.arange(40))
    assert (single.low, single.high) == pytest.approx((welch.low, welch.high), rel=1e-10)
    paired = stats.ttest_rel(x, y).confidence_interval()
    shared = difference_interval(values, group, cluster=np.tile(np.arange(20), 2))
    assert (shared.low, shared.high) == pytest.approx((paired.low, paired.high), rel=1e-10)


def test_repeating_every_row_in_its_cluster_changes_no_interval() -> None:
    rng = np.random.default_rng(1)
    values, group = rng.normal(size=50), np.arange(50) < 20
    for once, thrice in (
        (
            mean_interval(values, cluster=np.arange(50)),
            mean_interval(np.tile(values, 3), cluster=np.tile(np.arange(50), 3)),
        ),
        (
            brunner_munzel(values, group, cluster=np.arange(50))[0],
            brunner_munzel(np.tile(values, 3), np.tile(group, 3), cluster=np.tile(np.arange(50), 3))[0],
        ),
    ):
        assert (once.low, once.high) == pytest.approx((thrice.low, thrice.high), rel=1e-10)


def test_absent_values_are_counted_and_too_little_data_has_a_reason() -> None:
    estimate = mean_interval(np.array([1.0, np.nan, 2.0]), cluster=np.arange(3))
    assert estimate.dropped == 1 and estimate.n == 2 and estimate.reason == UNRELIABLE
    for tiny in (np.array([]), np.array([1.0]), np.array([np.nan, np.nan])):
        empty = mean_interval(tiny, cluster=np.arange(len(tiny)))
        assert empty.value is None and empty.low is None and empty.reason
    one_cluster = mean_interval(np.array([1.0, 2.0]), cluster=np.zeros(2))
    assert one_cluster.value is None and one_cluster.reason
    assert wilson(np.array([], dtype=bool), cluster=np.array([])).value is None
    assert newcombe(np.array([True]), np.array([True]), cluster=np.arange(1)).value is None


def test_a_rate_of_zero_in_clusters_counts_clusters_not_rows() -> None:
    estimate = wilson(np.zeros(200, dtype=bool), cluster=np.repeat(np.arange(20), 10))
    assert estimate.high is not None and estimate.high > proportion_confint(0, 20, method="wilson")[1]


def test_sign_flip_enumerates_few_clusters_and_matches_scipy() -> None:
    values = np.array([0.3, 1.2, -0.4, 0.8, 0.9, 0.1])
    p = sign_flip(values, cluster=np.arange(6), rng=np.random.default_rng(0), resamples=99)
    expected = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    assert p == pytest.approx(expected)
    assert sign_flip(np.zeros(5), cluster=np.arange(5), rng=np.random.default_rng(0), resamples=99) is None


def test_stratified_permutation_counts_rows_of_one_sided_strata() -> None:
    group = np.array([True, False, True, False, True, True])
    p, lost = stratified_permutation(
        np.array([1.0, 2, 3, 5, 9, 8]), group, strata=np.array([0, 0, 1, 1, 2, 2]), cluster=np.arange(6),
        rng=np.random.default_rng(0), resamples=999,
    )  # fmt: skip
    assert lost == 2 and p is not None
    alone = stratified_permutation(
        np.array([1.0, 2]),
        np.array([True, False]),
        strata=np.arange(2),
        cluster=np.arange(2),
        rng=np.random.default_rng(0),
        resamples=9,
    )
    assert alone == (None, 2)


def test_rank_test_holds_its_level_with_30_clusters_of_8_rows_a_group_and_pooled_rows_do_not() -> None:
    group = np.repeat([True, False], 240)

    def ours(rng: np.random.Generator) -> float | None:
        values, code = clustered(rng, 60, 8)
        return brunner_munzel(values, group, cluster=code)[1]

    def pooled(rng: np.random.Generator) -> float | None:
        values, code = clustered(rng, 60, 8)
        return brunner_munzel(values, group, cluster=np.arange(len(code)))[1]

    assert 0.02 < rejection(ours, seed=1) < 0.08
    assert rejection(pooled, seed=1, replicates=300) > 0.15


def test_rank_test_holds_its_level_when_clusters_hold_both_groups() -> None:
    def draw(rng: np.random.Generator) -> float | None:
        values, code = clustered(rng, 30, 8)
        return brunner_munzel(values, rng.random(240) < 0.4, cluster=code)[1]

    assert 0.02 < rejection(draw, seed=2) < 0.08


def test_rank_test_holds_its_level_under_unequal_variances_and_mann_whitney_does_not() -> None:
    group = np.arange(100) < 20

    def values(rng: np.random.Generator) -> np.ndarray:
        return rng.normal(size=100) * np.where(group, 4, 1)

    assert 0.02 < rejection(lambda rng: brunner_munzel(values(rng), group, cluster=np.arange(100))[1], seed=3) < 0.08

    def whitney(rng: np.random.Generator) -> float:
        x = values(rng)
        return float(stats.mannwhitneyu(x[group], x[~group]).pvalue)

    assert rejection(whitney, seed=3) > 0.1


def test_rank_test_holds_its_level_with_half_the_values_zero() -> None:
    def draw(rng: np.random.Generator) -> float | None:
        values = rng.beta(0.6, 4, 100) * (rng.random(100) < 0.5)
        return brunner_munzel(values, np.arange(100) < 40, cluster=np.arange(100))[1]

    assert 0.02 < rejection(draw, seed=4) < 0.08


@pytest.mark.parametrize("rows", [1, 4])
def test_strata_hold_the_level_under_class_imbalance_and_pooling_does_not(rows: int) -> None:
    def data(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        code = np.repeat(np.arange(240 // rows), rows)
        group = (np.arange(240 // rows) < 120 // rows)[code]
        label = (rng.random(240) < np.where(group, 0.75, 0.25)).astype(int)
        return 0.8 * label + 0.4 * rng.normal(size=240 // rows)[code] + rng.normal(size=240), group, label, code

    def permuted(rng: np.random.Generator) -> float | None:
        values, group, label, code = data(rng)
        return stratified_permutation(values, group, strata=label, cluster=code, rng=rng, resamples=199)[0]

    def ranked(rng: np.random.Generator) -> float | None:
        values, group, label, code = data(rng)
        return brunner_munzel(values, group, cluster=code, strata=label)[1]

    def pooled(rng: np.random.Generator) -> float | None:
        values, group, _, code = data(rng)
        return brunner_munzel(values, group, cluster=code)[1]

    assert 0.02 < rejection(permuted, seed=5) < 0.08
    assert 0.02 < rejection(ranked, seed=6) < 0.08
    assert rejection(pooled, seed=6, replicates=200) > 0.4


def test_two_proportions_holds_its_level_in_clusters_and_pooled_rows_do_not() -> None:
    group = np.repeat([True, False], 240)

    def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        code = np.repeat(np.arange(60), 8)
        return rng.random(480) < rng.beta(1.2, 2.8, 60)[code], code

    def ours(rng: np.random.Generator) -> float | None:
        values, code = data(rng)
        return two_proportions(values, group, cluster=code)

    def pooled(rng: np.random.Generator) -> float | None:
        return two_proportions(data(rng)[0], group, cluster=np.arange(480))

    def single(rng: np.random.Generator) -> float | None:
        return two_proportions(rng.random(120) < 0.2, np.arange(120) < 40, cluster=np.arange(120))

    assert 0.02 < rejection(ours, seed=7) < 0.08
    assert 0.02 < rejection(single, seed=8) < 0.08
    assert rejection(pooled, seed=7, replicates=300) > 0.15


@pytest.mark.parametrize("rows", [1, 8])
def test_sign_flip_holds_its_level(rows: int) -> None:
    def draw(rng: np.random.Generator) -> float | None:
        values, code = clustered(rng, 30, rows)
        return sign_flip(values, cluster=code, rng=rng, resamples=199)

    assert 0.02 < rejection(draw, seed=9) < 0.08


def skewed(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.asarray(rng.beta(0.6, 4, n) * (rng.random(n) < 0.5))


TRUE_MEAN = 0.5 * 0.6 / 4.6


def covers(
    make: Callable[[np.random.Generator], tuple[float | None, float | None, float]], replicates: int = 1500
) -> float:
    rng = np.random.default_rng(10)
    hits = [
        low is not None and high is not None and low <= truth <= high
        for low, high, truth in (make(rng) for _ in range(replicates))
    ]
    return float(np.mean(hits))


def test_intervals_cover_at_200_rows_zero_inflated_and_clustered() -> None:
    def mean(rng: np.random.Generator) -> tuple[float | None, float | None, float]:
        found = mean_interval(skewed(rng, 200), cluster=np.arange(200))
        return found.low, found.high, TRUE_MEAN

    def clustered_mean(rng: np.random.Generator) -> tuple[float | None, float | None, float]:
        code = np.repeat(np.arange(200), rng.integers(1, 7, 200))
        found = mean_interval(skewed(rng, 200)[code] + skewed(rng, len(code)), cluster=code)
        return found.low, found.high, 2 * TRUE_MEAN

    def difference(rng: np.random.Generator) -> tuple[float | None, float | None, float]:
        found = difference_interval(skewed(rng, 400), np.arange(400) < 200, cluster=np.arange(400))
        return found.low, found.high, 0.0

    def naive(rng: np.random.Generator) -> tuple[float | None, float | None, float]:
        code = np.repeat(np.arange(200), rng.integers(1, 7, 200))
        found = mean_interval(skewed(rng, 200)[code] + skewed(rng, len(code)), cluster=np.arange(len(code)))
        return found.low, found.high, 2 * TRUE_MEAN

    assert covers(mean) >= 0.93
    assert covers(clustered_mean) >= 0.93
    assert covers(difference) >= 0.93
    assert covers(naive) < 0.9


def test_rate_and_rank_intervals_cover_in_clusters() -> None:
    code = np.repeat(np.arange(50), 4)

    def rate(rng: np.random.Generator) -> tuple[float | None, float | None, float]:
        found = wilson(rng.random(200) < rng.beta(1, 4, 50)[code], cluster=code)
        return found.low, found.high, 0.2

    def rates(rng: np.random.Generator) -> tuple[float | None, float | None, float]:
        found = newcombe(rng.random(200) < rng.beta(1, 4, 50)[code], rng.random(200) < 0.4, cluster=code)
        return found.low, found.high, 0.0

    def delta(rng: np.random.Generator) -> tuple[float | None, float | None, float]:
        values, group = rng.normal(size=50)[code] + rng.normal(size=200), np.arange(200) < 100
        found, _ = brunner_munzel(values + group * np.sqrt(2.0), group, cluster=code)
        return found.low, found.high, 2 * stats.norm.cdf(np.sqrt(2.0) / 2) - 1

    assert covers(rate) >= 0.93
    assert covers(rates) >= 0.93
    assert covers(delta) >= 0.93


def hall_by_bisection(mean: float, se: float, skew: float, t: float) -> list[float]:
    """Oracle: the means at which Hall's transform of the t statistic equals t, and -t."""

    def transformed(m: float) -> float:
        x = (mean - m) / se
        return x + skew * x**2 / 3 + skew**2 * x**3 / 27 + skew / 6

    found = []
    for level in (t, -t):
        low, high = mean - 100 * se, mean + 100 * se
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if transformed(middle) > level else (low, middle)
        found.append((low + high) / 2)
    return found


@given(
    st.lists(st.floats(-3, 3), min_size=5, max_size=60).filter(lambda v: np.std(v) > 0.1), st.sampled_from([0.9, 0.99])
)
def test_intervals_of_means_are_the_outer_ends_of_students_and_halls(values: list[float], level: float) -> None:
    x, n = np.array(values), len(values)
    mean, se = float(x.mean()), float(x.std(ddof=1) / np.sqrt(n))
    t = float(stats.t.ppf((1 + level) / 2, n - 1))
    skew = float(((x - mean) ** 3).mean() / x.std() ** 3) / np.sqrt(n)
    low, high = hall_by_bisection(mean, se, skew, t)
    found = mean_interval(x, cluster=np.arange(n), level=level)
    assert found.low == pytest.approx(min(mean - t * se, low), abs=1e-5)
    assert found.high == pytest.approx(max(mean + t * se, high), abs=1e-5)


@given(st.lists(st.floats(-3, 3), min_size=5, max_size=60).filter(lambda v: np.std(v) > 0.1))
def test_the_interval_of_mirrored_values_is_mirrored(values: list[float]) -> None:
    x, cluster = np.array(values), np.arange(len(values))
    one, two = mean_interval(x, cluster=cluster), mean_interval(-x, cluster=cluster)
    assert one.low is not None and two.high is not None
    assert one.low == pytest.approx(-two.high) and one.value == pytest.approx(-(two.value or 0.0))


@pytest.mark.parametrize("strata", [1, 2, 3])
def test_complete_separation_within_strata_counts_the_arrangements_within_them(strata: int) -> None:
    layer, group = np.repeat(np.arange(strata), 4), np.tile([True, True, False, False], strata)
    found = rank_effect(group.astype(float), group, cluster=np.arange(4 * strata), strata=layer)
    assert found.delta == 1 and found.p == pytest.approx(2 / 6**strata)


@given(st.integers(20, 200), st.integers(0, 15))
def test_a_rate_above_a_margin_is_tested_exactly_for_independent_rows(n: int, events: int) -> None:
    flipped = np.arange(n) < events
    p = _above(flipped, np.arange(n), 0.05)
    assert p == pytest.approx(stats.binomtest(events, n, 0.05, alternative="greater").pvalue)


def test_a_small_side_makes_an_interval_unreliable_whatever_the_other() -> None:
    rng, group = np.random.default_rng(3), np.arange(220) < 20
    values = rng.random(220)
    for found in (
        difference_interval(values, group, cluster=np.arange(220)),
        brunner_munzel(values, group, cluster=np.arange(220))[0],
    ):
        assert found.reason == UNRELIABLE
        assert found.low is not None


def test_intervals_of_delta_cover_near_complete_separation() -> None:
    rng, group = np.random.default_rng(6), np.arange(60) < 30
    truth = 2 * float(stats.norm.cdf(3 / np.sqrt(2))) - 1
    found = [brunner_munzel(rng.normal(3.0 * group), group, cluster=np.arange(60))[0] for _ in range(600)]
    inside = [e.low is not None and e.high is not None and e.low <= truth <= e.high for e in found]
    assert np.mean(inside) >= 0.93
