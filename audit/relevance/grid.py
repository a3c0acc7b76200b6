"""A grid over the model's input, which no declaration chose, and relevance in its cells: 64 float32 a photograph and composite."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audit.tables import CellTable, FloatArray, IntArray

CELLS: Final = 8  # a side
FEWEST_PIXELS: Final = 2  # a side of a cell


def grid_sums(values: FloatArray, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Relevance in the cells `[composites, cells]` over sum |R|, of maps `[composites, pixels]` of this shape; NaN of an empty one."""
    rows, columns = (edges(side) for side in shape)
    total = np.abs(values).sum(1)
    sums = np.add.reduceat(values.reshape(-1, *shape), rows[:-1], axis=1)
    sums = np.add.reduceat(sums, columns[:-1], axis=2).reshape(len(values), -1)
    return np.asarray(sums / np.where(total > 0, total, np.nan)[:, None], dtype=np.float32)


def cell_table(net: NDArray[np.float32], composites: Sequence[str], shape: tuple[int, int]) -> CellTable:
    """The table of the whole run from `net` `[n, composites, cells]`, of which nothing is declared."""
    rows, columns = (edges(side) for side in shape)
    top, left = (each.ravel() for each in np.meshgrid(rows[:-1], columns[:-1], indexing="ij"))
    bottom, right = (each.ravel() for each in np.meshgrid(rows[1:], columns[1:], indexing="ij"))
    boxes = np.stack([left, top, right, bottom], axis=1)
    by_composite = {name: net[:, c].copy() for c, name in enumerate(composites)}
    return CellTable(by_composite, boxes, declared=np.zeros(len(boxes), dtype=np.bool_))


def cells(shape: tuple[int, ...]) -> IntArray:
    """The number of the cell `[H, W]` of each pixel, row by row.

    >>> cells((4, 4))
    array([[0, 0, 1, 1],
           [0, 0, 1, 1],
           [2, 2, 3, 3],
           [2, 2, 3, 3]])
    """
    rows, columns = (np.repeat(np.arange(len(ends) - 1), np.diff(ends)) for ends in map(edges, shape))
    return np.asarray(rows[:, None] * (columns[-1] + 1) + columns)


def edges(side: int) -> IntArray:
    """Where cells of about equal size begin, and the end.

    >>> edges(25).tolist(), edges(5).tolist()
    ([0, 3, 6, 9, 12, 16, 19, 22, 25], [0, 2, 5])
    """
    cells = max(1, min(CELLS, side // FEWEST_PIXELS))
    return np.asarray(np.rint(np.linspace(0, side, cells + 1)).astype(np.int64))
