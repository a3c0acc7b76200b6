"""What describes maps without testing anything: concentration, mirrored and displaced masks, mean maps of groups."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from audit.relevance.masked import inside, masks_of, running
from audit.tables import FloatArray, MapTable, MaskTable

TOP = 0.05  # of the pixels
COARSEST = 64  # most cells a side of a mean map


class Surroundings:
    """Not frozen: it is an accumulator of one pass, and lives inside it only. Ratios and mean maps are of the first composite."""

    def __init__(
        self, composites: Sequence[str], masks: MaskTable, groups: Mapping[tuple[str, str, str], NDArray[np.bool_]]
    ) -> None:
        n, regions = masks.area.shape
        self.composites, self.masks, self.groups = tuple(composites), masks, groups
        self.top = np.full((len(composites), n), np.nan)
        self.mirrored, self.displaced = np.full((n, regions), np.nan), np.full((n, regions), np.nan)
        self.cells = tuple(-(-side // -(-side // COARSEST)) for side in masks.shape[1:])
        self.sums = np.zeros((len(groups), 2, *self.cells))
        self.counts = np.zeros(len(groups), dtype=np.int64)

    def add(self, i: int, values: FloatArray) -> None:
        """Maps `[composites, pixels]` of photograph `i`."""
        absolute = np.abs(values)
        total = absolute.sum(1)
        keep = max(1, round(TOP * absolute.shape[1]))
        largest = np.partition(absolute, -keep, axis=1)[:, -keep:].sum(1)
        self.top[:, i] = np.divide(largest, total, out=np.full(len(total), np.nan), where=total > 0)
        if total[0] > 0:
            self._compare(i, absolute[0] / total[0])
            self._average(i, values[0] / total[0])

    def _compare(self, i: int, share: FloatArray) -> None:
        _, height, width = self.masks.shape
        picture, own = share.reshape(height, width), masks_of(self.masks, i)
        rng = np.random.default_rng([i, height, width])
        moved = np.roll(picture, (int(rng.integers(height)), int(rng.integers(width))), (0, 1))
        both = running(np.stack([picture[:, ::-1].ravel(), moved.ravel()]))
        self.mirrored[i], self.displaced[i] = inside(both, self.masks, own)

    def _average(self, i: int, relevance: FloatArray) -> None:
        cells = pooled(relevance.reshape(self.masks.shape[1:]))
        for g, rows in enumerate(self.groups.values()):
            if rows[i]:
                self.sums[g, 0] += cells
                self.sums[g, 1] += cells**2
                self.counts[g] += 1

    def finish(self) -> MapTable:
        """Means and standard errors of the groups that have any map."""
        mean, error = {}, {}
        for (group, (total, squares)), n in zip(zip(self.groups, self.sums, strict=True), self.counts, strict=True):
            if n:
                mean[group] = total / n
                variance = np.maximum(squares - n * mean[group] ** 2, 0) / max(n - 1, 1)
                error[group] = np.sqrt(variance / n)
        counts = {group: int(n) for group, n in zip(self.groups, self.counts, strict=True)}
        top = dict(zip(self.composites, self.top, strict=True))
        return MapTable(top, self.mirrored, self.displaced, mean, error, counts)


def pooled(relevance: FloatArray) -> FloatArray:
    """A map `[H, W]` summed over square cells, at most 64 a side."""
    for axis, side in enumerate(relevance.shape):
        relevance = np.add.reduceat(relevance, np.arange(0, side, -(-side // COARSEST)), axis=axis)
    return relevance
