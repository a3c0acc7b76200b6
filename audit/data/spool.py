"""What belongs to rows and is too large for memory: in a temporary file without a name, read row by row when it is asked for.

Cost: 24 bytes of memory a row, and a few microseconds a reading. The file is gone when nobody holds it any more, and when the
process ends.
"""

import os
import tempfile
import weakref
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, TypeVar, final

import numpy as np

from audit.errors import OutputError
from audit.files import failure
from audit.sequences import Lazy
from audit.tables import IntArray

P = TypeVar("P")


def _full(error: OSError) -> OutputError:
    return failure(error)(
        f"{tempfile.gettempdir()}: rows could not be put aside ({error.strerror or error}); free some space there, or set TMPDIR "
        "to a folder that has some"
    )


def _unnamed() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise _full(error) from error


@final
@dataclass(slots=True, weakref_slot=True)
class Spool:
    """Not frozen: it grows by one packed row after the other. `ends[i]` is where row i begins."""

    file: IO[bytes] = field(default_factory=_unnamed)
    ends: "array[int]" = field(default_factory=lambda: array("q", [0]))

    def __post_init__(self) -> None:
        weakref.finalize(self, self.file.close)

    def add(self, packed: bytes) -> None:
        """The next row; OutputError where the disk is full."""
        try:  # no `with`: this runs for every row
            self.file.write(packed)
        except OSError as error:
            raise _full(error) from error
        self.ends.append(self.ends[-1] + len(packed))

    def rows(self, unpack: Callable[[bytes], P], chosen: IntArray) -> "Spooled[P]":
        """The chosen ones of the rows that were added so far, in the order given."""
        try:
            self.file.flush()
        except OSError as error:
            raise _full(error) from error
        ends = np.array(self.ends, dtype=np.int64)
        return Spooled(self, unpack, ends[chosen], ends[1:][chosen])


@final
@dataclass(frozen=True, slots=True, eq=False)
class Spooled(Lazy[P]):
    """Rows that lie in a spool, between `start` and `end` `[n]`; each is read and unpacked anew."""

    spool: Spool
    unpack: Callable[[bytes], P]
    start: IntArray
    end: IntArray

    def __len__(self) -> int:
        return len(self.start)

    def __reduce__(self) -> tuple[Callable[..., "Spooled[P]"], tuple[Callable[[bytes], P], list[bytes]]]:
        """Its rows travel with it: whoever unpickles them has a file of its own."""
        return _received, (self.unpack, [self._packed(i) for i in range(len(self))])

    def item(self, i: int) -> P:
        """The row at a place that is there."""
        return self.unpack(self._packed(i))

    def _packed(self, i: int) -> bytes:
        start = int(self.start[i])
        return os.pread(self.spool.file.fileno(), int(self.end[i]) - start, start)


def _received(unpack: Callable[[bytes], P], rows: Sequence[bytes]) -> Spooled[P]:
    spool = Spool()
    for packed in rows:
        spool.add(packed)
    return spool.rows(unpack, np.arange(len(rows)))
