"""The matches of many texts as columns: 24 bytes a match and 8 a text, where objects take five times that."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from audit.sequences import Lazy
from audit.tables import IntArray, Match

CHUNK: Final = 10_000  # texts


@final
@dataclass(frozen=True, slots=True, eq=False)
class MatchTable(Lazy[tuple[Match, ...]]):
    """A tuple of matches per text: of text i those at `first[i]` to `first[i + 1]` of `start`, `end` and `key`.

    `keys` are the distinct (attribute, group, term), in the order in which they were met.
    """

    first: IntArray
    start: IntArray
    end: IntArray
    key: IntArray
    keys: tuple[tuple[str, str, str], ...]

    @classmethod
    def of(cls, rows: Iterable[Sequence[Match]]) -> "MatchTable":
        """The same matches."""
        first, start, end, key = array("q", [0]), array("q"), array("q"), array("q")
        keys: dict[tuple[str, str, str], int] = {}
        for row in rows:
            for m in row:
                start.append(m.start)
                end.append(m.end)
                key.append(keys.setdefault((m.attribute, m.group, m.term), len(keys)))
            first.append(len(start))
        columns = [np.array(column, dtype=np.int64) for column in (first, start, end, key)]
        return cls(columns[0], columns[1], columns[2], columns[3], tuple(keys))

    def __len__(self) -> int:
        return len(self.first) - 1

    def item(self, i: int) -> tuple[Match, ...]:
        """Matches of a text that is there."""
        place = range(self.first[i], self.first[i + 1])
        return tuple(Match(int(self.start[k]), int(self.end[k]), *self.keys[self.key[k]]) for k in place)

    def __iter__(self) -> Iterator[tuple[Match, ...]]:
        for i in range(0, len(self), CHUNK):
            yield from self._rows(i, min(i + CHUNK, len(self)))

    @property
    def held(self) -> NDArray[np.bool_]:
        """Which texts `[texts]` have a match."""
        return np.asarray(self.first[1:] > self.first[:-1])

    @property
    def pairs(self) -> tuple[IntArray, IntArray]:
        """Every text with every key that it holds, once: `[pairs]` texts in order, and keys."""
        text, many = np.repeat(np.arange(len(self)), np.diff(self.first)), max(1, len(self.keys))
        place, key = np.divmod(np.unique(text * many + self.key), many)
        return place, key

    def _rows(self, low: int, high: int) -> list[tuple[Match, ...]]:
        first = self.first[low : high + 1].tolist()
        chosen = slice(first[0], first[-1])
        spans = zip(*(column[chosen].tolist() for column in (self.start, self.end, self.key)), strict=True)
        made = [Match(start, end, *self.keys[key]) for start, end, key in spans]
        return [tuple(made[a - first[0] : b - first[0]]) for a, b in pairwise(first)]
