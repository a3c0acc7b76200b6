"""Which features push one side of a comparison to another class more than they push the other side; all features at once.

A feature's value in an example is its part of the logit of that class minus the example's own; where it is absent, 0. Its positive part
argues for the other class, its negative part supports the own one. Cost: sums over the rows of the signals.
"""

from dataclasses import dataclass
from typing import Final, final

import numpy as np
from scipy import stats

from audit.debug.groups import LEVEL
from audit.records import Estimate
from audit.records.debugging import FeatureGap
from audit.stats.intervals import BoolArray, coded
from audit.stats.signals import Signals
from audit.tables import FloatArray, IntArray

SHOWN: Final = 10  # features a list


@final
@dataclass(frozen=True, slots=True)
class Sides:
    """Two disjoint sets of examples `[n]`."""

    first: BoolArray
    second: BoolArray

    @property
    def both(self) -> BoolArray:
        """Rows of either."""
        return self.first | self.second

    def clusters(self, cluster: IntArray) -> tuple[int, int]:
        """Independent units of each side."""
        one, two = (len(np.unique(cluster[side])) for side in (self.first, self.second))
        return one, two


@final
@dataclass(frozen=True, slots=True)
class Gaps:
    """By feature: mean over the first side minus mean over the second, its cluster-robust standard error, and the degrees of freedom."""

    value: FloatArray
    se: FloatArray
    df: int

    @property
    def nearer(self) -> FloatArray:
        """The lower end of the interval of `LEVEL`."""
        return self.value - self.reach

    @property
    def reach(self) -> FloatArray:
        """Half of the interval."""
        return np.asarray(stats.t.ppf((1 + LEVEL) / 2, self.df) * self.se)

    @property
    def p(self) -> FloatArray:
        """Two-sided, Student's t; 1 where nothing differs."""
        t = np.divide(np.abs(self.value), self.se, out=np.zeros(len(self.value)), where=self.se > 0)
        return np.asarray(2 * stats.t.sf(t, self.df))


def gaps(found: Signals, values: FloatArray, sides: Sides, cluster: IntArray) -> Gaps:
    """Of every feature, from sums over (feature, cluster); `values` `[rows]` stand in the place of the signals' own.

    The variance is that of the sum over clusters of (U - m1 a + m2 b): U is what the cluster adds to the difference, a and b are
    its parts of the two sides, m1 and m2 their means; or, where that is larger, the one if examples went to the sides by chance, as a word
    that one side lacks by chance has no spread there: the sum over clusters of (P - m n)^2, over n1 n2.
    """
    n1, n2 = int(sides.first.sum()), int(sides.second.sum())
    code, clusters = coded(cluster)
    features = len(found.names)
    weight = np.where(sides.first, 1 / n1, 0.0) - np.where(sides.second, 1 / n2, 0.0)
    kept = sides.both[found.example]
    feature, example = found.feature[kept], found.example[kept]
    u = values[kept] * weight[example]
    first = sides.first[example]
    m1 = np.bincount(feature, u * first, features)
    m2 = -np.bincount(feature, u * ~first, features)
    a = np.bincount(code, sides.first / n1, clusters)
    b = np.bincount(code, sides.second / n2, clusters)
    keys, place = np.unique(feature.astype(np.int64) * clusters + code[example], return_inverse=True)
    part, of, at = np.bincount(place, u, len(keys)), keys // clusters, keys % clusters
    squares, with_a, with_b = (np.bincount(of, part * each, features) for each in (part, a[at], b[at]))
    variance = squares - 2 * m1 * with_a + 2 * m2 * with_b + m1**2 * (a @ a) + m2**2 * (b @ b) - 2 * m1 * m2 * (a @ b)
    used = int(((a > 0) | (b > 0)).sum())
    sums, size = np.bincount(place, values[kept], len(keys)), np.bincount(code, sides.both, clusters)
    mean = np.bincount(feature, values[kept], features) / (n1 + n2)
    around, crossed = np.bincount(of, sums**2, features), np.bincount(of, sums * size[at], features)
    alike = (around - 2 * mean * crossed + mean**2 * (size @ size)) / (n1 * n2)
    se = np.sqrt(np.maximum(np.maximum(variance, alike), 0.0) * used / max(used - 1, 1))
    return Gaps(np.asarray(m1 - m2, dtype=float), se, max(min(sides.clusters(cluster)) - 1, 1))


@final
@dataclass(frozen=True, slots=True)
class Differences:
    """What argues for the other class more on the first side, what supports the own class there less, how many were compared.

    `values` `[features]` are the whole differences.
    """

    argued: tuple[FeatureGap, ...]
    missing: tuple[FeatureGap, ...]
    m: int
    values: FloatArray


def differences(found: Signals, values: FloatArray, sides: Sides, cluster: IntArray, *, fewest: int) -> Differences:
    """`values` `[rows]` push towards the other class; compared are features of which `fewest` examples of the first side hold, or of the
    smaller side would, if sides did not matter.

    Listed are those whose interval leaves out 0, the end nearer to 0 the largest first.
    """
    argued = gaps(found, np.maximum(values, 0.0), sides, cluster)
    missing = gaps(found, np.minimum(values, 0.0), sides, cluster)
    held = np.bincount(found.feature[sides.both[found.example]], minlength=len(found.names))
    smaller = min(int(sides.first.sum()), int(sides.second.sum())) / int(sides.both.sum())
    first = np.bincount(found.feature[sides.first[found.example]], minlength=len(found.names))
    asked = np.flatnonzero((held * smaller >= fewest) | (first >= fewest))
    m, p = len(asked), _corrected(np.concatenate([argued.p[asked], missing.p[asked]]))
    lists = [
        [_made(found, each, k, start[k], sides) for k in _ranked(each, asked) if each.nearer[k] > 0]
        for each, start in ((argued, _by_feature(asked, p[:m])), (missing, _by_feature(asked, p[m:])))
    ]
    return Differences(tuple(lists[0]), tuple(lists[1]), m, argued.value + missing.value)


def every_difference(found: Signals, values: FloatArray, sides: Sides, cluster: IntArray) -> tuple[FeatureGap, ...]:
    """Of each declared feature the whole difference, in order."""
    each = gaps(found, values, sides, cluster)
    p = _by_feature(np.arange(len(found.names)), _corrected(each.p))
    return tuple(_made(found, each, k, p[k], sides) for k in np.flatnonzero(~found.allowed).tolist())


def _corrected(p: FloatArray) -> FloatArray:
    return np.asarray(stats.false_discovery_control(p)) if len(p) else p


def _by_feature(features: IntArray, p: FloatArray) -> dict[int, float]:
    return dict(zip(features.tolist(), p.tolist(), strict=True))


def _ranked(each: Gaps, asked: IntArray) -> list[int]:
    return [int(k) for k in asked[np.argsort(-each.nearer[asked], kind="stable")][:SHOWN]]


def _made(found: Signals, each: Gaps, k: int, p: float, sides: Sides) -> FeatureGap:
    value, reach = float(each.value[k]), float(each.reach[k])
    return FeatureGap(
        name=found.names[k],
        estimate=Estimate(
            value=value, low=value - reach, high=value + reach, level=LEVEL, unit=found.unit, interval="cluster-robust t",
            n=int(sides.both.sum()),
        ),
        p_adjusted=p,
        holders=int(sides.first[found.example[found.feature == k]].sum()),
        declared=not found.allowed[k],
        box=tuple(found.boxes[k].tolist()) if len(found.boxes) else None,
    )  # fmt: skip
