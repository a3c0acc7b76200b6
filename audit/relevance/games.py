"""Relevance of features that are kept or hidden, from a value of what is kept alone: occlusion, Kernel SHAP and LIME.

`value` maps which features are kept, `[k, features]`, to the explained value `[k]`. Cost: a value a feature, or `drawn` of them.
"""

from collections.abc import Callable
from itertools import combinations
from math import comb
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audit.tables import FloatArray

Kept = NDArray[np.bool_]
Value = Callable[[Kept], FloatArray]
WIDTH: Final = 0.25  # of LIME's kernel over cosine distances, and its ridge: those of the package `lime` for images
RIDGE: Final = 1.0
FEWEST: Final = 2  # draws a feature, where `samples` gives fewer


def occlusion(value: Value, n: int) -> FloatArray:
    """How far the value falls where one of `n` features alone is hidden (Zeiler and Fergus 2014)."""
    found = value(np.vstack([np.ones((1, n), dtype=np.bool_), ~np.eye(n, dtype=np.bool_)]))
    return np.asarray(found[0] - found[1:])


def kernel_shap(value: Value, n: int, *, samples: int, rng: np.random.Generator) -> tuple[FloatArray, float]:
    """Shapley values `[n]` and the value with everything hidden (Lundberg and Lee 2017); they add up to the value with all kept.

    The least squares have their smallest solution at once among vectors of sum 0, for every row of the design is orthogonal to 1.
    """
    nothing, everything = value(np.array([np.zeros(n), np.ones(n)], dtype=np.bool_)).tolist()
    gap = everything - nothing
    if n < 2:
        return np.full(n, gap), nothing
    kept, weight = coalitions(n, samples, rng)
    root, share = np.sqrt(weight), kept.mean(axis=1)
    beyond = value(kept) - nothing - gap * share
    parts = np.linalg.lstsq(root[:, None] * (kept - share[:, None]), root * beyond, rcond=None)[0]
    return gap / n + parts, nothing


def coalitions(n: int, samples: int, rng: np.random.Generator) -> tuple[Kept, FloatArray]:
    """Which of `n` features are kept `[k, n]`, some but not all, and the weights `[k]` of the Shapley kernel.

    Sizes that fit are complete, the outer ones first; of the rest complementary pairs are drawn, about `samples` in all.
    """
    sizes = np.arange(1, n // 2 + 1)
    each = np.where(2 * sizes == n, 1, 2)
    mass = each * (n - 1) / (sizes * (n - sizes))
    budget, done = drawn(n, samples), 0
    rows, weights = list[Kept](), list[FloatArray]()
    for size, both, part in zip(sizes.tolist(), each.tolist(), mass.tolist(), strict=True):
        count = both * comb(n, size)
        if count * mass[done:].sum() > budget * part:
            break
        rows.append(_both(_of_size(n, size), both))
        weights.append(np.full(count, part / count))
        budget, done = budget - count, done + 1
    if done < len(sizes):
        left = mass[done:]
        some = _drawn_of_sizes(n, rng.choice(sizes[done:], max(1, budget // 2), p=left / left.sum()), rng)
        rows.append(_both(some, 2))
        weights.append(np.full(2 * len(some), left.sum() / (2 * len(some))))
    kept, place = np.unique(np.concatenate(rows), axis=0, return_inverse=True)
    return kept, np.bincount(place.ravel(), np.concatenate(weights)).astype(float)


def lime(value: Value, n: int, *, samples: int, rng: np.random.Generator) -> tuple[FloatArray, float]:
    """Slopes `[n]` and intercept of a ridge regression near the input (Ribeiro et al. 2016): each feature is kept by the toss of a coin."""
    from sklearn.linear_model import Ridge

    if not n:
        return np.zeros(0), float(value(np.ones((1, 0), dtype=np.bool_))[0])
    kept = rng.random((drawn(n, samples), n)) < 0.5
    kept[0] = True
    distance = 1 - np.sqrt(kept.mean(axis=1))  # cosine, from everything kept
    weight = np.exp(-((distance / WIDTH) ** 2) / 2)
    fit = Ridge(alpha=RIDGE).fit(kept.astype(float), value(kept), sample_weight=weight)
    return np.asarray(fit.coef_), float(fit.intercept_)


def drawn(n: int, samples: int) -> int:
    """How many values are asked for of `n` features: fewer than two a feature would leave the fit open."""
    return max(samples, FEWEST * n)


def _both(kept: Kept, both: int) -> Kept:
    return np.concatenate([kept, ~kept]) if both == 2 else kept


def _of_size(n: int, size: int) -> Kept:
    """Every choice of `size` of `n` features."""
    chosen = np.array(list(combinations(range(n), size)))
    kept = np.zeros((len(chosen), n), dtype=np.bool_)
    np.put_along_axis(kept, chosen, values=True, axis=1)
    return kept


def _drawn_of_sizes(n: int, sizes: NDArray[np.int64], rng: np.random.Generator) -> Kept:
    """A random choice of each size."""
    order = rng.random((len(sizes), n)).argsort(axis=1).argsort(axis=1)
    return np.asarray(order < sizes[:, None])
