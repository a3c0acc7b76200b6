"""What stages hand to each other in memory: frozen dataclasses over numpy arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
FeatureName = tuple[str, ...]  # a region, or attribute, group and term of words, as far as they are told
UNKNOWN: Final = "unknown"  # the group of an example whose attribute is missing
OWN: Final = "own relevance"  # orders in which features are hidden
MEAN_MAP: Final = "mean map of others"
COPY: Final = "map of a re-initialised copy"
TIMES: Final = " × "  # between the parts of a crossed attribute, and of its groups


@final
@dataclass(frozen=True, slots=True)
class Match:
    """One occurrence of a declared term: characters `start:end` of the text, `term` as the lexicon spells it."""

    start: int
    end: int
    attribute: str
    group: str
    term: str


@final
@dataclass(frozen=True, slots=True)
class ExampleTable:
    """Row per used example. `margin` is the explained contrast logit; `scores` is `[examples, classes]` logits.

    `covariates` are numbers `[examples]`, NaN where missing.
    """

    id: NDArray[np.str_]
    label: IntArray
    predicted: IntArray
    margin: FloatArray
    scores: FloatArray
    cluster: IntArray
    attributes: Mapping[str, NDArray[np.str_]]
    covariates: Mapping[str, FloatArray] = field(default_factory=dict)

    @property
    def confidence(self) -> FloatArray:
        """`[examples]`, how far the predicted class leads."""
        return lead(self.scores, self.margin)


def lead(scores: FloatArray, margin: FloatArray) -> FloatArray:
    """The largest logit minus the second of `scores` `[n, classes]`; of two classes |margin| `[n]`, which is the same."""
    if scores.shape[1] < 3:
        return np.asarray(np.abs(margin))
    two = np.partition(scores, -2, axis=1)[:, -2:]
    return np.asarray(two[:, 1] - two[:, 0])


@final
@dataclass(frozen=True, slots=True)
class WordTable:
    """Row per (example, word type): how often the word occurs there and its mean relevance per occurrence.

    `types[i]` is a lower-case word, or a declared term as its lexicon spells it. `relevance[c]` is signed, on the contrast
    logit under composite `c`; `magnitude[c]` is |R|. `average[c]` is `[examples]`: mean |R| per word of the example.
    `embedding` is `[types, d]`: the model's own input embedding, mean over sub-words. `groups[(attribute, group)]` holds type indices.
    """

    example: IntArray
    type: IntArray
    count: IntArray
    relevance: Mapping[str, FloatArray]
    magnitude: Mapping[str, FloatArray]
    average: Mapping[str, FloatArray]
    types: tuple[str, ...]
    embedding: FloatArray
    groups: Mapping[tuple[str, str], IntArray]

    def only(self, rows: NDArray[np.bool_]) -> "WordTable":
        """The chosen rows; every type keeps its place."""
        return replace(
            self, example=self.example[rows], type=self.type[rows], count=self.count[rows],
            relevance={c: values[rows] for c, values in self.relevance.items()},
            magnitude={c: values[rows] for c, values in self.magnitude.items()},
        )  # fmt: skip


@final
@dataclass(frozen=True, slots=True)
class GroupTable:
    """`[examples, groups]` under one composite: share of |R|, net R / sum |R|, share of tokens or pixels, presence; NaN where absent."""

    names: tuple[str, ...]
    share: FloatArray
    net: FloatArray
    size: FloatArray
    present: NDArray[np.bool_]


@final
@dataclass(frozen=True, slots=True)
class RegionTable:
    """Relevance of image regions inside one set of masks; the last region is "outside". NaN where a region is absent or the map is empty.

    `net[c]` `[n, r]` is signed relevance inside over sum |R|, on the fixed contrast logit under composite `c`; `share[c]`
    is that of |R|. `block` `[n, r]` is the image's swap block for the region, -1 where absent, and `place` its own column in
    `swapped[c]` `[n, r, s]`: net of image i inside the mask of member s of its block, NaN behind the block's size. `overlap`
    `[r]` is the mean intersection over union of own mask with the others of its block, `uncovered` `[r]` the mean part of it that
    another of them leaves uncovered, `aligned` `[r]` whether the region is the same in every photograph, `jitter` the pixels of
    random crop shift under which `net`, `swapped`, `overlap` and `uncovered` were measured (0: none).
    `twin_rows` `[m]` are the examples that the k twins explained, with the first composite: `twin_share` and `twin_swap`
    (own net minus mean net of the block's other masks) `[k, m, r]`, `twin_confidence` and `twin_predicted` `[k, m]`.
    """

    names: tuple[str, ...]
    net: Mapping[str, FloatArray]
    share: Mapping[str, FloatArray]
    block: IntArray
    place: IntArray
    swapped: Mapping[str, FloatArray]
    overlap: FloatArray
    uncovered: FloatArray
    aligned: NDArray[np.bool_]
    jitter: int
    twin_rows: IntArray
    twin_share: FloatArray
    twin_swap: FloatArray
    twin_confidence: FloatArray
    twin_predicted: IntArray


@final
@dataclass(frozen=True, slots=True)
class SwapTable:
    """Row per swapped text: effect of `target` instead of `source` on the contrast logit, and the class predicted then."""

    example: IntArray
    source: NDArray[np.str_]
    target: NDArray[np.str_]
    delta: FloatArray
    predicted: IntArray


@final
@dataclass(frozen=True, slots=True)
class EffectTable:
    """What hiding a feature does to an example, by forward passes, under each fill that takes its place.

    `rows` `[m]` are the examples of which some are hidden; by fill, `[m, features]`: `delta` is the contrast logit less that with the
    feature hidden, `control` the same of something else as large, `flipped` and `control_flipped` whether the prediction changes (1 or
    0); NaN where an example lacks it. `pieces` `[m, features]` are the words hidden, of a region 1. `predicted` by fill, `[n]`: the class
    predicted with everything declared hidden.
    """

    names: tuple[FeatureName, ...]
    rows: IntArray
    pieces: FloatArray
    delta: Mapping[str, FloatArray]
    control: Mapping[str, FloatArray]
    flipped: Mapping[str, FloatArray]
    control_flipped: Mapping[str, FloatArray]
    predicted: Mapping[str, IntArray]

    def whole(self, values: FloatArray, n: int) -> FloatArray:
        """`[n]` of all examples from the values `[m]` of the rows, NaN elsewhere."""
        found = np.full(n, np.nan)
        found[self.rows] = values
        return found


@final
@dataclass(frozen=True, slots=True)
class ValidityTable:
    """What asking the explanation itself gave on a sample, the examples `rows` `[m]`; all values are `[m]`.

    `area[order][fill]`, by `OWN`, `MEAN_MAP` and `COPY`: how much more the explained logit falls, towards the other side, when
    features go in this order than in the reverse, area between the two curves in logits, NaN where there is no order. Rank
    correlations of the first composite's map over the features of an example, NaN where there is none: with that under tiny
    `noise`, of a re-initialised `copy`, and under the other `composites`. `alike` is the share of an example's features that most
    others have too.
    """

    rows: IntArray
    area: Mapping[str, Mapping[str, FloatArray]]
    noise: FloatArray
    copy: FloatArray
    composites: Mapping[str, FloatArray]
    alike: float = 0.0


@final
@dataclass(frozen=True, slots=True)
class MaskTable:
    """Region masks of n photographs at the model's input, as runs of pixels in row-major order; the last region is "outside".

    `shape` is (r, H, W), `area` `[n, r]` in pixels; present is area > 0. Mask `first[m]` to `first[m + 1]` of `start` and `end`
    are the runs of mask m = `place[i]` r + region of photograph i; photographs whose masks are all equal may share a place.
    """

    shape: tuple[int, int, int]
    area: IntArray
    place: IntArray
    first: IntArray
    start: IntArray
    end: IntArray

    def number(self, rows: Any, regions: Any) -> IntArray:
        """The numbers m of the masks of photographs `rows` for `regions`, which broadcast."""
        return np.asarray(self.place[rows] * self.shape[0] + regions)

    @property
    def aligned(self) -> NDArray[np.bool_]:
        """Which regions `[r]` are the same in every photograph."""
        places, same = np.unique(self.place), np.zeros(self.shape[0], dtype=np.bool_)
        for r in range(self.shape[0]):
            numbers = places * self.shape[0] + r
            begin, runs = self.first[numbers], self.first[numbers + 1] - self.first[numbers]
            if (runs == runs[0]).all():
                cells = begin[:, None] + np.arange(runs[0])
                same[r] = all((edge[cells] == edge[cells[0]]).all() for edge in (self.start, self.end))
        return same

    def mask(self, number: int) -> NDArray[np.bool_]:
        """Mask `[H, W]` of this number."""
        _, height, width = self.shape
        runs, turns = slice(self.first[number], self.first[number + 1]), np.zeros(height * width + 1, dtype=np.int8)
        turns[self.start[runs]], turns[self.end[runs]] = 1, -1
        return turns.cumsum()[:-1].reshape(height, width).astype(np.bool_)


@final
@dataclass(frozen=True, slots=True)
class CellTable:
    """Relevance in the cells of a grid over the model's input: `net[c]` `[n, cells]` is signed, over sum |R|; NaN where the map is empty.

    `boxes` `[cells, 4]` are left, top, right, bottom in pixels of the input, row by row, and `photograph` the same in pixels of every
    photograph, `[0, 4]` where they have no size in common. `declared` `[cells]`: regions that are the same in every photograph cover
    more than half; `aligned`: all measured ones are, so that a cell shows the same thing in each; None where none is measured.
    """

    net: Mapping[str, FloatArray]
    boxes: IntArray
    photograph: IntArray = field(default_factory=lambda: np.zeros((0, 4), dtype=np.int64))
    declared: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    aligned: bool | None = None


@final
@dataclass(frozen=True, slots=True)
class MapTable:
    """Where relevance lies, as description: `top[c]` `[n]` is the share of |R| in the top 5 % of the pixels under composite `c`.

    Of the first composite: `mirrored` and `displaced` `[n, r]`, share of |R| in a region when the map is mirrored, or moved to a
    random place; per (attribute, group, class) `mean` and standard `error` `[h, w]` of R over sum |R|, summed over cells (NaN for
    one cluster), and the `counts` of maps and `clusters` behind them; attribute and group are "" for all photographs.
    """

    top: Mapping[str, FloatArray]
    mirrored: FloatArray
    displaced: FloatArray
    mean: Mapping[tuple[str, str, str], FloatArray]
    error: Mapping[tuple[str, str, str], FloatArray]
    counts: Mapping[tuple[str, str, str], int]
    clusters: Mapping[tuple[str, str, str], int]
