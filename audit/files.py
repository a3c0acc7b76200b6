"""Single files: their hash, writes that leave the old file or the whole new one, never a half, and cells that are no formulas."""

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from audit.errors import OutputError, StoppedError

FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORMULA: Final = re.compile("(?:\\A(?=[\t\r\n])|(?:\\A|(?<=[;\t\r\n]))(?=[=+@\uff1d\uff0b\uff20\uff0d-]))")


def file_sha256(path: Path) -> str:
    """Hex sha256 of one file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, content: bytes, *, cure: str) -> None:
    """Write beside `path`, then rename; raises `OutputError`, which ends with `cure`, and leaves no temporary file."""
    with atomically(path, cure=cure) as file:
        file.write(content)


@contextmanager
def atomically(path: Path, *, cure: str) -> Iterator[IO[bytes]]:
    """A file to write that takes the place of `path` at the end of the block; errors as of `write_atomically`."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise failure(error)(f"{path}: cannot be written ({error.strerror}); {cure}") from None


def failure(error: OSError) -> type[OutputError]:
    """What it is for a run: a full disk passes, other reasons have to be mended."""
    return StoppedError if error.errno in FULL else OutputError


def inert(cell: object) -> object:
    """A cell of a table that no spreadsheet takes for a formula, wherever it splits the line; numbers stay numbers.

    >>> inert("=1+1"), inert("a;@SUM(A1)"), inert(-0.5), inert("a - b")
    ("'=1+1", "a;'@SUM(A1)", -0.5, 'a - b')
    """
    return FORMULA.sub("'", cell) if isinstance(cell, str) else cell
