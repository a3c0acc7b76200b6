"""A sample of texts cut into words that can be hidden one by one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from audit.checks.flipping import Flipped, Maps
from audit.data.terms import without, words
from audit.models.twins import reinitialised, with_noisy_embeddings
from audit.parts import Here
from audit.relevance.explainer import contrast_logit
from audit.relevance.texts import TextExplainer, score_texts, token_relevance
from audit.tables import FloatArray, IntArray


@final
@dataclass(frozen=True, slots=True)
class TextSpecimens:
    """The texts `[m]` of `rows`, as far as the model reads them; `tokens` is what takes the place of a word, by fill."""

    explainer: TextExplainer
    rows: IntArray
    texts: Sequence[str]
    tokens: Mapping[str, str]
    batch_tokens: int

    @property
    def fills(self) -> tuple[str, ...]:
        """By name."""
        return tuple(self.tokens)

    @property
    def composites(self) -> tuple[str, ...]:
        """By name."""
        return self.explainer.names

    @property
    def alike(self) -> float:
        """Share of a text's words that stand in more than half of the texts, as in sentences from one template."""
        held = [[name for _, _, name in words(text)] for text in self.texts]
        count = Counter(name for names in held for name in set(names))
        common = {name for name, n in count.items() if 2 * n > len(held)}
        shares = [sum(name in common for name in names) / len(names) for names in held if names]
        return sum(shares) / max(len(shares), 1)

    def maps(self, composites: Sequence[str]) -> list[Maps]:
        """Relevance of each word, its tokens together."""
        chosen = [self.explainer.composites[name] for name in composites]
        found = token_relevance(self.explainer, self.texts, chosen, batch_tokens=self.batch_tokens)
        return [
            [_by_word(text, ends, values[k]) for text, (ends, values) in zip(self.texts, found, strict=True)]
            for k in range(len(chosen))
        ]

    def contrast(self, hidden: Flipped, fill: str) -> FloatArray:
        """Contrast logit of each text with the marked words hidden."""
        shown = [_without(text, gone, self.tokens[fill]) for text, gone in zip(self.texts, hidden, strict=True)]
        return contrast_logit(self.explainer, score_texts(Here(self.explainer), shown, batch_tokens=self.batch_tokens))

    def part(self, places: IntArray) -> "TextSpecimens":
        """The texts at some places of the sample."""
        return replace(self, rows=self.rows[places], texts=[self.texts[i] for i in places.tolist()])

    def reinitialised(self, seed: int) -> "TextSpecimens":
        """Read by a copy of the model with random weights."""
        return self._read_by(reinitialised(self.explainer.model, seed, ()))

    def noisy(self, rng: np.random.Generator) -> "TextSpecimens":
        """Read by a copy of the model whose word embeddings carry noise."""
        return self._read_by(with_noisy_embeddings(self.explainer.model, rng))

    def _read_by(self, model: Any) -> "TextSpecimens":
        return replace(self, explainer=replace(self.explainer, model=model))


def _by_word(text: str, ends: IntArray, values: FloatArray) -> FloatArray:
    """Relevance `[words]`; a token belongs to the word in which it ends."""
    spans = words(text)
    found = np.zeros(len(spans))
    if spans:
        starts, stops = np.array([span[0] for span in spans]), np.array([span[1] for span in spans])
        word = np.searchsorted(starts, ends, side="left") - 1
        inside = (word >= 0) & (ends <= stops[word])
        np.add.at(found, word[inside], values[inside])
    return found


def _without(text: str, gone: NDArray[np.bool_], token: str) -> str:
    return without(text, [span[:2] for span, hide in zip(words(text), gone, strict=True) if hide], token)
