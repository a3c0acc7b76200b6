"""The relevance stage of texts: streams length-sorted batches through the engine and keeps sums per word, group and example only.

Cost: one forward pass and one backward pass per composite over the data; memory grows with words, not with maps.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from audit.records import Token
from audit.relevance.explainer import Advance, Condition, Explainer, Read, attribute, logits, targets_of
from audit.relevance.features import Tokens, word_of_tokens
from audit.relevance.sums import Explained, Sums
from audit.relevance.words import Words, WordSums
from audit.tables import FloatArray, IntArray, Match, WordTable

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SPECIAL, PUNCTUATION = "special", "punctuation"


@final
@dataclass(frozen=True, slots=True)
class TextReader:
    """What turns texts into tokens; longer ones are cut to `max_length`."""

    tokenizer: "PreTrainedTokenizerBase"
    max_length: int


TextExplainer = Explainer[TextReader]


@final
@dataclass(frozen=True, slots=True)
class ExplainedTexts:
    """What the stage hands on for texts: what every task has, the words, and which texts were cut `[texts]`."""

    common: Explained
    words: WordTable
    truncated: NDArray[np.bool_]


def explain_texts(
    explainer: TextExplainer,
    texts: Sequence[str],
    matches: Sequence[Sequence[Match]],
    declared: Mapping[tuple[str, str], Sequence[str]],
    *,
    words: Words,
    batch_tokens: int,
    targets: IntArray | None = None,
    advance: Advance = lambda n: None,
) -> ExplainedTexts:
    """Relevance of every text, for the contrast or for `targets` `[texts, 2]`, each one's own pair of classes.

    `declared` maps (attribute, group) to its terms; `advance(n)` is called after n more explanations.
    """
    lengths = _lengths(explainer, texts)
    names = (*(f"{a}.{g}" for a, g in declared), SPECIAL, PUNCTUATION)
    sums = Sums(explainer, names, len(texts))
    with tempfile.TemporaryFile() as spool:
        table = WordSums(explainer.names, len(texts), spool)
        for batch in _batches(np.minimum(lengths, explainer.reader.max_length), batch_tokens):
            target = explainer.target if targets is None else targets_of(targets[batch])
            _add(sums, table, explainer, batch, [texts[i] for i in batch], [matches[i] for i in batch], words, target)
            advance(len(batch) * len(explainer.names))
        found = table.finish(declared, lambda types: _type_embeddings(explainer, types))
    return ExplainedTexts(sums.finish(), found, lengths > explainer.reader.max_length)


def _add(
    sums: Sums, table: WordSums, explainer: TextExplainer, batch: list[int], texts: Sequence[str],
    matches: Sequence[Sequence[Match]], words: Words, target: Any,
) -> None:  # fmt: skip
    """Explain one batch for `target` and add it up."""
    inputs, offsets, real = encode(explainer, texts)
    tokens = words_of(explainer, texts, offsets, real)
    found = attribute(explainer.model, inputs, target, list(explainer.composites.values()), tokens)
    values = np.stack([f.values.float().cpu().numpy().astype(float) for f in found])
    sums.add_batch(batch, found)
    attended = inputs["attention_mask"].cpu().numpy() == 1
    for row, (i, text) in enumerate(zip(batch, texts, strict=True)):
        table.add(i, text, matches[row], words, offsets[row][real[row]][:, 1], values[:, row][:, real[row]])
        masks = group_masks(sums.names, text, matches[row], offsets[row], real[row], attended[row])
        sums.add_groups(i, values[:, row], masks, attended[row])
    table.end_batch()


def group_masks(
    names: Sequence[str], text: str, matches: Sequence[Match], offsets: IntArray, real: NDArray[np.bool_],
    attended: NDArray[np.bool_],
) -> NDArray[np.bool_]:  # fmt: skip
    """Which tokens belong to which group, `[groups, tokens]`."""
    masks = np.zeros((len(names), len(real)), dtype=np.bool_)
    ends = np.where(real, offsets[:, 1], -1)
    masks[names.index(SPECIAL)] = attended & ~real
    masks[names.index(PUNCTUATION)] = [
        r and not any(ch.isalnum() for ch in text[s:e]) for r, (s, e) in zip(real, offsets, strict=True)
    ]
    for m in matches:
        masks[names.index(f"{m.attribute}.{m.group}")] |= (ends > m.start) & (ends <= m.end)
    return masks


def encode(
    explainer: TextExplainer, texts: Sequence[str]
) -> tuple[dict[str, Any], NDArray[np.int64], NDArray[np.bool_]]:
    """Model inputs, character offsets `[batch, tokens, 2]` and a mask of text tokens (neither special nor padding)."""
    encoded = explainer.reader.tokenizer(
        list(texts),
        padding=True,
        truncation=True,
        max_length=explainer.reader.max_length,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_tensors="pt",
    )
    offsets = encoded.pop("offset_mapping").numpy()
    special = encoded.pop("special_tokens_mask").numpy().astype(bool)
    inputs = {name: value.to(explainer.model.device) for name, value in encoded.items()}
    return inputs, offsets, ~special & (inputs["attention_mask"].cpu().numpy() == 1)


def words_of(
    explainer: TextExplainer, texts: Sequence[str], offsets: IntArray, real: NDArray[np.bool_]
) -> Tokens | None:
    """The words of a batch, for methods that hide them; None where only rules explain, which need none."""
    if not explainer.has_methods:
        return None
    words = [word_of_tokens(*row) for row in zip(texts, offsets, real, strict=True)]
    return Tokens(explainer.reader.tokenizer, np.stack(words))


def score_texts(
    explainer: TextExplainer, texts: Sequence[str], *, batch_tokens: int, advance: Advance = lambda n: None,
    read: Read = logits,
) -> FloatArray:  # fmt: skip
    """Logits `[texts, classes]`, or what else is read of each forward pass, in length-sorted batches."""
    import torch

    found: list[FloatArray] = [np.zeros(0)] * len(texts)
    for batch in _batches(np.minimum(_lengths(explainer, texts), explainer.reader.max_length), batch_tokens):
        inputs, _, _ = encode(explainer, [texts[i] for i in batch])
        with torch.inference_mode():
            values = read(explainer.model(**inputs).logits)
        for i, row in zip(batch, values, strict=True):
            found[i] = row.astype(float)
        advance(len(batch))
    return np.stack(found) if found else np.zeros((0, int(explainer.model.config.num_labels or 1)))


def token_relevance(
    explainer: TextExplainer, texts: Sequence[str], composites: Sequence[Any], *, batch_tokens: int
) -> list[tuple[IntArray, FloatArray]]:
    """For each text the ends of its tokens in characters `[tokens]`, and their relevance for the contrast `[composites, tokens]`.

    Special tokens are left out.
    """
    found: dict[int, tuple[IntArray, FloatArray]] = {}
    for batch in _batches(np.minimum(_lengths(explainer, texts), explainer.reader.max_length), batch_tokens):
        inputs, offsets, real = encode(explainer, [texts[i] for i in batch])
        tokens = words_of(explainer, [texts[i] for i in batch], offsets, real)
        results = attribute(explainer.model, inputs, explainer.target, composites, tokens)
        values = np.stack([result.values.float().cpu().numpy().astype(float) for result in results])
        found.update((i, (offsets[row][real[row]][:, 1], values[:, row][:, real[row]])) for row, i in enumerate(batch))
    return [found[i] for i in range(len(texts))]


def visible_ends(explainer: TextExplainer, texts: Sequence[str]) -> list[int]:
    """How many characters of each text the model reads; all of them unless it is truncated."""
    ends = [len(text) for text in texts]
    for i in np.flatnonzero(_lengths(explainer, texts) > explainer.reader.max_length).tolist():
        _, offsets, real = encode(explainer, [texts[i]])
        ends[i] = int(offsets[0][real[0]].max(initial=0))
    return ends


def explain_tokens(
    explainer: TextExplainer, text: str, matches: Sequence[Match], *, target: Any, composite: Any, condition: Condition = None
) -> tuple[tuple[Token, ...], Any]:  # fmt: skip
    """The tokens of one text with their relevance for `target`, and the engine's `lrp.Relevance`."""
    inputs, offsets, real = encode(explainer, [text])
    tokens = words_of(explainer, [text], offsets, real)
    (result,) = attribute(explainer.model, inputs, target, [composite], tokens, condition=condition)
    values = result.values[0].double().cpu().numpy()
    return tuple(_tokens(text, offsets[0][real[0]], values[real[0]], matches)), result


def _tokens(text: str, offsets: IntArray, values: FloatArray, matches: Sequence[Match]) -> Iterator[Token]:
    position = 0
    for (_, end), value in zip(offsets.tolist(), values.tolist(), strict=True):
        groups = tuple(f"{m.attribute}.{m.group}" for m in matches if m.start < end <= m.end)
        yield Token(text=text[position:end], relevance=value, groups=groups)
        position = max(position, end)
    if text[position:].strip():
        yield Token(text=text[position:], relevance=0.0)


def _lengths(explainer: TextExplainer, texts: Sequence[str], chunk: int = 1000) -> IntArray:
    """Tokens of each text, special ones included, before truncation."""
    counts = [
        len(ids)
        for i in range(0, len(texts), chunk)
        for ids in explainer.reader.tokenizer(list(texts[i : i + chunk]))["input_ids"]
    ]
    return np.array(counts, dtype=np.int64)


def _batches(lengths: IntArray, batch_tokens: int) -> Iterator[list[int]]:
    """Indices of texts of similar length, at most `batch_tokens` tokens with padding, longest first (memory peaks at once)."""
    order = np.argsort(-lengths, kind="stable").tolist()
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // max(1, int(lengths[order[start]])))
        yield order[start : start + size]
        start += size


def _type_embeddings(explainer: TextExplainer, types: Sequence[str]) -> FloatArray:
    """The model's own input embedding of each word type, mean over its sub-words, `[types, d]` float32."""
    table: Any = explainer.model.get_input_embeddings()
    weight = table.weight.detach().float().cpu().numpy()
    if not types:
        return np.zeros((0, weight.shape[1]), dtype=np.float32)
    pieces = explainer.reader.tokenizer([f" {name}" for name in types], add_special_tokens=False)["input_ids"]
    return np.stack([weight[ids].mean(0) if ids else np.zeros(weight.shape[1], dtype=np.float32) for ids in pieces])
