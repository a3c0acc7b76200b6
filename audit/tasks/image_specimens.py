"""A sample of photographs cut into square cells that can be hidden one by one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from audit.checks.flipping import Flipped, Maps
from audit.config import Preprocessing
from audit.data.infill import hiding
from audit.models.twins import reinitialised
from audit.relevance.explainer import Explainer, contrast_logit
from audit.relevance.grid import cells
from audit.relevance.images import pixel_relevance
from audit.relevance.photographs import on_device
from audit.relevance.scoring import score_images
from audit.tables import FloatArray, IntArray

Inputs = NDArray[np.float32]
FILLS: Final = ("mean", "blur")
NOISE: Final = 1.0  # grey levels of 255


@final
@dataclass(frozen=True, slots=True)
class ImageSpecimens:
    """The photographs of `rows` `[m]`, whose inputs `pixels` `[m, channels, H, W]` are held in memory."""

    explainer: Explainer[Preprocessing]
    rows: IntArray
    pixels: Inputs
    batch_images: int

    @property
    def fills(self) -> tuple[str, ...]:
        """By name."""
        return FILLS

    @property
    def composites(self) -> tuple[str, ...]:
        """By name."""
        return self.explainer.names

    @property
    def alike(self) -> float:
        """No two cells of photographs are the same."""
        return 0.0

    def maps(self, composites: Sequence[str]) -> list[Maps]:
        """Relevance of each cell, row by row."""
        chosen, cell = [self.explainer.composites[name] for name in composites], self._cells.ravel()
        batches = [pixel_relevance(self.explainer, pixels, chosen) for pixels in self._batches()]
        return [
            [np.bincount(cell, each.ravel()).astype(float) for batch in batches for each in batch[k]]
            for k in range(len(chosen))
        ]

    def contrast(self, hidden: Flipped, fill: str) -> FloatArray:
        """Contrast logit of each photograph with the marked cells hidden."""

        def inputs() -> Iterator[Inputs]:
            for pixels, gone in zip(self.pixels, hidden, strict=True):
                mask = gone[self._cells]
                yield hiding(pixels, fill)(mask) if mask.any() else pixels

        return contrast_logit(self.explainer, score_images(self.explainer, inputs(), size=self.batch_images))

    def part(self, places: IntArray) -> "ImageSpecimens":
        """The photographs at some places of the sample."""
        return replace(self, rows=self.rows[places], pixels=self.pixels[places])

    def reinitialised(self, seed: int) -> "ImageSpecimens":
        """Seen by a copy of the model with random weights."""
        batches = (on_device(self.explainer, pixels) for pixels in self._batches())
        model = reinitialised(self.explainer.model, seed, batches)
        return replace(self, explainer=replace(self.explainer, model=model))

    def noisy(self, rng: np.random.Generator) -> "ImageSpecimens":
        """With noise of a grey level on the pixels."""
        low, high = (np.array(bound, dtype=np.float32) for bound in self.explainer.reader.bounds)
        level = (NOISE * (high - low) / 255)[:, None, None]
        noise = rng.standard_normal(self.pixels.shape, dtype=np.float32)
        return replace(self, pixels=np.asarray(self.pixels + level * noise))

    @property
    def _cells(self) -> IntArray:
        return cells(self.pixels.shape[-2:])

    def _batches(self) -> Iterator[Inputs]:
        for start in range(0, len(self.rows), self.batch_images):
            yield self.pixels[start : start + self.batch_images]
