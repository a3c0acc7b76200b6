"""Filled polygons and convex hulls, exact to the pixel: a pixel is inside if its centre is."""

import numpy as np
from numpy.typing import NDArray

from audit.data.geometry import Bools


def fill(corners: NDArray[np.float64], size: tuple[int, int]) -> Bools:
    """Mask [h, w] of a polygon [n, (x, y)] of any form, even-odd rule; what lies outside `size` (w, h) is cut off.

    A pixel's centre on the left or top edge is inside, one on the right or bottom edge is not.
    """
    width, height = size
    toggles = np.zeros((height, width + 1), dtype=np.bool_)
    for edge in zip(corners.tolist(), np.roll(corners, -1, axis=0).tolist(), strict=True):
        (x0, y0), (x1, y1) = sorted(edge, key=lambda end: (end[1], end[0]))  # both ways along an edge round alike
        first, last = np.clip(np.ceil([y0 - 0.5, y1 - 0.5]), 0, height).astype(int)
        rows = np.arange(first, last)
        if rows.size:
            crossing = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            toggles[rows, np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)] ^= True
    return np.logical_xor.accumulate(toggles, axis=1)[:, :width]


def convex_hull(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners [m, 2] of the hull of points [n, 2], in order (Andrew's monotone chain, 1979); points in line give their ends."""
    ordered = [tuple(point) for point in np.unique(points, axis=0)]
    return np.array([*_chain(ordered), *_chain(ordered[::-1])] or ordered)


def _chain(points: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
    chain: list[tuple[float, ...]] = []
    for x, y in points:
        while len(chain) > 1 and _turn(chain[-2], chain[-1], (x, y)) <= 0:
            chain.pop()
        chain.append((x, y))
    return chain[:-1]


def _turn(a: tuple[float, ...], b: tuple[float, ...], c: tuple[float, ...]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
