"""Cells of the grid over photographs: which of them are declared already, and where they lie in the photograph."""

from dataclasses import replace

import numpy as np

from audit.config import Preprocessing
from audit.data.geometry import photograph_box
from audit.tables import CellTable, IntArray, MaskTable


def located(cells: CellTable, masks: MaskTable, steps: Preprocessing, size: tuple[int, int] | None) -> CellTable:
    """The same with what the declared regions cover, and the boxes in pixels of photographs of one `size` (width, height)."""
    aligned = masks.aligned
    return replace(
        cells,
        declared=_declared(cells.boxes, masks),
        photograph=_placed(cells.boxes, steps, size),
        aligned=bool(aligned.all()),
    )


def _declared(boxes: IntArray, masks: MaskTable) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which cells `[cells]` the regions that are the same in every photograph cover by more than half."""
    _, height, width = masks.shape
    drawn = np.zeros((height, width), dtype=np.bool_)
    for r in np.flatnonzero(masks.aligned[:-1]).tolist():
        drawn |= masks.mask(int(masks.number(0, r)))
    return np.array([drawn[top:bottom, left:right].mean() > 0.5 for left, top, right, bottom in boxes.tolist()])


def _placed(boxes: IntArray, steps: Preprocessing, size: tuple[int, int] | None) -> IntArray:
    found = [] if size is None else [photograph_box(box, steps, size) for box in boxes.tolist()]
    return np.array(found, dtype=np.int64).reshape(-1, 4)
