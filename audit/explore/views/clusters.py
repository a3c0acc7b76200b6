"""Strategies of the model: what each looks at, and the examples on a map."""

import threading
from functools import cache
from typing import Any, Final

import numpy as np

from audit.explore.layout import layout
from audit.explore.listing import cells
from audit.explore.query import Pairs
from audit.explore.shelf import Shelf
from audit.report import page

POINTS: Final = 2_000  # of the map
LOOKS, MIDDLE = 5, 2
EMBEDDING: Final = "debug.embedding"
_ONE: Final = threading.Lock()


def clusters(shelf: Shelf, pairs: Pairs) -> dict[str, Any]:
    """Strategies with their prototypes as a list shows examples."""
    debug = shelf.record.debug
    strategies = debug.strategies if debug else ()
    return {
        "strategies": [(each, _prototypes(shelf, each.prototypes[:MIDDLE])) for each in strategies], "looks": LOOKS, "most": POINTS,
        "unclustered": debug.unclustered if debug else 0, "mapped": EMBEDDING in shelf.types, "told": page.shows_text(shelf.record),
    }  # fmt: skip


def _prototypes(shelf: Shelf, names: tuple[str, ...]) -> list[dict[str, Any]]:
    return cells(shelf, shelf.places(names))


def points(shelf: Shelf) -> dict[str, Any]:
    """Places on the map of up to `POINTS` examples: ids, x, y, strategy and whether they are right; laid out once, which takes seconds."""
    with _ONE:
        return _points(shelf)


@cache
def _points(shelf: Shelf) -> dict[str, Any]:
    column = shelf.column(EMBEDDING) if EMBEDDING in shelf.types else None
    known = np.zeros(0, np.int64) if column is None else np.flatnonzero(np.asarray(column.is_valid()))
    known = np.sort(np.random.default_rng(0).permutation(known)[:POINTS])
    if column is None or not len(known):
        return {"ids": [], "x": [], "y": [], "strategy": [], "correct": []}
    x, y = layout(np.array(column.take(known).to_pylist(), dtype=float)).round(4).T.tolist()
    return {
        "ids": shelf.cells("id", known), "x": x, "y": y,
        "strategy": shelf.cells("debug.strategy", known), "correct": shelf.cells("correct", known),
    }  # fmt: skip
