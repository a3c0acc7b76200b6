"""Region masks of all photographs at the model's resolution: one bit a pixel, in a file that has no name.

Cost: photographs x regions x pixels / 8 bytes of disk (20,000 of 224 x 224: 125 MB a region); one set of masks that
follows an equal one is not stored again, so regions fixed in every photograph cost nothing.
"""

import os
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, final

import numpy as np
from numpy.typing import NDArray

from audit.config import Preprocessing
from audit.data.examples import Examples
from audit.data.geometry import Bools
from audit.data.images import ImageRow, read_masks
from audit.data.regions import Regions
from audit.errors import DataError
from audit.tables import IntArray


@final
@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Masks:
    """Masks of n photographs: `area` [n, r] in pixels of the model's input of `shape` (r, H, W); present is area > 0."""

    area: IntArray
    shape: tuple[int, int, int]
    _place: IntArray  # [n] in the file
    _file: IO[bytes]

    @property
    def present(self) -> Bools:
        """[n, r]; an absent region is missing in that photograph, not zero."""
        return self.area > 0

    def take(self, indices: Sequence[int] | IntArray) -> Bools:
        """Masks [k, r, H, W] of these photographs; threads may call it at once."""
        size = (int(np.prod(self.shape)) + 7) // 8
        packed = [os.pread(self._file.fileno(), size, int(self._place[i]) * size) for i in indices]
        bits = np.frombuffer(b"".join(packed), dtype=np.uint8).reshape(len(packed), size)
        flat = np.unpackbits(bits, axis=1, count=int(np.prod(self.shape)))
        return flat.view(np.bool_).reshape(len(packed), *self.shape)


def collect_masks(
    examples: Examples[ImageRow], regions: Regions, steps: Preprocessing, shifts: NDArray[np.int64] | None = None
) -> Masks:
    """Draw every photograph's regions under its own shift (row of `shifts` [n, 2]: dx, dy); DataError if sizes differ."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 (closed when the masks go)
    try:
        masks = _written(file, examples, regions, steps, shifts)
    except BaseException:
        file.close()
        raise
    weakref.finalize(masks, file.close)
    return masks


def _written(
    file: IO[bytes],
    examples: Examples[ImageRow],
    regions: Regions,
    steps: Preprocessing,
    shifts: NDArray[np.int64] | None,
) -> Masks:
    area = np.zeros((len(examples), len(regions.names)), dtype=np.int64)
    place = np.zeros(len(examples), dtype=np.int64)
    shape, last, written = (0, 0, 0), b"", 0
    for i, row in enumerate(examples.payload):
        shift = (0, 0) if shifts is None else (int(shifts[i, 0]), int(shifts[i, 1]))
        masks = read_masks(row, regions, steps, shift)
        if i and masks.shape != shape:
            raise DataError(_sizes(examples, i, shape, masks.shape))
        shape, packed = masks.shape, np.packbits(masks).tobytes()
        if packed != last:
            file.write(packed)
            last, written = packed, written + 1
        area[i], place[i] = masks.sum(axis=(1, 2)), written - 1
    file.flush()
    return Masks(area, shape, place, file)


def _sizes(examples: Examples[ImageRow], i: int, first: tuple[int, ...], other: tuple[int, ...]) -> str:
    return (
        f"{examples.payload[i].path.name}: becomes {other[2]} x {other[1]} pixels, {examples.payload[0].path.name} "
        f"{first[2]} x {first[1]}; the model needs one size: give model.preprocessing a resize [width, height] or a center_crop"
    )
