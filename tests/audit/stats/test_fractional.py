"""Fractional logit: Welch, statsmodels and the jackknife as oracles, and simulated error rates."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.stats.proportion import proportion_confint

from audit.stats.fractional import fractional_logit
from audit.stats.intervals import UNRELIABLE, difference_interval

Draw = Callable[[np.random.Generator], float | None]
Data = tuple[np.ndarray, np.ndarray, np.ndarray]


def shares(seed: int, n: int = 300) -> Data:
    """Values, group and two covariates, of which one differs between the groups and matters."""
    rng = np.random.default_rng(seed)
    group = rng.random(n) < 0.4
    covariates = rng.normal(size=(n, 2)) + np.column_stack([group, np.zeros(n)])
    values = rng.beta(2, 2 + np.exp(covariates[:, 0])) * (rng.random(n) < 0.7)
    return values, group, covariates


@given(st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_without_covariates_it_is_welch(seed: int) -> None:
    values, group, _ = shares(seed, 160)
    estimate, p = fractional_logit(values, group, covariates=np.zeros((160, 0)), cluster=np.arange(160))
    expected = difference_interval(values, group, cluster=np.arange(160))
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx(
        (expected.value, expected.low, expected.high), abs=1e-7
    )
    assert p == pytest.approx(stats.ttest_ind(values[group], values[~group], equal_var=False).pvalue, abs=1e-6)


@pytest.mark.parametrize("rows", [1, 5])
def test_value_and_error_are_the_average_marginal_effect_of_statsmodels(rows: int) -> None:
    values, group, covariates = shares(1, 4000)
    code = np.arange(4000) // rows
    estimate, _ = fractional_logit(values, group, covariates=covariates, cluster=code)
    design = np.column_stack([np.ones(4000), group, covariates])
    fit = GLM(values, design, family=Binomial()).fit(cov_type="cluster", cov_kwds={"groups": code})
    effect = fit.get_margeff(at="overall", dummy=True)
    assert estimate.value == pytest.approx(effect.margeff[0], rel=1e-6)
    assert estimate.high is not None and estimate.low is not None and estimate.clusters == 4000 // rows
    assert (estimate.high - estimate.low) / 2 / 1.96 == pytest.approx(effect.margeff_se[0], rel=0.02)


def test_error_is_that_of_the_jackknife_over_clusters() -> None:
    values, group, covariates = shares(2, 600)
    code = np.arange(600) // 10

    def value(kept: np.ndarray) -> float:
        found = fractional_logit(values[kept], group[kept], covariates=covariates[kept], cluster=code[kept])[0].value
        assert found is not None
        return found

    left = np.array([value(code != i) for i in range(60)])
    error = np.sqrt(59 / 60 * ((left - left.mean()) ** 2).sum())
    estimate, p = fractional_logit(values, group, covariates=covariates, cluster=code)
    assert estimate.value is not None and p is not None and estimate.high is not None
    assert estimate.high - estimate.value == pytest.approx(error * stats.t.ppf(0.975, 55), rel=0.05)


def test_unit_of_covariates_and_a_column_too_many_change_nothing() -> None:
    values, group, covariates = shares(3)
    label = np.arange(300) % 3
    dummies = (label[:, None] == np.arange(3)).astype(float)
    once, p = fractional_logit(values, group, covariates=dummies[:, 1:], cluster=np.arange(300))
    twice, q = fractional_logit(values, group, covariates=dummies, cluster=np.arange(300))
    assert (once.value, p) == pytest.approx((twice.value, q), rel=1e-6)
    scaled = np.column_stack([covariates * 1e6 + 1e7, np.full(300, 7.0)])
    once, p = fractional_logit(values, group, covariates=covariates, cluster=np.arange(300))
    twice, q = fractional_logit(values, group, covariates=scaled, cluster=np.arange(300))
    assert (once.value, p) == pytest.approx((twice.value, q), rel=1e-6)


def test_zeros_and_ones_and_a_class_of_zeros_only_are_fitted() -> None:
    values, group, _ = shares(4)
    label = np.arange(300) % 3
    values[label == 2] = 0
    values[[0, 1, 3, 4]] = 1
    estimate, p = fractional_logit(
        values, group, covariates=(label[:, None] == [1, 2]).astype(float), cluster=np.arange(300)
    )
    kept = label != 2
    alone, _ = fractional_logit(
        values[kept], group[kept], covariates=(label[kept, None] == [1]).astype(float), cluster=np.arange(200)
    )
    assert p is not None and estimate.value is not None and alone.value is not None
    assert estimate.value == pytest.approx(alone.value * 2 / 3, rel=1e-3)


def test_reasons_of_what_cannot_be_fitted() -> None:
    values, group, covariates = shares(5, 60)
    rows = np.arange(60)

    def reason(values: np.ndarray, group: np.ndarray, covariates: np.ndarray) -> str:
        estimate, p = fractional_logit(values, group, covariates=covariates, cluster=np.arange(len(values)))
        assert p is None and estimate.value is None and estimate.low is None
        return estimate.reason

    assert "all 0 or all 1" in reason(np.where(group, 0.0, values), group, covariates)
    assert "all 0 or all 1" in reason(np.where(group, values, 1.0), group, covariates)
    assert "all 0 or all 1" in reason(np.zeros(60), group, covariates)
    assert "determine the group" in reason(values, group, group[:, None] * 2.0)
    assert "fewer than 2 rows" in reason(values, rows < 1, covariates)
    assert "fewer than 2 rows" in reason(np.full(60, np.nan), group, covariates)
    assert "fewer than 2 rows" in reason(values[:0], group[:0], covariates[:0])
    few = np.array([0, 1, 2, 3, *np.flatnonzero(group)[:3], *np.flatnonzero(values > 0)[:8]])
    assert "too few" in reason(
        values[few], np.arange(len(few)) % 2 == 0, np.random.default_rng(0).normal(size=(15, 14))
    )


def test_separation_by_a_covariate_leaves_no_p() -> None:
    group, covariate = np.arange(60) % 2 == 0, np.repeat([0.0, 1.0], 30)
    estimate, p = fractional_logit(covariate, group, covariates=covariate[:, None], cluster=np.arange(60))
    assert p is None and estimate.low is None and estimate.reason


def test_missing_values_and_covariates_are_dropped_and_counted_and_others_refused() -> None:
    values, group, covariates = shares(6)
    values[:5], covariates[5:8, 1] = np.nan, np.inf
    estimate, p = fractional_logit(values, group, covariates=covariates, cluster=np.arange(300))
    assert p is not None and estimate.dropped == 8 and estimate.n == 292 and not estimate.reason
    values[20] = 1.5
    with pytest.raises(ValueError, match=r"in 0 to 1, got 0 to 1\.5"):
        fractional_logit(values, group, covariates=covariates, cluster=np.arange(300))


def test_few_clusters_a_side_are_unreliable_and_below_30_have_no_p() -> None:
    values, group, covariates = shares(7)
    for clusters, tested in ((18, False), (58, False), (60, True)):
        code = np.arange(300) % (clusters // 2) + clusters // 2 * group
        estimate, p = fractional_logit(values, group, covariates=covariates, cluster=code)
        assert (
            estimate.low is not None and estimate.reason.startswith(UNRELIABLE) != tested and (p is not None) == tested
        )


def alarms(draw: Draw, *, seed: int, replicates: int = 1500) -> tuple[float, float]:
    """Wilson's 95 % interval of the rate of p <= .05."""
    rng = np.random.default_rng(seed)
    p = [draw(rng) for _ in range(replicates)]
    assert None not in p
    low, high = proportion_confint(sum(x <= 0.05 for x in p if x is not None), replicates, method="wilson")
    return float(low), float(high)


def holds(draw: Draw, *, seed: int, replicates: int = 1500) -> None:
    low, high = alarms(draw, seed=seed, replicates=replicates)
    assert low <= 0.05 and high >= 0.03


def test_level_under_class_imbalance_and_without_the_class_it_is_lost() -> None:
    group = np.arange(240) < 120

    def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        label = (rng.random(240) < np.where(group, 0.75, 0.25)).astype(float)
        return rng.beta(0.6 + label, 4) * (rng.random(240) < 0.5), label[:, None]

    def adjusted(rng: np.random.Generator) -> float | None:
        values, label = data(rng)
        return fractional_logit(values, group, covariates=label, cluster=np.arange(240))[1]

    def plain(rng: np.random.Generator) -> float | None:
        return fractional_logit(data(rng)[0], group, covariates=np.zeros((240, 0)), cluster=np.arange(240))[1]

    holds(adjusted, seed=1)
    assert alarms(plain, seed=1, replicates=200)[0] > 0.3


def test_level_under_unequal_variances_at_30_against_200() -> None:
    group = np.arange(230) < 30

    def draw(rng: np.random.Generator) -> float | None:
        values = np.where(group, rng.beta(0.5, 0.5, 230), rng.beta(8, 8, 230))
        return fractional_logit(values, group, covariates=rng.normal(size=(230, 2)), cluster=np.arange(230))[1]

    holds(draw, seed=5, replicates=2000)


def test_level_with_10_covariates_of_80_rows() -> None:
    def draw(rng: np.random.Generator) -> float | None:
        values = rng.beta(0.6, 4, 80) * (rng.random(80) < 0.5)
        return fractional_logit(
            values, np.arange(80) < 40, covariates=rng.normal(size=(80, 10)), cluster=np.arange(80)
        )[1]

    holds(draw, seed=3)


@pytest.mark.parametrize("clusters", [60, 80])
def test_level_with_clusters_of_8_rows_and_pooled_rows_do_not_hold_it(clusters: int) -> None:
    code = np.repeat(np.arange(clusters), 8)

    def data(rng: np.random.Generator) -> Data:
        effect = rng.normal(size=clusters)[code]
        group = (rng.permutation(clusters) < clusters // 2)[code]
        values = rng.random(len(code)) ** np.exp(-effect) * (rng.random(len(code)) < 0.5)
        return values, group, (rng.normal(size=len(code)) + effect / 2)[:, None]

    def draw(rng: np.random.Generator, cluster: np.ndarray) -> float | None:
        values, group, covariates = data(rng)
        return fractional_logit(values, group, covariates=covariates, cluster=cluster)[1]

    holds(lambda rng: draw(rng, code), seed=4)
    assert alarms(lambda rng: draw(rng, np.arange(len(code))), seed=4, replicates=500)[0] > 0.05


def test_half_zeros_hold_the_level_at_60_against_200_and_have_no_p_at_20() -> None:
    def draw(rng: np.random.Generator, inside: int) -> tuple[float | None, str]:
        n = inside + 200
        values = rng.beta(0.6, 4, n) * (rng.random(n) < 0.5)
        estimate, p = fractional_logit(
            values, np.arange(n) < inside, covariates=rng.normal(size=(n, 2)), cluster=np.arange(n)
        )
        return p, estimate.reason

    holds(lambda rng: draw(rng, 60)[0], seed=5)
    p, reason = draw(np.random.default_rng(5), 20)  # it would alarm at .11, as Welch's test does
    assert p is None and reason.startswith(UNRELIABLE)


def test_interval_covers_the_effect_at_equal_covariates() -> None:
    rng, hits = np.random.default_rng(6), 0
    for _ in range(500):
        group = rng.random(300) < 0.4
        covariate = rng.normal(size=300) + group
        mean = 1 / (1 + np.exp(1 - 0.8 * covariate - 0.5 * group))
        values = rng.beta(3 * mean, 3 * (1 - mean))
        estimate, _ = fractional_logit(values, group, covariates=covariate[:, None], cluster=np.arange(300))
        assert estimate.low is not None and estimate.high is not None
        hits += estimate.low <= TRUE_EFFECT <= estimate.high
    assert proportion_confint(hits, 500, method="wilson")[1] >= 0.95


def _true_effect() -> float:
    """Mean over the mixture of both groups' covariates, by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    means = [
        (weights / weights.sum() * (1 / (1 + np.exp(0.5 - 0.8 * (nodes + shift))) - 1 / (1 + np.exp(1 - 0.8 * (nodes + shift))))).sum()
        for shift in (0, 1)
    ]  # fmt: skip
    return float(0.6 * means[0] + 0.4 * means[1])


TRUE_EFFECT = _true_effect()
