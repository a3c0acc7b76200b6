"""Several tests at once: Holm for gates, false discovery rates for the rest, intervals at their level; tests that must agree."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

import numpy as np

from audit.tables import FloatArray

Ps = Sequence[float | None]


@final
@dataclass(frozen=True, slots=True)
class Correction:
    """`adjust` gives adjusted p values, `level` the level of an interval when `found` of `m` tests are significant.

    `factor(m)`: what a lone smallest p is multiplied by.
    """

    name: str
    adjust: Callable[[FloatArray], FloatArray]
    level: Callable[[float, int, int], float]
    factor: Callable[[int], float] = float


def adjusted(p: Ps, correction: Correction) -> list[float | None]:
    """Adjusted p values in the given order; None (not testable) stays None and does not count in the family.

    ValueError for p outside 0 to 1.
    """
    testable = np.array([value for value in p if value is not None], dtype=float)
    if not ((testable >= 0) & (testable <= 1)).all():
        raise ValueError(f"p values must lie in 0 to 1, got {testable.tolist()}; use None for what could not be tested")
    found = iter(correction.adjust(testable).tolist() if len(testable) else [])
    return [None if value is None else next(found) for value in p]


def every(p: Ps, signs: Iterable[float]) -> float | None:
    """p of a finding that needs every test (intersection-union: Berger 1982, Technometrics 24): the largest, 1 where signs differ.

    None if a test has none.

    >>> every([0.01, 0.04], [1, 1]), every([0.01, 0.04], [1, -1]), every([0.01, None], [1, 1])
    (0.04, 1.0, None)
    """
    known = [value for value in p if value is not None]
    return None if len(known) < len(p) or not known else 1.0 if len(set(signs)) > 1 else max(known)


def holm(p: FloatArray) -> FloatArray:
    """Holm 1979, Scandinavian Journal of Statistics 6; statsmodels, the oracle in the tests, collects garbage on each call."""
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    found = np.empty_like(p)
    found[order] = np.minimum(1.0, steps)
    return found


def _discovered(method: str) -> Callable[[FloatArray], FloatArray]:
    def adjust(p: FloatArray) -> FloatArray:
        from scipy import stats

        return np.asarray(stats.false_discovery_control(p, method=method))

    return adjust


def bonferroni_level(alpha: float, m: int, found: int) -> float:
    """Level that keeps `m` intervals jointly right with probability 1 - alpha.

    >>> round(bonferroni_level(0.05, 5, 1), 3)
    0.99
    """
    return 1 - alpha / max(m, 1)


def coverage_level(alpha: float, m: int, found: int) -> float:
    """Level at which at most alpha of the intervals of significant findings are expected to miss (Benjamini and Yekutieli 2005, JASA 100).

    >>> round(coverage_level(0.05, 10, 2), 3)
    0.99
    """
    return 1 - alpha * max(found, 1) / max(m, 1)


def dependent_level(alpha: float, m: int, found: int) -> float:
    """The same under any dependence: alpha over the harmonic sum of m (ibid., theorem 4)."""
    return coverage_level(alpha / _harmonic(m), m, found)


def _harmonic(m: int) -> float:
    return float((1 / np.arange(1, max(m, 1) + 1)).sum())


CORRECTIONS: Final[Mapping[str, Correction]] = MappingProxyType({
    "holm": Correction("Holm", holm, bonferroni_level),
    "bh": Correction("Benjamini-Hochberg", _discovered("bh"), coverage_level),
    "by": Correction("Benjamini-Yekutieli", _discovered("by"), dependent_level, lambda m: m * _harmonic(m)),
})  # fmt: skip
