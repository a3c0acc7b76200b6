"""Slices: where the model errs more often than on all other examples, by one group or two together.

The true and the predicted class are not combined: that cell is the error. Cost: a score test a slice.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np
from scipy import stats

from audit.debug.groups import LEVEL, PREDICTED, STRATEGY, TRUE, Group
from audit.records import Estimate
from audit.records.debugging import Confidence, Confusion, Slice
from audit.stats.cases import Evidence
from audit.stats.intervals import BoolArray, missing, units
from audit.stats.rates import RateGap, rate_gap, wilson
from audit.tables import FloatArray

SHOWN: Final = 30
MOST: Final = 4000  # slices that are looked at, single groups first
BINS: Final = 10
SURE: Final = 0.9  # probability of the predicted class from which an error counts as a sure one


def slices(evidence: Evidence, groups: Sequence[Group]) -> tuple[tuple[Slice, ...], tuple[BoolArray, ...], int, int]:
    """The slices that err most beyond the others, their rows, how many were tested, and how many pairs had no room.

    The order is that of the lower end of the gap's interval. Of two groups together are shown those that err more often than either alone.
    """
    examples = evidence.examples
    wrong, smallest = examples.predicted != examples.label, evidence.config.statistics.min_group_size
    single = [(group,) for group in groups]
    pairs = [pair for pair in combinations(groups, 2) if _joins(*pair)]
    tested: list[tuple[tuple[Group, ...], BoolArray, RateGap, float]] = []
    every = [*single, *pairs]
    for parts in every[:MOST]:
        rows = np.logical_and.reduce([group.rows for group in parts])
        if rows.sum() >= smallest and units(examples.cluster[rows]) >= smallest:
            gap = rate_gap(wrong, rows, cluster=examples.cluster)
            if gap.p is not None:
                tested.append((parts, rows, gap, gap.p))
    if not tested:
        return (), (), 0, 0
    corrected = stats.false_discovery_control([p for *_, p in tested]).tolist()
    alone = {parts[0].name: gap.rate.value for parts, _, gap, _ in tested if len(parts) == 1}
    alpha = evidence.config.statistics.alpha
    found = []
    for (parts, rows, gap, p), p_adjusted in zip(tested, corrected, strict=True):
        estimate = gap.estimate(LEVEL, unit="difference of error rates")
        if len(parts) > 1 and gap.rate.value <= max(alone.get(group.name, 0.0) for group in parts):
            continue
        if estimate.low is not None and gap.value > 0:
            made = Slice(
                key="", conditions=tuple(group.name for group in parts), errors=int((wrong & rows).sum()),
                rate=gap.rate.estimate(LEVEL, unit="error rate"), gap=estimate, p=p, p_adjusted=p_adjusted, flagged=p_adjusted < alpha,
            )  # fmt: skip
            found.append((estimate.low, made, rows))
    ranked = sorted(found, key=lambda each: -each[0])[:SHOWN]
    shown = tuple(made.model_copy(update={"key": f"slice {i + 1}"}) for i, (_, made, _) in enumerate(ranked))
    return shown, tuple(rows for *_, rows in ranked), len(tested), max(0, len(every) - MOST)


def _joins(one: Group, two: Group) -> bool:
    """A strategy is evidence for the predicted class, so that it is no more to be combined with the true one."""
    both = {one.dimension, two.dimension}
    return len(both) > 1 and both not in ({TRUE, PREDICTED}, {TRUE, STRATEGY}, {PREDICTED, STRATEGY})


def confusion(evidence: Evidence) -> tuple[Confusion, ...]:
    """Of all examples, and of each group of each attribute that is large enough to test."""
    examples, classes = evidence.examples, evidence.classes
    wrong, smallest = examples.predicted != examples.label, evidence.config.statistics.min_group_size

    def counted(attribute: str, group: str, rows: BoolArray) -> Confusion:
        pairs, n = np.unique(np.stack([examples.label[rows], examples.predicted[rows]]), axis=1, return_counts=True)
        cells: dict[str, dict[str, int]] = {}
        for (true, predicted), count in zip(pairs.T.tolist(), n.tolist(), strict=True):
            cells.setdefault(classes[true], {})[classes[predicted]] = count
        rate = wilson(wrong[rows], cluster=examples.cluster[rows], level=LEVEL, unit="error rate")
        return Confusion(attribute=attribute, group=group, rate=rate, cells=cells)

    every = counted("", "", np.ones(len(examples.label), dtype=np.bool_))
    columns = {**examples.attributes, **evidence.mentions}
    return (
        every,
        *(
            counted(attribute, name, column == name)
            for attribute, column in columns.items()
            for name, n in zip(*(each.tolist() for each in np.unique(column, return_counts=True)), strict=True)
            if n >= smallest
        ),
    )


def calibration(bins: Sequence[Confidence]) -> Estimate:
    """Mean distance of accuracy from probability over the examples (Naeini et al. 2015); noise alone makes it large."""
    n = [each.accuracy.n or 0 for each in bins]
    off = [abs((each.accuracy.value or 0.0) - each.mean) for each in bins]
    value = sum(a * b for a, b in zip(n, off, strict=True)) / sum(n)
    reason = "no interval: bins of few examples make it larger than it is"
    return Estimate(value=value, unit="expected calibration error", n=sum(n), reason=reason)


def confidence(evidence: Evidence, probability: FloatArray) -> tuple[Confidence, ...]:
    """Bins of equal width over the probability `[n]` of the predicted class; empty ones are left out."""
    examples, found = evidence.examples, []
    edges = np.linspace(1 / len(evidence.classes), 1.0, BINS + 1)
    bins = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, BINS - 1)
    for k in range(BINS):
        rows = bins == k
        if rows.any():
            right = examples.predicted[rows] == examples.label[rows]
            accuracy = wilson(right, cluster=examples.cluster[rows], level=LEVEL, unit="accuracy")
            mean = float(probability[rows].mean())
            found.append(Confidence(low=float(edges[k]), high=float(edges[k + 1]), mean=mean, accuracy=accuracy))
    return tuple(found)


def sure_errors(evidence: Evidence, probability: FloatArray) -> Estimate:
    """Of the errors, how many the model is sure of."""
    examples = evidence.examples
    wrong = examples.predicted != examples.label
    unit = f"share of errors with a probability of at least {SURE}"
    if not wrong.any():
        return missing("no example is misclassified", level=LEVEL, unit=unit)
    return wilson(probability[wrong] >= SURE, cluster=examples.cluster[wrong], level=LEVEL, unit=unit)
