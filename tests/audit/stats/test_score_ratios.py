"""Score intervals of ratios: statsmodels is the oracle where it has an answer, simulation where counts are small, and p at 1."""

import numpy as np
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep

from audit.stats.rates import Rate, RateGap, rate_gap
from audit.stats.score_ratios import odds_ratio, rate_ratio

COUNTS = [
    (30, 100, 40, 80),
    (1, 20, 10, 20),
    (10, 30, 15, 30),
    (300_000, 1_000_000, 400_000, 900_000),
    (2, 200, 190, 200),
]


def gap(k: int, n: int, k0: int, n0: int) -> RateGap:
    """Independent rows."""
    return RateGap(Rate(k / n, n, n, n), Rate(k0 / n0, n0, n0, n0), 0.0, n + n0, np.inf)


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize(("made", "compare"), [(rate_ratio, "ratio"), (odds_ratio, "odds-ratio")])
def test_intervals_are_those_of_statsmodels(made, compare, counts) -> None:
    found = made(gap(*counts))
    low, high = confint_proportions_2indep(*counts, compare=compare, method="score", correction=False)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-5)


@pytest.mark.parametrize("counts", [*COUNTS, (35, 100, 40, 80), (38, 100, 40, 80), (39, 100, 40, 80)])
def test_an_interval_leaves_out_1_where_the_score_test_rejects(counts) -> None:
    made = gap(*counts)
    for found in (rate_ratio(made), odds_ratio(made)):
        assert (found.high < 1) == (made.p < 0.05)


def test_nobody_selected_has_a_finite_upper_end_and_no_lower_one() -> None:
    """(1 - 1 / 3.76) of 20 against 10 of 20: the upper end of statsmodels, which gives 1e-14 as the lower."""
    found = rate_ratio(gap(0, 20, 10, 20))
    assert (found.value, found.low) == (0, 0) and found.high == pytest.approx(0.332177, abs=1e-6)
    assert odds_ratio(gap(0, 20, 10, 20)).high == pytest.approx(0.215553, abs=1e-6)


def test_all_selected_has_an_interval_where_statsmodels_has_complex_numbers() -> None:
    found = rate_ratio(gap(20, 20, 20, 20))
    assert found.low == pytest.approx(1 / found.high, abs=1e-6) and found.low == pytest.approx(0.838875, abs=1e-6)
    assert odds_ratio(gap(20, 20, 20, 20)).reason == "all of both are selected, so there is no ratio of odds"


def test_a_ratio_to_nobody_has_none_with_the_reason() -> None:
    for found in (rate_ratio(gap(0, 20, 0, 20)), odds_ratio(gap(0, 20, 0, 20))):
        assert found.value is None and found.reason == "nobody of the reference is selected, so there is no ratio"


@pytest.mark.parametrize(
    ("n", "n0", "rate", "rate0"),
    [(20, 20, 0.3, 0.3), (20, 40, 0.2, 0.4), (50, 50, 0.1, 0.3), (10, 100, 0.1, 0.2), (15, 15, 0.05, 0.5)],
)
def test_intervals_of_two_fixed_categories_cover_95_per_cent_at_small_counts(n, n0, rate, rate0) -> None:
    """3,000 draws: .95 within three standard errors, .012. The reference is fixed here; chosen as the maximum it covers less."""
    rng, cache, covered = np.random.default_rng(1), {}, []
    for k, k0 in zip(rng.binomial(n, rate, 3000).tolist(), rng.binomial(n0, rate0, 3000).tolist(), strict=True):
        if k0 and (k, k0) not in cache:
            found = rate_ratio(gap(k, n, k0, n0))
            cache[k, k0] = found.low <= rate / rate0 <= found.high
        covered += [cache[k, k0]] if k0 else []
    assert np.mean(covered) == pytest.approx(0.95, abs=0.012)


def test_rows_in_clusters_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    cluster = np.repeat(np.arange(80), 5)
    group, event = cluster % 2 == 0, np.repeat(rng.random(80) < 0.4, 5)
    clustered, alone = (rate_ratio(rate_gap(event, group, cluster=each)) for each in (cluster, np.arange(400)))
    assert clustered.value == alone.value
    assert clustered.high / clustered.low > 1.5 * alone.high / alone.low


def test_one_unit_has_a_ratio_without_an_interval() -> None:
    found = rate_ratio(gap(1, 1, 10, 20))
    assert (found.value, found.low) == (2.0, None) and "fewer than 2 independent units" in found.reason


def test_units_too_few_to_reject_any_large_ratio_have_no_interval_and_the_reason() -> None:
    """Of 2 and 3 clusters Student's t is beyond what any ratio reaches; infinity is no number that a record can hold."""
    made = RateGap(Rate(0.0, 2, 3, 2), Rate(0.5, 2, 2, 2), 0.0, 3, 1.0)
    for found in (rate_ratio(made), odds_ratio(made)):
        assert (found.value, found.low, found.high) == (0, None, None) and "however large" in found.reason
