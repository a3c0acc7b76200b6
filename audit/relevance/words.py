"""The word table of a run: relevance of every word type in every text, spooled to disk while batches come in."""

from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, final

import numpy as np
from numpy.typing import NDArray

from audit.tables import FloatArray, IntArray, Match, WordTable

Words = Callable[[str], Sequence[tuple[int, int, str]]]
MIN_TYPE_EXAMPLES = 5


@final
class _Rows:
    """Rows of the word table, spooled to a temporary file: small arrays kept between tensors would fragment the heap."""

    def __init__(self, composites: int, spool: IO[bytes]) -> None:
        measures = [("relevance", np.float32, (composites,)), ("magnitude", np.float32, (composites,))]
        self.dtype = np.dtype([("example", np.int32), ("type", np.int32), ("count", np.int32), *measures])
        self.spool = spool

    def unite(self, example: IntArray, kind: IntArray, values: FloatArray) -> None:
        """Add the occurrences of one batch, `values` `[composites, occurrences]`, as a row per (example, type).

        An example lies in one batch only, so no later row has the same key.
        """
        keys = (example.astype(np.int64) << 32) | kind
        unique, inverse, count = np.unique(keys, return_inverse=True, return_counts=True)
        rows = np.empty(len(unique), dtype=self.dtype)
        rows["example"], rows["type"], rows["count"] = unique >> 32, unique & 0xFFFFFFFF, count
        for i, part in enumerate(values):
            rows["relevance"][:, i] = np.bincount(inverse, part, len(unique)) / count
            rows["magnitude"][:, i] = np.bincount(inverse, np.abs(part), len(unique)) / count
        rows.tofile(self.spool)

    def read(self) -> NDArray[Any]:
        """Every row, ordered by example and type."""
        self.spool.seek(0)
        rows = np.fromfile(self.spool, dtype=self.dtype)
        return rows[np.lexsort((rows["type"], rows["example"]))]


class WordSums:
    """Not frozen: it is the stage's accumulator, and lives inside one call of it only."""

    def __init__(self, composites: Sequence[str], n: int, spool: IO[bytes]) -> None:
        self.vocabulary: dict[str, int] = {}
        self.rows = _Rows(len(composites), spool)
        self.pending: list[tuple[IntArray, IntArray, FloatArray]] = []
        self.average = {c: np.full(n, np.nan) for c in composites}

    def add(
        self, i: int, text: str, matches: Sequence[Match], words: Words, ends: IntArray, values: FloatArray
    ) -> None:
        """Words of text `i`; `ends` of its tokens `[tokens]`, their relevance `[composites, tokens]`."""
        units = _units(words(text), matches)
        sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
        low = np.searchsorted(ends, [u[0] for u in units], side="right")
        high = np.searchsorted(ends, [u[1] for u in units], side="right")
        seen = high > low
        if not seen.any():
            return
        relevance = (sums[:, high] - sums[:, low])[:, seen]
        ids = [self.vocabulary.setdefault(u[2], len(self.vocabulary)) for u, s in zip(units, seen, strict=True) if s]
        self.pending.append((np.full(len(ids), i), np.array(ids), relevance))
        for average, row in zip(self.average.values(), relevance, strict=True):
            average[i] = np.abs(row).mean()

    def end_batch(self) -> None:
        """Spool what was added since the last call."""
        if self.pending:
            example, kind, relevance = (np.concatenate(part, axis=-1) for part in zip(*self.pending, strict=True))
            self.rows.unite(example, kind, relevance)
            self.pending.clear()

    def finish(
        self, declared: Mapping[tuple[str, str], Sequence[str]], embed: Callable[[Sequence[str]], FloatArray]
    ) -> WordTable:
        """The table of declared types and of those in `MIN_TYPE_EXAMPLES` texts; `embed` gives `[types, d]`."""
        rows = self.rows.read()
        spread = {term for terms in declared.values() for term in terms}
        frequency = np.bincount(rows["type"], minlength=len(self.vocabulary))
        names = list(self.vocabulary)
        kept_types = np.array(
            [f >= MIN_TYPE_EXAMPLES or n in spread for n, f in zip(names, frequency, strict=True)], dtype=bool
        )
        rows = rows[kept_types[rows["type"]]]
        position = np.cumsum(kept_types) - 1
        types = tuple(n for n, k in zip(names, kept_types, strict=True) if k)
        where = {name: i for i, name in enumerate(types)}
        return WordTable(
            example=rows["example"].copy(),
            type=position[rows["type"]].astype(np.int32),
            count=rows["count"].copy(),
            relevance={c: rows["relevance"][:, i].copy() for i, c in enumerate(self.average)},
            magnitude={c: rows["magnitude"][:, i].copy() for i, c in enumerate(self.average)},
            average=self.average,
            types=types,
            embedding=embed(types),
            groups={
                key: np.array([where[t] for t in terms if t in where], dtype=np.int64)
                for key, terms in declared.items()
            },
        )


def _units(words: Sequence[tuple[int, int, str]], matches: Sequence[Match]) -> list[tuple[int, int, str]]:
    """Words and declared terms as (start, end, type), each character in one unit; the longest term wins over what it covers."""
    terms: list[tuple[int, int, str]] = []
    for m in sorted(matches, key=lambda m: (m.start - m.end, m.start)):
        if all(m.end <= start or m.start >= end for start, end, _ in terms):
            terms.append((m.start, m.end, m.term))
    free = [w for w in words if all(w[1] <= start or w[0] >= end for start, end, _ in terms)]
    return sorted(free + terms)
