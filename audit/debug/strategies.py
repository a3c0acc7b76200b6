"""Strategies: clusters of explanations (spectral relevance analysis, Lapuschkin et al. 2019), found without a look at labels or errors.

An example's vector is where the evidence for its predicted class lies: the parts of a photograph, or the embeddings of a text's words
weighted by their part of it. A nearest-neighbour graph is embedded spectrally in as many dimensions as its largest eigengap says, and
HDBSCAN finds what is dense there. Cost: the graph of at most `clustered` examples; the others join their nearest.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from audit.stats.cases import Evidence
from audit.stats.signals import Signals
from audit.tables import FloatArray, IntArray

NEIGHBOURS: Final = 10
MOST_DIMENSIONS: Final = 16
FEWEST: Final = 0.01  # of the examples make a cluster
DEBUG_SEED: Final = 7


def shares(found: Signals, values: FloatArray) -> FloatArray:
    """What part `[rows]` of an example's relevance for its predicted class each row holds; `values` `[rows]` are for that class."""
    part = np.maximum(values, 0.0)
    total = np.bincount(found.example, part, len(found.usable))
    return np.asarray(part / np.where(total > 0, total, 1.0)[found.example])


def vectors(evidence: Evidence, found: Signals, share: FloatArray) -> FloatArray:
    """`[n, d]` of unit length, 0 where there is no relevance for the prediction."""
    table = sparse.csr_array((share, (found.example, found.feature)), shape=(len(found.usable), len(found.names)))
    if evidence.words is None:
        dense = table.toarray()
    else:
        embedding = evidence.words.embedding.astype(float)
        embedding = embedding - embedding.mean(axis=0)
        size = np.linalg.norm(embedding, axis=1, keepdims=True)
        dense = table @ (embedding / np.where(size > 0, size, 1.0))
    length = np.linalg.norm(dense, axis=1, keepdims=True)
    return np.asarray(dense / np.where(length > 0, length, 1.0), dtype=np.float32)


def clusters(points: FloatArray, first: NDArray[np.bool_], *, most: int, smallest: int, seed: int) -> IntArray:
    """A number for each example `[n]`, 0 for the largest cluster, -1 for none; rows of `first` are in the graph before others."""
    n = len(points)
    known = np.flatnonzero(np.abs(points).sum(axis=1) > 0)
    found = np.full(n, -1)
    if len(known) < 2 * smallest:
        return found
    rng = np.random.default_rng([seed, DEBUG_SEED])
    order = rng.permutation(known)
    order = order[np.argsort(~first[order], kind="stable")]
    half = order[: most // 2]
    chosen = np.sort(np.concatenate([half, rng.permutation(order[most // 2 :])[: most - len(half)]]))
    own = _of_graph(points[chosen], smallest=max(smallest, int(FEWEST * len(chosen))), seed=seed)
    found[chosen] = own
    others = np.setdiff1d(known, chosen)
    if len(others):
        from sklearn.neighbors import KNeighborsClassifier

        nearest = KNeighborsClassifier(NEIGHBOURS, algorithm="brute").fit(points[chosen], own)
        found[others] = nearest.predict(points[others])
    return _by_size(found)


def _of_graph(points: FloatArray, *, smallest: int, seed: int) -> IntArray:
    from sklearn.cluster import HDBSCAN
    from sklearn.neighbors import kneighbors_graph

    graph = kneighbors_graph(points, min(NEIGHBOURS, len(points) - 1), mode="connectivity", include_self=True)
    graph = sparse.csr_array(0.5 * (graph + graph.T))
    embedded = _spectral(graph, min(MOST_DIMENSIONS, len(points) - 2), seed)
    return np.asarray(HDBSCAN(min_cluster_size=smallest, copy=True).fit_predict(embedded))


def _spectral(graph: sparse.csr_array, most: int, seed: int) -> FloatArray:
    """Eigenvectors of the normalised Laplacian below its largest gap of eigenvalues, over the root of the degree (Luxburg 2007)."""
    from scipy.sparse.csgraph import laplacian
    from scipy.sparse.linalg import eigsh

    normalised, root = laplacian(graph, normed=True, return_diag=True)
    start = np.random.default_rng([seed, DEBUG_SEED]).standard_normal(graph.shape[0])
    shifted = 2 * sparse.eye_array(graph.shape[0]) - normalised
    values, found = eigsh(shifted, k=most, which="LA", v0=start)
    order = np.argsort(-values)
    values, found = 2 - values[order], found[:, order]
    gap = int(np.argmax(np.diff(values)[1:])) + 2
    return np.asarray(found[:, :gap] / root[:, None])


def _by_size(found: IntArray) -> IntArray:
    names, counts = np.unique(found[found >= 0], return_counts=True)
    place = np.full(int(found.max(initial=-1)) + 1, -1)
    place[names[np.argsort(-counts, kind="stable")]] = np.arange(len(names))
    return np.where(found >= 0, place[np.maximum(found, 0)] if len(place) else -1, -1)
