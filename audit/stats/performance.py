"""Outcome gaps: rates of each group against the other or the rest, as fairlearn's metrics, with clusters in mind.

Intervals and p come from scores at the effective sample size. A measure is one line of `MEASURES`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, final

import numpy as np
from numpy.typing import NDArray

from audit.records import Estimate
from audit.stats.counts import small_counts
from audit.stats.intervals import BoolArray, missing
from audit.stats.rates import RateGap, rate_gap
from audit.tables import IntArray


@final
@dataclass(frozen=True, slots=True)
class Measure:
    """A rate: share of `event` among the `rows`, and the metric of fairlearn (or sklearn), the oracle in the tests."""

    words: str
    rows: Literal["all", "unfavourable", "favourable"]
    event: Literal["favourable prediction", "unfavourable prediction", "wrong prediction"]
    metric: str

    def rows_of(self, label: IntArray, favourable: int) -> BoolArray:
        """Which rows `[n]` are its denominator."""
        if self.rows == "all":
            return np.ones(len(label), dtype=bool)
        return np.asarray((label == favourable) == (self.rows == "favourable"))

    def event_of(self, label: IntArray, predicted: IntArray, favourable: int) -> BoolArray:
        """In which rows the event happens."""
        if self.event == "wrong prediction":
            return np.asarray(predicted != label)
        return np.asarray((predicted == favourable) == (self.event == "favourable prediction"))


MEASURES: Final[dict[str, Measure]] = {
    "selection rate": Measure(
        "share predicted to have the favourable class", "all", "favourable prediction", "selection_rate"
    ),
    "error rate": Measure("share predicted wrongly", "all", "wrong prediction", "zero_one_loss"),
    "false positive rate": Measure(
        "share predicted favourable among the truly unfavourable",
        "unfavourable",
        "favourable prediction",
        "false_positive_rate",
    ),
    "false negative rate": Measure(
        "share predicted unfavourable among the truly favourable",
        "favourable",
        "unfavourable prediction",
        "false_negative_rate",
    ),
}


@final
@dataclass(frozen=True, slots=True)
class Gap:
    """One measure of `group` against `reference` (the other group, or the rest) over `n` rows; `reason`: why it has no difference."""

    measure: str
    group: str
    reference: str
    n: int
    dropped: int
    found: RateGap | None = None
    reason: str = ""
    p: float | None = None
    test: str = "none"

    def difference(self, level: float = 0.95) -> Estimate:
        """Rate minus reference rate."""
        unit = f"difference in {self.measure}"
        if self.found is None:
            return missing(self.reason, level=level, unit=unit, n=self.n, dropped=self.dropped)
        return self.found.estimate(level, unit=unit, dropped=self.dropped)

    @property
    def rates(self) -> tuple[Estimate, Estimate]:
        """Of the group, and of its reference."""
        if self.found is None:
            none = missing(self.reason, level=0.95, unit=self.measure, n=self.n, dropped=self.dropped)
            return none, none
        one, two = (side.estimate(0.95, unit=self.measure) for side in (self.found.rate, self.found.reference))
        return one, two


def outcome_gaps(
    label: IntArray, predicted: IntArray, groups: NDArray[np.str_], pairs: Sequence[tuple[str, str]], *, favourable: int,
    cluster: NDArray[Any], min_group_size: int = 20, among: Collection[str] | None = None,
    measures: Collection[str] = tuple(MEASURES),
) -> tuple[Gap, ...]:  # fmt: skip
    """Every one of `measures` for every pair of groups; "rest" as the second is all other groups of `among`.

    Rows of no group in `among` (None: of all) are excluded and counted in `dropped`. A side with fewer than `min_group_size`
    rows of the measure's own denominator gives no difference, with the count as the reason.
    """
    among = np.unique(groups).tolist() if among is None else list(among)
    inside = {name: groups == name for name in among}
    known = np.any(list(inside.values()), axis=0)
    excluded, gaps = int((~known).sum()), []
    for name, other in pairs:
        rows = known if other == "rest" else inside[name] | inside[other]
        held = label[rows], predicted[rows], inside[name][rows], cluster[rows]
        gaps += [_gap(measure, *held, (name, other), favourable, min_group_size, excluded) for measure in measures]
    return tuple(gaps)


def equal_rates(event: BoolArray, group: BoolArray, *, cluster: NDArray[Any]) -> tuple[RateGap, float | None, str]:
    """The difference of two rates, the two-sided p of none, and the test's name: exact for small counts of independent rows."""
    found = rate_gap(event, group, cluster=cluster)
    if found.clusters < len(event):
        return found, found.p, "score test at the effective sample size"
    p, name = small_counts(event, group)
    return found, (1.0 if p is None and len(event) else p), name


def _gap(
    measure: str, label: IntArray, predicted: IntArray, group: BoolArray, cluster: NDArray[Any], names: tuple[str, str],
    favourable: int, smallest: int, excluded: int,
) -> Gap:  # fmt: skip
    rows = MEASURES[measure].rows_of(label, favourable)
    y, guess, side, unit = label[rows], predicted[rows], group[rows], cluster[rows]
    sizes = int(side.sum()), int((~side).sum())
    bare = Gap(measure, *names, n=sum(sizes), dropped=excluded)
    if min(sizes) < smallest:
        reason = f"{names[0]} has {sizes[0]} and {names[1]} {sizes[1]} examples; at least {smallest} each are needed"
        return replace(bare, reason=reason)
    if (
        MEASURES[measure].event != "wrong prediction"
        and not np.intersect1d(np.unique(y[side]), np.unique(y[~side])).size
    ):
        reason = f"{names[0]} and {names[1]} have no true class in common, so what is predicted differs because the labels do"
        return replace(bare, reason=reason)
    found, p, test = equal_rates(MEASURES[measure].event_of(y, guess, favourable), side, cluster=unit)
    return replace(bare, found=found, p=p, test=test) if found.smaller > 1 else replace(bare, found=found)
