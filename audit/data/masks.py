"""Region masks of all photographs at the model's resolution, as runs of pixels: a sum over a mask is a few differences.

Cost: eight bytes a run, one or two runs a row of a region; masks that equal those of the photograph before are not stored
again, so regions that are fixed in every photograph cost nothing. Growing a mask takes a distance transform of its
surroundings: half a millisecond for a region of 80 x 80 pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

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

    def table(self, shape: tuple[int, int, int], area: IntArray, place: IntArray) -> MaskTable:
        """The masks added, of photographs whose `area` `[n, r]` and `place` `[n]` are given."""
        first = np.concatenate([[0], np.concatenate(self.counts).cumsum()])
        return MaskTable(shape, area, place, first, np.concatenate(self.starts), np.concatenate(self.ends))


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
    return runs.table(shape, area, place)


def varied(masks: MaskTable, tolerance: float) -> dict[str, MaskTable]:
    """The masks grown and shrunk by `tolerance`, a share of the shorter side, in whole pixels and at least one; by what is changed.

    None for a tolerance of 0.
    """
    if tolerance == 0:
        return {}
    pixels = max(1, round(tolerance * min(masks.shape[1:])))
    by = f"by {pixels} pixel{'s' if pixels > 1 else ''}"
    return {f"masks grown {by}": grown(masks, pixels), f"masks shrunk {by}": grown(masks, -pixels)}


def grown(masks: MaskTable, pixels: int) -> MaskTable:
    """The same with the edges of every declared region moved outwards by `pixels`, inwards if negative; "outside" is what is left.

    The border of the picture is no edge of a region: what lies beyond was not seen. A region of which nothing is left is absent.
    """
    regions, runs, seen, area = masks.shape[0], _Runs(), dict[tuple[bytes, ...], int](), []
    place = np.zeros((len(masks.first) - 1) // regions, dtype=np.int64)
    for p in range(len(place)):
        first = masks.first[p * regions : (p + 1) * regions + 1]
        held = slice(first[0], first[-1])
        key = (np.diff(first).tobytes(), masks.start[held].tobytes(), masks.end[held].tobytes())
        if key not in seen:
            seen[key] = len(seen)
            declared = [_grown(masks.mask(p * regions + r), pixels) for r in range(regions - 1)]
            drawn_anew = np.stack([*declared, ~np.any(declared, axis=0)])
            runs.add(drawn_anew)
            area.append(drawn_anew.sum(axis=(1, 2)))
        place[p] = seen[key]
    shared = place[masks.place]
    return runs.table(masks.shape, np.stack(area)[shared], shared)


def _grown(mask: Bools, pixels: int) -> Bools:
    """Mask `[H, W]` with what lies at most `pixels` from it; without what lies at most `-pixels` from the rest, if negative."""
    ends = [np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)]
    if not len(ends[0]):
        return mask
    reach = abs(pixels)
    near = tuple(slice(max(0, held[0] - reach), held[-1] + reach + 1) for held in ends)
    found = mask.copy()
    found[near] = _reached(mask[near], reach) if pixels > 0 else ~_reached(~mask[near], reach)
    return found


def _reached(mask: Bools, pixels: int) -> Bools:
    return np.asarray(distance_transform_edt(~mask) <= pixels) if mask.any() else mask


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
