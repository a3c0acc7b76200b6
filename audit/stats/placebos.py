"""Placebo word groups and pairs: matched to a group term by term on document frequency, and as a whole on coherence.

Neighbours in the embedding share effects, and a mean of k neighbours scatters more than one of k random words, so a
placebo matches the group's coherence; placebo pairs also match the cosine between the two groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from audit.tables import FloatArray, IntArray, WordTable

LADDER: Final = (1, 2, 4, 8, 16, 10**9)
WIDTH: Final = 0.4  # log2 of document frequency
NEAREST: Final = 12
MOST: Final = 256  # candidates of a term: those nearest in frequency
PROPOSALS: Final = 4  # anchors tried per placebo kept
PARTNERS: Final = 16  # placebos of the other side among which a pair is drawn
CHUNK: Final = 1000  # placebos drawn at once, which bounds memory


@final
@dataclass(frozen=True, slots=True)
class Pool:
    """A word table sorted for fast gathering: rows of type t are `order[start[t]:start[t + 1]]`.

    `frequency` `[types]` counts examples; `eligible` lists the types no declared group holds, by frequency; `unit`
    `[types, d]` is the embedding, centred on the eligible types (a common direction says nothing) and of length 1.
    """

    table: WordTable
    order: IntArray
    start: IntArray
    frequency: IntArray
    eligible: IntArray
    unit: FloatArray


@final
@dataclass(frozen=True, slots=True)
class Placebos:
    """Drawn `types` `[k, terms]`, how many `candidates` each term had, and coherence of the group and of each placebo.

    Coherence is the mean cosine of embeddings over pairs of terms, weighted by document frequency.
    """

    types: IntArray
    candidates: IntArray
    coherence: float
    matched: FloatArray


def build_pool(table: WordTable) -> Pool:
    """Sort once, for all groups and composites."""
    size = len(table.types)
    frequency = np.bincount(table.type, minlength=size)
    declared = np.unique(np.concatenate([np.zeros(0, dtype=int), *table.groups.values()]))
    free = np.setdiff1d(np.flatnonzero(frequency), declared)
    eligible = free[np.argsort(frequency[free], kind="stable")]
    middle = table.embedding[eligible].mean(axis=0) if len(eligible) else 0.0
    centred = (table.embedding - middle).astype(np.float32)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    start = np.concatenate([[0], np.cumsum(frequency)])
    return Pool(table, np.argsort(table.type, kind="stable"), start, frequency, eligible, unit)


def usable(pool: Pool, types: IntArray, *, min_examples: int) -> IntArray:
    """Types of a group that occur in at least `min_examples` examples."""
    return types[pool.frequency[types] >= min_examples]


def candidates(pool: Pool, term: int, *, nearest: int = NEAREST, most: int = MOST) -> IntArray:
    """Eligible types within 0.4 log2 of the term's document frequency, but no fewer than `nearest` and at most `most`."""
    distance = np.abs(np.log2(pool.frequency[pool.eligible]) - np.log2(max(pool.frequency[term], 1)))
    count = min(max(int((distance <= WIDTH).sum()), nearest), max(most, nearest))
    return pool.eligible[np.argsort(distance, kind="stable")[:count]]


def draw_placebos(pool: Pool, group_types: IntArray, *, k: int, rng: np.random.Generator) -> Placebos:
    """`k` placebo groups: per random anchor word, each term becomes one of its q candidates nearest to the anchor.

    q is chosen per anchor from `LADDER` so that the placebo's coherence is nearest to the group's; of `PROPOSALS` x k
    anchors the k best matched are kept. No type occurs twice in a placebo. ValueError if the pool has fewer types than
    the group.
    """
    weight = _weight(pool, group_types)
    target = float(_coherence(pool.unit[group_types][None], weight)[0])
    parts = [_placebos(pool, group_types, weight, target, size, rng) for size in _chunks(k)]
    types, matched = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Placebos(types, np.array([len(candidates(pool, int(term))) for term in group_types]), target, matched)


def _chunks(k: int) -> list[int]:
    return [min(CHUNK, k - start) for start in range(0, k, CHUNK)]


def _weight(pool: Pool, terms: IntArray) -> FloatArray:
    """Each term's part of the group's occurrences."""
    return np.asarray(pool.frequency[terms] / pool.frequency[terms].sum())


def _placebos(
    pool: Pool, group_types: IntArray, weight: FloatArray, target: float, k: int, rng: np.random.Generator
) -> tuple[IntArray, FloatArray]:
    """Types `[k, terms]` and coherence `[k]`, as near to `target` as can be drawn."""
    anchors = rng.choice(pool.eligible, PROPOSALS * k, replace=PROPOSALS * k > len(pool.eligible))
    lists = [_enough(pool, int(term), len(group_types)) for term in group_types]
    ranked = [_by_nearness(pool, anchors, found, len(lists)) for found in lists]
    best, gap = np.zeros((len(anchors), len(lists)), dtype=int), np.full(len(anchors), np.inf)
    matched = np.zeros(len(anchors))
    for reach in LADDER:
        drawn = _choose(ranked, reach, rng)
        coherence = _coherence(pool.unit[drawn], weight)
        better = np.abs(coherence - target) < gap
        best[better], matched[better], gap[better] = (
            drawn[better],
            coherence[better],
            np.abs(coherence - target)[better],
        )
    keep = rng.permutation(np.argsort(gap, kind="stable")[:k])
    return best[keep], matched[keep]


def draw_words(pool: Pool, term: int, *, k: int, rng: np.random.Generator) -> Placebos:
    """Up to `k` single words of the term's frequency, each once: a word drawn again would tell nothing new."""
    found = candidates(pool, term, most=len(pool.eligible))
    types = rng.permutation(found)[:k, None]
    return Placebos(types, np.array([len(found)]), 0.0, np.zeros(len(types)))


def draw_pairs(
    pool: Pool, types_a: IntArray, types_b: IntArray, *, k: int, rng: np.random.Generator
) -> tuple[Placebos, Placebos]:
    """Up to `k` disjoint pairs: each placebo A with a random one of the B whose cosine to it is nearest to the real pair's."""
    parts = [_pairs(pool, types_a, types_b, size, rng) for size in _chunks(k)]
    return _joined([one for one, _ in parts]), _joined([two for _, two in parts])


def _pairs(
    pool: Pool, types_a: IntArray, types_b: IntArray, k: int, rng: np.random.Generator
) -> tuple[Placebos, Placebos]:
    one = draw_placebos(pool, types_a, k=k, rng=rng)
    two = draw_placebos(pool, types_b, k=k, rng=rng)
    target = float(_centroid(pool, types_a[None], types_a)[0] @ _centroid(pool, types_b[None], types_b)[0])
    cosine = _centroid(pool, one.types, types_a) @ _centroid(pool, two.types, types_b).T
    near = np.argsort(np.abs(cosine - target), axis=1)[:, : 4 * PARTNERS]
    apart = ~(one.types[:, None, :, None] == two.types[near][:, :, None, :]).any(axis=(2, 3))
    order = np.argsort(~apart, axis=1, kind="stable")[:, :PARTNERS]
    choice = (rng.random(len(near)) * np.clip(apart.sum(axis=1), 1, PARTNERS)).astype(int)
    partner = near[np.arange(len(near)), order[np.arange(len(near)), choice]]
    disjoint = apart.any(axis=1)
    return (
        replace(one, types=one.types[disjoint], matched=one.matched[disjoint]),
        replace(two, types=two.types[partner[disjoint]], matched=two.matched[partner[disjoint]]),
    )


def _joined(parts: Sequence[Placebos]) -> Placebos:
    types, matched = np.concatenate([p.types for p in parts]), np.concatenate([p.matched for p in parts])
    return replace(parts[0], types=types, matched=matched)


def _enough(pool: Pool, term: int, terms: int) -> IntArray:
    """Candidates, widened only so far that `terms` different types can be chosen."""
    found = candidates(pool, term, nearest=max(NEAREST, terms))
    if len(found) < terms:
        raise ValueError(
            f"the placebo pool has {len(found)} word types, but the group has {terms} terms; audit more text"
        )
    return found


def _by_nearness(pool: Pool, anchors: IntArray, found: IntArray, terms: int) -> IntArray:
    """Candidates `[anchors, candidates]`: by falling cosine to the anchor as far as a bounded reach can touch them."""
    far = -(pool.unit[anchors] @ pool.unit[found].T)
    top = min(LADDER[-2] + terms, len(found) - 1)
    order = np.argpartition(far, top, axis=1)
    head = np.argsort(np.take_along_axis(far, order[:, :top], axis=1), axis=1)
    order[:, :top] = np.take_along_axis(order[:, :top], head, axis=1)
    return found[order]


def _choose(ranked: Sequence[IntArray], reach: int, rng: np.random.Generator) -> IntArray:
    """One type per term among the `reach` nearest, moving on to the next nearest where a type is already taken."""
    rows = np.arange(len(ranked[0]))
    drawn = np.full((len(rows), len(ranked)), -1)
    for slot in rng.permutation(len(ranked)):
        order = ranked[slot]
        place = (rng.random(len(rows)) * min(reach, order.shape[1])).astype(int)
        while (taken := (drawn == order[rows, place][:, None]).any(axis=1)).any():
            place = np.where(taken, (place + 1) % order.shape[1], place)
        drawn[:, slot] = order[rows, place]
    return drawn


def _coherence(units: FloatArray, weight: FloatArray) -> FloatArray:
    """Weighted mean cosine over pairs of terms `[groups]`, from unit vectors `[groups, terms, d]`; 0 for one term."""
    square = float((weight**2).sum())
    if len(weight) < 2:
        return np.zeros(len(units))
    total = np.einsum("gtd,t->gd", units, weight.astype(units.dtype))
    found: FloatArray = (np.einsum("gd,gd->g", total, total) - square) / (1 - square)
    return found


def _centroid(pool: Pool, types: IntArray, terms: IntArray) -> FloatArray:
    weight = _weight(pool, terms)
    return np.asarray(np.einsum("gtd,t->gd", pool.unit[types], weight.astype(pool.unit.dtype)), dtype=np.float32)
