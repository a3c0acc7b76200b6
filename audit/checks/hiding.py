"""Intervention by hiding: what the model does without some words, or without what a region shows, and without as much of something else.

What takes their place is a fill. Masking any word moves a logit, and so does any grey patch: the control is what says how much. Cost:
a forward pass for each distinct input, no backward pass.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from audit.tables import EffectTable, FeatureName, FloatArray

HIDING_SEED: Final = 4
EVERYTHING: FeatureName = ()  # all that is declared


@final
@dataclass(frozen=True, slots=True)
class Hidden:
    """Example `example` with `feature`, of so many `pieces`, hidden under `fill`, or something else as large where it is the `control`."""

    example: int
    feature: FeatureName
    fill: str
    control: bool = False
    pieces: int = 1


def generators(seed: int) -> Callable[[FeatureName], np.random.Generator]:
    """A generator for each feature, so that declaring another one changes the draws of none."""
    return lambda feature: np.random.default_rng([seed, HIDING_SEED, zlib.crc32("\0".join(feature).encode())])


def effect_table(
    names: Sequence[FeatureName],
    hidden: Sequence[Hidden],
    after: FloatArray,
    scores: FloatArray,
    *,
    contrast: Callable[[FloatArray], FloatArray],
) -> EffectTable | None:
    """From the logits `after` `[hidden, classes]` and those of the whole examples, `scores` `[examples, classes]`; None of nothing."""
    if not hidden:
        return None
    fills = list(dict.fromkeys(each.fill for each in hidden))
    example = np.fromiter((each.example for each in hidden), dtype=np.int64, count=len(hidden))
    delta = contrast(scores[example]) - contrast(after)
    flipped = (after.argmax(1) != scores[example].argmax(1)).astype(float)
    rows = np.array(sorted({each.example for each in hidden if each.feature != EVERYTHING}), dtype=np.int64)
    place, column = {int(i): m for m, i in enumerate(rows)}, {name: k for k, name in enumerate(names)}
    tables = {
        (fill, control): (np.full((len(rows), len(names)), np.nan), np.full((len(rows), len(names)), np.nan))
        for fill in fills
        for control in (False, True)
    }
    predicted, pieces = {fill: scores.argmax(1) for fill in fills}, np.full((len(rows), len(names)), np.nan)
    for at, each in enumerate(hidden):
        if each.feature == EVERYTHING:
            predicted[each.fill][each.example] = int(after[at].argmax())
            continue
        effects, flips = tables[each.fill, each.control]
        cell = place[each.example], column[each.feature]
        effects[cell], flips[cell], pieces[cell] = delta[at], flipped[at], each.pieces
    return EffectTable(
        names=tuple(names),
        rows=rows,
        pieces=pieces,
        delta={fill: tables[fill, False][0] for fill in fills},
        control={fill: tables[fill, True][0] for fill in fills},
        flipped={fill: tables[fill, False][1] for fill in fills},
        control_flipped={fill: tables[fill, True][1] for fill in fills},
        predicted=predicted,
    )
