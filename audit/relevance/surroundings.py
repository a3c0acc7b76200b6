"""What describes maps without testing anything: concentration, mirrored and displaced masks, mean maps of groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from audit.relevance.masked import inside, masks_of, running
from audit.tables import FloatArray, IntArray, MapTable, MaskTable

TOP = 0.05  # of the pixels
COARSEST = 64  # most cells a side of a mean map


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
class Surroundings:
    """Not frozen: it is an accumulator of one pass, and lives inside it only. Ratios and mean maps are of the first composite."""

    def __init__(self, composites: Sequence[str], masks: MaskTable, frame: Frame, *, seed: int) -> None:
        n, regions = masks.area.shape
        self.composites, self.masks, self.frame, self.seed = tuple(composites), masks, frame, seed
        self.top = np.full((len(composites), n), np.nan)
        self.mirrored, self.displaced = np.full((n, regions), np.nan), np.full((n, regions), np.nan)
        cells = tuple(-(-side // -(-side // COARSEST)) for side in masks.shape[1:])
        self.means = {
            group: _Mean(
                dict(zip(*(each.tolist() for each in np.unique(frame.cluster[rows], return_counts=True)), strict=True)),
                cells,
            )
            for group, rows in frame.groups.items()
        }

    def add(self, i: int, values: FloatArray) -> None:
        """Maps `[composites, pixels]` of photograph `i`."""
        absolute = np.abs(values)
        total = absolute.sum(1)
        keep = max(1, round(TOP * absolute.shape[1]))
        largest = np.partition(absolute, -keep, axis=1)[:, -keep:].sum(1)
        self.top[:, i] = np.divide(largest, total, out=np.full(len(total), np.nan), where=total > 0)
        if total[0] > 0:
            self._compare(i, absolute[0] / total[0])
        self._average(i, values[0] / total[0] if total[0] > 0 else None)

    def _compare(self, i: int, share: FloatArray) -> None:
        _, height, width = self.masks.shape
        picture, own = share.reshape(height, width), masks_of(self.masks, i)
        rng = np.random.default_rng([self.seed, i])
        moved = np.roll(picture, (int(rng.integers(height)), int(rng.integers(width))), (0, 1))
        both = running(np.stack([picture[:, ::-1].ravel(), moved.ravel()]))
        self.mirrored[i], self.displaced[i] = inside(both, self.masks, own)

    def _average(self, i: int, relevance: FloatArray | None) -> None:
        chosen = [group for group, rows in self.frame.groups.items() if rows[i]]
        cells = None if relevance is None or not chosen else pooled(relevance.reshape(self.masks.shape[1:]))
        for group in chosen:
            self.means[group].add(int(self.frame.cluster[i]), cells)

    def finish(self) -> MapTable:
        """Means and standard errors of the groups that have any map."""
        known = {group: mean for group, mean in self.means.items() if mean.maps}
        return MapTable(
            top=dict(zip(self.composites, self.top, strict=True)),
            mirrored=self.mirrored,
            displaced=self.displaced,
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
