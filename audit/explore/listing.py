"""Lists of examples: cells by column, with what an example holds to read."""

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audit.explore.query import Query, rows
from audit.explore.shelf import Shelf

LEADING: Final = ("label", "predicted", "correct", "contrast")


def listed(shelf: Shelf, query: Query, most: int) -> tuple[list[dict[str, Any]], int, list[str]]:
    """The first rows of a query, how many there are, and the column that they are ordered by, if a list has it not anyway."""
    found, extra = rows(shelf, query), sorted_by(query)
    return cells(shelf, found[:most], extra), len(found), extra


def sorted_by(query: Query) -> list[str]:
    """The column of the order, where a list has it not anyway."""
    sort = query.sort.removeprefix("-")
    return [sort] if sort and sort not in (*LEADING, "id") else []


def cells(shelf: Shelf, wanted: NDArray[np.int64], extra: Sequence[str] = ()) -> list[dict[str, Any]]:
    """A mapping a row."""
    names = columns(shelf, extra)
    return [
        dict(zip(names, row, strict=True)) for row in zip(*(shelf.cells(name, wanted) for name in names), strict=True)
    ]


def columns(shelf: Shelf, extra: Sequence[str] = ()) -> list[str]:
    """What a list shows of an example: its id, the leading columns, others, and what can be read."""
    readable = [name for name in ("text", "file") if name in shelf.types]
    return list(dict.fromkeys(["id", *LEADING, *extra, *readable]))


def marked(text: str, wanted: re.Pattern[str] | None, most: int) -> list[tuple[str, bool]]:
    """The text in pieces, and whether each is a wanted word; cut to about `most` characters around the first of these."""
    first = wanted.search(text) if wanted else None
    start = max(0, first.start() - most // 3) if first and first.end() > most else 0
    shown = text[start : start + most]
    pieces, end = [("…", False)] if start else [], 0
    for hit in wanted.finditer(shown) if wanted else ():
        pieces += [(shown[end : hit.start()], False), (hit[0], True)]
        end = hit.end()
    return [*pieces, (shown[end:], False), *([("…", False)] if start + most < len(text) else [])]
