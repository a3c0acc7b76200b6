"""The interval that the benchmarks print."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy import stats


@final
@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over `n` independent examples with its 95 % t interval; without an interval (NaN) below two examples."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f} {self.high:+.3f}]"


def mean_interval(values: NDArray[np.float64]) -> Interval:
    """95 % t interval of the mean; every value is one independent example."""
    n, mean = len(values), float(np.mean(values))
    half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    return Interval(mean, mean - half, mean + half, n)
