"""A grid over the model's input, which no declaration chose, and relevance in its cells: 64 float32 a photograph and composite."""

from collections.abc import Sequence
from typing import Final, final

import numpy as np

from audit.tables import CellTable, FloatArray, IntArray

CELLS: Final = 8  # a side
FEWEST_PIXELS: Final = 2  # a side of a cell


@final
class GridSums:
    """Not frozen: it is an accumulator of one pass over `n` maps `[H, W]`, and lives inside it only."""

    def __init__(self, composites: Sequence[str], n: int, shape: tuple[int, int]) -> None:
        self.shape, self.composites = shape, tuple(composites)
        self.rows, self.columns = (edges(side) for side in shape)
        self.net = np.full(
            (len(self.composites), n, (len(self.rows) - 1) * (len(self.columns) - 1)), np.nan, np.float32
        )

    def add(self, i: int, values: FloatArray) -> None:
        """Maps `[composites, pixels]` of photograph `i`; an empty one leaves NaN."""
        total = np.abs(values).sum(1)
        sums = np.add.reduceat(values.reshape(-1, *self.shape), self.rows[:-1], axis=1)
        sums = np.add.reduceat(sums, self.columns[:-1], axis=2).reshape(len(values), -1)
        self.net[:, i] = sums / np.where(total > 0, total, np.nan)[:, None]

    def finish(self) -> CellTable:
        """The table of the whole run, of which nothing is declared."""
        top, left = (each.ravel() for each in np.meshgrid(self.rows[:-1], self.columns[:-1], indexing="ij"))
        bottom, right = (each.ravel() for each in np.meshgrid(self.rows[1:], self.columns[1:], indexing="ij"))
        boxes = np.stack([left, top, right, bottom], axis=1)
        return CellTable(
            dict(zip(self.composites, self.net, strict=True)), boxes, declared=np.zeros(len(boxes), dtype=np.bool_)
        )


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
