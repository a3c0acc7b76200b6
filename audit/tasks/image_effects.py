"""Photographs with a region hidden, or the same mask moved elsewhere, and with all declared regions hidden."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from audit.checks.hiding import EVERYTHING, Hidden
from audit.data.infill import FILLS, fills, moved
from audit.data.masks import drawn
from audit.tables import FeatureName, IntArray, MaskTable

Inputs = NDArray[np.float32]


def hidden_photographs(
    load: Callable[[IntArray], Inputs],
    masks: MaskTable,
    names: tuple[str, ...],
    *,
    most: int,
    draws: Callable[[FeatureName], np.random.Generator],
) -> Iterator[tuple[Hidden, Inputs]]:
    """Each hidden input `[channels, H, W]`: of `most` photographs that hold a region, drawn at random; everything of all photographs."""
    rngs = {name: draws((name,)) for name in names}
    chosen = {
        name: set(rng.permutation(np.flatnonzero(masks.area[:, r]))[:most].tolist())
        for r, (name, rng) in enumerate(rngs.items())
    }
    for i in np.flatnonzero(masks.area[:, :-1].any(axis=1)).tolist():
        declared = drawn(masks, i)[:-1]
        (pixels,) = load(np.array([i]))
        hiding, everything = fills(pixels), np.asarray(declared.any(axis=0))
        yield from ((Hidden(i, EVERYTHING, fill), hide(everything)) for fill, hide in hiding.items())
        for name, mask in zip(names, declared, strict=True):
            for control in (False, True) if i in chosen[name] else ():
                place = moved(mask, rngs[name]) if control else mask
                if place is not None:
                    yield from ((Hidden(i, (name,), fill, control), hide(place)) for fill, hide in hiding.items())


def most_hidden(masks: MaskTable, most: int) -> int:
    """How many inputs there are at most: fewer where a mask cannot be moved."""
    held = masks.area[:, :-1] > 0
    return len(FILLS) * int(held.any(axis=1).sum() + 2 * np.minimum(held.sum(axis=0), most).sum())
