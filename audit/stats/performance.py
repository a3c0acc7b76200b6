"""Outcome gaps: rates of each group against the other or the rest, as fairlearn's metrics, with clusters in mind.

Intervals and p come from scores at the effective sample size. A measure is one line of `MEASURES`. Cost: half a second per
measure and group of 1,000,000 rows.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, final

import numpy as np
from numpy.typing import NDArray

from audit.records import Estimate
from audit.stats.counts import small_counts
from audit.stats.intervals import BoolArray, missing, newcombe, units, wilson
from audit.stats.tests import two_proportions
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
    """One measure of `group` against `reference` (the other group, or the rest): two rates, their difference, its p."""

    measure: str
    group: str
    reference: str
    rate: Estimate
    reference_rate: Estimate
    difference: Estimate
    p: float | None
    test: str = "none"


def outcome_gaps(
    label: IntArray, predicted: IntArray, groups: NDArray[np.str_], pairs: Sequence[tuple[str, str]], *, favourable: int,
    cluster: NDArray[Any], level: float = 0.95, min_group_size: int = 20, among: Collection[str] | None = None,
    measures: Collection[str] = tuple(MEASURES),
) -> tuple[Gap, ...]:  # fmt: skip
    """Every one of `measures` for every pair of groups; "rest" as the second is all other groups of `among`.

    Rows of no group in `among` (None: of all) are excluded and counted in `dropped`. A side with fewer than `min_group_size`
    rows of the measure's own denominator gives value None with the count.
    """
    among = np.unique(groups).tolist() if among is None else list(among)
    known = np.isin(groups, among)
    y, guess, of, unit = label[known], predicted[known], groups[known], cluster[known]
    excluded = int((~known).sum())
    gaps = []
    for name, other in pairs:
        rows = np.ones(len(of), dtype=bool) if other == "rest" else np.isin(of, (name, other))
        chosen = y[rows], guess[rows], of[rows] == name
        gaps += [
            _gap(measure, *chosen, (name, other), favourable, unit[rows], level, min_group_size, excluded)
            for measure in measures
        ]
    return tuple(gaps)


def rates_p(event: BoolArray, group: BoolArray, *, cluster: NDArray[Any]) -> tuple[float | None, str]:
    """Two-sided p of equal rates, and the test's name: exact for small counts where rows are independent."""
    if units(cluster) == len(cluster):
        p, name = small_counts(event, group)
        return (1.0 if p is None and len(event) else p), name
    return two_proportions(event, group, cluster=cluster), "score test at the effective sample size"


def _gap(
    measure: str, label: IntArray, predicted: IntArray, group: BoolArray, names: tuple[str, str], favourable: int,
    cluster: NDArray[Any], level: float, smallest: int, excluded: int,
) -> Gap:  # fmt: skip
    rows = MEASURES[measure].rows_of(label, favourable)
    y, guess, side, unit = label[rows], predicted[rows], group[rows], cluster[rows]
    sizes = int(side.sum()), int((~side).sum())
    if min(sizes) < smallest:
        reason = f"{names[0]} has {sizes[0]} and {names[1]} {sizes[1]} examples; at least {smallest} each are needed"
        none = missing(reason, level=level, unit=measure, n=sum(sizes), dropped=excluded)
        return Gap(measure, *names, none, none, none, None)
    if MEASURES[measure].event != "wrong prediction" and not np.intersect1d(y[side], y[~side]).size:
        reason = f"{names[0]} and {names[1]} have no true class in common, so what is predicted differs because the labels do"
        none = missing(reason, level=level, unit=measure, n=sum(sizes), dropped=excluded)
        return Gap(measure, *names, none, none, none, None)
    event = MEASURES[measure].event_of(y, guess, favourable)
    rate = wilson(event[side], cluster=unit[side], level=level, unit=measure)
    rest = wilson(event[~side], cluster=unit[~side], level=level, unit=measure)
    difference = newcombe(event, side, cluster=unit, level=level, unit=f"difference in {measure}", dropped=excluded)
    if rate.value is None or rest.value is None:
        return Gap(measure, *names, rate, rest, difference, None)
    return Gap(measure, *names, rate, rest, difference, *rates_p(event, side, cluster=unit))
