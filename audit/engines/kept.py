"""Parts on disk, a file a shard, named by what it was made from: what is whole is never made again, what is not is made anew."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar, final

import numpy as np

from audit.files import atomically
from audit.log import Event, tell
from audit.parts import Advance, Executor, Part, Parts, Shard, Work, digest
from audit.tables import IntArray

S = TypeVar("S")
SEAL: Final = sha256().digest_size  # bytes of the archive's comment
CURE: Final = "free some space and run it again to go on; with another folder (--output) it starts anew"


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
                file.write(sealed(part))
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


def sealed(part: Part) -> bytes:
    """An archive of numpy whose comment is the sha256 of all before it: checksums of a zip file leave out its own directory."""
    archive = io.BytesIO()
    np.savez(archive, allow_pickle=False, **part)
    content = archive.getvalue()[:-2] + SEAL.to_bytes(2, "little")  # an archive ends with the length of its comment
    return content + sha256(content).digest()


def _is_whole(path: Path) -> bool:
    """Whether the file is there, byte for byte as it was written."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return sha256(content[:-SEAL]).digest() == content[-SEAL:]
