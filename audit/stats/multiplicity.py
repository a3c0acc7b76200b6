"""Family-wise error: Holm within a declared family, and the interval level that goes with it."""

from collections.abc import Sequence

import numpy as np


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Holm-adjusted p values in the given order; None (not testable) stays None and does not count in the family.

    Holm 1979, Scandinavian Journal of Statistics 6. statsmodels, the oracle in the tests, turns every p into NaN for
    one NaN and collects garbage on each call. ValueError for p outside 0 to 1.
    """
    testable = np.array([value for value in p if value is not None], dtype=float)
    if not ((testable >= 0) & (testable <= 1)).all():
        raise ValueError(f"p values must lie in 0 to 1, got {testable.tolist()}; use None for what could not be tested")
    order = np.argsort(testable, kind="stable")
    steps = np.maximum.accumulate(testable[order] * np.arange(len(testable), 0, -1))
    testable[order] = np.minimum(1.0, steps)
    adjusted = iter(testable.tolist())
    return [None if value is None else next(adjusted) for value in p]


def adjusted_level(alpha: float, m: int) -> float:
    """Interval level that keeps `m` intervals jointly right with probability 1 - alpha (Bonferroni).

    >>> round(adjusted_level(0.05, 5), 3)
    0.99
    """
    return 1 - alpha / max(m, 1)
