"""The change of a disparity between two runs from each example's influence on Cliff's delta in both: placements, as DeLong has them.

DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44, compare two areas under curves (delta = 2 AUC - 1) of the same examples by the
differences of their placements; here within each run's own strata, whose weights are taken as given as in the runs themselves, and
summed by cluster (Obuchowski 1997, Biometrics 53). Examples that one run leaves out have no influence there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from audit.records import Estimate, Finding
from audit.stats.changes import Change
from audit.stats.features import PARTS, REGION, SIGNS
from audit.stats.groupings import compared
from audit.stats.intervals import BoolArray, Spread, coded, from_spread
from audit.stats.matching import CONFIDENCE_ALONE, MATCHED
from audit.stats.run_examples import TOLERANCE, Examples, same_clusters
from audit.stats.tests import UNIT, rank_effect, rank_influence
from audit.tables import FloatArray, IntArray

PAIRED_RANKS: Final = "paired, placements"
NO_SPREAD: Final = 1e-9  # a standard error that is none


@final
@dataclass(frozen=True, slots=True)
class Placed:
    """What one run says of examples `[n]`: influence on its delta, NaN where it has none; the delta, and its degrees of freedom."""

    delta: float
    influence: FloatArray
    df: float

    def at(self, rows: IntArray) -> "Placed":
        """Of these rows."""
        return replace(self, influence=self.influence[rows])


def placed(values: FloatArray, side: BoolArray, *, cluster: NDArray[Any], strata: NDArray[Any]) -> Placed | None:
    """The placements of one run; None where no stratum holds both sides, or they do not overlap."""
    found = rank_influence(values, side, cluster=cluster, strata=strata)
    spread = rank_effect(values, side, cluster=cluster, strata=strata).found
    return None if found is None or spread is None or spread.se <= NO_SPREAD else Placed(*found, spread.df)


def ranks_changed(before: Placed, after: Placed, cluster: NDArray[Any]) -> Change:
    """The change of Cliff's delta of the same examples `[n]`."""
    n = int((np.isfinite(before.influence) | np.isfinite(after.influence)).sum())
    moved = np.nan_to_num(after.influence) - np.nan_to_num(before.influence)
    code, clusters = coded(cluster)
    se = float(np.linalg.norm(np.bincount(code, moved)))
    found = Spread(se, min(before.df, after.df), clusters)
    return Change(lambda level: _estimate(after.delta - before.delta, found, n, level), PAIRED_RANKS)


def _estimate(value: float, found: Spread, n: int, level: float) -> Estimate:
    if value == 0 and found.se <= NO_SPREAD:
        ends = {"low": 0.0, "high": 0.0, "interval": "the same in every example"}
        return Estimate(value=0.0, level=level, unit=UNIT, n=n, clusters=found.clusters, reason=found.warning, **ends)
    bare = from_spread(value, found, n=n, level=level, unit=UNIT, scale=1.0)
    return bare if bare.low is None else bare.model_copy(update={"interval": PAIRED_RANKS})


def ranked_change(before: Finding, after: Finding, one: Examples, two: Examples) -> Change | str:
    """The change of a disparity, or why it is not taken from pairs."""
    if after.question != "disparity" or before.details.get("matched on") != after.details.get("matched on"):
        return "no disparity"
    sides = _placed(before, one), _placed(after, two)
    if sides[0] is None or sides[1] is None:
        return "the tables of examples do not give its estimate"
    ids = np.union1d(*(each.id[np.isfinite(p.influence)] for p, each in zip(sides, (one, two), strict=True) if p))
    at = _places(ids, one), _places(ids, two)
    if at[0] is None or at[1] is None:
        return "the runs compare other examples"
    cluster = two.columns["cluster"][at[1]]
    if not same_clusters(one.columns["cluster"][at[0]], cluster):
        return "examples are clustered otherwise"
    return ranks_changed(sides[0].at(at[0]), sides[1].at(at[1]), cluster)


def _places(ids: NDArray[Any], examples: Examples) -> IntArray | None:
    """Rows of the table that have these ids; None where one is not in it."""
    order = np.argsort(examples.id, kind="stable")
    at = np.searchsorted(examples.id[order], ids)
    if len(ids) and (at.max() >= len(order) or (examples.id[order][at] != ids).any()):
        return None
    return np.asarray(order[at])


def _placed(finding: Finding, examples: Examples) -> Placed | None:
    """None where the table does not give the finding's estimate."""
    values, side = _values(finding, examples), _side(finding, examples)
    if values is None or side is None:
        return None
    rows = np.flatnonzero(side[0] & np.isfinite(values))
    shared = np.unique(np.concatenate([examples.columns["label"], examples.columns["predicted"]]))
    label, predicted = (np.searchsorted(shared, examples.columns[name]) for name in ("label", "predicted"))
    matched = MATCHED.get(str(finding.details.get("matched on")))
    if matched is None or not len(rows):
        return None
    strata = matched(label[rows], predicted[rows], examples.columns["confidence"][rows])
    found = placed(values[rows], side[1][rows], cluster=examples.columns["cluster"][rows], strata=strata)
    if found is None or abs(found.delta - (finding.estimate.value or 0.0)) > TOLERANCE:
        return None
    influence = np.full(len(values), np.nan)
    influence[rows] = found.influence
    return replace(found, influence=influence)


def _values(finding: Finding, examples: Examples) -> FloatArray | None:
    """What the disparity compares: the share of a region, or of the words of an attribute, by the run's sign, or a part of it."""
    columns, name = examples.columns, str(finding.details.get("feature") or finding.details.get(REGION))
    region = finding.details.get(REGION) is not None
    names = [
        each.removeprefix("share.")
        for each in columns
        if each.startswith("share.") and "@" not in each and (each == f"share.{name}" if region else _of(each, name))
    ]
    if not names:
        return None
    share, net = (
        np.column_stack([columns[f"{part}.{each}"].astype(float) for each in names]) for part in ("share", "net")
    )
    summed = SIGNS[examples.statistics.sign](np.nansum(share, axis=1), np.nansum(net, axis=1))
    values = np.where(np.isfinite(share).any(axis=1), summed, np.nan)
    parts: Mapping[str, str] = {part.words: key for key, part in PARTS.items()}
    part = parts.get(str(finding.details.get("part", "")))
    return values if part is None else PARTS[part].of(values)


def _of(column: str, attribute: str) -> bool:
    return column.removeprefix("share.").rpartition(".")[0] == attribute


def _side(finding: Finding, examples: Examples) -> tuple[BoolArray, BoolArray] | None:
    """The rows that are compared, and which of them are of the first group."""
    known = {each.attribute: each for each in compared(examples.groups(), examples.statistics)}
    grouping = known.get(finding.attribute)
    if grouping is None or len(finding.groups) < 2:
        return None
    rows = grouping.rows(finding.groups[0], finding.groups[1])
    if finding.details.get("matched on") == CONFIDENCE_ALONE:
        rows = rows & np.asarray(examples.columns["correct"], dtype=bool)
    return np.asarray(rows), np.asarray(grouping.column == finding.groups[0])
