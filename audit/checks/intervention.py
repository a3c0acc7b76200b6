"""Intervention by paired term swaps: what the model does when only the group of the terms in a text changes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from audit.tables import FloatArray, IntArray, SwapTable


@final
@dataclass(frozen=True, slots=True)
class SwappedTexts:
    """Texts `example` `[m]` with the terms of group `source` replaced by those of `target` `[m]`; `texts` may be made as they are read."""

    example: IntArray
    source: NDArray[np.str_]
    target: NDArray[np.str_]
    texts: Sequence[str]

    def __len__(self) -> int:
        return len(self.texts)


def swap_effects(
    swapped: SwappedTexts,
    scores: FloatArray,
    *,
    score: Callable[[Sequence[str]], FloatArray],
    contrast: Callable[[FloatArray], FloatArray],
) -> SwapTable:
    """Score every swapped text (forward passes only) against `scores`, the logits `[examples, classes]` of the originals."""
    after = score(swapped.texts) if len(swapped) else np.zeros((0, scores.shape[1]))
    return SwapTable(
        example=swapped.example,
        source=swapped.source,
        target=swapped.target,
        delta=contrast(after) - contrast(scores[swapped.example]),
        predicted=after.argmax(1),
    )
