"""The work on shards of photographs: batches through the engine, and sums over every set of region masks, never the maps.

Photographs load while the engine computes. Masks that are grown and shrunk cost sums over the same maps, and each as much memory as
the declared ones: composites x n x r x 32 float32.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from numpy.typing import NDArray

from audit.parts import ROW, Advance, Engine, Part, Parts, Shard, digest, gathered
from audit.relevance.ahead import ahead
from audit.relevance.batching import auto_batch
from audit.relevance.explainer import Explainer, attribute
from audit.relevance.grid import grid_sums
from audit.relevance.halving import in_halves
from audit.relevance.masked import inside, masks_of, running, still_swapped, swap_members, swap_sums
from audit.relevance.sums import Explained, Sums, explained, group_tables
from audit.relevance.surroundings import CELLS, Surroundings
from audit.tables import FloatArray, GroupTable, IntArray, MaskTable

if TYPE_CHECKING:
    from torch import Tensor

OWN: Final = ""  # what is changed of the masks as they are declared
SHARD_IMAGES: Final = 64
Load = Callable[[IntArray], NDArray[np.float32]]


@final
@dataclass(frozen=True, slots=True)
class Photographs:
    """What the model sees of n photographs: `load(rows)` gives float32 `[k, channels, H, W]`, `masks` its regions.

    `varied` are other masks of the same regions, by what is changed; `kind` tells apart what else is loaded of the same files.
    """

    load: Load
    masks: MaskTable
    varied: Mapping[str, MaskTable] = field(default_factory=dict)
    kind: str = ""

    @property
    def every(self) -> dict[str, MaskTable]:
        """All masks, the declared ones first."""
        return {OWN: self.masks, **self.varied}

    def __len__(self) -> int:
        return len(self.masks.area)


@final
@dataclass(frozen=True, slots=True)
class Regions:
    """Names of the regions, the last is "outside", and which of them are the same in every photograph `[r]`.

    `block` and `place` `[n, r]` say whose masks are swapped, -1 where none are.
    """

    names: tuple[str, ...]
    aligned: NDArray[np.bool_]
    block: IntArray
    place: IntArray

    @property
    def unswapped(self) -> "Regions":
        """The same where no masks are swapped."""
        return replace(self, block=np.full_like(self.block, -1))


@final
@dataclass(frozen=True, slots=True)
class Batching:
    """How many photographs make a batch; `advance(n)` is called after n more maps, the twins' included.

    `names_of(rows)` tells what photographs are, their content included.
    """

    batch_images: int
    advance: Advance = lambda n: None
    names_of: Callable[[IntArray], object] = lambda rows: rows.tolist()


@final
@dataclass(frozen=True, slots=True)
class Swapping:
    """One set of masks, and whose are swapped among the photographs that hold them; at `most` so many are in a block."""

    masks: MaskTable
    block: IntArray
    place: IntArray
    members: list[list[IntArray]]

    @classmethod
    def of(cls, regions: Regions, masks: MaskTable) -> "Swapping":
        """Those of the regions that are present under these masks."""
        block, place = still_swapped(regions.block, regions.place, masks.area > 0)
        return cls(masks, block, place, [swap_members(*each) for each in zip(block.T, place.T, strict=True)])

    @property
    def most(self) -> int:
        """Members of the largest block."""
        return max((len(block) for each in self.members for block in each), default=0)


@final
class _Within:
    """Not frozen: it accumulates sums over one set of masks, and lives inside the work on a shard only.

    `swapped` `[rows, composites, r, s]` is empty where nothing is swapped.
    """

    def __init__(self, explainer: Explainer[Any], names: Sequence[str], swapping: Swapping, rows: IntArray) -> None:
        self.rows, self.swapping, self.sums = rows, swapping, Sums(explainer, names, len(rows))
        most = swapping.most
        shape = (len(rows), len(explainer.names), len(names) if most else 0, most)
        self.swapped = np.full(shape, np.nan, np.float32)

    def add(self, at: int, net: FloatArray, absolute: FloatArray) -> None:
        """Running sums `[composites, pixels + 1]` of R and |R| of the photograph `rows[at]`."""
        masks, i, total = self.swapping.masks, int(self.rows[at]), absolute[:, -1:]
        own = masks_of(masks, i)
        shares, nets = inside(absolute, masks, own), inside(net, masks, own)
        self.sums.add_sums(at, shares, nets, masks.area[i], total[:, 0], absolute.shape[1] - 1)
        if self.swapped.size:
            known = np.where(total > 0, total, np.nan)
            for r, found in enumerate(swap_sums(net, masks, self.swapping.members, self.swapping.block[i])):
                self.swapped[at, :, r, : found.shape[1]] = found / known


@final
@dataclass(frozen=True, slots=True)
class ExplainPhotographs:
    """The work on a shard of photographs: sums over every set of masks, and what else is to be described."""

    load: Load
    names: tuple[str, ...]
    swapping: Mapping[str, Swapping]
    batch_images: int
    describe: Surroundings | None
    digest: str

    @classmethod
    def of(
        cls, photographs: Photographs, regions: Regions, how: Batching, describe: Surroundings | None = None
    ) -> "ExplainPhotographs":
        """Of all photographs."""
        swapping = {changed: Swapping.of(regions, masks) for changed, masks in photographs.every.items()}
        told = [(changed, *_told(each.masks), each.block, each.place) for changed, each in swapping.items()]
        kind = "relevance of photographs", photographs.kind, regions.names, how.batch_images, describe is not None
        return cls(photographs.load, regions.names, swapping, how.batch_images, describe, digest(*kind, told))

    def do(self, explainer: Explainer[Any], content: IntArray) -> Part:
        """Of the photographs `content` `[k]`."""
        within = {changed: _Within(explainer, self.names, each, content) for changed, each in self.swapping.items()}
        described = [dict[str, FloatArray]()] * len(content)

        def add(places: Sequence[int], inputs: NDArray[np.float32]) -> None:
            maps = _explained(explainer, inputs, within[OWN].sums, places)
            for k, at in enumerate(places):
                net, absolute = running(maps[:, k]), running(np.abs(maps[:, k]))
                for each in within.values():
                    each.add(at, net, absolute)
                if self.describe is not None:
                    grid = grid_sums(maps[:, k], inputs.shape[2:])
                    described[at] = {"grid": grid, **self.describe.of(int(content[at]), maps[:, k])}

        each_batch(self.load, content, self.batch_images, add)
        return {
            **within[OWN].sums.part(),
            **{
                name: values
                for changed, each in within.items()
                for name, values in (
                    *each.sums.group_part(before(changed)).items(),
                    (f"{ROW}{before(changed)}swapped", each.swapped),
                )
            },
            **{_row(name): np.stack([each[name] for each in described]) for name in described[0]},
        }


def _row(name: str) -> str:
    """What a description is called in a part; the large one is no table."""
    return name if name == CELLS else f"{ROW}{name}"


def _told(masks: MaskTable) -> tuple[object, ...]:
    return masks.shape, masks.area, masks.place, masks.first, masks.start, masks.end


def before(changed: str) -> str:
    """What arrays of masks that were changed are called before their name."""
    return f"{changed}." if changed else ""


@final
@dataclass(frozen=True, slots=True)
class Pass:
    """The work of a pass over photographs, its parts, and what was gathered of them."""

    work: ExplainPhotographs
    parts: Parts
    columns: Mapping[str, NDArray[Any]]

    def explained(self, composites: Sequence[str]) -> Explained:
        """What every task has."""
        return explained(self.parts, self.columns, composites, self.work.names)

    def groups(self, composites: Sequence[str], changed: str) -> dict[str, GroupTable]:
        """Over one set of masks, by composite."""
        return group_tables(self.columns, composites, self.work.names, before(changed))

    def swapped(self, changed: str) -> FloatArray:
        """`[rows, composites, r, s]` of one set of masks."""
        return self.columns[f"{before(changed)}swapped"]


def explained_photographs(
    engine: Engine, work: ExplainPhotographs, n: int, how: Batching, rows: IntArray | None = None
) -> Pass:
    """All `n` photographs, or `rows` `[n]` of them."""
    wanted = np.arange(n) if rows is None else rows
    size = how.batch_images * max(1, SHARD_IMAGES // how.batch_images)
    places = [np.arange(start, min(start + size, n)) for start in range(0, n, size)]
    shards = (Shard(at, wanted[at], digest(wanted[at].tolist(), how.names_of(wanted[at]))) for at in places)
    parts = engine.parts(work, shards, lambda done: how.advance(done * len(engine.explainer.names)))
    return Pass(work, parts, gathered(parts, n))


def _explained(explainer: Explainer[Any], inputs: NDArray[np.float32], sums: Sums, batch: Sequence[int]) -> FloatArray:
    """Maps `[composites, batch, pixels]`: relevance summed over channels."""
    pixels = on_device(explainer, inputs)
    found = attribute(explainer.model, pixels, explainer.target, list(explainer.composites.values()))
    sums.add_batch(batch, found)
    return np.stack([f.values.sum(1).flatten(1).double().cpu().numpy() for f in found])


def batch_images(explainer: Explainer[Any], one: NDArray[np.float32]) -> int:
    """Most photographs of a batch for this model on its device, judged by the inputs `[1, channels, H, W]` of one."""
    pixels = on_device(explainer, one)
    return auto_batch(explainer.model, lambda: explainer.model(pixels), 1)


def on_device(explainer: Explainer[Any], inputs: NDArray[np.float32]) -> "Tensor":
    """The inputs where the model is."""
    import torch

    return torch.from_numpy(inputs).to(next(explainer.model.parameters()).device)


def each_batch(
    load: Load, rows: IntArray, size: int, do: Callable[[Sequence[int], NDArray[np.float32]], None]
) -> None:  # fmt: skip
    """`do(places, inputs)` of every batch of `rows`, places being positions in them, or of its halves where it does not fit in memory."""

    def part(batch: Sequence[int], inputs: NDArray[np.float32], places: Sequence[int]) -> None:
        do(places, inputs[places[0] - batch[0] :][: len(places)])

    for batch, inputs in loaded(load, rows, size):
        in_halves(batch, partial(part, batch, inputs))


def loaded(load: Load, rows: IntArray, size: int) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """Positions in `rows` and inputs, batch by batch; the next batch loads while the caller works on this one."""
    places = [list(range(start, min(start + size, len(rows)))) for start in range(0, len(rows), size)]
    return zip(places, ahead(lambda at: load(rows[at]), places), strict=True)
