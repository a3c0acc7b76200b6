"""What nobody declared adds to each example: words, or cells of a grid over photographs, as rows that name example and feature."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, final

import numpy as np

from audit.stats.cases import Evidence
from audit.stats.intervals import BoolArray
from audit.tables import CellTable, FloatArray, IntArray, WordTable

OF_WORDS: Final = "sd of the contrast logit"
OF_CELLS: Final = "net R over sum |R|"


@final
@dataclass(frozen=True, slots=True)
class Signals:
    """Row per (example, feature), by feature: `values[c]` signed under composite c; an example without a row has 0.

    `allowed` `[features]` are not declared, `usable` `[n]` examples have relevance; `worded`: a feature is a word, which an example holds
    or not. Cells have `boxes` `[features, 4]` in the input and `photograph` in photographs, if known.
    """

    names: tuple[str, ...]
    example: IntArray
    feature: IntArray
    values: Mapping[str, FloatArray]
    allowed: BoolArray
    usable: BoolArray
    unit: str
    worded: bool
    boxes: IntArray = field(default_factory=lambda: np.zeros((0, 4), dtype=np.int64))
    photograph: IntArray = field(default_factory=lambda: np.zeros((0, 4), dtype=np.int64))

    def column(self, feature: int, composite: str) -> FloatArray:
        """What one feature adds to each example `[n]`."""
        rows, found = self._rows(feature), np.zeros(len(self.usable))
        found[self.example[rows]] = self.values[composite][rows]
        return found

    def holds(self, feature: int) -> FloatArray:
        """1 for each example `[n]` that holds it, else 0."""
        found = np.zeros(len(self.usable))
        found[self.example[self._rows(feature)]] = 1.0
        return found

    def _rows(self, feature: int) -> slice:
        return slice(*np.searchsorted(self.feature, [feature, feature + 1]).tolist())


def signals(evidence: Evidence) -> Signals | None:
    """Of the words or of the cells; None where there are neither."""
    if evidence.words is not None:
        return of_words(evidence.words, len(evidence.examples.label), evidence.scale)
    return None if evidence.cells is None else of_cells(evidence.cells)


def of_words(words: WordTable, n: int, scale: float) -> Signals:
    """Count x mean relevance of each word type in each of `n` texts, over `scale`: the part of the logit that the word carries."""
    order = np.argsort(words.type, kind="stable")
    allowed = np.ones(len(words.types), dtype=np.bool_)
    for declared in words.groups.values():
        allowed[declared] = False
    return Signals(
        names=words.types,
        example=words.example[order],
        feature=words.type[order],
        values={c: (words.count * relevance.astype(float) / scale)[order] for c, relevance in words.relevance.items()},
        allowed=allowed,
        usable=np.ones(n, dtype=np.bool_),
        unit=OF_WORDS,
        worded=True,
    )


def of_cells(cells: CellTable) -> Signals:
    """Net relevance of each cell in each photograph whose map is not empty."""
    usable = np.asarray(np.isfinite(next(iter(cells.net.values()))).all(axis=1))
    n, features = len(usable), len(cells.boxes)
    kept = np.tile(usable, features)
    return Signals(
        names=tuple(f"[{left}, {top}, {right}, {bottom}]" for left, top, right, bottom in cells.boxes.tolist()),
        example=np.tile(np.arange(n), features)[kept],
        feature=np.repeat(np.arange(features), n)[kept],
        values={c: np.nan_to_num(net).T.ravel()[kept].astype(float) for c, net in cells.net.items()},
        allowed=~cells.declared,
        usable=usable,
        unit=OF_CELLS,
        worded=False,
        boxes=cells.boxes,
        photograph=cells.photograph,
    )
