"""The relevance stage of images: streams batches through the engine and keeps sums over region masks, never the maps.

Cost: one forward pass and one backward pass per composite over the photographs, and once more under random shifts of
the crop where regions are fixed; each twin does the same for its sample. Photographs load while the engine computes. Masks that
are grown and shrunk cost sums over the same maps, and each as much memory as the declared ones: composites x n x r x 32 float32.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from numpy.typing import NDArray

from audit.relevance.explainer import Advance, Condition, Explainer, attribute, contrast_logit, targets_of
from audit.relevance.grid import GridSums
from audit.relevance.masked import inside, masks_of, overlaps, running, still_swapped, swap_members, swap_sums
from audit.relevance.sums import Explained, Sums
from audit.relevance.surroundings import Frame, Surroundings
from audit.tables import CellTable, FloatArray, GroupTable, IntArray, MapTable, MaskTable, RegionTable, lead

OWN: Final = ""  # what is changed of the masks as they are declared

if TYPE_CHECKING:
    from torch import Tensor


@final
@dataclass(frozen=True, slots=True)
class Photographs:
    """What the model sees of n photographs: `load(rows)` gives float32 `[k, channels, H, W]`, `masks` its regions.

    `varied` are other masks of the same regions, by what is changed.
    """

    load: Callable[[IntArray], NDArray[np.float32]]
    masks: MaskTable
    varied: Mapping[str, MaskTable] = field(default_factory=dict)

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
class Twins:
    """A reference: `make(seed, batches)` gives a re-initialised copy of the model, `count` of them explain the rows `[m]`."""

    make: Callable[[int, "Iterator[Tensor]"], Any]
    count: int
    rows: IntArray
    seed: int


@final
@dataclass(frozen=True, slots=True)
class Work:
    """How many photographs make a batch; `advance(n)` is called after n more maps, the twins' included."""

    batch_images: int
    advance: Advance = lambda n: None


@final
@dataclass(frozen=True, slots=True)
class ExplainedImages:
    """What the stage hands on for images; `maps` describes where relevance lies without regard to hypotheses.

    `varied` is `regions` under other masks, by what is changed.
    """

    common: Explained
    maps: MapTable
    regions: RegionTable
    varied: Mapping[str, RegionTable]
    cells: CellTable


def explain_images(
    explainer: Explainer[Any],
    photographs: Photographs,
    shifted: Photographs | None,
    regions: Regions,
    twins: Twins,
    *,
    frame: Frame,
    jitter: int,
    work: Work,
) -> ExplainedImages:
    """Relevance of every photograph, and the references that tests on regions need.

    `shifted` are the photographs under random shifts of the crop by up to `jitter` pixels, or None; swaps are measured there.
    """
    rows = np.arange(len(photographs))
    about = Surroundings(explainer.names, photographs.masks, frame, seed=twins.seed)
    _, height, width = photographs.masks.shape
    grid = GridSums(explainer.names, len(photographs), (height, width))
    still = regions if shifted is None else regions.unswapped
    plain = _pass(explainer, photographs, still, rows, work, about.add, grid.add)
    swapped = plain if shifted is None else _pass(explainer, shifted, regions, rows, work)
    reference = _reference(explainer, photographs, shifted, regions, twins, work)
    tables = {
        changed: _table(
            regions, masks, plain.within[changed], swapped.within[changed], jitter=jitter, **reference[changed]
        )
        for changed, masks in (shifted or photographs).every.items()
    }
    return ExplainedImages(plain.common, about.finish(), tables.pop(OWN), tables, grid.finish())


def explain_sample(
    explainer: Explainer[Any], photographs: Photographs, regions: Regions, rows: IntArray, *, batch_images: int
) -> Explained:
    """What every task has, of some photographs `rows` only: no twins."""
    return _pass(explainer, photographs, regions, rows, Work(batch_images)).common


def explain_pairs(
    explainer: Explainer[Any], photographs: Photographs, rows: IntArray, targets: IntArray, *, batch_images: int
) -> CellTable:
    """Relevance in the cells of a grid of some photographs `rows` `[m]`, each for its own pair of classes `targets` `[m, 2]`."""
    _, height, width = photographs.masks.shape
    grid = GridSums(explainer.names, len(rows), (height, width))
    for batch, inputs in _loaded(photographs.load, rows, batch_images):
        chosen = list(explainer.composites.values())
        found = attribute(explainer.model, on_device(explainer, inputs), targets_of(targets[batch]), chosen)
        maps = np.stack([each.values.sum(1).flatten(1).double().cpu().numpy() for each in found])
        for k, at in enumerate(batch):
            grid.add(at, maps[:, k])
    return grid.finish()


def explain_map(
    explainer: Explainer[Any], inputs: NDArray[np.float32], *, target: Any, composite: Any, condition: Condition = None
) -> tuple[FloatArray, Any]:
    """The map `[H, W]` of one photograph `[1, channels, H, W]` for `target`, and the engine's `lrp.Relevance`."""
    (result,) = attribute(explainer.model, on_device(explainer, inputs), target, [composite], condition=condition)
    return result.values[0].sum(0).double().cpu().numpy(), result


def pixel_relevance(explainer: Explainer[Any], inputs: NDArray[np.float32], composites: Sequence[Any]) -> FloatArray:
    """Relevance `[composites, n, H, W]` of inputs `[n, channels, H, W]` for the contrast, summed over channels."""
    found = attribute(explainer.model, on_device(explainer, inputs), explainer.target, composites)
    return np.stack([f.values.sum(1).double().cpu().numpy() for f in found])


@final
class _Within:
    """Not frozen: it accumulates sums over one set of masks, and lives inside one call of the stage only.

    `swapped` `[composites, rows, r, s]` is empty where nothing is swapped.
    """

    def __init__(self, explainer: Explainer[Any], regions: Regions, masks: MaskTable, rows: IntArray) -> None:
        self.masks, self.rows = masks, rows
        self.sums = Sums(explainer, regions.names, len(rows))
        self.block, self.place = still_swapped(regions.block, regions.place, masks.area > 0)
        self.members = [swap_members(*each) for each in zip(self.block.T, self.place.T, strict=True)]
        most = max((len(block) for each in self.members for block in each), default=0)
        shape = (len(explainer.names), len(rows), len(regions.names) if most else 0, most)
        self.swapped = np.full(shape, np.nan, np.float32)

    def add(self, at: int, net: FloatArray, absolute: FloatArray) -> None:
        """Running sums `[composites, pixels + 1]` of R and |R| of the photograph `rows[at]`."""
        i, total = int(self.rows[at]), absolute[:, -1:]
        own = masks_of(self.masks, i)
        shares, nets = inside(absolute, self.masks, own), inside(net, self.masks, own)
        self.sums.add_sums(at, shares, nets, self.masks.area[i], total[:, 0], absolute.shape[1] - 1)
        if self.swapped.size:
            known = np.where(total > 0, total, np.nan)
            for r, found in enumerate(swap_sums(net, self.masks, self.members, self.block[i])):
                self.swapped[:, at, r, : found.shape[1]] = found / known

    @property
    def first(self) -> GroupTable:
        """Under the first composite."""
        return next(iter(self.sums.groups().values()))


@final
@dataclass(frozen=True, slots=True)
class _Pass:
    """One pass over some rows, with the sums over all masks by what is changed."""

    common: Explained
    within: Mapping[str, _Within]


def _pass(
    explainer: Explainer[Any],
    photographs: Photographs,
    regions: Regions,
    rows: IntArray,
    work: Work,
    *describe: Callable[[int, FloatArray], None],
) -> _Pass:
    """`describe` are called with the number of a photograph and its maps `[composites, pixels]`."""
    within = {changed: _Within(explainer, regions, masks, rows) for changed, masks in photographs.every.items()}
    sums = within[OWN].sums
    for batch, inputs in _loaded(photographs.load, rows, work.batch_images):
        maps = _explained(explainer, inputs, sums, batch)
        for k, at in enumerate(batch):
            net, absolute = running(maps[:, k]), running(np.abs(maps[:, k]))
            for each in within.values():
                each.add(at, net, absolute)
            for add in describe:
                add(int(rows[at]), maps[:, k])
        work.advance(len(batch) * len(explainer.names))
    return _Pass(sums.finish(), within)


def _table(regions: Regions, masks: MaskTable, plain: _Within, swapped: _Within, **others: Any) -> RegionTable:
    """Shares without shifts of the crop; all else as the masks that are swapped have it."""
    overlap, uncovered = overlaps(masks, swapped.block, swapped.place)
    return RegionTable(
        names=regions.names,
        net={name: table.net for name, table in swapped.sums.groups().items()},
        share={name: table.share for name, table in plain.sums.groups().items()},
        block=swapped.block,
        place=swapped.place,
        swapped=dict(zip(swapped.sums.ledger, swapped.swapped, strict=True)),
        overlap=overlap,
        uncovered=uncovered,
        aligned=regions.aligned,
        **others,
    )


def _explained(explainer: Explainer[Any], inputs: NDArray[np.float32], sums: Sums, batch: Sequence[int]) -> FloatArray:
    """Maps `[composites, batch, pixels]`: relevance summed over channels."""
    pixels = on_device(explainer, inputs)
    found = attribute(explainer.model, pixels, explainer.target, list(explainer.composites.values()))
    sums.add_batch(batch, found)
    return np.stack([f.values.sum(1).flatten(1).double().cpu().numpy() for f in found])


def on_device(explainer: Explainer[Any], inputs: NDArray[np.float32]) -> "Tensor":
    """The inputs where the model is."""
    import torch

    return torch.from_numpy(inputs).to(next(explainer.model.parameters()).device)


def _loaded(
    load: Callable[[IntArray], NDArray[np.float32]], rows: IntArray, size: int
) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """Positions in `rows` and inputs, batch by batch; the next batch loads while the caller works on this one."""
    starts = range(0, len(rows), size)
    with ThreadPoolExecutor(max_workers=1) as pool:
        ahead = pool.submit(load, rows[:size])
        for start in starts:
            inputs = ahead.result()
            if start + size < len(rows):
                ahead = pool.submit(load, rows[start + size : start + 2 * size])
            yield list(range(start, min(start + size, len(rows)))), inputs


def _reference(
    explainer: Explainer[Any], photographs: Photographs, shifted: Photographs | None, regions: Regions, twins: Twins, work: Work
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """The fields of `RegionTable` that twins fill, by what is changed; their photographs are kept, for every twin sees the same."""
    shape = (twins.count, len(twins.rows), len(regions.names))
    confidence, predicted = np.zeros(shape[:2]), np.zeros(shape[:2], dtype=np.int64)
    alike = {"twin_rows": twins.rows, "twin_confidence": confidence, "twin_predicted": predicted}
    found = {
        changed: {"twin_share": np.full(shape, np.nan), "twin_swap": np.full(shape, np.nan)}
        for changed in photographs.every
    }
    if twins.count:
        seen, still = _kept(photographs, twins.rows), regions if shifted is None else regions.unswapped
        moved = None if shifted is None else _kept(shifted, twins.rows)
    first = dict([next(iter(explainer.composites.items()))])
    for k in range(twins.count):
        batches = (on_device(explainer, inputs) for _, inputs in _loaded(seen.load, twins.rows, work.batch_images))
        twin = replace(explainer, model=twins.make(twins.seed + k, batches), composites=first)
        plain = _pass(twin, seen, still, twins.rows, work)
        swapped = plain if moved is None else _pass(twin, moved, regions, twins.rows, work)
        for changed, arrays in found.items():
            after = swapped.within[changed]
            arrays["twin_share"][k] = plain.within[changed].first.share
            arrays["twin_swap"][k] = _own_minus_others(after.swapped[0], after.place[twins.rows])
        scores = plain.common.scores
        confidence[k], predicted[k] = lead(scores, contrast_logit(twin, scores)), scores.argmax(1)
    return {changed: {**arrays, **alike} for changed, arrays in found.items()}


def _kept(photographs: Photographs, rows: IntArray) -> Photographs:
    """The same with the inputs of `rows` in memory."""
    kept = dict(zip(rows.tolist(), photographs.load(rows), strict=True))
    return replace(photographs, load=lambda wanted: np.stack([kept[int(i)] for i in wanted]))


def _own_minus_others(swapped: FloatArray, place: IntArray) -> FloatArray:
    """`[m, r]` from `[m, r, s]`: net in the own mask minus the mean of those of the block's other members."""
    if not swapped.shape[1]:
        return np.full(place.shape, np.nan)
    own = np.take_along_axis(swapped, np.maximum(place, 0)[:, :, None], axis=2)[:, :, 0].astype(float)
    known = np.isfinite(swapped)
    others = known.sum(2) - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (np.where(known, swapped, 0).sum(2, dtype=float) - own) / others
    return np.where((place >= 0) & (others > 0), own - mean, np.nan)
