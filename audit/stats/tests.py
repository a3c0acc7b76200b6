"""Tests whose exchangeable unit is the cluster: ranks, permutation within strata, two rates, paired sign flips.

Pooled rows as if independent reject 16 % of true nulls with 8 rows a cluster, and Mann-Whitney 14 % under unequal
variances; these tests hold 5 %. Cost: the permutation tests draw in blocks of `BLOCK` cells.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from audit.records import Estimate
from audit.stats.intervals import (
    BoolArray,
    critical,
    effective_n,
    few,
    linearised,
    missing,
    rate_correlation,
    spread,
    wilson_bounds,
)
from audit.tables import FloatArray, IntArray

BLOCK: Final = 2**22
UNIT: Final = "Cliff's delta"


def brunner_munzel(
    values: FloatArray,
    group: BoolArray,
    *,
    cluster: NDArray[Any],
    strata: NDArray[Any] | None = None,
    level: float = 0.95,
) -> tuple[Estimate, float | None]:
    """Cliff's delta P(X > Y) - P(X < Y), X the rows in `group`, and the two-sided p of delta = 0.

    Brunner and Munzel (2000, Biometrical Journal 42); with clusters, placements are summed per cluster (Obuchowski
    1997, Biometrics 53); with `strata`, the delta is the mean of the strata's weighted by n_x n_y / (n_x + n_y), and
    strata without 2 clusters of each group are dropped and counted. At complete separation p is the exact permutation
    p and the interval is Wilson's at the smaller group (variance bound of Birnbaum and Klose 1957, Annals of
    Mathematical Statistics 28).
    """
    layer = np.zeros(len(values), dtype=int) if strata is None else np.unique(strata, return_inverse=True)[1]
    keep = np.isfinite(values) & comparable(layer, group, cluster, np.isfinite(values))
    x, g, unit, layer, dropped = values[keep], group[keep], cluster[keep], layer[keep], int((~keep).sum())
    if len(x) == 0:
        return missing("fewer than 2 independent units in a group", level=level, unit=UNIT, dropped=dropped), None
    theta, influence = _placements(x, g, layer)
    part = 2 * layer + g
    found = spread(influence, part, unit)
    if found is not None and found.se <= 1e-12 and abs(theta - 0.5) == 0.5:
        return _separated(theta, g, unit, level, dropped)
    estimate = linearised(
        2 * theta - 1, 2 * influence, part, cluster=unit, level=level, unit=UNIT, scale=1.0, dropped=dropped
    )
    if found is None or estimate.low is None or estimate.high is None:
        return estimate, None
    inside = estimate.model_copy(update={"low": max(-1.0, estimate.low), "high": min(1.0, estimate.high)})
    return inside, float(2 * stats.t.sf(abs(theta - 0.5) / found.se, found.df))


def comparable(layer: IntArray, group: BoolArray, cluster: NDArray[Any], finite: BoolArray) -> BoolArray:
    """Rows whose stratum has at least 2 clusters of each group."""
    fine = [
        code
        for code in np.unique(layer)
        if all(len(np.unique(cluster[finite & (layer == code) & (group == side)])) >= 2 for side in (True, False))
    ]
    return np.isin(layer, fine)


def _placements(x: FloatArray, group: BoolArray, layer: IntArray) -> tuple[float, FloatArray]:
    """P(X > Y) + P(X = Y) / 2 over strata, and each row's influence on it `[n]`."""
    influence, theta, total = np.zeros(len(x)), 0.0, 0.0
    for code in np.unique(layer):
        rows = np.flatnonzero(layer == code)
        one, two = rows[group[rows]], rows[~group[rows]]
        rank = stats.rankdata(np.concatenate([x[one], x[two]]))
        above = (rank[: len(one)] - stats.rankdata(x[one])) / len(two)
        below = (rank[len(one) :] - stats.rankdata(x[two])) / len(one)
        weight = len(one) * len(two) / len(rows)
        influence[one], influence[two] = (
            weight * (above - above.mean()) / len(one),
            -weight * (below - below.mean()) / len(two),
        )
        theta, total = theta + weight * float(above.mean()), total + weight
    return theta / total, influence / total


def _separated(
    theta: float, group: BoolArray, cluster: NDArray[Any], level: float, dropped: int
) -> tuple[Estimate, float]:
    inside, outside = np.unique(cluster[group]), np.unique(cluster[~group])
    clusters = len(np.union1d(inside, outside))
    low, high = wilson_bounds(theta, min(len(inside), len(outside)), critical(cluster, level))
    estimate = Estimate(
        value=2 * theta - 1,
        low=2 * low - 1,
        high=2 * high - 1,
        level=level,
        unit=UNIT,
        interval="Wilson at complete separation",
        n=len(group),
        clusters=clusters,
        dropped=dropped,
        reason=few(clusters),
    )
    if len(np.intersect1d(inside, outside)) == 0:
        return estimate, min(1.0, 2 / float(special.comb(clusters, len(inside))))
    _, code = np.unique(cluster, return_inverse=True)
    arrangements = special.comb(np.bincount(code), np.bincount(code, group).astype(int)).prod()
    return estimate, min(1.0, 2 / float(arrangements))


def stratified_permutation(
    values: FloatArray,
    group: BoolArray,
    *,
    strata: NDArray[Any],
    cluster: NDArray[Any],
    rng: np.random.Generator,
    resamples: int,
) -> tuple[float | None, int]:
    """Two-sided p of no group difference within strata, and how many rows are lost.

    Lost are rows that are not finite, and strata without both groups. The statistic is the sum over the group of
    stratum-centred values. One row per cluster: groups are permuted within strata (exact up to resampling). Clusters of
    several rows: each cluster's sum of (group - stratum share) x (value - stratum mean) flips its sign, which is exact
    only if those sums are symmetric about 0 and approximate otherwise.
    """
    finite = np.isfinite(values)
    layer = np.unique(strata, return_inverse=True)[1]
    inside, outside = (np.bincount(layer, finite & side, minlength=1) for side in (group, ~group))
    keep = finite & ((inside > 0) & (outside > 0))[layer]
    lost = int((~keep).sum())
    if not keep.any():
        return None, lost
    layer = np.unique(layer[keep], return_inverse=True)[1]
    g, unit = group[keep], cluster[keep]
    centred = _centre(np.asarray(values, dtype=float)[keep], layer)
    if np.allclose(centred, 0.0, rtol=0.0, atol=1e-12 * float(np.abs(values[keep]).max())):
        return None, lost
    if len(np.unique(unit)) == len(unit):
        return _permute_within(centred, g, layer, rng, resamples), lost
    return sign_flip(_centre(g.astype(float), layer) * centred, cluster=unit, rng=rng, resamples=resamples), lost


def _centre(values: FloatArray, layer: IntArray) -> FloatArray:
    return np.asarray(values - (np.bincount(layer, values) / np.bincount(layer))[layer])


def _permute_within(
    centred: FloatArray, group: BoolArray, layer: IntArray, rng: np.random.Generator, resamples: int
) -> float:
    sums = np.zeros(resamples)
    for code in np.unique(layer):
        rows = np.flatnonzero(layer == code)
        step = max(1, BLOCK // len(rows))
        for start in range(0, resamples, step):
            block = np.tile(group[rows], (min(step, resamples - start), 1))
            sums[start : start + step] += rng.permuted(block, axis=1, out=block) @ centred[rows]
    return exceeding(float(centred[group].sum()), sums)


def exceeding(observed: float, draws: FloatArray) -> float:
    """(1 + draws at least as far from 0) / (1 + draws); the tolerance counts ties that rounding would split."""
    return float(1 + (np.abs(draws) >= abs(observed) * (1 - 1e-9)).sum()) / (1 + len(draws))


def sign_flip(values: FloatArray, *, cluster: NDArray[Any], rng: np.random.Generator, resamples: int) -> float | None:
    """Two-sided p of paired differences being symmetric about 0; a cluster's differences flip together.

    All 2^clusters patterns are enumerated where they are no more than `resamples`. None: no finite value, or all are 0.
    """
    finite = np.isfinite(values)
    sums = np.bincount(np.unique(cluster[finite], return_inverse=True)[1], np.asarray(values, dtype=float)[finite])
    if not sums.any():
        return None
    observed, units = float(sums.sum()), len(sums)
    if units < 40 and 2**units <= resamples:
        patterns = (np.arange(2**units)[:, None] >> np.arange(units)) & 1
        return float((np.abs((2 * patterns - 1) @ sums) >= abs(observed) * (1 - 1e-9)).mean())
    step = max(1, BLOCK // units)
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    draws = [(2.0 * rng.integers(0, 2, (size, units), dtype=np.int8) - 1) @ sums for size in sizes]
    return exceeding(observed, np.concatenate(draws))


def two_proportions(values: BoolArray, group: BoolArray, *, cluster: NDArray[Any]) -> float | None:
    """Two-sided p of equal rates: pooled score test at effective sample sizes.

    None if a group has fewer than 2 clusters, or if the rates differ and nothing varies. One row per cluster: the
    chi-squared test without continuity correction. Clustered: Student's t with Welch's df.
    """
    sizes = [len(np.unique(cluster[side])) for side in (group, ~group)]
    if min(sizes) < 2:
        return None
    rates = np.array([values[group].mean(), values[~group].mean()])
    n = np.array([effective_n(values[group], cluster[group]), effective_n(values[~group], cluster[~group])])
    pooled = float((rates * n).sum() / n.sum())
    variances = pooled * (1 - pooled) / n
    variance = variances.sum() - 2 * rate_correlation(values, group, cluster) * np.sqrt(variances.prod())
    if variance <= 0:
        return 1.0 if rates[0] == rates[1] else None
    statistic = abs(rates[0] - rates[1]) / np.sqrt(variance)
    if len(np.unique(cluster)) == len(cluster):
        return float(2 * stats.norm.sf(statistic))
    influence = np.where(group, (values - rates[0]) / group.sum(), -(values - rates[1]) / (~group).sum())
    found = spread(influence, group, cluster)
    return float(2 * stats.t.sf(statistic, found.df)) if found else None
