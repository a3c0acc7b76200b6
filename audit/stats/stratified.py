"""Tests that compare like with like: ranks within strata (van Elteren), and 2 x 2 x K tables (Cochran, Mantel, Haenszel).

Pooled over classes that two groups hold in different shares, Mann-Whitney rejects half of the true nulls; these hold 5 %.
Both take rows as independent: with clusters use `tests.brunner_munzel` or `resampling.cluster_permutation`, which take
clusters and strata. Cost: one sort of the rows; one `bincount`.
"""

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from audit.records import Estimate
from audit.stats.intervals import BoolArray, coded, missing
from audit.stats.tests import ranks
from audit.tables import FloatArray

ONE_SIDED: Final = "no finite odds ratio: in every stratum one of the two cells it divides by is empty"


@final
@dataclass(frozen=True, slots=True)
class StratifiedRates:
    """Odds of an event in two groups over `strata` 2 x 2 tables, and how many strata were `dropped` for an empty margin.

    `p` is of a common odds ratio of 1, `p_equal` of one odds ratio in all strata. `p_equal` is None for one stratum, without a
    finite ratio, and where the smallest expected count of a stratum is below 1 on average: chi-squared alarms at .10 there.
    """

    ratio: Estimate
    p: float
    p_equal: float | None
    strata: int
    dropped: int


def van_elteren(values: FloatArray, group: BoolArray, *, strata: NDArray[Any]) -> float | None:
    """Two-sided p of equal distributions of independent rows `[n]` in every stratum, by ranks within strata.

    Strata of n_k rows weigh 1 / (n_k + 1); the variance is that of permuting the observed ranks, ties and all (van Elteren
    1960, Bulletin de l'Institut International de Statistique 37). Values that are not finite are left out. None: no stratum
    has both groups and two different values. It tests equal distributions, not delta = 0: unequal variances alarm it.
    """
    finite = np.isfinite(values)
    x, g, layer = values[finite], group[finite], coded(strata[finite])[0]
    rank, size = ranks(x, layer), np.bincount(layer)
    inside = np.bincount(layer, g, minlength=len(size))
    spread = np.bincount(layer, (rank - (size[layer] + 1) / 2) ** 2, minlength=len(size))
    excess = np.bincount(layer, g * (rank - (size[layer] + 1) / 2), minlength=len(size))
    share = inside * (size - inside) / (size * np.maximum(size - 1, 1))
    variance = float((share * spread / (size + 1) ** 2).sum())
    if variance == 0:
        return None
    return float(2 * stats.norm.sf(abs(float((excess / (size + 1)).sum())) / np.sqrt(variance)))


def common_odds(
    event: BoolArray, group: BoolArray, *, strata: NDArray[Any], level: float = 0.95
) -> StratifiedRates | None:
    """Odds of `event` in `group` over those of the others, pooled over strata, of independent rows `[n]`.

    Ratio and p: Mantel and Haenszel (1959, JNCI 22) without continuity correction; interval: Robins, Breslow and Greenland
    (1986, Biometrics 42); equal odds: Breslow and Day with Tarone's correction (1985, Biometrika 72). A stratum with an
    empty margin (one group, or events all or none) says nothing: its rows are dropped and counted. None: no other is left.
    """
    from statsmodels.stats.contingency_tables import StratifiedTable

    tables = _tables(event, group, strata)
    kept = tables[(tables.sum(axis=1).min(axis=1) > 0) & (tables.sum(axis=2).min(axis=1) > 0)]
    if len(kept) == 0:
        return None
    lost = len(event) - int(kept.sum())
    down, up = ((kept[:, 0, i] * kept[:, 1, 1 - i] / kept.sum(axis=(1, 2))).sum() for i in (1, 0))
    pooled = StratifiedTable(list(kept))
    if min(down, up) == 0:
        ratio = missing(ONE_SIDED, level=level, unit="odds ratio", n=int(kept.sum()), dropped=lost)
    else:
        low, high = pooled.oddsratio_pooled_confint(alpha=1 - level)
        ratio = Estimate(
            value=float(up / down), low=float(low), high=float(high), level=level, unit="odds ratio",
            interval="Mantel-Haenszel, variance of Robins, Breslow and Greenland", n=int(kept.sum()), dropped=lost,
        )  # fmt: skip
    return StratifiedRates(
        ratio=ratio,
        p=float(pooled.test_null_odds().pvalue),
        p_equal=None if ratio.value is None or len(kept) < 2 or _sparse(kept) else _equal_odds(kept, ratio.value),
        strata=len(kept),
        dropped=len(tables) - len(kept),
    )


def _tables(event: BoolArray, group: BoolArray, strata: NDArray[Any]) -> FloatArray:
    """`[strata, 2, 2]` counts: rows in group, others; columns event, none."""
    layer, layers = coded(strata)
    cell = 4 * layer + 2 * ~group.astype(bool) + ~event.astype(bool)
    counts = np.bincount(cell, minlength=4 * layers)
    return counts.reshape(-1, 2, 2).astype(float)


def _sparse(tables: FloatArray) -> bool:
    smallest = tables.sum(axis=2).min(axis=1) * tables.sum(axis=1).min(axis=1) / tables.sum(axis=(1, 2))
    return bool(smallest.mean() < 1)


def _equal_odds(tables: FloatArray, ratio: float) -> float:
    """P of Breslow, Day and Tarone.

    That of statsmodels, the oracle in the tests, divides 0 by 0 at a ratio of 1, so the root is taken in its other form.
    """
    rows, columns, n = tables.sum(axis=2)[:, 0], tables.sum(axis=1)[:, 0], tables.sum(axis=(1, 2))
    b = (n - rows - columns) + ratio * (rows + columns)
    root = np.sqrt(b**2 - 4 * (ratio - 1) * ratio * rows * columns)
    expected = 2 * ratio * rows * columns / (b + root)
    cells = expected, rows - expected, columns - expected, n - rows - columns + expected
    variance = 1 / sum(1 / cell for cell in cells)
    off = tables[:, 0, 0] - expected
    statistic = float((off**2 / variance).sum() - off.sum() ** 2 / variance.sum())
    return float(stats.chi2.sf(statistic, len(tables) - 1))
