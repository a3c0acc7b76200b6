"""Parts on disk, a file a shard, named by what it was made from: what is whole is never made again, what is not is made anew."""

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar, final

import numpy as np

from audit.files import atomically
from audit.log import Event, tell
from audit.parts import Advance, Executor, Part, Parts, Shard, Work, digest
from audit.tables import IntArray

S = TypeVar("S")
BROKEN: Final = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)
CURE: Final = "free some space, or give another folder with --output; what is done is kept, run it again to go on"


@final
@dataclass(frozen=True, slots=True)
class Kept:
    """The engine that keeps every part in `folder`; `identity` is all that decides parts beside work and shard.

    `counts` tells how many shards were there already, and how many were done.
    """

    explainer: Any
    executor: Executor
    folder: Path
    identity: str
    counts: dict[str, int] = field(default_factory=lambda: {"found": 0, "done": 0})

    def parts(self, work: Work[S], shards: Iterable[Shard[S]], advance: Advance = lambda n: None) -> Parts:
        """Those that are there already and those that are done now, in the order of the shards."""
        found = list[tuple[IntArray, Path]]()
        of_work = digest(self.identity, work.digest)

        def missing() -> Iterator[tuple[tuple[Path, int], Shard[S]]]:
            for shard in shards:
                path = self.folder / f"{digest(of_work, shard.digest)}.npz"
                found.append((shard.rows, path))
                if _is_whole(path):
                    self.counts["found"] += 1
                    n = len(shard.rows)
                    tell(Event.SHARD_REUSED, f"{n} examples were done before", shard=path.stem, examples=n)
                    advance(n)
                else:
                    yield (path, len(shard.rows)), shard

        for (path, rows), part in self.executor.run(work, missing()):
            with atomically(path, cure=CURE) as file:
                np.savez(file, allow_pickle=False, **part)
            self.counts["done"] += 1
            advance(rows)
        return PartFiles(tuple(found))


@final
@dataclass(frozen=True, slots=True)
class PartFiles:
    """Parts that are read when they are asked for, an array at a time."""

    files: tuple[tuple[IntArray, Path], ...]

    def __iter__(self) -> Iterator[tuple[IntArray, Part]]:
        for rows, path in self.files:
            with path.open("rb") as file, np.load(file) as part:
                yield rows, part


def _is_whole(path: Path) -> bool:
    """Whether every array of the file can be read; the checksums of the archive tell what was cut or changed."""
    try:
        with path.open("rb") as file, np.load(file) as part:
            for name in part:
                part[name]
    except BROKEN:
        return False
    return True
