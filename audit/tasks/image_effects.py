"""Photographs with a region hidden, or the same mask moved elsewhere, and with all declared regions hidden."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from audit.checks.hiding import EVERYTHING, Hidden
from audit.data.infill import FILLS, fills, moved
from audit.data.masks import drawn
from audit.tables import FeatureName, IntArray, MaskTable

Inputs = NDArray[np.float32]
Place = tuple[FeatureName, bool, NDArray[np.bool_]]  # what is hidden, whether as its control, and where


def hidden_photographs(
    load: Callable[[IntArray], Inputs],
    masks: MaskTable,
    names: tuple[str, ...],
    *,
    most: int,
    draws: Callable[[FeatureName], np.random.Generator],
) -> Iterator[tuple[Hidden, Inputs]]:
    """Each hidden input `[channels, H, W]`: of `most` photographs that hold a region, drawn at random; everything of all photographs."""
    for i, places in _places(masks, names, most, draws):
        (pixels,) = load(np.array([i]))
        hiding = fills(pixels)
        for name, control, place in places:
            yield from ((Hidden(i, name, fill, control), hide(place)) for fill, hide in hiding.items())


def count_hidden(
    masks: MaskTable, names: tuple[str, ...], *, most: int, draws: Callable[[FeatureName], np.random.Generator]
) -> int:
    """How many inputs that are, found without loading a photograph."""
    return len(FILLS) * sum(len(places) for _, places in _places(masks, names, most, draws))


def _places(
    masks: MaskTable, names: tuple[str, ...], most: int, draws: Callable[[FeatureName], np.random.Generator]
) -> Iterator[tuple[int, list[Place]]]:
    """Photographs that hold a region, and the masks under which each is hidden; some masks cannot be moved, and have no control."""
    rngs = {name: draws((name,)) for name in names}
    chosen = {
        name: set(rng.permutation(np.flatnonzero(masks.area[:, r]))[:most].tolist())
        for r, (name, rng) in enumerate(rngs.items())
    }
    for i in np.flatnonzero(masks.area[:, :-1].any(axis=1)).tolist():
        declared = drawn(masks, i)[:-1]
        places: list[Place] = [(EVERYTHING, False, np.asarray(declared.any(axis=0)))]
        for name, mask in zip(names, declared, strict=True):
            for control in (False, True) if i in chosen[name] else ():
                place = moved(mask, rngs[name]) if control else mask
                if place is not None:
                    places.append(((name,), control, place))
        yield i, places
