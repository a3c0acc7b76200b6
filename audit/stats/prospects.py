"""Before a run: which comparisons of groups the data allow, and what each can show at the declared alpha.

The tests of a family share its alpha: it is divided by how many the data allow. Cost: milliseconds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from audit.config import Config, Statistics
from audit.stats.groupings import compared
from audit.stats.intervals import BoolArray
from audit.stats.performance import MEASURES
from audit.stats.power import (
    equivalence_delta,
    equivalence_rates,
    needed_a_side,
    smallest_delta,
    smallest_rate_difference,
)
from audit.tables import IntArray

FEWEST: Final = 2  # independent units a side without which no test has a p


@final
@dataclass(frozen=True, slots=True)
class Units:
    """Examples and independent units of the two sides of a comparison."""

    rows: tuple[int, int]
    clusters: tuple[int, int]

    def enough(self, smallest: int) -> bool:
        """Whether the run would test them."""
        return min(self.rows) >= smallest and min(self.clusters) >= FEWEST


@final
@dataclass(frozen=True, slots=True)
class Showing:
    """What one test can show: its `smallest` difference (None: not even the largest there is), whether the units are `enough` for
    EQUIVALENT within the margin if nothing differs, and how many a side that `needs` (None: out of reach).
    """

    smallest: float | None
    enough: bool
    needs: int | None


@final
@dataclass(frozen=True, slots=True)
class Prospect:
    """One comparison. `errors`: difference of error rates, None where NOT TESTABLE; `delta`: Cliff's delta of the relevance of a
    feature, the one that most examples of both sides hold, None where no feature allows it.
    """

    attribute: str
    group: str
    other: str
    units: Units
    errors: Showing | None
    delta: Showing | None


@final
@dataclass(frozen=True, slots=True)
class Outlook:
    """Every comparison, and how many tests share the alpha of each question."""

    prospects: tuple[Prospect, ...]
    outcome_tests: int
    disparity_tests: int


def outlook(
    columns: Mapping[str, NDArray[np.str_]],
    features: Mapping[str, tuple[str, BoolArray]],
    *,
    cluster: IntArray,
    error_rate: float,
    config: Config,
) -> Outlook:
    """What groups in `columns` can show, every column and feature `[n]`, at an error rate of both groups strictly in 0 to 1.

    `features[name]` is the attribute that the feature belongs to ("" for none: a feature is not compared between the groups
    of its own attribute) and which examples hold it.
    """
    smallest, margins = config.statistics.min_group_size, config.margins
    rates, deltas = config.alpha_of("outcome"), config.alpha_of("disparity")
    found = list(_comparisons(columns, features, cluster, config.statistics))
    outcomes = len(MEASURES) * sum(each.units.enough(smallest) for each in found)
    disparities = sum(len(each.features) for each in found)
    return Outlook(
        tuple(
            Prospect(
                *each.names, each.units,
                _errors(each.units, error_rate, rates / outcomes, margins.outcome) if each.units.enough(smallest) else None,
                _delta(each.features, deltas / disparities, margins.disparity) if each.features else None,
            )
            for each in found
        ),
        outcomes,
        disparities,
    )  # fmt: skip


def between(
    columns: Mapping[str, NDArray[np.str_]],
    features: Mapping[str, tuple[str, BoolArray]],
    *,
    cluster: IntArray,
    statistics: Statistics,
) -> dict[str, int]:
    """How many tests compare groups on a feature, and misclassified with correct examples of a group, at most."""
    found = _comparisons(columns, features, cluster, statistics)
    sizes = [np.bincount(grouping.code[grouping.known]) for grouping in compared(columns, statistics)]
    groups = sum(int((n >= 2 * statistics.min_group_size).sum()) for n in sizes) if sizes else 1
    return {"disparity": sum(len(each.features) for each in found), "errors": groups * len(features)}


@final
@dataclass(frozen=True, slots=True)
class _Comparison:
    """Attribute, group and other; the units of each feature that allows a test."""

    names: tuple[str, str, str]
    units: Units
    features: Sequence[Units]


def _comparisons(
    columns: Mapping[str, NDArray[np.str_]], features: Mapping[str, tuple[str, BoolArray]], cluster: IntArray,
    statistics: Statistics,
) -> Iterator[_Comparison]:  # fmt: skip
    """Every pair, then the groups that are set aside for their size."""
    smallest = statistics.min_group_size
    for grouping in compared(columns, statistics):
        mine = [held for of, held in features.values() if of not in grouping.attributes]
        known = grouping.known | np.isin(grouping.column, list(grouping.small))
        for group, other in (*grouping.pairs, *((name, "rest") for name in grouping.small)):
            side = grouping.column == group
            against = known & ~side if other == "rest" else grouping.column == other
            units = _units(side, against, cluster)
            allowed = [_units(side & held, against & held, cluster) for held in mine if units.enough(smallest)]
            names = grouping.attribute, group, other
            yield _Comparison(names, units, [each for each in allowed if each.enough(smallest)])


def _units(inside: BoolArray, outside: BoolArray, cluster: IntArray) -> Units:
    one, two = (int(np.count_nonzero(np.bincount(cluster[side]))) for side in (inside, outside))
    return Units((int(inside.sum()), int(outside.sum())), (one, two))


def _errors(units: Units, rate: float, alpha: float, margin: float) -> Showing:
    return _showing(
        units,
        margin,
        partial(smallest_rate_difference, rate=rate, alpha=alpha),
        partial(equivalence_rates, rate=rate, alpha=alpha),
    )


def _delta(features: Sequence[Units], alpha: float, margin: float) -> Showing:
    most = min(features, key=lambda units: sum(1 / n for n in units.clusters))
    return _showing(most, margin, partial(smallest_delta, alpha=alpha), partial(equivalence_delta, alpha=alpha))


def _showing(
    units: Units, margin: float, smallest: Callable[[int, int], float | None], equivalence: Callable[[int, int], float]
) -> Showing:  # fmt: skip
    return Showing(
        smallest(*units.clusters),
        equivalence(*units.clusters) <= margin,
        needed_a_side(lambda n: equivalence(n, n), margin),
    )
