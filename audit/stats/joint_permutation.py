"""Many features of the same rows under the same dealt sides: exact for words that few rows hold, where no normal limit is.

A row in which every feature is 0 moves no sum, so only the number of sides that go to the others is drawn (hypergeometric), and
these are dealt. Cost: draws x such rows, the first 999 draws for every feature, the rest for those that may be significant.
"""

from typing import Final

import numpy as np
from scipy import stats

from audit.stats.intervals import BoolArray
from audit.stats.tests import BLOCK, MANY
from audit.tables import FloatArray, IntArray

FIRST: Final = 999  # draws for every feature
LATER: Final = 0.1  # the largest p for which the rest are drawn
TIED: Final = 1e-9  # rounding that would split ties, as a part of the largest sum


def standardised(
    sums: FloatArray, squares: FloatArray, inside: FloatArray, taken: IntArray, size: IntArray
) -> FloatArray:
    """`[k]` of k features: the sum over a side less its expectation when sides are dealt within layers, over its standard deviation.

    `sums`, `squares` and `inside` `[k, layers]` are of the values, their squares, and the values on the side; `size` `[layers]` rows of
    which `taken` are on the side (Hoeffding 1951, Annals of Mathematical Statistics 22). 0 where nothing varies.
    """
    share, rows = taken / np.maximum(size, 1), np.maximum(size, 1)
    scatter = np.maximum(squares - sums**2 / rows, 0.0)
    variance = (scatter * share * (1 - share) * size / np.maximum(size - 1, 1)).sum(axis=1)
    excess = (inside - share * sums).sum(axis=1)
    varied = variance > 1e-18 * np.maximum(squares.sum(axis=1), 1e-300)
    return np.asarray(np.divide(excess, np.sqrt(variance), out=np.zeros(len(excess)), where=varied))


def joint_permutation(
    values: FloatArray, side: BoolArray, layer: IntArray, *, rng: np.random.Generator, resamples: int
) -> FloatArray:
    """Two-sided p `[k]` of no difference between sides within layers of `values` `[n, k]` of independent rows; 1 where nothing varies.

    A feature that more than 5,000 rows hold has the normal limit.
    """
    layers = int(layer.max(initial=0)) + 1
    parts = [np.stack([table[layer == code].sum(axis=0) for code in range(layers)], axis=1)
             for table in (values, values**2, values * side[:, None])]  # fmt: skip
    size = np.bincount(layer, minlength=layers)
    taken = np.bincount(layer, side, minlength=layers).astype(np.int64)
    z = standardised(parts[0], parts[1], parts[2], taken, size)
    p = np.where(z == 0, 1.0, 2 * stats.norm.sf(np.abs(z)))
    drawn = np.flatnonzero((z != 0) & ((values != 0).sum(axis=0) <= MANY))
    if not len(drawn):
        return np.asarray(p)
    expected = (parts[0] * taken / size).sum(axis=1)
    observed = np.abs(parts[2].sum(axis=1) - expected)
    beyond = _exceeding(values[:, drawn], side, layer, expected[drawn], observed[drawn], rng, min(FIRST, resamples))
    p[drawn] = (1 + beyond) / (1 + min(FIRST, resamples))
    again = p[drawn] <= LATER
    if resamples > FIRST and again.any():
        chosen = drawn[again]
        more = _exceeding(values[:, chosen], side, layer, expected[chosen], observed[chosen], rng, resamples - FIRST)
        p[chosen] = (1 + beyond[again] + more) / (1 + resamples)
    return np.asarray(p)


def _exceeding(
    values: FloatArray, side: BoolArray, layer: IntArray, expected: FloatArray, observed: FloatArray,
    rng: np.random.Generator, draws: int,
) -> IntArray:  # fmt: skip
    """How many draws `[k]` are at least as far from what is expected."""
    held = (values != 0).any(axis=1)
    parts = [
        (values[rows], int(side[layer == code].sum()), int((~side[layer == code]).sum()))
        for code in np.unique(layer[held])
        for rows in [np.flatnonzero(held & (layer == code))]
    ]
    tolerance = TIED * np.abs(values).sum(axis=0)
    step, beyond = max(1, BLOCK // max(1, int(held.sum()))), np.zeros(values.shape[1], dtype=np.int64)
    for start in range(0, draws, step):
        size = min(step, draws - start)
        sums = np.zeros((size, values.shape[1]))
        for table, taken, others in parts:
            inside = rng.hypergeometric(taken, others, len(table), size)
            dealt = rng.permuted(np.arange(len(table)) < inside[:, None], axis=1)
            sums += dealt.astype(float) @ table
        beyond += (np.abs(sums - expected) >= observed - tolerance).sum(axis=0)
    return beyond
