"""Sums of maps over masks that are runs of pixels: differences of the map's running sum, so a mask costs its runs, not its pixels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audit.tables import FloatArray, IntArray, MaskTable


def running(maps: FloatArray | NDArray[np.bool_]) -> FloatArray:
    """Running sums `[k, pixels + 1]` of maps `[k, pixels]`."""
    return np.concatenate([np.zeros((len(maps), 1)), np.cumsum(maps, axis=1, dtype=np.float64)], axis=1)


def inside(sums: FloatArray, masks: MaskTable, chosen: Sequence[int] | IntArray) -> FloatArray:
    """Sums `[k, len(chosen)]` of the maps whose running sums `[k, pixels + 1]` are given over the masks numbered `chosen`."""
    begins, ends = masks.first[chosen], masks.first[np.asarray(chosen) + 1]
    runs = np.concatenate([np.arange(b, e) for b, e in zip(begins, ends, strict=True)])
    parts = running(sums[:, masks.end[runs]] - sums[:, masks.start[runs]])
    after = np.cumsum(ends - begins)
    return np.asarray(parts[:, after] - parts[:, after - (ends - begins)])


def masks_of(masks: MaskTable, i: int) -> IntArray:
    """Numbers `[r]` of the masks of photograph `i`."""
    return masks.number(i, np.arange(masks.shape[0]))


def swap_members(block: IntArray, place: IntArray) -> list[IntArray]:
    """Photographs of each block of one region, in the order of their places; `block` and `place` `[n]`, -1 where there is none."""
    held = np.flatnonzero(block >= 0)
    order = held[np.lexsort((place[held], block[held]))]
    return np.split(order, np.flatnonzero(np.diff(block[order])) + 1) if len(order) else []


def still_swapped(block: IntArray, place: IntArray, present: NDArray[np.bool_]) -> tuple[IntArray, IntArray]:
    """`block` and `place` `[n, r]` of the photographs that are `present`: blocks and places close up, one left alone has none."""
    blocks, places = np.full_like(block, -1), np.full_like(place, -1)
    for r in range(block.shape[1]):
        kept = swap_members(np.where(present[:, r], block[:, r], -1), place[:, r])
        for made, rows in enumerate(rows for rows in kept if len(rows) > 1):
            blocks[rows, r], places[rows, r] = made, np.arange(len(rows))
    return blocks, places


def overlaps(masks: MaskTable, block: IntArray, place: IntArray, *, most: int = 500) -> tuple[FloatArray, FloatArray]:
    """Mean over pairs of masks of one block (`[n, r]`): intersection over union `[r]`, and the part of one that the other leaves
    uncovered `[r]`; NaN without a block.

    Estimated on at most `most` evenly spaced photographs of each region.
    """
    overlap, uncovered = np.full(masks.shape[0], np.nan), np.full(masks.shape[0], np.nan)
    for r in range(masks.shape[0]):
        found = []
        members = swap_members(block[:, r], place[:, r])
        held = np.flatnonzero(block[:, r] >= 0)
        for i in held[:: max(1, -(-len(held) // most))]:
            others = members[block[i, r]]
            others = others[others != i]
            own = masks.mask(int(masks.number(i, r))).reshape(1, -1)
            both = inside(running(own), masks, masks.number(others, r))[0]
            area = masks.area[i, r]
            found.append(np.stack([both / (area + masks.area[others, r] - both), 1 - both / area]))
        if found:
            overlap[r], uncovered[r] = np.concatenate(found, axis=1).mean(axis=1)
    return overlap, uncovered


def swap_sums(
    sums: FloatArray, masks: MaskTable, members: Sequence[Sequence[IntArray]], block: NDArray[np.integer]
) -> list[FloatArray]:
    """Per region the sums `[k, s]` of one photograph's maps in the masks of its block's members; `block` `[r]` is its own."""
    wanted = [masks.number(members[r][b], r) if b >= 0 else np.empty(0, int) for r, b in enumerate(block)]
    sizes = [len(each) for each in wanted]
    if not sum(sizes):
        return [np.empty((len(sums), 0)) for _ in wanted]
    found = inside(sums, masks, np.concatenate(wanted))
    return np.split(found, np.cumsum(sizes)[:-1], axis=1)
