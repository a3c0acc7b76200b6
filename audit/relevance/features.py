"""Inputs cut into features that can be hidden: the words of a text, cells of a photograph; and what the model says without some.

Every example is read alone and without padding, `ROWS` variants at once, so that nothing depends on what it is batched with.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, final

import numpy as np

from audit.relevance.games import Kept
from audit.relevance.grid import cells
from audit.tables import FloatArray, IntArray

if TYPE_CHECKING:
    from torch import Tensor

ROWS: Final = 64
WORD: Final = re.compile(r"\w+(?:['\u2019]\w+)*|\S")


@final
@dataclass(frozen=True, slots=True)
class Tokens:
    """What tells the words of a batch of texts: the word of each token `[batch, tokens]`, -1 for special tokens and padding."""

    tokenizer: Any
    words: IntArray

    @property
    def blank(self) -> int:
        """The token that says nothing: the mask token, or where a model has none the one that pads."""
        ids = (self.tokenizer.mask_token_id, self.tokenizer.pad_token_id, self.tokenizer.eos_token_id)
        return next(int(each) for each in ids if each is not None)

    def emptied(self, ids: "Tensor") -> "Tensor":
        """The ids `[batch, tokens]` with the blank in the place of every token of a word."""
        import torch

        return ids.masked_fill(torch.from_numpy(self.words >= 0).to(ids.device), self.blank)


class Features(Protocol):
    """One example in `n` features."""

    @property
    def n(self) -> int: ...

    @property
    def content(self) -> bytes:
        """What the example is, for a seed of its own."""
        ...

    def read(self, kept: Kept, model: Any) -> "Tensor":
        """The model's output for each row of kept features `[k, n]`."""
        ...

    def spread(self, relevance: FloatArray) -> FloatArray:
        """Relevance `[n]` in the shape of the example, a feature's in equal parts."""
        ...


@final
@dataclass(frozen=True, slots=True)
class TextFeatures:
    """Words: a hidden one is a mask token, or gone where the tokenizer has none; `ids`, `words` `[tokens]`, padding included."""

    ids: IntArray
    words: IntArray
    real: Kept
    tokens: Tokens

    @property
    def n(self) -> int:
        return int(self.words.max(initial=-1)) + 1

    @property
    def content(self) -> bytes:
        return self.ids[self.real].astype(np.int64).tobytes()

    def read(self, kept: Kept, model: Any) -> "Tensor":
        import torch

        ids, shown = self._without(kept)
        if not shown.any(axis=1).all():  # where no token can say that a word is gone, a text without any is one blank
            ids[~shown.any(axis=1), 0], shown[~shown.any(axis=1), 0] = self.tokens.blank, True
        left = self.tokens.tokenizer.padding_side == "left"
        order = np.argsort(shown if left else ~shown, axis=1, kind="stable")
        longest = int(shown.sum(axis=1).max())
        order = order[:, -longest:] if left else order[:, :longest]
        shown = np.take_along_axis(shown, order, axis=1)
        pad = self.tokens.tokenizer.pad_token_id or 0
        ids = np.where(shown, np.take_along_axis(ids, order, axis=1), pad)
        device = next(model.parameters()).device
        given = {"input_ids": ids, "attention_mask": shown.astype(np.int64)}
        return model(**{name: torch.from_numpy(values).to(device) for name, values in given.items()})  # type: ignore[no-any-return]

    def spread(self, relevance: FloatArray) -> FloatArray:
        inside = self.words >= 0
        count = np.bincount(self.words[inside], minlength=self.n)
        return np.where(inside, np.append(relevance / np.maximum(count, 1), 0.0)[self.words], 0.0)

    def _without(self, kept: Kept) -> tuple[IntArray, Kept]:
        """The ids `[k, tokens]` with a mask in the place of a hidden word, and which of them are read."""
        ids, words = self.ids[self.real], self.words[self.real]
        hidden = ~np.column_stack([kept, np.ones(len(kept), dtype=np.bool_)])[:, words]
        mask = self.tokens.tokenizer.mask_token_id
        if mask is None:
            return np.tile(ids, (len(kept), 1)), ~hidden
        begins = np.diff(words, prepend=-1) != 0
        return np.where(hidden, mask, ids), ~hidden | begins


@final
@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """Cells of a photograph `[channels, H, W]`; a hidden one has its mean colour."""

    pixels: "Tensor"

    @property
    def cells(self) -> IntArray:
        """The cell of each pixel `[H, W]`."""
        return cells(self.pixels.shape[1:])

    @property
    def n(self) -> int:
        return int(self.cells.max()) + 1

    @property
    def content(self) -> bytes:
        return self.pixels.cpu().numpy().tobytes()

    def read(self, kept: Kept, model: Any) -> "Tensor":
        import torch

        shown = torch.from_numpy(kept[:, self.cells]).to(self.pixels.device)[:, None]
        return model(torch.where(shown, self.pixels, mean_colour(self.pixels)))  # type: ignore[no-any-return]

    def spread(self, relevance: FloatArray) -> FloatArray:
        channels = len(self.pixels)
        each = relevance / (channels * np.bincount(self.cells.ravel()))
        return np.broadcast_to(each[self.cells], (channels, *self.cells.shape))


def features_of(inputs: "Tensor | Mapping[str, Tensor]", tokens: Tokens | None) -> Sequence[Features]:
    """One for each example of a batch; `tokens` are those of texts."""
    if tokens is None:
        assert not isinstance(inputs, Mapping), "inputs of a text come with their tokens"
        return [ImageFeatures(pixels) for pixels in inputs]
    assert isinstance(inputs, Mapping)
    ids, real = (inputs[name].cpu().numpy() for name in ("input_ids", "attention_mask"))
    return [TextFeatures(*row, tokens) for row in zip(ids, tokens.words, real == 1, strict=True)]


def mean_colour(pixels: "Tensor") -> "Tensor":
    """Of each photograph `[..., channels, H, W]`, `[..., channels, 1, 1]`."""
    return pixels.mean((-2, -1), keepdim=True)


def word_of_tokens(text: str, offsets: IntArray, real: Kept) -> IntArray:
    """The word of each token, counted from 0, -1 where it is not `real`; every sign that is no word is one of its own.

    A token belongs to the word that holds its last character, for its first may be a blank.
    """
    ends = np.array([word.end() for word in WORD.finditer(text)])
    found = np.searchsorted(ends, offsets[:, 1], side="left")
    words = np.full(len(found), -1)
    words[real] = np.unique(found[real], return_inverse=True)[1]
    return words


def by_parts(read: Callable[[Kept], FloatArray], kept: Kept) -> FloatArray:
    """The values `[k]` of `read` from `ROWS` rows at a time."""
    return np.concatenate([read(kept[start : start + ROWS]) for start in range(0, len(kept), ROWS)])
