"""Photographs with a region hidden, or the same mask moved elsewhere, and with all declared regions hidden."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from audit.checks.hiding import EVERYTHING, Hidden
from audit.data.infill import FILLS, fills, moved
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
        hiding, everything = fills(pixels), np.asarray(declared.any(axis=0))
        yield from ((Hidden(i, EVERYTHING, name), hide(everything)) for name, hide in hiding.items())
        for name, mask in zip(names, declared, strict=True) if i in chosen else ():
            for control, place in ((False, mask), (True, moved(mask, rng))):
                if place is not None and place.any():
                    yield from ((Hidden(i, (name,), fill, control), hide(place)) for fill, hide in hiding.items())


def most_hidden(masks: MaskTable, most: int) -> int:
    """How many inputs there are at most: fewer where a mask cannot be moved, or where photographs with fewer regions are drawn."""
    declared = np.sort((masks.area[:, :-1] > 0).sum(axis=1))[::-1]
    return len(FILLS) * int((declared > 0).sum() + 2 * declared[:most].sum())
