"""Figures over models, each with a 95 % interval: areas under the curve, correlations, slopes, paired differences of shares."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from scipy.optimize import brentq
from scipy.stats import spearmanr

from audit.stats import rates

LEVEL: Final = 0.95
NORMAL: Final = rates.critical(1, 1, LEVEL)  # models are independent
DRAWS: Final = 999


@final
@dataclass(frozen=True, slots=True)
class Figure:
    """A value of `n` models and its interval; bootstrap draws that have no value are `dropped`, and counted."""

    value: float
    low: float
    high: float
    n: int
    dropped: int = 0

    def __str__(self) -> str:
        lost = f" ({self.dropped} of {DRAWS} draws without a value)" if self.dropped else ""
        if np.isnan(self.value):
            return f"no value of {self.n}"
        around = "no interval" if np.isnan(self.low) else f"[{self.low:.3f}, {self.high:.3f}]"
        return f"{self.value:.3f} {around} of {self.n}{lost}"


@final
@dataclass(frozen=True, slots=True)
class Agreement:
    """Rank correlation and slope through zero of estimates on effects, with bootstrap intervals over models."""

    spearman: Figure
    slope: Figure


def agreement(pairs: Sequence[tuple[float, float]]) -> Agreement | None:
    """None of fewer than 4 models."""
    if len(pairs) < 4:
        return None
    values, rng = np.asarray(pairs), np.random.default_rng(0)
    samples = [values[rng.integers(0, len(values), len(values))] for _ in range(DRAWS)]
    return Agreement(*(_bootstrapped(values, samples, of) for of in (_rank, _slope)))


def _bootstrapped(values: Any, samples: Sequence[Any], of: Callable[[Any], float]) -> Figure:
    drawn = np.array([of(sample) for sample in samples])
    known = drawn[~np.isnan(drawn)]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
    return Figure(of(values), float(low), float(high), len(values), len(drawn) - len(known))


def _rank(values: Any) -> float:
    return float(spearmanr(values[:, 0], values[:, 1])[0]) if np.ptp(values, axis=0).all() else float("nan")


def _slope(values: Any) -> float:
    return through_zero(values[:, 0], values[:, 1])


def through_zero(effect: Sequence[float], estimate: Sequence[float]) -> float:
    """Slope of the estimates on the effects, no intercept; NaN where all effects are 0."""
    x, y = np.asarray(effect), np.asarray(estimate)
    return float(x @ y / (x @ x)) if x.any() else float("nan")


def area(null: Sequence[float], positive: Sequence[float]) -> Figure | None:
    """Share of pairs in which the positive one is larger, ties by half; None without a pair.

    Interval: the areas that differ from the found one by at most 1.96 of Hanley and McNeil's standard errors at that very area, both
    sides counted as their mean (Newcombe 2006, Statistics in Medicine 25, method 5); it has a width at areas of 0 and 1 as well.
    """
    if not null or not positive:
        return None
    one, other = np.asarray(positive)[:, None], np.asarray(null)[None]
    found = float(((one > other) + 0.5 * (one == other)).mean())

    def beyond(theta: float) -> float:
        return (found - theta) ** 2 - NORMAL**2 * _variance(theta, len(null), len(positive))

    near = 1e-9  # at areas of 0 and 1 the found area itself is a root as well
    low = brentq(beyond, 0.0, found - near) if found else 0.0
    high = brentq(beyond, found + near, 1.0) if found < 1 else 1.0
    return Figure(found, float(low), float(high), len(null) + len(positive))


def _variance(theta: float, m: int, n: int) -> float:
    """Of the area; Hanley and McNeil 1982, Radiology 143, with (m + n) / 2 in the place of either in the numerator."""
    more = (m + n) / 2 - 1
    return theta * (1 - theta) * (1 + more * ((1 - theta) / (2 - theta) + theta / (1 + theta))) / (m * n)


def paired(one: Sequence[bool], other: Sequence[bool]) -> Figure | None:
    """Share of `one` minus that of `other` over the same models; None of fewer than 2 models.

    Newcombe 1998, Statistics in Medicine 17, 2635: Wilson's intervals of both and their correlation.
    """
    n = len(one)
    if n < 2:
        return None
    both = np.array([one, other], dtype=float)
    correlation = float(np.corrcoef(both)[0, 1]) if np.ptp(both, axis=1).all() else 0.0
    mine, theirs = (rates.Rate(float(side.mean()), float(n), n, n) for side in both)
    found = rates.RateGap(mine, theirs, correlation, n, np.inf).estimate(LEVEL)
    assert found.value is not None and found.low is not None and found.high is not None
    return Figure(found.value, found.low, found.high, n)


def median(values: Sequence[float]) -> Figure | None:
    """Of the values, with the smallest and the largest in the place of an interval; None of none."""
    return Figure(float(np.median(values)), min(values), max(values), len(values)) if values else None
