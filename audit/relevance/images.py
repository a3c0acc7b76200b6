"""The relevance stage of images: streams batches through the engine and keeps sums over region masks, never the maps.

Cost: one forward pass and one backward pass per composite over the photographs, and once more under random shifts of
the crop where regions are fixed; each twin does the same for its sample. Photographs load while the engine computes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from audit.relevance.explainer import Advance, Explainer, attribute, contrast_logit
from audit.relevance.masked import inside, masks_of, overlaps, running, swap_members, swap_sums
from audit.relevance.sums import Explained, Sums
from audit.relevance.surroundings import Frame, Surroundings
from audit.tables import FloatArray, IntArray, MapTable, MaskTable, RegionTable

if TYPE_CHECKING:
    from torch import Tensor


@final
@dataclass(frozen=True, slots=True)
class Photographs:
    """What the model sees of n photographs: `load(rows)` gives float32 `[k, channels, H, W]`, `masks` its regions."""

    load: Callable[[IntArray], NDArray[np.float32]]
    masks: MaskTable

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
    """What the stage hands on for images; `maps` describes where relevance lies without regard to hypotheses."""

    common: Explained
    maps: MapTable
    regions: RegionTable


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
    still = regions if shifted is None else regions.unswapped
    plain = _pass(explainer, photographs, still, rows, work, about)
    swapped = plain if shifted is None else _pass(explainer, shifted, regions, rows, work)
    overlap, uncovered = overlaps((shifted or photographs).masks, regions.block, regions.place)
    return ExplainedImages(
        plain.common,
        about.finish(),
        RegionTable(
            names=regions.names,
            net={name: table.net for name, table in swapped.common.groups.items()},
            share={name: table.share for name, table in plain.common.groups.items()},
            block=regions.block,
            place=regions.place,
            swapped=swapped.swapped,
            overlap=overlap,
            uncovered=uncovered,
            aligned=regions.aligned,
            jitter=jitter,
            twin_rows=twins.rows,
            **_reference(explainer, photographs, shifted, regions, twins, work),
        ),
    )


def explain_sample(
    explainer: Explainer[Any], photographs: Photographs, regions: Regions, rows: IntArray, *, batch_images: int
) -> Explained:
    """What every task has, of some photographs `rows` only: no twins."""
    return _pass(explainer, photographs, regions, rows, Work(batch_images)).common


def explain_map(
    explainer: Explainer[Any], inputs: NDArray[np.float32], *, target: Any, composite: Any
) -> tuple[FloatArray, Any]:
    """The map `[H, W]` of one photograph `[1, channels, H, W]` for `target`, and the engine's `lrp.Relevance`."""
    (result,) = attribute(explainer.model, _on_device(explainer, inputs), target, [composite])
    return result.values[0].sum(0).double().cpu().numpy(), result


@final
@dataclass(frozen=True, slots=True)
class _Pass:
    """One pass over some rows; `swapped[composite]` is `[rows, r, s]`, empty where none were asked for."""

    common: Explained
    swapped: Mapping[str, FloatArray]


def _pass(
    explainer: Explainer[Any],
    photographs: Photographs,
    regions: Regions,
    rows: IntArray,
    work: Work,
    about: Surroundings | None = None,
) -> _Pass:
    masks, sums = photographs.masks, Sums(explainer, regions.names, len(rows))
    members = [swap_members(regions.block[:, r], regions.place[:, r]) for r in range(len(regions.names))]
    most = max((len(block) for each in members for block in each), default=0)
    swapped = np.full((len(explainer.names), len(rows), len(regions.names) if most else 0, most), np.nan, np.float32)
    pixels = masks.shape[1] * masks.shape[2]
    for batch, inputs in _loaded(photographs.load, rows, work.batch_images):
        maps = _explained(explainer, inputs, sums, batch)
        for k, at in enumerate(batch):
            i, values = int(rows[at]), maps[:, k]
            net, absolute = running(values), running(np.abs(values))
            own = masks_of(masks, i)
            shares, nets = inside(absolute, masks, own), inside(net, masks, own)
            sums.add_sums(at, shares, nets, masks.area[i], absolute[:, -1], pixels)
            total = np.where(absolute[:, -1:] > 0, absolute[:, -1:], np.nan)
            for r, found in enumerate(swap_sums(net, masks, members, regions.block[i]) if most else ()):
                swapped[:, at, r, : found.shape[1]] = found / total
            if about is not None:
                about.add(i, values)
        work.advance(len(batch) * len(explainer.names))
    return _Pass(sums.finish(), dict(zip(explainer.names, swapped, strict=True)))


def _explained(explainer: Explainer[Any], inputs: NDArray[np.float32], sums: Sums, batch: Sequence[int]) -> FloatArray:
    """Maps `[composites, batch, pixels]`: relevance summed over channels."""
    pixels = _on_device(explainer, inputs)
    found = attribute(explainer.model, pixels, explainer.target, list(explainer.composites.values()))
    sums.add_batch(batch, found)
    return np.stack([f.values.sum(1).flatten(1).double().cpu().numpy() for f in found])


def _on_device(explainer: Explainer[Any], inputs: NDArray[np.float32]) -> "Tensor":
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
) -> dict[str, Any]:  # fmt: skip
    """The fields of `RegionTable` that twins fill; their photographs are kept, for every twin sees the same."""
    m, r = len(twins.rows), len(regions.names)
    share, swap = np.full((twins.count, m, r), np.nan), np.full((twins.count, m, r), np.nan)
    margin, predicted = np.zeros((twins.count, m)), np.zeros((twins.count, m), dtype=np.int64)
    found = {"twin_share": share, "twin_swap": swap, "twin_margin": margin, "twin_predicted": predicted}
    if not twins.count:
        return found
    seen, still = _kept(photographs, twins.rows), regions if shifted is None else regions.unswapped
    moved = None if shifted is None else _kept(shifted, twins.rows)
    first = dict([next(iter(explainer.composites.items()))])
    for k in range(twins.count):
        batches = (_on_device(explainer, inputs) for _, inputs in _loaded(seen.load, twins.rows, work.batch_images))
        twin = replace(explainer, model=twins.make(twins.seed + k, batches), composites=first)
        plain = _pass(twin, seen, still, twins.rows, work)
        swapped = plain if moved is None else _pass(twin, moved, regions, twins.rows, work)
        share[k] = next(iter(plain.common.groups.values())).share
        swap[k] = _own_minus_others(next(iter(swapped.swapped.values())), regions.place[twins.rows])
        margin[k], predicted[k] = contrast_logit(twin, plain.common.scores), plain.common.scores.argmax(1)
    return found


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
