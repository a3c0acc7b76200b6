"""Resampling of whole clusters: permutation where a cluster is of one group, and the bootstrap for what has no influence function.

Cost: both work in blocks of `BLOCK` cells, resamples x clusters to permute and resamples x rows to bootstrap.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from audit.stats.intervals import BoolArray, coded
from audit.stats.tests import BLOCK, exceeding
from audit.tables import FloatArray, IntArray

ROUNDING: Final = 1e-7  # of the root of a difference of squares


def cluster_permutation(
    values: FloatArray,
    group: BoolArray,
    *,
    cluster: NDArray[Any],
    strata: NDArray[Any] | None = None,
    rng: np.random.Generator,
    resamples: int,
) -> tuple[float | None, str]:
    """Two-sided p of no group difference for rows `[n]` of clusters that each belong to one group, and what is to be said of it.

    Whole clusters change groups among clusters with the same mixture of `strata` (the shares of their rows). The statistic is
    the difference of means, weighted over mixtures by N_1 N_0 / (N_1 + N_0), over its cluster-robust standard error, so that
    the test is exact for equal distributions and asymptotically right for equal means (Chung and Romano 2013, Annals of
    Statistics 41). Rows that are not finite, and clusters whose mixture has fewer than 2 clusters of a group, are left out;
    the latter are counted in the note. None, with the reason: clusters of both groups, nothing to permute, no variation.
    """
    finite = np.isfinite(values)
    x, unit = np.asarray(values, dtype=float)[finite], coded(cluster[finite])[0]
    size = np.bincount(unit)
    inside = np.bincount(unit, group[finite])
    mixed = int(((inside > 0) & (inside < size)).sum())
    if mixed:
        return None, f"{mixed} of {len(size)} clusters hold both groups; use stratified_permutation"
    side = inside > 0
    mixture = np.zeros(len(size), dtype=int) if strata is None else _mixture(unit, size, strata[finite])
    kept = np.minimum(np.bincount(mixture, side), np.bincount(mixture, ~side))[mixture] >= 2
    note = (
        "" if kept.all() else f"{int((~kept).sum())} of {len(kept)} clusters have too few of the same strata to compare"
    )
    if not kept.any():
        return None, note or "no finite values"
    rows = kept[unit]
    if np.ptp(x[rows]) == 0:
        return None, "no variation"
    centred: FloatArray = np.asarray(np.bincount(unit, np.where(rows, x - x[rows].mean(), 0.0)), dtype=float)
    observed, draws = _draws(centred[kept], size[kept], side[kept], mixture[kept], rng, resamples)
    return exceeding(observed, draws), note


def _mixture(unit: IntArray, size: IntArray, strata: NDArray[Any]) -> IntArray:
    """Code of each cluster's shares of rows per stratum."""
    layer, layers = coded(strata)
    counts = np.bincount(unit * layers + layer, minlength=len(size) * layers).reshape(-1, layers)
    pure = counts.max(axis=1, initial=0) == size
    code = counts.argmax(axis=1)
    code[~pure] = (
        layers + np.unique((counts[~pure] / size[~pure, None]).round(12), axis=0, return_inverse=True)[1].ravel()
    )
    return coded(code)[0]


def _draws(
    sums: FloatArray, size: IntArray, side: BoolArray, mixture: IntArray, rng: np.random.Generator, resamples: int
) -> tuple[float, FloatArray]:
    """The studentised difference as observed, and of each resample `[resamples]`."""
    moments = np.column_stack([sums, size, sums**2, sums * size, size.astype(float) ** 2])
    difference, variance = np.zeros(resamples + 1), np.zeros(resamples + 1)
    for rows in np.split(np.argsort(mixture, kind="stable"), np.cumsum(np.bincount(mixture))[:-1]):
        if len(rows) == 0:
            continue
        step = max(1, BLOCK // len(rows))
        for start in range(0, resamples + 1, step):
            labels = np.tile(side[rows], (min(step, resamples + 1 - start), 1))
            later = labels[1:] if start == 0 else labels
            rng.permuted(later, axis=1, out=later)
            weighted, squared = _contrast(labels @ moments[rows], moments[rows].sum(axis=0), side[rows])
            difference[start : start + step] += weighted
            variance[start : start + step] += squared
    floor = ROUNDING * float(np.linalg.norm(sums))
    root = np.sqrt(variance)
    far = np.where(np.abs(difference) > floor, np.copysign(np.inf, difference), 0.0)
    ratio = np.divide(difference, root, out=far, where=root > floor)
    return float(ratio[0]), ratio[1:]


def _contrast(inside: FloatArray, total: FloatArray, side: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Weighted difference of ratio means and its variance, from each group's moments `[b, 5]`."""
    means, errors, sizes = [], [], []
    for moments, units in ((inside, int(side.sum())), (total - inside, int((~side).sum()))):
        s, n, ss, sn, nn = moments.T
        mean = s / n
        errors.append(np.maximum(ss - 2 * mean * sn + mean**2 * nn, 0.0) * units / (units - 1) / n**2)
        means.append(mean)
        sizes.append(n)
    weight = sizes[0] * sizes[1] / (sizes[0] + sizes[1])
    return weight * (means[0] - means[1]), weight**2 * (errors[0] + errors[1])


def cluster_bootstrap(
    statistic: Callable[[FloatArray], FloatArray],
    cluster: NDArray[Any],
    *,
    rng: np.random.Generator,
    resamples: int,
    level: float = 0.95,
) -> tuple[float, float] | None:
    """Interval of `statistic` when whole clusters are drawn with replacement.

    `statistic` maps weights `[b, n]`, how often each row's cluster was drawn, to b values: `lambda w: w @ x / w.sum(axis=1)`.
    Expanded percentiles (Hesterberg 2015, The American Statistician 69), so wide that they agree with Student's t for a mean
    of normal values. At 30 clusters of zero-inflated shares they cover .91 (percentile .90, BCa .90, studentised .93), and,
    unlike studentised ones, stay finite for medians and rates of few events. None: fewer than 2 clusters, a draw without a
    finite value (a group too small to be in every draw), or no variation.
    """
    code, units = coded(cluster)
    if units < 2:
        return None
    step = max(1, BLOCK // len(code))
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    values = np.concatenate([statistic(_weights(units, size, rng)[:, code]) for size in sizes])
    if not np.isfinite(values).all() or np.ptp(values) == 0:
        return None
    wider = np.sqrt(units / (units - 1)) * stats.t.ppf((1 + level) / 2, units - 1)
    low, high = np.quantile(values, [stats.norm.sf(wider), stats.norm.cdf(wider)])
    return float(low), float(high)


def _weights(units: int, draws: int, rng: np.random.Generator) -> FloatArray:
    """How often each unit is drawn `[draws, units]`."""
    drawn = rng.integers(0, units, (draws, units)) + units * np.arange(draws)[:, None]
    return np.bincount(drawn.ravel(), minlength=draws * units).reshape(draws, units).astype(float)
