"""What a comparison of two groups can show before it is made: smallest differences, and the n that equivalence needs.

Sizes are independent units (clusters); power is .8. `alpha` is that of one test: the family's over the tests it may hold. The
formulas are large-sample ones with Student's quantiles; the tests hold them to simulations. Cost: microseconds.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from scipy import optimize, stats

from audit.stats.verdicts import detectable_effect

POWER: Final = 0.8
MOST: Final = 10**9  # units a side that nobody has


def smallest_delta(n_a: int, n_b: int, alpha: float) -> float | None:
    """Smallest Cliff's delta that `brunner_munzel` finds; None if even 1 is not enough.

    (t_{1 - alpha/2} + t_power) se(0) with the variance of Noether (1987, JASA 82) and Welch's degrees of freedom: ranks of shifted
    groups vary less than at 0, so power is .8 from 200 units a side on and above it below (.86 for 30 against 30).

    >>> round(smallest_delta(200, 200, 0.05), 3)
    0.162
    """
    found = detectable_effect(_delta_error(n_a, n_b), _df(n_a, n_b), alpha, POWER)
    return found if found <= 1 and min(n_a, n_b) > 1 else None


def _delta_error(n_a: int, n_b: int) -> float:
    return float(np.sqrt((1 / n_a + 1 / n_b) / 3))


def smallest_rate_difference(n_a: int, n_b: int, rate: float, alpha: float) -> float | None:
    """Smallest difference that `two_proportions` finds if group b has `rate` and group a a higher one; None if no rate is that high.

    The root of d = z_{1 - alpha/2} se(pooled rate) + z_power se(both rates): Fleiss, Levin and Paik (2003, Statistical Methods for
    Rates and Proportions, chapter 4), for any two sizes and without continuity correction, as the test has none.

    >>> round(smallest_rate_difference(200, 200, 0.1, 0.05), 3)
    0.1
    """
    critical, power = float(stats.norm.ppf(1 - alpha / 2)), float(stats.norm.ppf(POWER))

    def excess(d: float) -> float:
        higher, pooled = rate + d, rate + d * n_a / (n_a + n_b)
        under_null = pooled * (1 - pooled) * (1 / n_a + 1 / n_b)
        under_both = higher * (1 - higher) / n_a + rate * (1 - rate) / n_b
        return d - critical * float(np.sqrt(under_null)) - power * float(np.sqrt(under_both))

    most = 1 - rate
    return float(optimize.brentq(excess, 0.0, most)) if 0 < rate < 1 and excess(most) > 0 else None


def equivalence_delta(n_a: int, n_b: int, alpha: float) -> float:
    """Smallest margin of Cliff's delta within which EQUIVALENT is shown when nothing differs.

    Two one-sided tests at `alpha` (Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15): their interval lies
    inside the margin with probability .8 where margin = (t_{1 - alpha} + t_{1 - .2/2}) se(0).
    """
    return _equivalence(_delta_error(n_a, n_b), _df(n_a, n_b), alpha)


def equivalence_rates(n_a: int, n_b: int, rate: float, alpha: float) -> float:
    """The same for the difference of two rates that both are `rate`."""
    return _equivalence(float(np.sqrt(rate * (1 - rate) * (1 / n_a + 1 / n_b))), np.inf, alpha)


def _equivalence(se: float, df: float, alpha: float) -> float:
    return float(stats.t.ppf(1 - alpha, df) + stats.t.ppf((1 + POWER) / 2, df)) * se


def needed_a_side(reached: Callable[[int], float], margin: float) -> int | None:
    """Fewest units a side with which `reached(n)`, the margin that n units a side reach, is at most `margin`; None beyond `MOST`.

    >>> needed_a_side(lambda n: equivalence_delta(n, n, 0.05), 0.147)
    266
    """
    high = 2
    while reached(high) > margin:
        high *= 2
        if high > MOST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) <= margin else (middle, high)
    return high


def _df(n_a: int, n_b: int) -> float:
    """Satterthwaite's degrees of freedom, of two groups of equal variance."""
    if min(n_a, n_b) < 2:
        return 1.0
    return (1 / n_a + 1 / n_b) ** 2 / (1 / (n_a**2 * (n_a - 1)) + 1 / (n_b**2 * (n_b - 1)))
