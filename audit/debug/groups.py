"""Named sets of examples: what slices are made of, and what a worklist exports."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from audit.config import OUTSIDE
from audit.stats.cases import NO_GROUP, Evidence
from audit.stats.intervals import BoolArray, units
from audit.tables import FloatArray, IntArray

LEVEL: Final = 0.95  # of every interval of debugging
TRUE: Final = "true class"
PREDICTED: Final = "predicted class"
STRATEGY: Final = "strategy"
TOP: Final = 0.75  # quantile of a feature's share among the examples that hold it


@final
@dataclass(frozen=True, slots=True)
class Group:
    """The examples `rows` `[n]` that one `name` describes; groups of one `dimension` exclude each other.

    `of_relevance`: it is read from relevance, which strategies are made of. Those of the largest `rank` `[n]` are listed first.
    """

    dimension: str
    name: str
    rows: BoolArray
    of_relevance: bool = False
    rank: FloatArray | None = None


def strategy_key(number: int) -> str:
    """How a strategy is called, the largest is the first."""
    return f"strategy {number + 1}"


def groups_of(evidence: Evidence, strategy: IntArray) -> list[Group]:
    """What the audit knows of an example: groups, classes, shares of relevance, and its strategy (-1: none).

    Groups of fewer than `statistics.min_group_size` independent examples, those that nearly all belong to, and those that hold the same
    examples as one before, as where an attribute is the label, are left out.
    """
    smallest, cluster = evidence.config.statistics.min_group_size, evidence.examples.cluster
    seen, found = set[bytes](), list[Group]()
    for group in _every(evidence, strategy):
        key = group.rows.tobytes()
        if key not in seen and min(units(cluster[group.rows]), units(cluster[~group.rows])) >= smallest:
            found.append(group)
        seen.add(key)
    return found


def _every(evidence: Evidence, strategy: IntArray) -> Iterator[Group]:
    examples = evidence.examples
    for dimension, word, codes in ((TRUE, "true", examples.label), (PREDICTED, "predicted", examples.predicted)):
        for k, name in enumerate(evidence.classes):
            yield Group(dimension, f"{word} {name}", codes == k)
    for attribute, column in {**examples.attributes, **evidence.mentions}.items():
        for name in np.unique(column).tolist():
            if name not in NO_GROUP:
                yield Group(attribute, f"{attribute} = {name}", column == name)
    table = evidence.groups[evidence.composites[0]]
    told = told_features(evidence)
    for k, name in ((k, name) for k, name in enumerate(table.names) if name in told):
        share = table.share[:, k]
        known = np.isfinite(share)
        if known.any() and np.ptp(share[known]):
            top = known & (share >= np.quantile(share[known], TOP))
            yield Group(f"share of {name}", f"top quarter of the share of {name}", top, of_relevance=True)
        if evidence.words is None:
            yield Group(f"presence of {name}", f"with {name}", table.present[:, k])
            yield Group(f"presence of {name}", f"without {name}", ~table.present[:, k])
    for number in range(int(strategy.max(initial=-1)) + 1):
        yield Group(STRATEGY, strategy_key(number), strategy == number)


def told_features(evidence: Evidence) -> set[str]:
    """Names of the regions, or of the groups of words, without what is left over."""
    if evidence.words is not None:
        return {".".join(key) for key in evidence.words.groups}
    return {*evidence.groups[evidence.composites[0]].names} - {OUTSIDE}
