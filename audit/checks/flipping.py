"""Area between the flipping curves: how much more a score falls when the most relevant regions go first than when they go last.

Samek et al. 2017 (region flipping, most relevant first) and Blücher et al. 2024 (both orders, which cancels what every flip does).
Cost: 2 (steps - 1) scores per example, map and fill.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from audit.tables import FloatArray

Maps = Sequence[FloatArray]
Flipped = Sequence[NDArray[np.bool_]]
Score = Callable[[Flipped], FloatArray]


def orders(maps: Maps, *, seed: int) -> list[NDArray[np.int64]]:
    """Regions of each example, most relevant first; ties in a seeded random order, the same for every map of the example."""
    rng = np.random.default_rng(seed)
    return [np.lexsort((rng.permutation(len(values)), -values)) for values in maps]


def areas(score: Score, order: Sequence[NDArray[np.int64]], steps: int) -> FloatArray:
    """Area between the two curves of each example, in units of the score.

    The curves run over the share of regions that are flipped, in `steps` equal steps; they meet at 0 and at 1, so that only
    what lies between is scored.
    """
    gaps = []
    for step in range(1, steps):
        first = score([_marked(regions, step / steps) for regions in order])
        last = score([_marked(regions[::-1], step / steps) for regions in order])
        gaps.append(last - first)
    return np.asarray(np.sum(gaps, axis=0) / steps)


def _marked(order: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """True for the first `share` of the regions in this order."""
    flipped = np.zeros(len(order), dtype=np.bool_)
    flipped[order[: round(share * len(order))]] = True
    return flipped
