"""Intervention by hiding: what the model does without some words, or without what a region shows, and without as much of something else.

What takes their place is a fill. Masking any word moves a logit, and so does any grey patch: the control is what says how much. Cost:
a forward pass for each distinct input, no backward pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from audit.tables import EffectTable, FloatArray

Feature = tuple[str, ...]
EVERYTHING: Feature = ()  # all that is declared


@final
@dataclass(frozen=True, slots=True)
class Hidden:
    """Example `example` with `feature` hidden under `fill`, or something else as large where it is the `control`."""

    example: int
    feature: Feature
    fill: str
    control: bool = False


def effect_table(
    names: Sequence[Feature],
    hidden: Sequence[Hidden],
    after: FloatArray,
    scores: FloatArray,
    *,
    contrast: Callable[[FloatArray], FloatArray],
) -> EffectTable:
    """From the logits `after` `[hidden, classes]` and those of the whole examples, `scores` `[examples, classes]`."""
    fills = list(dict.fromkeys(each.fill for each in hidden))
    example = np.array([each.example for each in hidden], dtype=np.int64)
    delta = contrast(scores[example]) - contrast(after) if len(hidden) else np.zeros(0)
    flipped = (after.argmax(1) != scores[example].argmax(1)).astype(float)
    rows = np.unique([each.example for each in hidden if each.feature != EVERYTHING]).astype(np.int64)
    place, column = {int(i): m for m, i in enumerate(rows)}, {name: k for k, name in enumerate(names)}
    tables = {
        (fill, control): (np.full((len(rows), len(names)), np.nan), np.full((len(rows), len(names)), np.nan))
        for fill in fills
        for control in (False, True)
    }
    predicted = {fill: scores.argmax(1) for fill in fills}
    for at, each in enumerate(hidden):
        if each.feature == EVERYTHING:
            predicted[each.fill][each.example] = int(after[at].argmax())
            continue
        effects, flips = tables[each.fill, each.control]
        cell = place[each.example], column[each.feature]
        effects[cell], flips[cell] = delta[at], flipped[at]
    return EffectTable(
        names=tuple(names),
        rows=rows,
        delta={fill: tables[fill, False][0] for fill in fills},
        control={fill: tables[fill, True][0] for fill in fills},
        flipped={fill: tables[fill, False][1] for fill in fills},
        control_flipped={fill: tables[fill, True][1] for fill in fills},
        predicted=predicted,
    )
