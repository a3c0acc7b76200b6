"""Intervention by paired term swaps: what the model does when only the group of the terms in a text changes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from audit.tables import FloatArray, SwapTable


@final
@dataclass(frozen=True, slots=True)
class SwappedText:
    """Text `example` with the terms of group `source` replaced by those of `target`."""

    example: int
    text: str
    source: str
    target: str


def swap_effects(
    swapped: Sequence[SwappedText],
    scores: FloatArray,
    *,
    score: Callable[[Sequence[str]], FloatArray],
    contrast: Callable[[FloatArray], FloatArray],
) -> SwapTable:
    """Score every swapped text (forward passes only) against `scores`, the logits `[examples, classes]` of the originals."""
    rows = np.array([s.example for s in swapped], dtype=np.int64)
    after = score([s.text for s in swapped]) if swapped else np.zeros((0, scores.shape[1]))
    before = scores[rows]
    return SwapTable(
        example=rows,
        source=np.array([s.source for s in swapped], dtype=np.str_),
        target=np.array([s.target for s in swapped], dtype=np.str_),
        delta=contrast(after) - contrast(before),
        predicted=after.argmax(1),
    )
