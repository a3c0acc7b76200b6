"""Changes between two runs of models that do not differ: how often each interval says that they do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from audit.stats.changes import Change, Pairs, independent, paired
from audit.stats.intervals import mean_interval
from audit.stats.matching import confidence_bins
from audit.stats.paired_ranks import placed, ranks_changed
from audit.stats.rates import newcombe, wilson
from audit.stats.tests import brunner_munzel
from tests.simulations.rates import Rate, seeded

PAIRED, INTERVALS = "paired", "MOVER"


@final
@dataclass(frozen=True, slots=True)
class Two:
    """Both runs of one pair of models: the change by each method."""

    paired: Change | None
    intervals: Change


Draw = Callable[[np.random.Generator], Two]


@final
@dataclass(frozen=True, slots=True)
class Rows:
    """`n` examples in clusters of `rows`, of which `part` lie in the first group; None: no groups."""

    n: int
    rows: int = 1
    part: float | None = 0.4
    common: float = 1.0

    def drawn(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Side and cluster of each example, and what two models make of it: as much their own as `common` leaves."""
        cluster = np.arange(self.n) // self.rows
        own, whole = rng.normal(size=(3, self.n)), rng.normal(size=(3, cluster[-1] + 1))[:, cluster] * (self.rows > 1)
        side = np.full(self.n, True) if self.part is None else (rng.random(cluster[-1] + 1) < self.part)[cluster]
        shared, first, second = own + whole
        return side, cluster, self.common * shared + first, self.common * shared + second


def rates(rows: Rows, above: float) -> Draw:
    """Gap of the rates of events, or one rate."""

    def draw(rng: np.random.Generator) -> Two:
        side, cluster, *scores = rows.drawn(rng)
        before, after = (score > above for score in scores)
        two = [
            wilson(each, cluster=cluster) if side.all() else newcombe(each, side, cluster=cluster)
            for each in (before, after)
        ]
        return Two(paired(Pairs(before, after, side, cluster), "rate"), independent(*two))

    return draw


def means(rows: Rows) -> Draw:
    """Mean effect."""

    def draw(rng: np.random.Generator) -> Two:
        side, cluster, before, after = rows.drawn(rng)
        two = [mean_interval(each, cluster=cluster) for each in (before, after)]
        return Two(paired(Pairs(before, after, side, cluster), "sd"), independent(*two))

    return draw


def ranks(rows: Rows) -> Draw:
    """Cliff's delta of shares within each model's own bins of confidence, which moves them."""

    def draw(rng: np.random.Generator) -> Two:
        side, cluster, *shares = rows.drawn(rng)
        label, runs, two = rng.integers(0, 2, rows.n), [], []
        for share in shares:
            confidence = rng.normal(size=rows.n)
            strata = confidence_bins(label, label, confidence)
            values = share + np.abs(confidence)
            runs.append(placed(values, side, cluster=cluster, strata=strata))
            two.append(brunner_munzel(values, side, cluster=cluster, strata=strata)[0])
        change = ranks_changed(runs[0], runs[1], cluster) if runs[0] and runs[1] else None
        return Two(change, independent(*two))

    return draw


RUNS: Final[Mapping[str, Draw]] = {
    "gap of rates near .5, 80/120": rates(Rows(200, common=3.0), 0.0),
    "gap of rates near .2, 400/600, few flips": rates(Rows(1000, common=8.0), 7.0),
    "gap of rates, 100 clusters x 4": rates(Rows(400, 4, common=3.0), 0.0),
    "one rate, 60 examples": rates(Rows(60, part=None, common=2.0), 0.0),
    "mean effect, 60 texts": means(Rows(60, part=None)),
    "mean effect, 50 clusters x 4": means(Rows(200, 4, part=None)),
    "Cliff's delta in bins of confidence, 160/240": ranks(Rows(400, common=2.0)),
    "Cliff's delta in bins of confidence, 100 clusters x 4": ranks(Rows(400, 4, common=2.0)),
}  # fmt: skip
APART: Final[Mapping[str, Draw]] = {  # models that have nothing in common, as runs on other examples have
    "gap of rates, 80/120, nothing in common": rates(Rows(200, common=0.0), 0.0),
    "mean effect, 60 texts, nothing in common": means(Rows(60, part=None, common=0.0)),
}  # fmt: skip


def alarms(name: str, method: str, replicates: int, *, again: str = "") -> Rate:
    """How often the 95 % interval of a change leaves out 0."""
    draw, rng, found = {**RUNS, **APART}[name], seeded(name, again), list[bool]()
    for _ in range(replicates):
        two = draw(rng)
        change = two.paired if method == PAIRED else two.intervals
        made = change.estimate(0.95) if change else None
        if made is not None and made.low is not None and made.high is not None:
            found.append(not made.low <= 0 <= made.high)
    return Rate(sum(found), len(found), replicates - len(found))
