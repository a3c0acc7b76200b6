"""Rates and their differences by scores at the effective sample size: found once, with an interval at any level and a p.

Cost: linear in the rows where each is on its own, else one sort by cluster.
"""

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from audit.records import Estimate
from audit.stats.intervals import BoolArray, few, missing, spread, units

FEWEST: Final = "fewer than 2 independent units"
WILSON: Final = "Wilson, effective n"
NEWCOMBE: Final = "Newcombe (MOVER), effective n"
SEPARATED: Final = "Wilson at complete separation"
SCORES: Final = frozenset((WILSON, NEWCOMBE, SEPARATED))
"""Intervals that are made with the quantile of `critical`."""


@final
@dataclass(frozen=True, slots=True)
class Rate:
    """Share of True among `rows` of `clusters`; `n` is the rows divided by the design effect (at least 1).

    At a rate of 0 or 1 the effect is unknowable, and `n` is the clusters.
    """

    value: float
    n: float
    rows: int
    clusters: int

    def bounds(self, level: float) -> tuple[float, float]:
        """Wilson's at the effective sample size."""
        return wilson_bounds(self.value, self.n, critical(self.rows, self.clusters, level))

    def estimate(self, level: float, *, unit: str = "rate") -> Estimate:
        """The share with its interval at `level`."""
        if self.clusters < 2:
            return missing(FEWEST, level=level, unit=unit, n=self.rows)
        low, high = self.bounds(level)
        return Estimate(
            value=self.value, low=low, high=high, level=level, unit=unit, interval=WILSON, n=self.rows,
            clusters=self.clusters, reason=few(self.clusters),
        )  # fmt: skip


@final
@dataclass(frozen=True, slots=True)
class RateGap:
    """Rate of one side minus `reference`, that of the other; `correlation` of the two comes from clusters that hold both sides.

    `df` are Welch's, infinite for independent rows.
    """

    rate: Rate
    reference: Rate
    correlation: float
    clusters: int
    df: float

    @property
    def value(self) -> float:
        """The difference."""
        return self.rate.value - self.reference.value

    @property
    def smaller(self) -> int:
        """Clusters of the side that has fewer."""
        return min(self.rate.clusters, self.reference.clusters)

    def estimate(self, level: float, *, unit: str = "difference of rates", dropped: int = 0) -> Estimate:
        """MOVER from two Wilson intervals.

        Newcombe 1998, Statistics in Medicine 17 (method 10); correlated form: Zou and Donner 2008, Statistics in Medicine 27.
        """
        rows = self.rate.rows + self.reference.rows
        if self.smaller < 2:
            return missing(f"{FEWEST} in a group", level=level, unit=unit, n=rows, dropped=dropped)
        one, two = ((side.value, *side.bounds(level)) for side in (self.rate, self.reference))
        low, high = mover(one, two, self.correlation)
        return Estimate(
            value=self.value,
            low=low,
            high=high,
            level=level,
            unit=unit,
            interval=NEWCOMBE,
            n=rows,
            clusters=self.clusters,
            dropped=dropped,
            reason=few(self.smaller),
        )

    @property
    def deviations(self) -> float | None:
        """The difference in standard deviations of equal rates: pooled, at effective sample sizes.

        None if a side has fewer than 2 clusters, or if the rates differ and nothing varies.
        """
        if self.smaller < 2:
            return None
        n = np.array([self.rate.n, self.reference.n])
        pooled = float(n @ [self.rate.value, self.reference.value] / n.sum())
        variances = pooled * (1 - pooled) / n
        variance = variances.sum() - 2 * self.correlation * np.sqrt(variances.prod())
        if variance <= 0:
            return 0.0 if self.value == 0 else None
        return float(self.value / np.sqrt(variance))

    @property
    def p(self) -> float | None:
        """Two-sided p of equal rates: pooled score test; None where there are no `deviations`.

        One row per cluster: the chi-squared test without continuity correction. Clustered: Student's t with Welch's df.
        """
        found = self.deviations
        return None if found is None else float(2 * stats.t.sf(abs(found), self.df))


def rate(successes: BoolArray, *, cluster: NDArray[Any]) -> Rate:
    """Share of True and how much its rows tell; of no row, 0."""
    rows, clusters = len(successes), units(cluster)
    share = float(successes.mean()) if rows else 0.0
    if clusters == rows or share in (0.0, 1.0):
        return Rate(share, float(clusters), rows, clusters)
    found = spread((successes - share) / rows, np.zeros(rows, dtype=int), cluster)
    n = rows / max(1.0, found.se**2 * (rows - 1) / (share * (1 - share))) if found else 1.0
    return Rate(share, n, rows, clusters)


def rate_gap(values: BoolArray, group: BoolArray, *, cluster: NDArray[Any]) -> RateGap:
    """Rate of `values` in `group` against that of the other rows."""
    one, two = (rate(values[side], cluster=cluster[side]) for side in (group, ~group))
    clusters = units(cluster)
    if clusters == len(values) or min(one.clusters, two.clusters) < 2:
        return RateGap(one, two, 0.0, clusters, np.inf)
    influence = np.where(group, (values - one.value) / one.rows, (values - two.value) / two.rows)
    found = spread(influence, group, cluster)
    return RateGap(one, two, found.correlation if found else 0.0, clusters, found.df if found else np.inf)


def wilson(successes: BoolArray, *, cluster: NDArray[Any], level: float = 0.95, unit: str = "rate") -> Estimate:
    """Share of True with Wilson's interval at the effective sample size."""
    return rate(successes, cluster=cluster).estimate(level, unit=unit)


def newcombe(
    values: BoolArray,
    group: BoolArray,
    *,
    cluster: NDArray[Any],
    level: float = 0.95,
    unit: str = "difference of rates",
) -> Estimate:
    """Rate in `group` minus rate of the others, as `RateGap.estimate`."""
    return rate_gap(values, group, cluster=cluster).estimate(level, unit=unit)


def two_proportions(values: BoolArray, group: BoolArray, *, cluster: NDArray[Any]) -> float | None:
    """Two-sided p of equal rates, as `RateGap.p`."""
    return rate_gap(values, group, cluster=cluster).p


def critical(rows: int, clusters: int, level: float) -> float:
    """Normal quantile for independent rows; Student's t with clusters - 1 where rows share a cluster."""
    below = (1 + level) / 2
    return float(stats.norm.ppf(below) if clusters == rows else stats.t.ppf(below, clusters - 1))


def wilson_bounds(rate: float, n: float, quantile: float) -> tuple[float, float]:
    """Wilson (1927, JASA 22) score bounds of a rate; `n` may be fractional."""
    square = quantile**2
    centre = (rate + square / (2 * n)) / (1 + square / n)
    half = quantile / (1 + square / n) * np.sqrt(rate * (1 - rate) / n + square / (4 * n**2))
    return (0.0 if rate == 0 else max(0.0, float(centre - half))), (
        1.0 if rate == 1 else min(1.0, float(centre + half))
    )


def mover(one: tuple[float, float, float], two: tuple[float, float, float], correlation: float) -> tuple[float, float]:
    """Bounds of `one - two`, each given as its value, low and high: square-and-add (Zou and Donner 2008, Statistics in Medicine 27)."""
    (a, low, high), (b, lower, upper) = one, two
    return a - b - _hypotenuse(a - low, upper - b, correlation), a - b + _hypotenuse(high - a, b - lower, correlation)


def _hypotenuse(a: float, b: float, rho: float) -> float:
    return float(np.sqrt(max(0.0, a * a + b * b - 2 * rho * a * b)))
