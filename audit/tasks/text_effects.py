"""Interventions on texts: declared terms swapped, and the words of an attribute, group or term hidden, or as many other words."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, final

import numpy as np

from audit.checks.hiding import EVERYTHING, Hidden, effect_table
from audit.checks.intervention import SwappedText, swap_effects
from audit.data.lexicon_file import LexiconData
from audit.data.terms import swap_terms, without, words
from audit.parts import Advance, Engine
from audit.progress import progress
from audit.relevance.explainer import contrast_logit
from audit.relevance.texts import score_texts
from audit.tables import EffectTable, FeatureName, FloatArray, Match, SwapTable

DELETED: Final = "deleted"
MASKED: Final = "masked"
Span = tuple[int, int]


def text_fills(mask_token: str | None) -> dict[str, str]:
    """What takes the place of a word, by fill; a model without a mask token has one fill."""
    return {DELETED: ""} if mask_token is None else {MASKED: mask_token, DELETED: ""}


def hidden_texts(
    texts: Sequence[str],
    matches: Sequence[Sequence[Match]],
    fills: Mapping[str, str],
    *,
    most: int,
    draws: Callable[[FeatureName], np.random.Generator],
) -> tuple[list[FeatureName], list[tuple[Hidden, str]]]:
    """Features that some text holds, and each hidden input: of `most` texts of a feature, drawn at random; everything of all texts."""
    inputs, held = list[tuple[Hidden, str]](), _held(matches)
    for name, rows in sorted(held.items()):
        rng = draws(name)
        for i in rng.permutation(rows)[:most].tolist():
            for control, spans, pieces in _spans(texts[i], matches[i], name, rng):
                inputs += [
                    (Hidden(i, name, fill, control, pieces), without(texts[i], spans, token))
                    for fill, token in fills.items()
                ]
    inputs += [
        (Hidden(i, EVERYTHING, fill), without(texts[i], _merged(found), token))
        for i, found in enumerate(matches)
        for fill, token in fills.items()
        if found
    ]
    return sorted(held), inputs


def swapped_texts(texts: Sequence[str], matches: Sequence[Sequence[Match]], lexicon: LexiconData) -> list[SwappedText]:
    """Texts of which the terms of one attribute have counterparts, with those in their place."""
    swapped = [
        (i, swap_terms(text, [m for m in found if m.attribute == lexicon.attribute], lexicon))
        for i, (text, found) in enumerate(zip(texts, matches, strict=True))
        if any(m.attribute == lexicon.attribute for m in found)
    ]
    return [SwappedText(i, swap.text, swap.source, swap.target) for i, swap in swapped if swap is not None]


@final
@dataclass(frozen=True, slots=True)
class Scorer:
    """What interventions do to texts whose logits are `scores` `[texts, classes]`; each distinct text is read once."""

    engine: Engine
    scores: FloatArray
    batch_tokens: int

    def swaps(self, swapped: Mapping[str, Sequence[SwappedText]]) -> dict[str, SwapTable]:
        """By attribute, the effect of swapping its terms."""
        with progress("words swapped", sum(map(len, swapped.values()))) as advance:
            return {
                attribute: swap_effects(
                    rows, self.scores, score=partial(self._read, advance=advance), contrast=self._contrast
                )
                for attribute, rows in swapped.items()
            }

    def effects(self, names: Sequence[FeatureName], inputs: Sequence[tuple[Hidden, str]]) -> EffectTable | None:
        """The effect of hiding words; None where nothing is."""
        distinct = {text: i for i, text in enumerate(dict.fromkeys(text for _, text in inputs))}
        with progress("words hidden", len(distinct)) as advance:
            after = self._read(list(distinct), advance=advance)
        hidden, rows = [each for each, _ in inputs], [distinct[text] for _, text in inputs]
        return effect_table(names, hidden, after[rows], self.scores, contrast=self._contrast)

    def _read(self, texts: Sequence[str], *, advance: Advance) -> FloatArray:
        return score_texts(self.engine, texts, batch_tokens=self.batch_tokens, advance=advance)

    def _contrast(self, logits: FloatArray) -> FloatArray:
        return contrast_logit(self.engine.explainer, logits)


def _held(matches: Sequence[Sequence[Match]]) -> dict[FeatureName, list[int]]:
    """Which texts hold an attribute, a group, a term."""
    held: dict[FeatureName, list[int]] = {}
    for i, found in enumerate(matches):
        keys = {(m.attribute, m.group, m.term)[:depth] for m in found for depth in (1, 2, 3)}
        for key in keys:
            held.setdefault(key, []).append(i)
    return held


def _spans(
    text: str, matches: Sequence[Match], name: FeatureName, rng: np.random.Generator
) -> Iterator[tuple[bool, list[Span], int]]:
    """The feature's own spans, then its control's, with how many words they hold.

    The control is as many runs of words that no lexicon declares, each as long as its span; none where the text has too few.
    """
    own = _merged([m for m in matches if (m.attribute, m.group, m.term)[: len(name)] == name])
    every, declared = [(start, end) for start, end, _ in words(text)], _merged(matches)
    lengths = [max(1, sum(_overlap(word, [span]) for word in every)) for span in own]
    yield False, own, sum(lengths)
    free, chosen = [not _overlap(word, declared) for word in every], list[Span]()
    for length in sorted(lengths, reverse=True):
        places = [at for at in range(len(every) - length + 1) if all(free[at : at + length])]
        if not places:
            return
        at = int(rng.choice(places))
        free[at : at + length] = [False] * length
        chosen.append((every[at][0], every[at + length - 1][1]))
    yield True, sorted(chosen), sum(lengths)


def _overlap(word: Span, spans: Sequence[Span]) -> bool:
    return any(word[0] < end and start < word[1] for start, end in spans)


def _merged(matches: Sequence[Match]) -> list[Span]:
    """Spans in order, those that touch or overlap joined."""
    joined: list[Span] = []
    for start, end in sorted((m.start, m.end) for m in matches):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined
