"""Names of all files below a folder in the order of their paths, without a list of them: the names of one folder are sorted at a time.

Of a folder with more than `MOST` entries sorted pieces wait in temporary files, and are merged as they are asked for.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import IO, Final

MOST: Final = 100_000  # names that are sorted in memory


def names_below(folder: str, before: str = "") -> Iterator[str]:
    """Paths of the files, relative to the folder, as text is sorted; what is hidden is skipped, and links to folders are not followed."""
    for name in in_order(_entries(folder)):
        if name.endswith("/"):  # sorted as in the paths of its files: 'a-b' comes before 'a/b'
            yield from names_below(f"{folder}/{name[:-1]}", before + name)
        else:
            yield before + name


def in_order(names: Iterable[str], most: int = MOST) -> Iterator[str]:
    """The names sorted; at most `most` of them are held at a time."""
    left = iter(names)
    piece = sorted(islice(left, most))
    if len(piece) < most:
        yield from piece
        return
    with ExitStack() as stack:
        pieces = list[IO[str]]()
        while piece:
            pieces.append(stack.enter_context(tempfile.TemporaryFile("w+", encoding="ascii")))
            pieces[-1].writelines(
                f"{json.dumps(name)}\n" for name in piece
            )  # a name may hold line breaks, or be no text
            pieces[-1].seek(0)
            piece = sorted(islice(left, most))
        yield from merge(*(map(json.loads, piece) for piece in pieces))


def _entries(folder: str) -> Iterator[str]:
    """Names of files, and of folders with a slash at their end."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield f"{entry.name}/"
            elif not entry.is_symlink() or not Path(entry.path).is_dir():
                yield entry.name
