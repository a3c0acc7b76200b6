"""The word table of a run: relevance of every word type in every text, a part a shard, put together in two passes over the parts."""

from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from audit.parts import ROW, Parts, packed, unpacked
from audit.tables import FloatArray, IntArray, Match, WordTable

Unit = tuple[int, int, str]  # start and end in characters, and type
Words = Callable[[str], Sequence[Unit]]
MIN_TYPE_EXAMPLES: Final = 5
VOCABULARY: Final = "words.types"
AVERAGE: Final = "average"  # mean |R| a word, by example and composite


@final
class WordSums:
    """Not frozen: it accumulates the `n` texts of a shard, and lives inside the work on it only."""

    def __init__(self, composites: int, n: int) -> None:
        self.vocabulary: dict[str, int] = {}
        self.pending: list[tuple[IntArray, IntArray, FloatArray]] = []
        self.average = np.full((n, composites), np.nan)

    def add(
        self, batch: Sequence[int], units: Sequence[Sequence[Unit]], ends: IntArray, real: NDArray[np.bool_], values: FloatArray
    ) -> None:  # fmt: skip
        """The units of each text of a batch; `ends` `[batch, tokens]` of the tokens that are `real`, their relevance
        `[composites, batch, tokens]`."""
        row = np.repeat(np.arange(len(units)), [len(each) for each in units])
        starts, stops = (np.array([unit[at] for each in units for unit in each], dtype=np.int64) for at in (0, 1))
        where, last = np.nonzero(real), int(ends.max(initial=0)) + 1
        edges = where[0] * last + ends[where]
        low, high = (np.searchsorted(edges, row * last + at, side="right") for at in (starts, stops))
        seen = high > low
        if not seen.any():
            return
        kinds = (unit[2] for each in units for unit in each)
        ids = [self.vocabulary.setdefault(kind, len(self.vocabulary)) for kind in compress(kinds, seen)]
        token = np.concatenate([values[:, where[0], where[1]], np.zeros((len(values), 1))], axis=1)
        pairs = np.stack([low[seen], high[seen]], axis=1).ravel()
        relevance = np.add.reduceat(token, pairs, axis=1)[:, ::2]
        self.pending.append((np.array(batch)[row[seen]], np.array(ids), relevance))
        number = np.bincount(row[seen], minlength=len(units))
        for c, each in enumerate(np.abs(relevance)):
            with np.errstate(invalid="ignore"):
                self.average[batch, c] = np.bincount(row[seen], each, len(units)) / number

    def part(self) -> dict[str, NDArray[Any]]:
        """A row per example and type: how often it occurs there, and its mean relevance and |R| `[composites]`."""
        composites = self.average.shape[1]
        none = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((composites, 0)))
        example, kind, values = (np.concatenate(part, axis=-1) for part in zip(*(self.pending or [none]), strict=True))
        unique, inverse, count = np.unique((example << 32) | kind, return_inverse=True, return_counts=True)
        relevance, magnitude = (np.empty((len(unique), composites), np.float32) for _ in range(2))
        for c, row in enumerate(values):
            relevance[:, c] = np.bincount(inverse, row, len(unique)) / count
            magnitude[:, c] = np.bincount(inverse, np.abs(row), len(unique)) / count
        return {
            f"{ROW}{AVERAGE}": self.average,
            VOCABULARY: packed(list(self.vocabulary)),
            "words.example": (unique >> 32).astype(np.int32),
            "words.type": (unique & 0xFFFFFFFF).astype(np.int32),
            "words.count": count.astype(np.int32),
            "words.relevance": relevance,
            "words.magnitude": magnitude,
        }


def word_table(
    parts: Parts,
    average: FloatArray,
    composites: Sequence[str],
    declared: Mapping[tuple[str, str], Sequence[str]],
    embed: Callable[[Sequence[str]], FloatArray],
) -> WordTable:
    """The table of declared types and of those in `MIN_TYPE_EXAMPLES` texts, by example and type.

    `average` `[examples, composites]` was gathered; `embed` gives `[types, d]`.
    """
    names, frequency = _frequencies(parts)
    spread = {term for terms in declared.values() for term in terms}
    kept = (frequency >= MIN_TYPE_EXAMPLES) | np.array([name in spread for name in names], dtype=np.bool_)
    position = np.where(kept, np.cumsum(kept) - 1, -1)
    types = tuple(name for name, k in zip(names, kept, strict=True) if k)
    columns = _rows(parts, dict(zip(names, position.tolist(), strict=True)), int(frequency[kept].sum()))
    where = {name: i for i, name in enumerate(types)}
    return WordTable(
        example=columns["example"],
        type=columns["type"],
        count=columns["count"],
        relevance={c: columns["relevance"][i] for i, c in enumerate(composites)},
        magnitude={c: columns["magnitude"][i] for i, c in enumerate(composites)},
        average={c: average[:, i].copy() for i, c in enumerate(composites)},
        types=types,
        embedding=embed(types),
        groups={
            key: np.array([where[t] for t in terms if t in where], dtype=np.int64) for key, terms in declared.items()
        },
    )


def _frequencies(parts: Parts) -> tuple[list[str], IntArray]:
    """Every type in the order in which parts name them, and in how many texts it is."""
    found: dict[str, int] = {}
    for _, part in parts:
        names = unpacked(part[VOCABULARY])
        for name, n in zip(names, np.bincount(part["words.type"], minlength=len(names)).tolist(), strict=True):
            found[name] = found.get(name, 0) + n
    return list(found), np.array(list(found.values()), dtype=np.int64)


def _rows(parts: Parts, position: Mapping[str, int], n: int) -> dict[str, NDArray[Any]]:
    """The `n` rows of the types that have a position, ordered by example and type; values are `[composites, n]`."""
    columns: dict[str, NDArray[Any]] = {name: np.empty(n, np.int32) for name in ("example", "type", "count")}
    at = 0
    for rows, part in parts:
        kinds = np.array([position[name] for name in unpacked(part[VOCABULARY])], dtype=np.int64)[part["words.type"]]
        known = kinds >= 0
        here = slice(at, at + int(known.sum()))
        columns["example"][here] = rows[part["words.example"][known]]
        columns["type"][here], columns["count"][here] = kinds[known], part["words.count"][known]
        for name in ("relevance", "magnitude"):
            values = part[f"words.{name}"]
            columns.setdefault(name, np.empty((values.shape[1], n), np.float32))[:, here] = values[known].T
        at = here.stop
    order = np.lexsort((columns["type"], columns["example"]))
    return {name: values[..., order] for name, values in columns.items()}


def units_of(words: Sequence[Unit], matches: Sequence[Match]) -> Sequence[Unit]:
    """Words and declared terms as (start, end, type), each character in one unit; the longest term wins over what it covers."""
    if not matches:
        return words
    terms: list[Unit] = []
    for m in sorted(matches, key=lambda m: (m.start - m.end, m.start)):
        if all(m.end <= start or m.start >= end for start, end, _ in terms):
            terms.append((m.start, m.end, m.term))
    free = [w for w in words if all(w[1] <= start or w[0] >= end for start, end, _ in terms)]
    return sorted(free + terms)
