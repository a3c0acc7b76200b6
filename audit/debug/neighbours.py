"""The nearest example that goes right: of the true class of an error, by the cosine in the audited model's own last layers."""

from collections.abc import Callable
from typing import Final

import numpy as np

from audit.stats.cases import Evidence
from audit.tables import FloatArray, IntArray

MOST: Final = 2000  # right examples that are searched, a class
NEIGHBOUR_SEED: Final = 8


def nearest(
    evidence: Evidence, errors: IntArray, represent: Callable[[IntArray], FloatArray]
) -> dict[int, tuple[int, float]]:
    """Of each of `errors` `[m]` the row of its neighbour and their cosine; none where no example of the class goes right.

    `represent(rows)` gives `[k, d]`. At most `MOST` right examples of a class, drawn at random, are looked at; one of the same cluster, as
    another version of the same photograph, is no neighbour.
    """
    examples, found = evidence.examples, dict[int, tuple[int, float]]()
    rng = np.random.default_rng([evidence.config.seed, NEIGHBOUR_SEED])
    for label in np.unique(examples.label[errors]).tolist():
        mine = errors[examples.label[errors] == label]
        right = np.flatnonzero((examples.label == label) & (examples.predicted == label))
        right = np.sort(rng.permutation(right)[:MOST])
        if not len(right):
            continue
        both = _unit(represent(np.concatenate([mine, right])))
        similarity = both[: len(mine)] @ both[len(mine) :].T
        similarity[examples.cluster[mine][:, None] == examples.cluster[right]] = -np.inf
        best = similarity.argmax(axis=1)
        found |= {
            int(i): (int(right[k]), float(similarity[row, k]))
            for row, (i, k) in enumerate(zip(mine.tolist(), best.tolist(), strict=True))
            if np.isfinite(similarity[row, k])
        }
    return found


def _unit(vectors: FloatArray) -> FloatArray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1.0))
