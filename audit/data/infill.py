"""What takes the place of a region that is hidden: the photograph's mean, its blur, or what surrounds the region."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Pixels = NDArray[np.floating]
Mask = NDArray[np.bool_]
BLUR: Final = 1 / 8  # standard deviation, as a part of the shorter side
WIDTHS: Final = (1, 2, 4, 8, 16, 32, 64, 128)  # standard deviations in pixels from which surroundings are seen


def _mean(pixels: Pixels, mask: Mask) -> Pixels:
    """Of the rest of the photograph, by channel; of all of it where nothing is left."""
    rest = pixels[:, ~mask] if not mask.all() else pixels.reshape(len(pixels), -1)
    return np.broadcast_to(rest.mean(axis=1)[:, None, None], pixels.shape)


def _blur(pixels: Pixels, mask: Mask) -> Pixels:
    width = BLUR * min(pixels.shape[1:])
    return np.asarray(gaussian_filter(pixels, (0, width, width), mode="nearest"))


def _surroundings(pixels: Pixels, mask: Mask) -> Pixels:
    """Normalised convolution (Knutsson and Westin 1993, CVPR) of what is not hidden, from the narrowest width that reaches it on."""
    known = (~mask).astype(float)
    found, weight = np.zeros_like(pixels, dtype=float), np.zeros(mask.shape)
    for width in (width for width in WIDTHS if width <= max(mask.shape)):
        near = gaussian_filter(known, width, mode="constant")
        share = (1 - weight) * near
        seen = gaussian_filter(pixels * known, (0, width, width), mode="constant")
        found += share * np.divide(seen, near, out=np.zeros_like(found), where=near > 0)
        weight += share
    return np.asarray(np.divide(found, weight, out=np.array(_mean(pixels, mask)), where=weight > 1e-6))


FILLS: Final[Mapping[str, Callable[[Pixels, Mask], Pixels]]] = MappingProxyType({
    "mean": _mean, "blur": _blur, "surroundings": _surroundings,
})  # fmt: skip


def hide(pixels: Pixels, mask: Mask, fill: str) -> Pixels:
    """Pixels `[channels, H, W]` with those of the mask `[H, W]` replaced."""
    return np.where(mask, FILLS[fill](pixels, mask), pixels).astype(pixels.dtype)


def moved(mask: Mask, rng: np.random.Generator, tries: int = 20) -> Mask | None:
    """The mask at another place of the picture, of `tries` random ones that which overlaps itself least; None if half of it does.

    >>> corner = np.zeros((8, 8), dtype=bool); corner[:2, :2] = True
    >>> elsewhere = moved(corner, np.random.default_rng(0)); int(elsewhere.sum()), int((elsewhere & corner).sum())
    (4, 0)
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    cut = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    found, least = None, mask.sum() / 2
    for _ in range(tries):
        top, left = (int(rng.integers(0, room + 1)) for room in np.subtract(mask.shape, cut.shape))
        there = np.zeros_like(mask)
        there[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
        overlap = (there & mask).sum()
        if overlap < least:
            found, least = there, overlap
    return found
