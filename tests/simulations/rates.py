"""Rates over replicates with seeds of their own: false alarms, power, coverage, equivalence, whole audits."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from audit.records import Verdict
from audit.stats.rates import critical, wilson_bounds
from audit.stats.tests import brunner_munzel
from audit.stats.verdicts import decide
from tests.simulations.menu import INTERVALS, TESTS
from tests.simulations.samples import Draw, independent, zeros
from tests.simulations.scenarios import Alternative

SEED: Final = 20260
LEVEL: Final = 0.05
COVERAGE: Final = 0.93
AGAIN: Final = 4


@final
@dataclass(frozen=True, slots=True)
class Rate:
    """`hits` of `n` replicates that gave a p or an interval; `absent` others gave none and count in no rate."""

    hits: int
    n: int
    absent: int = 0

    @property
    def value(self) -> float:
        """NaN of none."""
        return self.hits / self.n if self.n else float("nan")

    @property
    def bounds(self) -> tuple[float, float]:
        """Wilson's 95 % interval; 0 to 1 of none."""
        return wilson_bounds(self.value, self.n, critical(self.n, self.n, 0.95)) if self.n else (0.0, 1.0)

    @property
    def offered(self) -> bool:
        """Whether at least half of the replicates gave an answer: of fewer nothing is claimed."""
        return self.n > 0 and self.n >= self.absent

    @property
    def of_all(self) -> float:
        """Hits as a share of all replicates: what gives no p finds nothing."""
        return self.hits / (self.n + self.absent)

    def __add__(self, other: "Rate") -> "Rate":
        return Rate(self.hits + other.hits, self.n + other.n, self.absent + other.absent)

    def reaches_down_to(self, level: float) -> bool:
        return self.bounds[0] <= level

    def reaches_up_to(self, level: float) -> bool:
        return self.bounds[1] >= level

    def __str__(self) -> str:
        if not self.n:
            return "none"
        low, high = self.bounds
        return f"{self.value:.3f} [{low:.3f}, {high:.3f}]"


def seeded(*names: str) -> np.random.Generator:
    """A generator that depends on the names alone, so that adding a scenario changes no other."""
    return np.random.default_rng([SEED, zlib.crc32("/".join(names).encode())])


def rejections(name: str, draw: Draw, test: str, replicates: int, *, again: str = "") -> Rate:
    """How often p <= .05 where there is a p; every test sees the same samples of a scenario. `again` names a run of other samples."""
    data, own = seeded(name, again), seeded(name, again, test)
    p = [TESTS[test](draw(data), own) for _ in range(replicates)]
    tested = [value for value in p if value is not None]
    return Rate(sum(value <= LEVEL for value in tested), len(tested), replicates - len(tested))


def power(one: Alternative, replicates: int) -> dict[str, float]:
    """Share of all samples with p <= .05, by test; without those that are not offered there."""
    rates = {test: rejections(one.name, one.draw, test, replicates) for test in (one.default, *one.alike, *one.others)}
    return {test: rate.of_all for test, rate in rates.items() if rate.offered}


def coverage(name: str, draw: Draw, interval: str, truth: float, replicates: int, *, again: str = "") -> Rate:
    """How often the 95 % interval holds the truth, among the samples that give one."""
    data, own = seeded(name, again), seeded(name, again, interval)
    found = [INTERVALS[interval](draw(data), own) for _ in range(replicates)]
    known = [bounds for bounds in found if bounds is not None]
    return Rate(sum(low <= truth <= high for low, high in known), len(known), replicates - len(known))


Run = Callable[[int, str], Rate]


def confirmed(run: Run, right: Callable[[Rate], bool], replicates: int) -> tuple[Rate, ...]:
    """The rate and, if `right` denies it, that of these and `AGAIN` times as many new samples together; the last one counts.

    Of 150 right claims 4 would fail by chance at the first sight; samples that failed are not forgotten.
    """
    first = run(replicates, "")
    return (first,) if right(first) else (first, first + run(AGAIN * replicates, "again"))


def equivalence(n: int, margin: float, replicates: int) -> Rate:
    """How often two equal groups of `n` half-zero shares are found EQUIVALENT, alone in their family."""
    rng, draw, found = seeded("equivalence", str(n)), independent(n, n, zeros()), 0
    for _ in range(replicates):
        s = draw(rng)
        estimate, p = brunner_munzel(s.values, s.group, cluster=s.cluster, level=0.95)
        narrow, _ = brunner_munzel(s.values, s.group, cluster=s.cluster, level=0.90)
        found += decide(estimate, narrow, p, margin, LEVEL)[0] is Verdict.EQUIVALENT
    return Rate(found, replicates)


def share(name: str, happens: Callable[[np.random.Generator], bool], replicates: int) -> Rate:
    """How often `happens` is true."""
    rng = seeded(name)
    return Rate(sum(happens(rng) for _ in range(replicates)), replicates)
