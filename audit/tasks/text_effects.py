"""Interventions on texts: declared terms swapped, and the words of an attribute, group or term hidden, or as many other words."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Final, final

import numpy as np

from audit.checks.hiding import EVERYTHING, Hidden, effect_table
from audit.checks.intervention import SwappedTexts, swap_effects
from audit.data.lexicon_file import LexiconData
from audit.data.terms import Matcher, Swap, swap_terms, without, words
from audit.parts import Advance, Engine
from audit.progress import progress
from audit.relevance.explainer import contrast_logit
from audit.relevance.texts import score_texts
from audit.sequences import Lazy, Made
from audit.tables import EffectTable, FeatureName, FloatArray, IntArray, Match, SwapTable

DELETED: Final = "deleted"
MASKED: Final = "masked"
Span = tuple[int, int]


def text_fills(mask_token: str | None) -> dict[str, str]:
    """What takes the place of a word, by fill; a model without a mask token has one fill."""
    return {DELETED: ""} if mask_token is None else {MASKED: mask_token, DELETED: ""}


@final
@dataclass(frozen=True, slots=True, eq=False)
class HiddenTexts(Lazy[tuple[Hidden, str]]):
    """Each hidden input and its text: the `drawn` ones, then those of `rows` with everything declared hidden, made as they are read."""

    drawn: Sequence[tuple[Hidden, str]]
    rows: IntArray
    fills: tuple[tuple[str, str], ...]
    texts: Sequence[str]
    matches: Sequence[Sequence[Match]]

    def __len__(self) -> int:
        return len(self.drawn) + len(self.rows) * len(self.fills)

    def item(self, i: int) -> tuple[Hidden, str]:
        """What is hidden, and the text then."""
        return self.hidden(i), self.text(i)

    def hidden(self, i: int) -> Hidden:
        """What is hidden in an input that is there."""
        if i < len(self.drawn):
            return self.drawn[i][0]
        row, fill = divmod(i - len(self.drawn), len(self.fills))
        return Hidden(int(self.rows[row]), EVERYTHING, self.fills[fill][0])

    def text(self, i: int) -> str:
        """The text of an input that is there."""
        if i < len(self.drawn):
            return self.drawn[i][1]
        row, fill = divmod(i - len(self.drawn), len(self.fills))
        example = int(self.rows[row])
        return without(self.texts[example], _merged(self.matches[example]), self.fills[fill][1])

    def distinct(self) -> tuple[IntArray, IntArray]:
        """Which input is the first of each distinct text, in their order, and for every input which of these its text is."""
        return distinct(self._in_order())

    def _in_order(self) -> Iterator[str]:
        yield from (text for _, text in self.drawn)
        for example in self.rows.tolist():
            text, spans = self.texts[example], _merged(self.matches[example])
            yield from (without(text, spans, token) for _, token in self.fills)


def hidden_texts(
    texts: Sequence[str],
    matches: Sequence[Sequence[Match]],
    fills: Mapping[str, str],
    *,
    most: int,
    draws: Callable[[FeatureName], np.random.Generator],
) -> tuple[list[FeatureName], HiddenTexts]:
    """Features that some text holds, and each hidden input: of `most` texts of a feature, drawn at random; everything of all texts."""
    drawn, held = list[tuple[Hidden, str]](), _held(matches)
    for name, rows in sorted(held.items()):
        rng = draws(name)
        for i in rng.permutation(np.array(rows, dtype=np.int64))[:most].tolist():
            text, found = texts[i], matches[i]
            for control, spans, pieces in _spans(text, found, name, rng):
                drawn += [
                    (Hidden(i, name, fill, control, pieces), without(text, spans, token))
                    for fill, token in fills.items()
                ]
    every = np.array([i for i, found in enumerate(matches) if found], dtype=np.int64)
    return sorted(held), HiddenTexts(drawn, every, tuple(fills.items()), texts, matches)


def distinct(texts: Iterable[str]) -> tuple[IntArray, IntArray]:
    """Places of the first of each distinct text, in their order, and for every text which of these it is; by hash, so that none is kept."""
    packed = bytearray()
    for text in texts:
        packed += blake2b(text.encode(), digest_size=16).digest()
    left, right = np.frombuffer(bytes(packed), dtype=np.uint64).reshape(-1, 2).T
    order = np.lexsort((right, left))  # stable: of equal texts the first comes first
    changes = (np.diff(left[order]) != 0) | (np.diff(right[order]) != 0)
    number = np.concatenate([[0], changes.cumsum()])[: len(order)]
    first = order[np.flatnonzero(np.diff(number, prepend=-1))]
    in_order = first.argsort()
    place = np.empty(len(order), dtype=np.int64)
    place[order] = in_order.argsort()[number]
    return first[in_order], place


def swapped_texts(texts: Sequence[str], matches: Sequence[Sequence[Match]], lexicon: LexiconData) -> SwappedTexts:
    """Texts of which the terms of one attribute have counterparts, with those in their place."""

    def swap(i: int, found: Sequence[Match]) -> Swap | None:
        own = [m for m in found if m.attribute == lexicon.attribute]
        return swap_terms(texts[i], own, lexicon) if own else None

    rows, sources, targets = array("q"), list[str](), list[str]()
    for i, found in enumerate(matches):
        if (swapped := swap(i, found)) is not None:
            rows.append(i)
            sources.append(swapped.source)
            targets.append(swapped.target)
    example = np.array(rows, dtype=np.int64)
    made = Made(len(rows), lambda k: _text_of(swap(rows[k], matches[rows[k]])))
    return SwappedTexts(example, np.array(sources, dtype=np.str_), np.array(targets, dtype=np.str_), made)


def swaps(texts: Sequence[str], matches: Sequence[Sequence[Match]], matcher: Matcher) -> Iterator[tuple[int, str, str]]:
    """Each text once for every attribute whose terms have counterparts: which it is, the column of what the swap does, the text then."""
    for attribute, lexicon in matcher.data.items():
        made = swapped_texts(texts, matches, lexicon)
        for at, group, text in zip(made.example.tolist(), made.target.tolist(), made.texts, strict=True):
            yield at, f"swap.{attribute}.{group}", text


@final
@dataclass(frozen=True, slots=True)
class Scorer:
    """What interventions do to texts whose logits are `scores` `[texts, classes]`; each distinct text is read once."""

    engine: Engine
    scores: FloatArray
    batch_tokens: int

    def swaps(self, swapped: Mapping[str, SwappedTexts]) -> dict[str, SwapTable]:
        """By attribute, the effect of swapping its terms."""
        with progress("words swapped", sum(map(len, swapped.values()))) as advance:
            return {
                attribute: swap_effects(
                    rows, self.scores, score=partial(self._read, advance=advance), contrast=self._contrast
                )
                for attribute, rows in swapped.items()
            }

    def effects(self, names: Sequence[FeatureName], inputs: HiddenTexts) -> EffectTable | None:
        """The effect of hiding words; None where nothing is."""
        first, place = inputs.distinct()
        with progress("words hidden", len(first)) as advance:
            after = self._read(Made(len(first), lambda i: inputs.text(int(first[i]))), advance=advance)
        hidden = Made(len(inputs), inputs.hidden)
        return effect_table(names, hidden, after[place], self.scores, contrast=self._contrast)

    def _read(self, texts: Sequence[str], *, advance: Advance) -> FloatArray:
        return score_texts(self.engine, texts, batch_tokens=self.batch_tokens, advance=advance)

    def _contrast(self, logits: FloatArray) -> FloatArray:
        return contrast_logit(self.engine.explainer, logits)


def _held(matches: Sequence[Sequence[Match]]) -> "dict[FeatureName, array[int]]":
    """Which texts hold an attribute, a group, a term."""
    held: dict[FeatureName, array[int]] = {}
    for i, found in enumerate(matches):
        keys = {(m.attribute, m.group, m.term)[:depth] for m in found for depth in (1, 2, 3)}
        for key in keys:
            held.setdefault(key, array("q")).append(i)
    return held


def _text_of(swap: Swap | None) -> str:
    assert swap is not None, "it was swapped before"
    return swap.text


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
