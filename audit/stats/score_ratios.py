"""Ratios of two rates, and of their odds, with score intervals: they hold exactly the values that a score test does not reject.

So an interval leaves out 1 where `RateGap.p` is below 1 - level. Where rows share clusters, sizes are effective ones, the two rates
correlate, and quantiles are Student's. Cost: 0.5 ms an interval.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from scipy import optimize, stats

from audit.records import Estimate
from audit.stats.intervals import few, missing
from audit.stats.rates import FEWEST, RateGap

Null = Callable[[RateGap, float], tuple[float, float, float]]
NONE_SELECTED: Final = "nobody of the reference is selected, so there is no ratio"
ALL_SELECTED: Final = "all of both are selected, so there is no ratio of odds"
ENDLESS: Final = "no interval: so few independent units reject no ratio, however large"
FARTHEST: Final = 1e12  # a ratio that no count of people reaches


def rate_ratio(gap: RateGap, *, level: float = 0.95) -> Estimate:
    """Rate over that of the reference; interval of Koopman (1984, Biometrics 40), as Miettinen and Nurminen (1985) without n / (n - 1)."""
    if gap.reference.value == 0:
        return missing(NONE_SELECTED, level=level, unit="ratio of rates", n=_rows(gap))
    return _estimate(gap, gap.rate.value / gap.reference.value, _of_rates, level=level, unit="ratio of rates")


def odds_ratio(gap: RateGap, *, level: float = 0.95) -> Estimate:
    """Odds over those of the reference; score interval (Cornfield 1956 without continuity correction; Miettinen and Nurminen 1985)."""
    one, two = gap.rate.value, gap.reference.value
    below = two * (1 - one)
    if below == 0:
        reason = NONE_SELECTED if two == 0 else ALL_SELECTED
        return missing(reason, level=level, unit="odds ratio", n=_rows(gap))
    return _estimate(gap, one * (1 - two) / below, _of_odds, level=level, unit="odds ratio")


def _rows(gap: RateGap) -> int:
    return gap.rate.rows + gap.reference.rows


def _estimate(gap: RateGap, value: float, null: Null, *, level: float, unit: str) -> Estimate:
    bare = Estimate(value=value, level=level, unit=unit, n=_rows(gap), clusters=gap.clusters)
    if gap.smaller < 2:
        return bare.model_copy(update={"reason": f"no interval: {FEWEST} in a group"})
    quantile = float(stats.t.ppf((1 + level) / 2, gap.df))
    high = _end(gap, value, null, -quantile, outwards=1)
    if high == float("inf"):
        return bare.model_copy(update={"reason": ENDLESS})
    return bare.model_copy(
        update={
            "low": 0.0 if value == 0 else _end(gap, value, null, quantile, outwards=-1),
            "high": high,
            "interval": "score, effective n",
            "reason": few(gap.smaller),
        }
    )


def _end(gap: RateGap, value: float, null: Null, quantile: float, *, outwards: int) -> float:
    """The ratio at which the score statistic, which falls with the ratio, is `quantile`."""

    def off(exponent: float) -> float:
        difference, one, two = null(gap, float(np.exp(exponent)))
        variance = one + two - 2 * gap.correlation * np.sqrt(one * two)
        return (difference / np.sqrt(variance) if variance > 0 else 0.0) - quantile

    near = float(np.log(max(value, 1 / FARTHEST)))
    far = near + outwards
    while off(far) * outwards > 0:
        far += outwards * max(1.0, abs(far - near))
        if abs(far) > np.log(FARTHEST):
            return float("inf") if outwards > 0 else 0.0
    return float(np.exp(optimize.brentq(off, near, far, xtol=1e-10)))


def _of_rates(gap: RateGap, ratio: float) -> tuple[float, float, float]:
    """Rate minus ratio times reference, and the variances of both, at the likeliest rates of that ratio."""
    (one, n), (two, m) = (gap.rate.value, gap.rate.n), (gap.reference.value, gap.reference.n)
    b = n * (ratio + one) + m * (1 + two * ratio)
    both = n * one + m * two
    q = 2 * both / (b + np.sqrt(max(0.0, b * b - 4 * (n + m) * ratio * both)))
    p = min(1.0, ratio * q)
    return one - ratio * two, p * (1 - p) / n, ratio * ratio * q * max(0.0, 1 - q) / m


def _of_odds(gap: RateGap, ratio: float) -> tuple[float, float, float]:
    """The same of the score of the log odds: that of the rates over their variances."""
    (one, n), (two, m) = (gap.rate.value, gap.rate.n), (gap.reference.value, gap.reference.n)
    both = n * one + m * two
    b = n * ratio + m - both * (ratio - 1)
    q = 2 * both / (b + np.sqrt(max(0.0, b * b + 4 * m * (ratio - 1) * both)))
    p = ratio * q / (1 + q * (ratio - 1))
    spreads = p * (1 - p), q * (1 - q)
    if min(spreads) <= 0:
        return 0.0, 0.0, 0.0
    return (one - p) / spreads[0] - (two - q) / spreads[1], 1 / (n * spreads[0]), 1 / (m * spreads[1])
