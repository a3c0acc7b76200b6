"""The reference of images: re-initialised copies of the model, which show what the input alone gives."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from audit.parts import ROW, Engine, Part, Shard, digest, gathered
from audit.relevance.explainer import Explainer, contrast_logit
from audit.relevance.photographs import Batching, ExplainPhotographs, Photographs, Regions, before, loaded, on_device
from audit.relevance.sums import group_tables
from audit.tables import FloatArray, IntArray, lead

if TYPE_CHECKING:
    from torch import Tensor

SHARD_TWINS: Final = 4


@final
@dataclass(frozen=True, slots=True)
class Twins:
    """A reference: `make(model, seed, batches)` gives a re-initialised copy, `count` of them explain the rows `[m]`."""

    make: Callable[[Any, int, "Iterator[Tensor]"], Any]
    count: int
    rows: IntArray
    seed: int


@final
@dataclass(frozen=True, slots=True)
class ExplainTwins:
    """The work on some re-initialised copies of the model, each of which explains the same photographs `rows` by the first composite."""

    plain: ExplainPhotographs
    moved: ExplainPhotographs | None
    twins: Twins

    @property
    def digest(self) -> str:
        """Of the photographs and how they are explained."""
        moved = None if self.moved is None else self.moved.digest
        return digest("twins", self.plain.digest, moved, self.twins.rows, self.twins.seed)

    def do(self, explainer: Explainer[Any], content: IntArray) -> Part:
        """Of the copies numbered `content`; their photographs are kept, for each sees the same."""
        first, rows = dict([next(iter(explainer.composites.items()))]), self.twins.rows
        plain, moved = _kept(self.plain, rows), self.moved and _kept(self.moved, rows)
        found = []
        for k in content.tolist():
            seen = loaded(plain.load, rows, plain.batch_images)
            batches = (on_device(explainer, inputs) for _, inputs in seen)
            model = self.twins.make(explainer.model, self.twins.seed + k, batches)
            twin = replace(explainer, model=model, composites=first)
            found.append(self._of(twin, plain, moved))
        return {f"{ROW}{name}": np.stack([each[name] for each in found]) for name in found[0]}

    def _of(
        self, twin: Explainer[Any], plain: ExplainPhotographs, moved: ExplainPhotographs | None
    ) -> dict[str, FloatArray]:
        """What one copy gives: by changed masks `share` and `swap` `[m, r]`, and `confidence` and `predicted` `[m]`."""
        rows = self.twins.rows
        parts = plain.do(twin, rows)
        shifted = parts if moved is None else moved.do(twin, rows)
        scores, found = parts[f"{ROW}scores"], dict[str, FloatArray]()
        named = {name.removeprefix(ROW): values for name, values in parts.items()}
        for changed, swapping in (moved or plain).swapping.items():
            (table,) = group_tables(named, ["twin"], plain.names, before(changed)).values()
            swapped = shifted[f"{ROW}{before(changed)}swapped"][:, 0]
            found[f"{changed}.share"] = table.share
            found[f"{changed}.swap"] = _own_minus_others(swapped, swapping.place[rows])
        return {**found, "confidence": lead(scores, contrast_logit(twin, scores)), "predicted": scores.argmax(1)}


def reference(
    engine: Engine, photographs: Photographs, shifted: Photographs | None, regions: Regions, twins: Twins, how: Batching
) -> dict[str, dict[str, Any]]:
    """The fields of `RegionTable` that twins fill, by what is changed."""
    still = regions if shifted is None else regions.unswapped
    work = ExplainTwins(
        ExplainPhotographs.of(photographs, still, how),
        None if shifted is None else ExplainPhotographs.of(shifted, regions, how),
        twins,
    )
    numbers = [np.arange(k, min(k + SHARD_TWINS, twins.count)) for k in range(0, twins.count, SHARD_TWINS)]
    each = len(twins.rows) * (1 if shifted is None else 2)
    shards = (Shard(at, at, digest(at.tolist(), how.names_of(twins.rows))) for at in numbers)
    columns = gathered(engine.parts(work, shards, lambda n: how.advance(n * each)), twins.count)
    shape = (twins.count, len(twins.rows))
    none = np.full((*shape, len(regions.names)), np.nan)
    alike = {
        "twin_rows": twins.rows,
        "twin_confidence": columns.get("confidence", np.zeros(shape)),
        "twin_predicted": columns.get("predicted", np.zeros(shape, dtype=np.int64)),
    }
    return {
        changed: {
            "changed": changed,
            "twin_share": columns.get(f"{changed}.share", none),
            "twin_swap": columns.get(f"{changed}.swap", none),
            **alike,
        }
        for changed in photographs.every
    }


def _kept(work: ExplainPhotographs, rows: IntArray) -> ExplainPhotographs:
    """The same with the inputs of `rows` in memory."""
    kept = dict(zip(rows.tolist(), work.load(rows), strict=True))
    return replace(work, load=lambda wanted: np.stack([kept[int(i)] for i in wanted]))


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
