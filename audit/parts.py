"""Work on shards of a dataset by whoever holds the model, and how the parts that come out become tables.

A shard is small enough to be lost without regret, and batches are made inside it, so that it gives the same floats wherever it is done.
"""

import json
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Generic, Protocol, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from audit.tables import IntArray

Part = Mapping[str, NDArray[Any]]
Advance = Callable[[int], None]
ROW: Final = "row."  # arrays of a part that have a row an example
S = TypeVar("S")
T = TypeVar("T")
SContra = TypeVar("SContra", contravariant=True)


@final
@dataclass(frozen=True, slots=True)
class Shard(Generic[S]):
    """Some `rows` `[k]` of a dataset, with what a worker needs of them; `digest` tells contents apart."""

    rows: IntArray
    content: S
    digest: str


class Work(Protocol[SContra]):
    """What is done to a shard; it is shipped once to every worker."""

    @property
    def digest(self) -> str:
        """Tells apart everything beside shard and model that decides the result."""
        ...

    def do(self, explainer: Any, content: SContra) -> Part:
        """Arrays of the shard; those called `row.*` have a row for each of its rows."""
        ...


class Parts(Protocol):
    """Parts with the rows that they are of, in the order of the shards; read anew each time."""

    def __iter__(self) -> Iterator[tuple[IntArray, Part]]: ...


class Executor(Protocol):
    """Does shards somewhere; `tag` comes back with the part, in any order. Shards are taken as they are needed."""

    def run(self, work: Work[S], shards: Iterable[tuple[T, Shard[S]]]) -> Iterator[tuple[T, Part]]: ...


class Engine(Protocol):
    """What a stage is given: the model, and who does its work."""

    @property
    def explainer(self) -> Any: ...

    def parts(self, work: Work[S], shards: Iterable[Shard[S]], advance: Advance = ...) -> Parts:
        """Every shard done; `advance(n)` is called after n more rows."""
        ...


@final
@dataclass(frozen=True, slots=True)
class InProcess:
    """The executor that is this process."""

    explainer: Any

    def run(self, work: Work[S], shards: Iterable[tuple[T, Shard[S]]]) -> Iterator[tuple[T, Part]]:
        """One after the other."""
        for tag, shard in shards:
            yield tag, work.do(self.explainer, shard.content)


@final
@dataclass(frozen=True, slots=True)
class Here:
    """The engine that does everything at once, in this process, and keeps parts in memory."""

    explainer: Any

    def parts(self, work: Work[S], shards: Iterable[Shard[S]], advance: Advance = lambda n: None) -> Parts:
        """As they come."""
        found = list[tuple[IntArray, Part]]()
        for shard in shards:
            found.append((shard.rows, work.do(self.explainer, shard.content)))
            advance(len(shard.rows))
        return found


def gathered(parts: Parts, n: int) -> dict[str, NDArray[Any]]:
    """The arrays `row.*` of all parts as tables of `n` rows, without the prefix; 0 where a part lacks one."""
    tables: dict[str, NDArray[Any]] = {}
    for rows, part in parts:
        for name in part:
            if name.startswith(ROW):
                values = part[name]
                table = tables.setdefault(name[len(ROW) :], np.zeros((n, *values.shape[1:]), values.dtype))
                table[rows] = values
    return tables


def packed(document: object) -> NDArray[np.uint8]:
    """Anything that JSON can say as an array of a part.

    >>> unpacked(packed({"a": [1, "ü"]}))
    {'a': [1, 'ü']}
    """
    return np.frombuffer(json.dumps(document).encode(), np.uint8)


def unpacked(values: NDArray[np.uint8]) -> Any:
    """What `packed` was given."""
    return json.loads(values.tobytes())


def pickled(work: Work[Any]) -> bytes:
    """Work as it is shipped, within one run only."""
    return pickle.dumps(work, protocol=pickle.HIGHEST_PROTOCOL)


def digest(*parts: object) -> str:
    """Hex sha256 of what JSON can say; bytes and arrays count by their content."""
    return sha256(json.dumps(parts, default=_content).encode()).hexdigest()


def _content(value: Any) -> str:
    if isinstance(value, bytes):
        return sha256(value).hexdigest()
    array = np.ascontiguousarray(value)
    return f"{array.dtype}{array.shape}{sha256(array.data).hexdigest()}"
