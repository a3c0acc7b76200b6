"""What describes maps without testing anything: concentration, mirrored and displaced masks, mean maps of groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from audit.parts import Parts
from audit.relevance.masked import inside, masks_of, running
from audit.tables import FloatArray, IntArray, MapTable, MaskTable

TOP = 0.05  # of the pixels
COARSEST = 64  # most cells a side of a mean map
CELLS = "cells"


@final
@dataclass(frozen=True, slots=True)
class Frame:
    """Photographs that share a frame: `groups[(attribute, group, class)]` `[n]` are averaged in a mean map each; `cluster` `[n]`."""

    groups: Mapping[tuple[str, str, str], NDArray[np.bool_]]
    cluster: IntArray


@final
@dataclass(slots=True)
class _Mean:
    """Not frozen: the mean of maps of one group, with the sums that its cluster-robust error needs.

    `waiting[cluster]` is the sum and number of its maps so far, until its last photograph was seen: `left[cluster]` are to come.
    """

    left: dict[int, int]
    shape: tuple[int, ...]
    waiting: dict[int, tuple[FloatArray, int]] = field(default_factory=dict)
    total: FloatArray = field(init=False)
    squares: FloatArray = field(init=False)
    products: FloatArray = field(init=False)
    maps: int = 0
    pairs: int = 0
    clusters: int = 0

    def __post_init__(self) -> None:
        self.total, self.squares, self.products = (np.zeros(self.shape) for _ in range(3))

    def add(self, cluster: int, cells: FloatArray | None) -> None:
        """One more photograph of the cluster; None: its map is empty."""
        if cells is not None:
            total, n = self.waiting.get(cluster, (np.zeros(self.shape), 0))
            self.waiting[cluster] = total + cells, n + 1
        self.left[cluster] -= 1
        if not self.left[cluster] and cluster in self.waiting:
            total, n = self.waiting.pop(cluster)
            self.total += total
            self.squares += total**2
            self.products += n * total
            self.maps, self.pairs, self.clusters = self.maps + n, self.pairs + n * n, self.clusters + 1

    @property
    def mean(self) -> FloatArray:
        """Over maps."""
        return self.total / self.maps

    @property
    def error(self) -> FloatArray:
        """Its standard error over clusters, NaN for fewer than two."""
        if self.clusters < 2:
            return np.full(self.shape, np.nan)
        mean = self.mean
        scatter = (
            self.squares - 2 * mean * self.products + mean**2 * self.pairs
        )  # sum over clusters of (total - n mean)^2
        return np.asarray(np.sqrt(np.maximum(scatter, 0) * self.clusters / (self.clusters - 1)) / self.maps)


@final
@dataclass(frozen=True, slots=True)
class Surroundings:
    """What describes one photograph's maps; ratios and mean maps are of the first composite. `framed`: maps will be averaged."""

    masks: MaskTable
    framed: bool
    seed: int

    def of(self, i: int, values: FloatArray) -> dict[str, FloatArray]:
        """From the maps `[composites, pixels]` of photograph `i`: `top` `[composites]`, `mirrored` and `displaced` `[r]`, `cells`."""
        absolute = np.abs(values)
        total = absolute.sum(1)
        keep = max(1, round(TOP * absolute.shape[1]))
        largest = np.partition(absolute, -keep, axis=1)[:, -keep:].sum(1)
        top = np.divide(largest, total, out=np.full(len(total), np.nan), where=total > 0)
        empty = np.full((2, self.masks.shape[0]), np.nan)
        mirrored, displaced = self._compared(i, absolute[0] / total[0]) if total[0] > 0 else empty
        found = {"top": top, "mirrored": mirrored, "displaced": displaced}
        if not self.framed:
            return found
        relevance = values[0] / total[0] if total[0] > 0 else np.full(values.shape[1], np.nan)
        return {**found, CELLS: pooled(relevance.reshape(self.masks.shape[1:]))}

    def _compared(self, i: int, share: FloatArray) -> FloatArray:
        _, height, width = self.masks.shape
        picture, own = share.reshape(height, width), masks_of(self.masks, i)
        rng = np.random.default_rng([self.seed, i])
        moved = np.roll(picture, (int(rng.integers(height)), int(rng.integers(width))), (0, 1))
        both = running(np.stack([picture[:, ::-1].ravel(), moved.ravel()]))
        return inside(both, self.masks, own)


def map_table(parts: Parts, columns: Mapping[str, NDArray[Any]], composites: Sequence[str], frame: Frame) -> MapTable:
    """What was gathered, with means and standard errors of the groups that have any map; maps are read a part at a time."""
    means = dict[tuple[str, str, str], _Mean]()
    for rows, part in parts if frame.groups else ():
        for i, cells in zip(rows.tolist(), part[CELLS], strict=True):
            for group in (group for group, held in frame.groups.items() if held[i]):
                if group not in means:
                    counted = np.unique(frame.cluster[frame.groups[group]], return_counts=True)
                    means[group] = _Mean(dict(zip(*(each.tolist() for each in counted), strict=True)), cells.shape)
                means[group].add(int(frame.cluster[i]), None if np.isnan(cells).all() else cells)
    known = {group: means[group] for group in frame.groups if group in means and means[group].maps}
    return MapTable(
        top={name: columns["top"][:, c] for c, name in enumerate(composites)},
        mirrored=columns["mirrored"],
        displaced=columns["displaced"],
        mean={group: mean.mean for group, mean in known.items()},
        error={group: mean.error for group, mean in known.items()},
        counts={group: mean.maps for group, mean in known.items()},
        clusters={group: mean.clusters for group, mean in known.items()},
    )


def pooled(relevance: FloatArray) -> FloatArray:
    """A map `[H, W]` summed over square cells, at most 64 a side."""
    for axis, side in enumerate(relevance.shape):
        relevance = np.add.reduceat(relevance, np.arange(0, side, -(-side // COARSEST)), axis=axis)
    return relevance
