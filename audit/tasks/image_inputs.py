"""From the files of photographs to the model's inputs, wherever a worker is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from audit.config import Preprocessing
from audit.data.geometry import map_pixels, normalise
from audit.data.images import ImageRow, read_image, unchanged
from audit.data.masks import shift_of
from audit.tables import IntArray


@final
@dataclass(frozen=True, slots=True)
class ModelInputs:
    """The inputs of a model that takes `steps`; `shifts` `[n, 2]` are those of the crop, or None."""

    photographs: Sequence[ImageRow]
    steps: Preprocessing
    shifts: IntArray | None = None

    def __call__(self, rows: IntArray) -> NDArray[np.float32]:
        """`[k, channels, H, W]` of some rows; DataError if a file can no longer be read."""
        seen = []
        for i in np.asarray(rows).tolist():
            with unchanged(self.photographs[i]):
                seen.append(map_pixels(read_image(self.photographs[i].path), self.steps, shift_of(self.shifts, i)))
        return normalise(np.stack(seen), self.steps)

    def names(self, rows: IntArray) -> list[tuple[str, str]]:
        """What tells photographs apart: path and content."""
        return [(self.photographs[i].path.name, self.photographs[i].sha256) for i in np.asarray(rows).tolist()]
