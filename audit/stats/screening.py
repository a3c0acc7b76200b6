"""What may be compared in each half of the examples, and the features that one half chooses for the other to test.

Clusters are split, so that what is peculiar to a film or a person cannot choose and confirm itself. Cost: sums over the rows of the
signals a comparison.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from audit.questions import EXAMPLES
from audit.stats.cases import Evidence
from audit.stats.groupings import groupings
from audit.stats.intervals import BoolArray, coded, units
from audit.stats.joint_permutation import standardised
from audit.stats.signals import Signals
from audit.stats.tests import comparable
from audit.tables import FloatArray, IntArray

ERRORS: Final = ("misclassified", "correct")


@final
@dataclass(frozen=True, slots=True)
class Halves:
    """Which examples `[n]` choose; the others test. A cluster is in one of them."""

    choosing: BoolArray

    @property
    def testing(self) -> BoolArray:
        """The held-out half."""
        return ~self.choosing


@final
@dataclass(frozen=True, slots=True)
class Compared:
    """Examples `side` against the other `rows` `[n]`, within true classes; `errors`: misclassified against correct of one class."""

    id: str
    attribute: str
    sides: tuple[str, str]
    rows: BoolArray
    side: BoolArray
    errors: bool = False


@final
@dataclass(frozen=True, slots=True)
class Layers:
    """Rows of one half that have a counterpart: `rows` `[m]` of the examples, their `layer`, `side` and `cluster`."""

    rows: IntArray
    layer: IntArray
    side: BoolArray
    cluster: IntArray

    def smallest(self) -> tuple[int, int]:
        """Independent units of each side."""
        return units(self.cluster[self.side]), units(self.cluster[~self.side])


def split(cluster: IntArray, rng: np.random.Generator) -> Halves:
    """Half of the clusters, drawn at random, choose."""
    code, clusters = coded(cluster)
    choosing = np.zeros(clusters, dtype=np.bool_)
    choosing[rng.permutation(clusters)[: clusters // 2]] = True
    return Halves(choosing[code])


def comparisons(evidence: Evidence) -> Iterator[Compared]:
    """Every pair of groups, and the errors in each true class."""
    examples = evidence.examples
    for grouping in groupings(evidence):
        for name, other in grouping.pairs:
            yield Compared(
                f"groups.{grouping.attribute}.{name}-{other}", grouping.attribute, (name, other),
                grouping.rows(name, other), grouping.column == name,
            )  # fmt: skip
    for k, name in enumerate(evidence.classes):
        yield Compared(
            f"errors.{name}", f"true {name}", ERRORS, examples.label == k, examples.predicted != examples.label, errors=True
        )  # fmt: skip


def layers_of(evidence: Evidence, compared: Compared, half: BoolArray) -> Layers:
    """The rows of a comparison in one half, in layers of their true class."""
    examples = evidence.examples
    kept = np.flatnonzero(compared.rows & half)
    layer, side, cluster = examples.label[kept], compared.side[kept], examples.cluster[kept]
    alike = comparable(layer, side, cluster, np.ones(len(kept), dtype=np.bool_))
    return Layers(kept[alike], coded(layer[alike])[0], side[alike], cluster[alike])


def asks_presence(found: Signals, compared: Compared) -> bool:
    """Whether it is asked how often a feature occurs: a word of either group may be a proxy, one of errors is none."""
    return found.worded and not compared.errors


def shortage(evidence: Evidence, compared: Compared, halves: Sequence[Layers]) -> str:
    """Why the sides cannot be compared in each half; empty if they can."""
    smallest = evidence.config.statistics.min_group_size
    sizes = [half.smallest() for half in halves]
    fewest = [min(each) for each in zip(*sizes, strict=True)]
    if min(fewest) >= smallest:
        return ""
    counts = ", ".join(f"{name} {n}" for name, n in zip(compared.sides, fewest, strict=True))
    noun = f"independent {EXAMPLES[evidence.config.task]}s"
    return (
        f"{noun} with a counterpart of their true class, in the half with fewer: {counts}; {smallest} a side are needed"
    )


def nothing_varies(evidence: Evidence, found: Signals) -> str:
    """Why there is no feature to choose."""
    fewest = evidence.config.statistics.min_examples_per_term
    if found.worded:
        return f"no undeclared word that varies is in at least {fewest} independent texts of each half"
    return "no cell that is not declared varies"


def chosen_features(found: Signals, evidence: Evidence, choosing: Layers, testing: Layers) -> list[int]:
    """The features with the largest standardised difference in the choosing half, of those that both halves hold often enough."""
    z = _scores(found, choosing, evidence.composites[0])
    enough = found.allowed & (z != 0)
    if found.worded:
        fewest = evidence.config.statistics.min_examples_per_term
        enough &= np.minimum(*(_holders(found, half) for half in (choosing, testing))) >= fewest
    ranked = np.argsort(-np.where(enough, np.abs(z), 0.0), kind="stable")[: evidence.config.checks.candidates]
    return [k for k in ranked.tolist() if enough[k]]


def _scores(found: Signals, half: Layers, composite: str) -> FloatArray:
    """`[features]`, from sums over rows: a standardised difference over the root of the same n is the same order."""
    layers, features = int(half.layer.max()) + 1, len(found.names)
    at = np.full(len(found.usable), -1)
    at[half.rows] = half.layer
    side = np.zeros(len(found.usable), dtype=np.bool_)
    side[half.rows] = half.side
    kept = at[found.example] >= 0
    example, x = found.example[kept], found.values[composite][kept]
    key = found.feature[kept] * layers + at[example]
    sums, squares, inside = (
        np.bincount(key, each, minlength=features * layers).reshape(features, layers).astype(float)
        for each in (x, x**2, x * side[example])
    )
    taken = np.bincount(half.layer, half.side, minlength=layers).astype(np.int64)
    return standardised(sums, squares, inside, taken, np.bincount(half.layer, minlength=layers))


def _holders(found: Signals, half: Layers) -> IntArray:
    """Independent examples `[features]` of a half that hold each word."""
    code, clusters = coded(half.cluster)
    of = np.full(len(found.usable), -1)
    of[half.rows] = code
    kept = of[found.example] >= 0
    pairs = np.unique(found.feature[kept].astype(np.int64) * clusters + of[found.example[kept]])
    return np.bincount(pairs // clusters, minlength=len(found.names))
