"""Resampling of clusters: enumeration as oracle, and simulated error rates and coverage."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from audit.stats.intervals import mean_interval
from audit.stats.resampling import cluster_bootstrap, cluster_permutation

Draw = Callable[[np.random.Generator], float | None]


def studentised(values: np.ndarray, group: np.ndarray, cluster: np.ndarray) -> float:
    """Difference of means over its cluster-robust standard error, cluster by cluster."""
    means, variance = [], 0.0
    for side in (True, False):
        rows = group == side
        mean, codes = values[rows].mean(), np.unique(cluster[rows])
        sums = [(values[rows & (cluster == code)] - mean).sum() for code in codes]
        variance += len(codes) / (len(codes) - 1) * np.square(sums).sum() / rows.sum() ** 2
        means.append(mean)
    return float((means[0] - means[1]) / np.sqrt(variance))


def test_p_is_that_of_enumerating_all_ways_to_give_clusters_to_groups() -> None:
    rng = np.random.default_rng(0)
    cluster = np.repeat(np.arange(9), [1, 3, 2, 4, 1, 2, 3, 2, 5])
    values, inside = rng.normal(size=len(cluster)) + (cluster < 4), np.arange(9) < 4
    statistics = [abs(studentised(values, np.isin(cluster, chosen), cluster)) for chosen in combinations(range(9), 4)]
    exact = np.mean(np.array(statistics) >= abs(studentised(values, inside[cluster], cluster)) * (1 - 1e-9))
    p, note = cluster_permutation(
        values, inside[cluster], cluster=cluster, rng=np.random.default_rng(1), resamples=20000
    )
    assert note == "" and p == pytest.approx(exact, abs=0.012)


def test_clusters_move_only_among_those_with_the_same_mixture_of_strata() -> None:
    """Strata that explain everything leave the smallest p impossible: the difference within mixtures is 0 up to noise."""
    rng = np.random.default_rng(2)
    cluster = np.repeat(np.arange(40), 4)
    profile = np.repeat([0, 1, 2], [16, 16, 8])[cluster]
    strata = np.where(profile == 2, np.arange(160) % 2, profile)
    inside = np.concatenate([np.arange(16) < 12, np.arange(16) < 4, np.arange(8) < 4])
    values = 5.0 * strata + rng.normal(size=160)
    group = inside[cluster]
    p, note = cluster_permutation(
        values, group, cluster=cluster, strata=strata, rng=np.random.default_rng(3), resamples=999
    )
    pooled, _ = cluster_permutation(values, group, cluster=cluster, rng=np.random.default_rng(3), resamples=999)
    assert note == "" and p is not None and pooled is not None and p > 0.05 and pooled < 0.01


def test_shifting_the_values_of_a_mixture_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    cluster = np.repeat(np.arange(30), 3)
    strata, group, values = (np.arange(30) % 2)[cluster], (np.arange(30) % 3 == 0)[cluster], rng.normal(size=90)
    p, q = (
        cluster_permutation(x, group, cluster=cluster, strata=strata, rng=np.random.default_rng(5), resamples=499)[0]
        for x in (values, 3 + 7 * values + 100 * strata)
    )
    assert p is not None and p == q


@given(st.lists(st.sampled_from([0.0, 0.0, 1.0, 2.5]), min_size=12, max_size=12), st.integers(0, 1000))
@example([0.0, 1.0, 0.0, 2.5, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 2.5], 0)  # equal means, but for rounding
@settings(max_examples=60, deadline=None)
def test_names_of_clusters_missing_rows_and_swapped_groups_change_nothing(values: list[float], seed: int) -> None:
    cluster, group = np.repeat(np.arange(6), 2), np.repeat([True, False], 6)
    x = np.array(values)
    p, note = cluster_permutation(x, group, cluster=cluster, rng=np.random.default_rng(seed), resamples=99)
    more = np.append(x, np.nan), np.append(group, True), np.append(cluster, 99).astype(str)
    again = cluster_permutation(*more[:2], cluster=more[2], rng=np.random.default_rng(seed), resamples=99)
    other = cluster_permutation(x, ~group, cluster=cluster, rng=np.random.default_rng(seed), resamples=99)
    assert again == (p, note) and other[0] == p
    assert (p is None) == (len(set(values)) == 1)


def test_reasons_of_what_cannot_be_permuted() -> None:
    rng, cluster = np.random.default_rng(6), np.repeat(np.arange(10), 2)
    group, values = (np.arange(10) < 5)[cluster], np.arange(20.0)

    def outcome(x: np.ndarray, g: np.ndarray, strata: np.ndarray | None = None) -> tuple[float | None, str]:
        return cluster_permutation(x, g, cluster=cluster, strata=strata, rng=rng, resamples=99)

    assert outcome(values, np.arange(20) < 9) == (None, "1 of 10 clusters hold both groups; use stratified_permutation")
    assert outcome(np.ones(20), group) == (None, "no variation")
    assert outcome(np.full(20, np.nan), group) == (None, "no finite values")
    assert outcome(values, group, cluster) == (None, "10 of 10 clusters have too few of the same strata to compare")
    assert outcome(values, np.arange(20) < 2)[0] is None
    p, note = outcome(values, group, np.where(cluster == 9, 1, 0))
    assert p is not None and note == "1 of 10 clusters have too few of the same strata to compare"


def test_complete_separation_and_constant_groups_have_the_smallest_p() -> None:
    cluster = np.repeat(np.arange(12), 3)
    group = (np.arange(12) < 6)[cluster]
    p, _ = cluster_permutation(
        group.astype(float), group, cluster=cluster, rng=np.random.default_rng(7), resamples=9999
    )
    assert p == pytest.approx(2 / 924, abs=0.0015)


def holds(draw: Draw, *, seed: int, replicates: int = 3000) -> None:
    """Wilson's 95 % interval of the rate of p <= .05 reaches .05 or less, and the test is not conservative."""
    rng = np.random.default_rng(seed)
    p = [draw(rng) for _ in range(replicates)]
    assert None not in p
    low, high = proportion_confint(sum(x <= 0.05 for x in p if x is not None), replicates, method="wilson")
    assert low <= 0.05 and high >= 0.035


def permuted(
    rng: np.random.Generator, values: np.ndarray, inside: np.ndarray, cluster: np.ndarray, strata: np.ndarray | None
) -> float | None:
    return cluster_permutation(values, inside[cluster], cluster=cluster, strata=strata, rng=rng, resamples=199)[0]


def test_level_with_30_clusters_of_8_rows() -> None:
    code, inside = np.repeat(np.arange(30), 8), np.arange(30) < 15
    holds(
        lambda rng: permuted(rng, rng.normal(size=30)[code] + rng.normal(size=240), inside, code, None),
        seed=1, replicates=8000,
    )  # fmt: skip


def test_level_with_half_zeros_at_20_against_200_and_clusters_of_unequal_size() -> None:
    code = np.repeat(np.arange(220), np.random.default_rng(0).integers(1, 7, 220))

    def draw(rng: np.random.Generator) -> float | None:
        shared = (rng.beta(0.6, 4, 220) * (rng.random(220) < 0.5))[code]
        values = shared * rng.random(len(code)) * (rng.random(len(code)) < 0.9)
        return permuted(rng, values, rng.permutation(220) < 20, code, None)

    holds(draw, seed=2)


def test_level_under_unequal_variances_and_the_plain_difference_does_not_hold_it() -> None:
    code, inside = np.repeat(np.arange(120), 2), np.arange(120) < 24

    def data(rng: np.random.Generator) -> np.ndarray:
        return np.asarray((rng.normal(size=120) * np.where(inside, 4, 1))[code] + rng.normal(size=240))

    holds(lambda rng: permuted(rng, data(rng), inside, code, None), seed=3)
    rng, hits = np.random.default_rng(3), 0
    for _ in range(300):
        means = data(rng).reshape(120, 2).mean(axis=1)
        draws = np.array([means[rng.permutation(120)[:24]].mean() for _ in range(99)]) - means.mean()
        hits += (np.abs(draws) >= abs(means[inside].mean() - means.mean())).mean() <= 0.05
    assert hits / 300 > 0.12


def test_level_under_class_imbalance() -> None:
    code, inside = np.repeat(np.arange(60), 4), np.arange(60) < 30

    def draw(rng: np.random.Generator) -> float | None:
        label = (rng.random(60) < np.where(inside, 0.75, 0.25))[code].astype(int)
        values = 0.8 * label + 0.5 * rng.normal(size=60)[code] + rng.normal(size=240)
        return permuted(rng, values, inside, code, label)

    holds(draw, seed=4)


def mean_of(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda weights: np.asarray(weights @ values / weights.sum(axis=1))


def test_bootstrap_of_a_mean_of_normal_values_is_the_t_interval() -> None:
    rng = np.random.default_rng(0)
    code = np.repeat(np.arange(40), 3)
    values = rng.normal(size=40)[code] + rng.normal(size=120)
    found = cluster_bootstrap(mean_of(values), code, rng=rng, resamples=20000)
    expected = mean_interval(values, cluster=code)
    assert found is not None and expected.low is not None and expected.high is not None
    assert found == pytest.approx((expected.low, expected.high), abs=0.04 * (expected.high - expected.low))


@given(st.lists(st.integers(0, 4), min_size=2, max_size=30), st.integers(0, 100))
@settings(max_examples=60, deadline=None)
def test_every_draw_holds_whole_clusters_as_many_as_there_are(codes: list[int], seed: int) -> None:
    cluster, seen = np.array(codes), []

    def statistic(weights: np.ndarray) -> np.ndarray:
        seen.append(weights)
        return np.asarray(weights[:, 0] + np.arange(len(weights)))

    found = cluster_bootstrap(statistic, cluster, rng=np.random.default_rng(seed), resamples=20)
    _, first, code = np.unique(cluster, return_index=True, return_inverse=True)
    if len(first) < 2:
        assert found is None and not seen
        return
    weights = np.concatenate(seen)
    assert weights.shape == (20, len(codes)) and (weights[:, first].sum(axis=1) == len(first)).all()
    assert (weights == weights[:, first][:, code]).all()


def test_bootstrap_in_blocks_is_the_same_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values, code = np.random.default_rng(1).normal(size=60), np.arange(60) // 2
    once = cluster_bootstrap(mean_of(values), code, rng=np.random.default_rng(2), resamples=501)
    monkeypatch.setattr("audit.stats.resampling.BLOCK", 600)
    assert cluster_bootstrap(mean_of(values), code, rng=np.random.default_rng(2), resamples=501) == pytest.approx(once)


def test_bootstrap_without_an_answer_is_none() -> None:
    rng, code = np.random.default_rng(3), np.arange(30)
    assert cluster_bootstrap(mean_of(np.ones(30)), np.zeros(30), rng=rng, resamples=99) is None
    assert cluster_bootstrap(mean_of(np.zeros(30)), code, rng=rng, resamples=99) is None

    def rate_of_one(weights: np.ndarray) -> np.ndarray:
        return np.divide(weights[:, 0], weights[:, 0], out=np.full(len(weights), np.nan), where=weights[:, 0] > 0)

    assert cluster_bootstrap(rate_of_one, code, rng=rng, resamples=99) is None


def coverage(make: Callable[[np.random.Generator], tuple[float, float] | None], truth: float, seed: int) -> float:
    rng, hits = np.random.default_rng(seed), 0
    for _ in range(800):
        found = make(rng)
        hits += found is not None and found[0] <= truth <= found[1]
    return hits / 800


def zero_inflated(rng: np.random.Generator, clusters: int) -> tuple[np.ndarray, np.ndarray]:
    code = np.repeat(np.arange(clusters), rng.integers(1, 7, clusters))
    shared, own = (rng.beta(0.6, 4, n) * (rng.random(n) < 0.5) for n in (clusters, len(code)))
    return shared[code] + own, code


@pytest.mark.parametrize(("clusters", "least"), [(30, 0.89), (100, 0.915), (200, 0.925)])
def test_bootstrap_covers_the_mean_of_zero_inflated_clusters_and_rows_alone_do_not(clusters: int, least: float) -> None:
    def whole(rng: np.random.Generator) -> tuple[float, float] | None:
        values, code = zero_inflated(rng, clusters)
        return cluster_bootstrap(mean_of(values), code, rng=rng, resamples=499)

    def single(rng: np.random.Generator) -> tuple[float, float] | None:
        values, code = zero_inflated(rng, clusters)
        return cluster_bootstrap(mean_of(values), np.arange(len(code)), rng=rng, resamples=99)

    truth = 0.6 / 4.6
    found = coverage(whole, truth, seed=4)
    assert least <= found <= 0.97
    assert coverage(single, truth, seed=4) < found - 0.05


def test_bootstrap_covers_a_median_at_30_clusters() -> None:
    def median(rng: np.random.Generator) -> tuple[float, float] | None:
        values = np.sort(np.exp(rng.normal(size=30)))

        def statistic(weights: np.ndarray) -> np.ndarray:
            return values[(weights.cumsum(axis=1) < 15).sum(axis=1)]

        return cluster_bootstrap(statistic, np.arange(30), rng=rng, resamples=499)

    assert 0.93 <= coverage(median, 1.0, seed=5) <= 0.98
