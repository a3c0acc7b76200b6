"""Tests of counts that stay right when counts are small: two rates, and paired flips. Rows and pairs are independent.

The score test is used where every expected count is at least 10, an exact test below; exact p cost up to 0.05 s.
"""

from dataclasses import dataclass
from typing import Final, final

import numpy as np
from scipy import stats

from audit.stats.intervals import BoolArray
from audit.stats.rates import two_proportions

EXPECTED: Final = 10
BOSCHLOO_TABLES: Final = 10_000


@final
@dataclass(frozen=True, slots=True)
class Paired:
    """Exact McNemar: of `n` pairs `gained` went from False to True and `lost` back; p is None if none changed."""

    p: float | None
    gained: int
    lost: int
    n: int

    @property
    def discordant(self) -> int:
        """Pairs that changed; the others say nothing about a direction."""
        return self.gained + self.lost

    @property
    def hopeless(self) -> bool:
        """Fewer than 6 discordant pairs, so that p cannot reach .05 even if all changed the same way."""
        return self.discordant < 6


def small_counts(event: BoolArray, group: BoolArray) -> tuple[float | None, str]:
    """Two-sided p of equal rates in `group` and the others, of independent rows `[n]`, and the test's name.

    All expected counts at least 10 (at 6 it alarms at .054): score test. Below: Boschloo (1970, Statistica Neerlandica 24),
    which is exact and more powerful than Fisher, where n_1 n_2 is at most 10,000 (16 s at 1,000,000), else Fisher. None: one
    group only, or event the same for all.
    """
    event, group = event.astype(bool), group.astype(bool)
    table = np.array(
        [[(event & group).sum(), (event & ~group).sum()], [(~event & group).sum(), (~event & ~group).sum()]]
    )
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    if min(*rows, *columns) == 0:
        return None, "none"
    if int(rows.min()) * int(columns.min()) >= EXPECTED * len(event):
        return two_proportions(event, group, cluster=np.arange(len(event))), "score test"
    if int(columns[0]) * int(columns[1]) <= BOSCHLOO_TABLES:
        return min(1.0, float(stats.boschloo_exact(table).pvalue)), "Boschloo's exact test"
    return float(stats.fisher_exact(table).pvalue), "Fisher's exact test"


def mcnemar(before: BoolArray, after: BoolArray) -> Paired:
    """Two-sided exact p that pairs `[n]` change as often one way as the other (McNemar 1947, Psychometrika 12)."""
    before, after = before.astype(bool), after.astype(bool)
    gained, lost = int((~before & after).sum()), int((before & ~after).sum())
    p = float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else None
    return Paired(p=p, gained=gained, lost=lost, n=len(before))
