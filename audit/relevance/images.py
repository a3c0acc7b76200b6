"""The relevance stage of images: streams batches through the engine and keeps sums over region masks, never the maps.

Cost: one forward pass and one backward pass per composite over the photographs, and once more under random shifts of
the crop where regions are fixed; each twin does the same for its sample. Photographs load while the engine computes. Masks that
are grown and shrunk cost sums over the same maps, and each as much memory as the declared ones: composites x n x r x 32 float32.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from audit.parts import Engine
from audit.relevance.explainer import Condition, Explainer, attribute, targets_of
from audit.relevance.grid import cell_table, grid_sums
from audit.relevance.halving import in_halves
from audit.relevance.masked import overlaps
from audit.relevance.photographs import (
    OWN,
    Batching,
    ExplainPhotographs,
    Pass,
    Photographs,
    Regions,
    Swapping,
    each_batch,
    explained_photographs,
    on_device,
)
from audit.relevance.reference import Twins, reference
from audit.relevance.sums import Explained
from audit.relevance.surroundings import Frame, Surroundings, map_table
from audit.tables import CellTable, FloatArray, IntArray, MapTable, RegionTable


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
    engine: Engine,
    photographs: Photographs,
    shifted: Photographs | None,
    regions: Regions,
    twins: Twins,
    *,
    frame: Frame,
    jitter: int,
    how: Batching,
) -> ExplainedImages:
    """Relevance of every photograph, and the references that tests on regions need.

    `shifted` are the photographs under random shifts of the crop by up to `jitter` pixels, or None; swaps are measured there.
    """
    n, composites, (_, *shape) = len(photographs), engine.explainer.names, photographs.masks.shape
    still = regions if shifted is None else regions.unswapped
    describe = Surroundings(photographs.masks, framed=bool(frame.groups), seed=twins.seed)
    plain = explained_photographs(engine, ExplainPhotographs.of(photographs, still, how, describe), n, how)
    moved = (
        plain
        if shifted is None
        else explained_photographs(engine, ExplainPhotographs.of(shifted, regions, how), n, how)
    )
    known = reference(engine, photographs, shifted, regions, twins, how)
    tables = {
        changed: _table(regions, swapping, plain, moved, composites, jitter=jitter, **known[changed])
        for changed, swapping in moved.work.swapping.items()
    }
    return ExplainedImages(
        plain.explained(composites),
        map_table(plain.parts, plain.columns, composites, frame),
        tables.pop(OWN),
        tables,
        cell_table(plain.columns["grid"], composites, (shape[0], shape[1])),
    )


def explain_sample(
    engine: Engine, photographs: Photographs, regions: Regions, rows: IntArray, *, batch_images: int
) -> Explained:
    """What every task has, of some photographs `rows` only: no twins."""
    how = Batching(batch_images)
    found = explained_photographs(engine, ExplainPhotographs.of(photographs, regions, how), len(rows), how, rows)
    return found.explained(engine.explainer.names)


def explain_pairs(
    explainer: Explainer[Any], photographs: Photographs, rows: IntArray, targets: IntArray, *, batch_images: int
) -> CellTable:
    """Relevance in the cells of a grid of some photographs `rows` `[m]`, each for its own pair of classes `targets` `[m, 2]`."""
    _, height, width = photographs.masks.shape
    net, chosen = list[NDArray[np.float32]](), list(explainer.composites.values())

    def add(places: Sequence[int], inputs: NDArray[np.float32]) -> None:
        found = attribute(explainer.model, on_device(explainer, inputs), targets_of(targets[places]), chosen)
        maps = np.stack([each.values.sum(1).flatten(1).double().cpu().numpy() for each in found])
        net.extend(grid_sums(maps[:, k], (height, width)) for k in range(len(places)))

    each_batch(photographs.load, rows, batch_images, add)
    return cell_table(np.stack(net), explainer.names, (height, width))


def explain_map(
    explainer: Explainer[Any], inputs: NDArray[np.float32], *, target: Any, composite: Any, condition: Condition = None
) -> tuple[FloatArray, Any]:
    """The map `[H, W]` of one photograph `[1, channels, H, W]` for `target`, and the engine's `lrp.Relevance`."""
    (result,) = attribute(explainer.model, on_device(explainer, inputs), target, [composite], condition=condition)
    return result.values[0].sum(0).double().cpu().numpy(), result


def pixel_relevance(explainer: Explainer[Any], inputs: NDArray[np.float32], composites: Sequence[Any]) -> FloatArray:
    """Relevance `[composites, n, H, W]` of inputs `[n, channels, H, W]` for the contrast, summed over channels."""
    maps = list[FloatArray]()

    def add(places: Sequence[int]) -> None:
        pixels = on_device(explainer, inputs[places[0] :][: len(places)])
        found = attribute(explainer.model, pixels, explainer.target, composites)
        maps.append(np.stack([f.values.sum(1).double().cpu().numpy() for f in found]))

    in_halves(range(len(inputs)), add)
    return np.concatenate(maps, axis=1)


def _table(
    regions: Regions, swapping: Swapping, plain: Pass, moved: Pass, composites: Sequence[str], *, changed: str, **others: Any
) -> RegionTable:  # fmt: skip
    """Shares without shifts of the crop; all else as the masks that are swapped have it."""
    overlap, uncovered = overlaps(swapping.masks, swapping.block, swapping.place)
    swapped = moved.swapped(changed)
    return RegionTable(
        names=regions.names,
        net={name: table.net for name, table in moved.groups(composites, changed).items()},
        share={name: table.share for name, table in plain.groups(composites, changed).items()},
        block=swapping.block,
        place=swapping.place,
        swapped={name: swapped[:, c] for c, name in enumerate(composites)},
        overlap=overlap,
        uncovered=uncovered,
        aligned=regions.aligned,
        **others,
    )
