"""Strategies: clusters of explanations (spectral relevance analysis, Lapuschkin et al. 2019), found without a look at labels or errors.

An example's vector is where the evidence for its predicted class lies: the parts of a photograph, or the embeddings of a text's words
weighted by their part of it. A nearest-neighbour graph is embedded spectrally in as many dimensions as its largest eigengap says, and
HDBSCAN finds what is dense there. Cost: the graph of at most `clustered` examples; the others join their nearest.
"""

from dataclasses import dataclass
from typing import Final, final

import numpy as np
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


@final
@dataclass(frozen=True, slots=True)
class Clustered:
    """A `number` for each example `[n]`, 0 for the largest cluster, -1 for none.

    `rows` `[k]` made the graph; `embedding` `[k, d]` are the eigenvectors of its Laplacian below the gap, with their `eigenvalues` `[d]`;
    `principal` `[k, c]` are the principal components of their vectors.
    """

    number: IntArray
    rows: IntArray
    embedding: FloatArray
    eigenvalues: FloatArray
    principal: FloatArray


def clusters(points: FloatArray, *, most: int, smallest: int, seed: int) -> Clustered:
    """At most `most` examples, drawn at random, make the graph: errors among them have no other chance than right ones."""
    n = len(points)
    known = np.flatnonzero(np.abs(points).sum(axis=1) > 0)
    found = np.full(n, -1)
    if min(len(known), most) < 2 * smallest:
        return Clustered(found, np.zeros(0, dtype=np.int64), np.zeros((0, 0)), np.zeros(0), np.zeros((0, 0)))
    rng = np.random.default_rng([seed, DEBUG_SEED])
    chosen = np.sort(rng.permutation(known)[:most])
    embedded, eigenvalues = _spectral(_graph(points[chosen]), min(MOST_DIMENSIONS, len(chosen) - 2), seed)
    from sklearn.cluster import HDBSCAN

    size = max(smallest, int(FEWEST * len(chosen)))
    found[chosen] = HDBSCAN(min_cluster_size=size, copy=True).fit_predict(embedded)
    others = np.setdiff1d(known, chosen)
    if len(others):
        from sklearn.neighbors import KNeighborsClassifier

        nearest = KNeighborsClassifier(NEIGHBOURS, algorithm="brute").fit(points[chosen], found[chosen])
        found[others] = nearest.predict(points[others])
    return Clustered(_by_size(found), chosen, embedded, eigenvalues, _principal(points[chosen]))


def _graph(points: FloatArray) -> sparse.csr_array:
    from sklearn.neighbors import kneighbors_graph

    graph = kneighbors_graph(points, min(NEIGHBOURS, len(points) - 1), mode="connectivity", include_self=True)
    return sparse.csr_array(0.5 * (graph + graph.T))


def _spectral(graph: sparse.csr_array, most: int, seed: int) -> tuple[FloatArray, FloatArray]:
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
    return np.asarray(found[:, :gap] / root[:, None]), np.asarray(values[:gap])


def _principal(points: FloatArray) -> FloatArray:
    """The first components `[k, c]`, each as long as it explains variance."""
    centred = points - points.mean(axis=0)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    return np.asarray((left * size)[:, :MOST_DIMENSIONS])


def _by_size(found: IntArray) -> IntArray:
    names, counts = np.unique(found[found >= 0], return_counts=True)
    place = np.full(int(found.max(initial=-1)) + 1, -1)
    place[names[np.argsort(-counts, kind="stable")]] = np.arange(len(names))
    return np.where(found >= 0, place[np.maximum(found, 0)] if len(place) else -1, -1)
