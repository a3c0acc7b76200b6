"""Region masks of all photographs at the model's resolution, as runs of pixels: a sum over a mask is a few differences.

Cost: eight bytes a run, one or two runs a row of a region; masks that equal those of the photograph before are not stored
again, so regions that are fixed in every photograph cost nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from audit.config import Preprocessing
from audit.data.examples import Examples
from audit.data.geometry import Bools
from audit.data.images import ImageRow, read_masks, unchanged
from audit.data.regions import Regions
from audit.errors import DataError
from audit.tables import IntArray, MaskTable


@final
@dataclass(slots=True)
class _Runs:
    """Not frozen: it grows by one photograph after the other."""

    counts: list[IntArray] = field(default_factory=list)
    starts: list[IntArray] = field(default_factory=list)
    ends: list[IntArray] = field(default_factory=list)

    def add(self, masks: Bools) -> None:
        """Masks `[r, H, W]` of one photograph."""
        flat = masks.reshape(len(masks), -1).view(np.int8)
        turns = np.diff(flat, axis=1, prepend=np.int8(0), append=np.int8(0))
        region, start = np.nonzero(turns == 1)
        self.counts.append(np.bincount(region, minlength=len(masks)))
        self.starts.append(start.astype(np.int32))
        self.ends.append(np.nonzero(turns == -1)[1].astype(np.int32))


def collect_masks(
    examples: Examples[ImageRow], regions: Regions, steps: Preprocessing, shifts: NDArray[np.int64] | None = None
) -> MaskTable:
    """Draw every photograph's regions under its own shift (row of `shifts` `[n, 2]`: dx, dy); DataError if sizes differ."""
    area = np.zeros((len(examples), len(regions.names)), dtype=np.int64)
    place = np.zeros(len(examples), dtype=np.int64)
    runs, shape, last = _Runs(), (0, 0, 0), b""
    for i, row in enumerate(examples.payload):
        with unchanged(row):
            masks = read_masks(row, regions, steps, shift_of(shifts, i))
        if i and masks.shape != shape:
            raise DataError(_sizes(examples, i, shape, masks.shape))
        shape, packed = masks.shape, np.packbits(masks).tobytes()
        if packed != last:
            runs.add(masks)
            last = packed
        area[i], place[i] = masks.sum(axis=(1, 2)), len(runs.counts) - 1
    first = np.concatenate([[0], np.concatenate(runs.counts).cumsum()])
    return MaskTable(shape, area, place, first, np.concatenate(runs.starts), np.concatenate(runs.ends))


def shift_of(shifts: NDArray[np.integer] | None, i: int) -> tuple[int, int]:
    """dx, dy of photograph `i`; none without `shifts` `[n, 2]`."""
    return (0, 0) if shifts is None else (int(shifts[i, 0]), int(shifts[i, 1]))


def drawn(masks: MaskTable, i: int) -> Bools:
    """The masks `[r, H, W]` of photograph `i`."""
    return np.stack([masks.mask(int(masks.number(i, r))) for r in range(masks.shape[0])])


def _sizes(examples: Examples[ImageRow], i: int, first: Sequence[int], other: Sequence[int]) -> str:
    return (
        f"{examples.payload[i].path.name}: becomes {other[2]} x {other[1]} pixels, {examples.payload[0].path.name} "
        f"{first[2]} x {first[1]}; the model needs one size: give model.preprocessing a resize [width, height] or a center_crop"
    )
