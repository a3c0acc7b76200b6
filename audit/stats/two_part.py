"""Two-part test of shares with many zeros: how often the share is above 0, and how large it is where it is.

One test of all values mixes the two and is blind where they cancel. Cost: that of `brunner_munzel`.
"""

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from audit.records import Estimate
from audit.stats.counts import small_counts
from audit.stats.intervals import BoolArray, missing, newcombe, units
from audit.stats.multiplicity import CORRECTIONS, adjusted
from audit.stats.stratified import common_odds
from audit.stats.tests import brunner_munzel, two_proportions
from audit.tables import FloatArray

FEWEST: Final = 20
PRESENCE: Final = "difference of the shares of values above 0"


@final
@dataclass(frozen=True, slots=True)
class Part:
    """One part: estimate, raw p, Holm-adjusted p over the testable parts, and the test's name."""

    estimate: Estimate
    p: float | None
    p_adjusted: float | None
    test: str


@final
@dataclass(frozen=True, slots=True)
class TwoPart:
    """`p` is of no difference in either part: the smaller adjusted p of the two."""

    p: float | None
    presence: Part
    positive: Part


def two_part(
    values: FloatArray,
    group: BoolArray,
    *,
    cluster: NDArray[Any],
    strata: NDArray[Any] | None = None,
    level: float = 0.95,
) -> TwoPart:
    """Do values `[n]` in 0 and above differ between `group` and the others in how often, or in how far, they exceed 0?

    Presence: `newcombe` difference and an exact or score test, clustered if rows share clusters; with strata the
    Mantel-Haenszel difference, with the Cochran-Mantel-Haenszel p if rows are independent. Positive part: Cliff's delta of
    `brunner_munzel` among values above 0, a selected population: it describes those, and is no effect on all. Values that
    are not finite are dropped and counted. `level` is each part's own. ValueError for negative values.
    """
    finite = np.isfinite(values)
    x = np.asarray(values, dtype=float)[finite]
    if (x < 0).any():
        raise ValueError(
            f"a two-part test needs values of at least 0, got {x.min():g}; use |R| or R+, not signed shares"
        )
    layer, dropped = None if strata is None else strata[finite], int((~finite).sum())
    g, unit = group[finite].astype(bool), cluster[finite]
    presence, p, name = _presence(x > 0, g, unit, layer, level)
    above = x > 0
    delta, q = _positive(x[above], g[above], unit[above], None if layer is None else layer[above], level)
    both = adjusted([p, q], CORRECTIONS["holm"])
    testable = [value for value in both if value is not None]
    return TwoPart(
        p=min(testable, default=None),
        presence=Part(_dropping(presence, dropped), p, both[0], name),
        positive=Part(_dropping(delta, dropped), q, both[1], "Brunner-Munzel test of the values above 0"),
    )


def _positive(
    values: FloatArray, group: BoolArray, cluster: NDArray[Any], strata: NDArray[Any] | None, level: float
) -> tuple[Estimate, float | None]:
    """Cliff's delta and p; below 20 clusters a group the rank test of unequal variances alarms at up to .10, and there is no p."""
    estimate, p = brunner_munzel(values, group, cluster=cluster, strata=strata, level=level)
    fewest = min(units(cluster[side]) for side in (group, ~group))
    if fewest >= FEWEST or estimate.value is None:
        return estimate, p
    return estimate.model_copy(
        update={"reason": f"unreliable: fewer than {FEWEST} independent units above 0 in a group"}
    ), None


def _dropping(estimate: Estimate, rows: int) -> Estimate:
    return estimate.model_copy(update={"dropped": estimate.dropped + rows})


def _presence(
    present: BoolArray, group: BoolArray, cluster: NDArray[Any], strata: NDArray[Any] | None, level: float
) -> tuple[Estimate, float | None, str]:
    """Estimate, p and the name of the test."""
    independent = units(cluster) == len(cluster)
    if strata is not None:
        return _within(present, group, cluster, strata, level, independent=independent)
    if min(group.sum(), (~group).sum()) < 2:
        return missing("fewer than 2 rows in a group", level=level, unit=PRESENCE, n=len(present)), None, "none"
    estimate = newcombe(present, group, cluster=cluster, level=level, unit=PRESENCE)
    if present.all() or not present.any():
        return estimate, None, "none"
    if independent:
        return estimate, *small_counts(present, group)
    return estimate, two_proportions(present, group, cluster=cluster), "score test, effective n"


def _within(
    present: BoolArray,
    group: BoolArray,
    cluster: NDArray[Any],
    strata: NDArray[Any],
    level: float,
    *,
    independent: bool,
) -> tuple[Estimate, float | None, str]:
    """Of a binary value, Cliff's delta is the difference of rates, weighted over strata as Mantel and Haenszel do."""
    estimate, p = brunner_munzel(present.astype(float), group, cluster=cluster, strata=strata, level=level)
    named = estimate.model_copy(update={"unit": PRESENCE})
    if not independent:
        return named, p, "t test of the Mantel-Haenszel difference"
    odds = common_odds(present, group, strata=strata)
    return named, odds.p if odds else None, "Cochran-Mantel-Haenszel test"
