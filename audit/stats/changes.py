"""How an estimate changed between two runs, `after - before`: from each example's own difference, or from the two intervals.

Pairs tell more than two intervals where both runs hold the same examples: what is hard for one model is hard for the other, and the
difference of an example is free of that. Elsewhere MOVER (Zou and Donner 2008, Statistics in Medicine 27; Donner and Zou 2012,
Statistical Methods in Medical Research 21) takes the runs as independent: right where they share no data, too wide where estimates go
together, too narrow only where they go against each other. Cost: one interval a try of the search for p.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from scipy import optimize, stats

from audit.records import Estimate
from audit.stats.intervals import BoolArray, few, mean_interval, missing, noting, spread, units
from audit.stats.multiplicity import CORRECTIONS, adjusted
from audit.stats.rates import SCORES, Rate, critical, mover, rate
from audit.tables import FloatArray, IntArray

PAIRED_MEAN: Final = "paired, cluster-robust t"
PAIRED_RATES: Final = "paired, gains against losses"
INDEPENDENT: Final = "MOVER, runs as independent"
LEAST: Final = 1e-12  # p that the search goes down to
Interval = Callable[[float], Estimate]
Arms = tuple[float, float]


@final
@dataclass(frozen=True, slots=True)
class Pairs:
    """What both runs say of the same examples `[n]`: `before` and `after`, numbers or events, and the two sides whose means are compared.

    All True in `side`: the mean of all is compared with itself.
    """

    before: FloatArray | BoolArray
    after: FloatArray | BoolArray
    side: BoolArray
    cluster: IntArray

    @property
    def events(self) -> bool:
        """Whether the values are events, so that the means are rates."""
        return self.before.dtype.kind == "b" and self.after.dtype.kind == "b"


@final
@dataclass(frozen=True, slots=True)
class Change:
    """`after - before` at any level; `method` says where it comes from, `why` why not from pairs."""

    estimate: Interval
    method: str
    why: str = ""

    @property
    def p(self) -> float | None:
        """Two-sided p of no change: the largest at which the interval leaves out 0."""
        return tail(self.estimate, 0.0)


@final
@dataclass(frozen=True, slots=True)
class Settled:
    """A change in its family of `m`: interval at the family's level, p by Holm, and whether both show a change."""

    estimate: Estimate
    p: float | None
    p_adjusted: float | None
    m: int

    def shown(self, alpha: float) -> bool:
        """As for findings: the adjusted p is at most alpha, and the interval leaves out 0."""
        low, high = self.estimate.low, self.estimate.high
        known = self.p_adjusted is not None and low is not None and high is not None
        return bool(known and self.p_adjusted <= alpha and not low <= 0 <= high)  # type: ignore[operator]


def settle_changes(changes: Sequence[Change], alpha: float) -> list[Settled]:
    """The changes of one family, corrected by Holm, with Bonferroni's intervals."""
    p = [change.p for change in changes]
    m = sum(each is not None for each in p)
    level = CORRECTIONS["holm"].level(alpha, m, 0)
    found = zip(changes, p, adjusted(p, CORRECTIONS["holm"]), strict=True)
    return [Settled(change.estimate(level), raw, corrected, m) for change, raw, corrected in found]


def paired(pairs: Pairs, unit: str) -> Change:
    """The change of a mean, or of a difference of two means, from the examples' own differences."""
    if pairs.events:
        return Change(lambda level: _of_rates(pairs, level, unit), PAIRED_RATES)
    if not pairs.side.all():
        raise ValueError("two sides of numbers that are no events have no paired change yet; give events, or one side")
    difference = pairs.after.astype(float) - pairs.before
    return Change(lambda level: _of_mean(difference, pairs.cluster, level, unit), PAIRED_MEAN)


def independent(before: Estimate, after: Estimate, why: str = "") -> Change:
    """The change from the two intervals alone, by MOVER; without interval, and with the reason, where one has none."""
    return Change(lambda level: _of_intervals(before, after, level), INDEPENDENT, why)


def none(before: Estimate, after: Estimate, why: str) -> Change:
    """No change can be told of these: they are not of one quantity, or one is not known."""
    return Change(lambda level: missing(why, level=level, unit=after.unit or before.unit), "none", why)


def rescaled(estimate: Estimate, level: float) -> Estimate:
    """The estimate at another level: both arms of its interval by the ratio of the quantiles that its method takes.

    Those are normal for scores of independent rows, else Student's with clusters - 1 degrees of freedom. Exact for t intervals with these;
    near for scores (Wilson's at n = 100 is off by less than a tenth of an arm).
    """
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return estimate.model_copy(update={"level": level})
    ratio = _quantile(estimate, level) / _quantile(estimate, estimate.level)
    value = estimate.value
    ends = {"low": value - ratio * (value - estimate.low), "high": value + ratio * (estimate.high - value)}
    return estimate.model_copy(update={"level": level, **ends})


def _quantile(estimate: Estimate, level: float) -> float:
    """As `critical` has it for scores; where clusters are not known, the normal one."""
    rows, clusters = estimate.n, estimate.clusters
    if clusters is None or clusters < 2:
        return float(stats.norm.ppf((1 + level) / 2))
    independent_rows = rows if estimate.interval in SCORES and rows is not None else 0
    return critical(independent_rows, clusters, level)


def tail(estimate: Interval, origin: float) -> float | None:
    """The largest p whose interval at level 1 - p leaves out `origin`; 1 where the value is there, None where there is no interval."""
    first = estimate(0.95)
    if first.value is None or first.low is None or first.high is None:
        return None
    if first.value == origin:
        return 1.0
    above = first.value > origin

    def beyond(exponent: float) -> float:
        found = estimate(1 - float(np.exp(exponent)))
        end = found.low if above else found.high
        return 0.0 if end is None else (end - origin) * (1 if above else -1)

    least, most = float(np.log(LEAST)), float(np.log1p(-1e-9))
    if beyond(least) > 0:
        return LEAST
    if beyond(most) <= 0:
        return 1.0
    return float(np.exp(optimize.brentq(beyond, least, most, xtol=1e-6)))


def _of_mean(difference: FloatArray, cluster: IntArray, level: float, unit: str) -> Estimate:
    if len(difference) and not difference.any():
        return _same(difference, cluster, level, unit)
    found = mean_interval(difference, cluster=cluster, level=level, unit=unit)
    return found if found.low is None else found.model_copy(update={"interval": PAIRED_MEAN})


def _same(difference: FloatArray, cluster: IntArray, level: float, unit: str) -> Estimate:
    """Both runs say the same of every example: nothing changed, and nothing could have by chance."""
    return Estimate(
        value=0.0, low=0.0, high=0.0, level=level, unit=unit, interval="the same in every example", n=len(difference),
        clusters=units(cluster), reason=few(units(cluster)),
    )  # fmt: skip


def _of_rates(pairs: Pairs, level: float, unit: str) -> Estimate:
    """Change of a rate, or of the difference of two, by MOVER from what was gained and what was lost on each side.

    For one side this is Newcombe's paired method (1998, Statistics in Medicine 17, 2635) built on gains and losses, whose
    intervals stay wide where few examples, or none, changed.
    """
    n, clusters = len(pairs.side), units(pairs.cluster)
    sides = [_Moved.of(pairs, rows) for rows in (pairs.side, ~pairs.side) if rows.any()]
    fewest = min(side.gained.clusters for side in sides) if sides else 0
    if fewest < 2:
        return missing("fewer than 2 independent units in a group", level=level, unit=unit, n=n)
    value, (low, high) = sides[0].value, sides[0].bounds(level)
    if len(sides) == 2:
        other, ends = sides[1].value, sides[1].bounds(level)
        low, high = mover((value, low, high), (other, *ends), _correlation(pairs))
        value -= other
    return Estimate(
        value=value, low=low, high=high, level=level, unit=unit, interval=PAIRED_RATES, n=n, clusters=clusters, reason=few(fewest)
    )  # fmt: skip


@final
@dataclass(frozen=True, slots=True)
class _Moved:
    """Of one side, the shares of examples in which the event came, and went, and how those correlate."""

    gained: Rate
    lost: Rate
    correlation: float

    @classmethod
    def of(cls, pairs: Pairs, rows: BoolArray) -> "_Moved":
        """Count them."""
        before, after, cluster = pairs.before[rows] > 0, pairs.after[rows] > 0, pairs.cluster[rows]
        gained, lost = after & ~before, before & ~after
        one, two = rate(gained, cluster=cluster), rate(lost, cluster=cluster)
        influence = np.concatenate([gained - one.value, lost - two.value]) / len(gained)
        part = np.repeat([0, 1], len(gained))
        found = spread(influence, part, np.tile(cluster, 2))
        return cls(one, two, found.correlation if found else 0.0)

    @property
    def value(self) -> float:
        """By how much the rate rose."""
        return self.gained.value - self.lost.value

    def bounds(self, level: float) -> Arms:
        """Of that."""
        one, two = ((each.value, *each.bounds(level)) for each in (self.gained, self.lost))
        return mover(one, two, self.correlation)


def _correlation(pairs: Pairs) -> float:
    """Of the changes of the two sides, from clusters that hold both; of independent examples, 0."""
    if units(pairs.cluster) == len(pairs.cluster):
        return 0.0
    moved = pairs.after.astype(float) - pairs.before
    means = np.where(pairs.side, moved[pairs.side].mean(), moved[~pairs.side].mean())
    sizes = np.where(pairs.side, pairs.side.sum(), (~pairs.side).sum())
    found = spread((moved - means) / sizes, pairs.side, pairs.cluster)
    return found.correlation if found else 0.0


def _of_intervals(before: Estimate, after: Estimate, level: float) -> Estimate:
    if before.value is None or after.value is None:
        which, each = ("before", before) if before.value is None else ("after", after)
        return missing(f"{which}: {each.reason or 'no estimate'}", level=level, unit=after.unit)
    bare = Estimate(value=after.value - before.value, level=level, unit=after.unit, n=_smaller(before.n, after.n))
    one, two = _ends(after, level), _ends(before, level)
    if one is None or two is None:
        which, each = ("before", before) if two is None else ("after", after)
        return noting(bare, f"{which} has no interval: {each.reason or 'not known'}")
    low, high = mover(one, two, 0.0)
    told = [f"{which}: {each.reason}" for which, each in (("before", before), ("after", after)) if each.reason]
    update = {"low": low, "high": high, "interval": INDEPENDENT, "clusters": _smaller(before.clusters, after.clusters)}
    return bare.model_copy(update={**update, "reason": "; ".join(told)})


def _ends(estimate: Estimate, level: float) -> tuple[float, float, float] | None:
    found = rescaled(estimate, level)
    return (
        None if found.value is None or found.low is None or found.high is None else (found.value, found.low, found.high)
    )


def _smaller(one: int | None, two: int | None) -> int | None:
    """Of the smaller run; None where one is not told."""
    return None if one is None or two is None else min(one, two)
