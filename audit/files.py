"""Single files: their hash, and writes that leave the old file or the whole new one, never a half."""

import hashlib
import os
import tempfile
from pathlib import Path

from audit.errors import OutputError


def file_sha256(path: Path) -> str:
    """Hex sha256 of one file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, content: bytes, *, cure: str) -> None:
    """Write beside `path`, then rename; raises `OutputError`, which ends with `cure`, and leaves no temporary file."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); {cure}") from None
