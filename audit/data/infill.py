"""What takes the place of a region that is hidden: the photograph's mean, its blur, or what surrounds the region."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

Pixels = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Fill = Callable[[Mask], Pixels]
COARSE: Final = 64
BLUR: Final = 1 / 4  # side of the box, as a part of the shorter side


def _mean(pixels: Pixels) -> Fill:
    """Of the rest of the photograph, by channel; of all of it where nothing is left."""

    def fill(mask: Mask) -> Pixels:
        rest = pixels[:, ~mask] if not mask.all() else pixels.reshape(len(pixels), -1)
        return np.broadcast_to(rest.mean(axis=1)[:, None, None], pixels.shape)

    return fill


def _blur(pixels: Pixels) -> Fill:
    """A box run twice, which is nearly a bell."""
    size = (0, *[max(3, round(BLUR * min(pixels.shape[1:])))] * 2)
    soft = uniform_filter(uniform_filter(pixels, size, mode="nearest"), size, mode="nearest")
    return lambda mask: soft


def _surroundings(pixels: Pixels) -> Fill:
    """Normalised convolution (Knutsson and Westin 1993, CVPR) of what is not hidden by boxes of growing sides, the narrow ones first.

    What lies around the mask is read from `COARSE` pixels a side.
    """

    def fill(mask: Mask) -> Pixels:
        found = np.array(_mean(pixels)(mask))
        rows, columns = _around(mask)
        step = max(1, -(-max(mask[rows, columns].shape) // COARSE))
        seen, known = pixels[:, rows, columns][:, ::step, ::step], (~mask[rows, columns][::step, ::step]).astype(float)
        total, weight, side = np.zeros(seen.shape), np.zeros(known.shape), 3
        while known.any() and (weight < 1 - 1e-6).any() and side < 6 * max(known.shape):
            there = np.clip(uniform_filter(known, side, mode="constant"), 0, 1)
            sums = uniform_filter(seen * known, (0, side, side), mode="constant")
            share = np.where(there > 1e-9, (1 - weight) * np.maximum(there, 0.1), 0)
            total += share * np.divide(sums, there, out=np.zeros_like(sums), where=there > 1e-9)
            weight, side = weight + share, 3 * side
        if weight.all():
            fine = (total / weight).repeat(step, axis=1).repeat(step, axis=2)
            inside = found[:, rows, columns]
            inside[...] = fine[:, : inside.shape[1], : inside.shape[2]]
        return found

    return fill


def _around(mask: Mask) -> tuple[slice, slice]:
    """The rows and columns of a mask, and as many on each side."""
    ends = [np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)]
    sides = [held[-1] + 1 - held[0] for held in ends]
    rows, columns = (
        slice(max(0, int(held[0] - side)), int(held[-1] + 1 + side)) for held, side in zip(ends, sides, strict=True)
    )
    return rows, columns


FILLS: Final[Mapping[str, Callable[[Pixels], Fill]]] = MappingProxyType({
    "mean": _mean, "blur": _blur, "surroundings": _surroundings,
})  # fmt: skip


def hiding(pixels: Pixels, name: str) -> Fill:
    """What gives the photograph `[channels, H, W]` with a mask `[H, W]` (of at least a pixel) hidden by the fill of this name."""
    fill = FILLS[name](pixels)
    return lambda mask: np.where(mask, fill(mask), pixels).astype(pixels.dtype)


def fills(pixels: Pixels) -> dict[str, Fill]:
    """`hiding` by every fill, by name."""
    return {name: hiding(pixels, name) for name in FILLS}


def moved(mask: Mask, rng: np.random.Generator, tries: int = 20) -> Mask | None:
    """The mask at another place of the picture, of `tries` random ones that which overlaps itself least; None if half of it does.

    >>> corner = np.zeros((8, 8), dtype=bool); corner[:2, :2] = True
    >>> elsewhere = moved(corner, np.random.default_rng(0)); int(elsewhere.sum()), int((elsewhere & corner).sum())
    (4, 0)
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    top, left = rows[0], columns[0]
    cut = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    room, found, least = np.subtract(mask.shape, cut.shape), None, cut.sum() / 2
    for there in np.unique(rng.integers(0, room + 1, (tries, 2)), axis=0).tolist():
        overlap = _overlap(cut, there[0] - int(top), there[1] - int(left))
        if overlap < least:
            found, least = there, overlap
    if found is None:
        return None
    elsewhere = np.zeros_like(mask)
    elsewhere[found[0] : found[0] + cut.shape[0], found[1] : found[1] + cut.shape[1]] = cut
    return elsewhere


def _overlap(cut: Mask, down: int, right: int) -> int:
    """How many pixels a mask shares with itself that many pixels further down and right."""
    height, width = cut.shape
    if abs(down) >= height or abs(right) >= width:
        return 0
    one = cut[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
    two = cut[max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)]
    return int((one & two).sum())
