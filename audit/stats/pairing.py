"""Two runs' examples brought together by id, and what both say of the examples that one finding compares.

What a finding compared is read from the columns of `examples.parquet`, and must give the finding's own estimate in both runs: where it
does not, or the examples are not the same, there are no pairs, and the change is taken from the two intervals.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from audit.records import Finding, Verdict
from audit.stats.changes import Change, Pairs, independent, none, paired
from audit.stats.groupings import compared
from audit.stats.intervals import BoolArray, coded
from audit.stats.paired_ranks import ranked_change
from audit.stats.performance import MEASURES
from audit.stats.run_examples import TOLERANCE, Examples, same_clusters
from audit.tables import IntArray

LOST: Final = "a run has no table of examples"
NUMBERED: Final = "ids are the places of rows in other data"


@final
@dataclass(frozen=True, slots=True)
class Drawn:
    """What one run says of the examples of a finding `[k]`: `rows` of its table, values or events, and side."""

    rows: IntArray
    values: NDArray[Any]
    side: BoolArray

    @property
    def value(self) -> float:
        """The mean, or the difference of the two sides' means."""
        one, two = self.values[self.side], self.values[~self.side]
        return float(one.mean() - two.mean()) if len(two) else float(one.mean())


def _outcome(finding: Finding, examples: Examples) -> Drawn | None:
    """Events of the two groups, among the rows that the rate counts."""
    measure = MEASURES.get(str(finding.details.get("measure")))
    groupings = {each.attribute: each for each in compared(examples.groups(), examples.statistics)}
    grouping = groupings.get(finding.attribute)
    if measure is None or grouping is None:
        return None
    label, predicted = ((examples.columns[name] == examples.favoured).astype(int) for name in ("label", "predicted"))
    if measure.event == "wrong prediction":
        label, predicted = examples.columns["label"], examples.columns["predicted"]
    rows = np.flatnonzero(grouping.rows(finding.groups[0], finding.groups[1]))
    rows = rows[measure.rows_of(label[rows], 1)]
    events = np.asarray(measure.event_of(label[rows], predicted[rows], 1), dtype=bool)
    return Drawn(rows, events, np.asarray(grouping.column[rows] == finding.groups[0]))


def _intervention(finding: Finding, examples: Examples) -> Drawn | None:
    """Effects of swaps between two groups' words, towards the first, or whether they flip the prediction."""
    (name, other), attribute, columns = finding.groups[:2], finding.attribute, examples.columns
    wanted = [f"{part}.{attribute}.{group}" for part in ("swap", "swap_predicted") for group in (name, other)]
    source = columns.get(f"mentions.{attribute}")
    if source is None or not set(wanted) <= columns.keys():
        return None
    towards, back = (columns[each].astype(float) for each in wanted[:2])
    forward = (source == other) & np.isfinite(towards)
    rows = np.flatnonzero(forward | ((source == name) & np.isfinite(back)))
    side = np.full(len(rows), True)
    if finding.details.get("measure") == "flips":
        after = np.where(forward, columns[wanted[2]], columns[wanted[3]])[rows]
        return Drawn(rows, np.asarray(after != columns["predicted"][rows], dtype=bool), side)
    return Drawn(rows, np.where(forward, towards, -back)[rows] / examples.scale, side)


DRAWN: Final[Mapping[str, Callable[[Finding, Examples], Drawn | None]]] = {
    "outcome": _outcome, "intervention": _intervention,
}  # fmt: skip
"""Questions whose statistic is a mean of the examples, or a difference of two."""


def changed(
    before: Finding, after: Finding, one: Examples | None, two: Examples | None, *, why: str = "", apart: str = ""
) -> Change:
    """The change of a finding that both runs have, of pairs where it can be; `why`: there are no pairs, `apart`: there is no change."""
    if reason := apart or incomparable(before, after):
        return none(before.estimate, after.estimate, reason)
    if one and two and not why and isinstance(ranked := ranked_change(before, after, one, two), Change):
        return ranked
    found = _pairs(before, after, one, two) if one and two and not why else why or LOST
    if isinstance(found, Pairs):
        return paired(found, after.estimate.unit)
    return independent(before.estimate, after.estimate, found)


def incomparable(before: Finding, after: Finding) -> str:
    """Why two findings of one id have no change: they are not of one quantity, or one has no verdict; empty where they have."""
    if before.estimate.unit != after.estimate.unit or before.estimand != after.estimand:
        return "the runs do not estimate the same quantity"
    if before.composite != after.composite:
        return f"relevance by {before.composite} before, by {after.composite} after"
    untested = [
        f"not testable {when}: {each.reason}"
        for when, each in (("before", before), ("after", after))
        if each.verdict is Verdict.NOT_TESTABLE
    ]
    return "; ".join(untested)


def _pairs(before: Finding, after: Finding, one: Examples, two: Examples) -> Pairs | str:
    """Pairs, or why there are none."""
    draw = DRAWN.get(after.question)
    if draw is None or after.estimate.value is None or before.estimate.value is None:
        return "no difference of means over examples"
    drawn = draw(before, one), draw(after, two)
    if drawn[0] is None or drawn[1] is None or not min(len(each.rows) for each in drawn if each):
        return "the tables of examples do not hold what it compares"
    for each, finding in zip(drawn, (before, after), strict=True):
        if each and abs(each.value - (finding.estimate.value or 0.0)) > TOLERANCE:
            return "the tables of examples do not give its estimate"
    return _matched(drawn[0], drawn[1], one, two)


def _matched(before: Drawn, after: Drawn, one: Examples, two: Examples) -> Pairs | str:
    ids = one.id[before.rows], two.id[after.rows]
    orders = np.argsort(ids[0], kind="stable"), np.argsort(ids[1], kind="stable")
    if len(ids[0]) != len(ids[1]) or (ids[0][orders[0]] != ids[1][orders[1]]).any():
        return "the runs compare other examples"
    if (before.side[orders[0]] != after.side[orders[1]]).any():
        return "examples are of another group"
    clusters = one.columns["cluster"][before.rows[orders[0]]], two.columns["cluster"][after.rows[orders[1]]]
    if not same_clusters(*clusters):
        return "examples are clustered otherwise"
    values = before.values[orders[0]], after.values[orders[1]]
    return Pairs(values[0], values[1], after.side[orders[1]], coded(clusters[1])[0])
