"""Photographs with a region hidden, or the same mask moved elsewhere, and with all declared regions hidden."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from audit.checks.hiding import EVERYTHING, Hidden
from audit.data.infill import FILLS, hide, moved
from audit.data.masks import drawn
from audit.tables import IntArray, MaskTable

Inputs = NDArray[np.float32]


def hidden_photographs(
    load: Callable[[IntArray], Inputs], masks: MaskTable, names: tuple[str, ...], *, most: int, rng: np.random.Generator
) -> Iterator[tuple[Hidden, Inputs]]:
    """Each hidden input `[channels, H, W]`: of `most` photographs, drawn at random, by region; everything of all photographs."""
    chosen = set(rng.permutation(len(masks.area))[:most].tolist())
    for i in range(len(masks.area)):
        declared = drawn(masks, i)[:-1]
        if not declared.any():
            continue
        (pixels,) = load(np.array([i]))
        everything = np.asarray(declared.any(axis=0))
        yield from ((Hidden(i, EVERYTHING, fill), hide(pixels, everything, fill)) for fill in FILLS)
        for name, mask in zip(names, declared, strict=True) if i in chosen else ():
            for control, place in ((False, mask), (True, moved(mask, rng))):
                if place is not None and place.any():
                    yield from ((Hidden(i, (name,), fill, control), hide(pixels, place, fill)) for fill in FILLS)


def most_hidden(masks: MaskTable, most: int) -> int:
    """About how many inputs there are; fewer where a mask cannot be moved."""
    declared = masks.area[:, :-1] > 0
    held = int(declared.sum() * min(1.0, most / max(1, len(declared))))
    return len(FILLS) * (int(declared.any(axis=1).sum()) + 2 * held)
