"""Cells of the grid over photographs: which of them are declared already, and where they lie in the photograph."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from audit.config import Preprocessing
from audit.data.geometry import photograph_box
from audit.tables import CellTable, IntArray, MaskTable

PLACES: Final = frozenset({"fixed", "grid"})  # kinds of regions that are the same in every photograph by declaration


def located(
    cells: CellTable, masks: MaskTable, *, kinds: Sequence[str], steps: Preprocessing, size: tuple[int, int] | None
) -> CellTable:
    """The same with what the declared regions, of these `kinds`, cover, and the boxes in photographs of one `size` (width, height)."""
    return replace(
        cells,
        declared=_declared(cells.boxes, masks),
        photograph=_placed(cells.boxes, steps, size),
        aligned=measured_frame(masks, kinds),
    )


def measured_frame(masks: MaskTable, kinds: Sequence[str]) -> bool | None:
    """Whether all measured regions lie in the same place of the input in every photograph; None where no such region tells.

    A region that is nowhere, or all of every input, tells nothing.
    """
    _, height, width = masks.shape
    area = masks.area[:, :-1]
    telling = ((area > 0) & (area < height * width)).any(axis=0) & np.array([kind not in PLACES for kind in kinds])
    return bool(masks.aligned[:-1][telling].all()) if telling.any() else None


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
