"""The relevance stage of texts: length-sorted batches through the engine; sums per word, group and example are kept, never maps.

Cost: one forward pass and one backward pass per composite over the data; memory grows with words, not with maps.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from numpy.typing import NDArray

from audit.parts import ROW, Advance, Engine, Part, Shard, digest, gathered
from audit.records import Token
from audit.relevance.ahead import ahead
from audit.relevance.batching import auto_batch
from audit.relevance.explainer import Condition, Explainer, Read, attribute, logits, targets_of
from audit.relevance.features import Tokens, word_of_tokens
from audit.relevance.halving import in_halves
from audit.relevance.sums import Explained, Sums, explained
from audit.relevance.words import AVERAGE, Words, WordSums, units_of, word_table
from audit.tables import FloatArray, IntArray, Match, WordTable

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SPECIAL, PUNCTUATION = "special", "punctuation"
WINDOW: Final = 65_536  # texts that are sorted by length together: their lengths are all that is held of them
SHARD_TOKENS: Final = 8_192
PROBE: Final = 16  # tokens that the size of a batch is judged by


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


@final
@dataclass(frozen=True, slots=True)
class Texts:
    """Texts of a shard, batch after batch of the given `sizes`; `lengths` are their tokens before truncation.

    `targets` `[texts, 2]` are pairs of classes, one a text, or None for the contrast.
    """

    texts: tuple[str, ...]
    sizes: tuple[int, ...]
    lengths: IntArray
    matches: tuple[tuple[Match, ...], ...] = ()
    targets: IntArray | None = None

    @property
    def digest(self) -> str:
        """Of everything."""
        matches = [[astuple(match) for match in found] for found in self.matches]
        return digest(self.texts, self.sizes, matches, None if self.targets is None else self.targets.tolist())

    def batches(self, explainer: TextExplainer) -> Iterator[tuple[list[int], "Batch"]]:
        """Places in the shard, and what the model reads; the next is made while the caller works on one."""
        ends = np.cumsum(self.sizes).tolist()
        places = [list(range(end - size, end)) for end, size in zip(ends, self.sizes, strict=True)]
        return zip(places, ahead(partial(self.read, explainer), places), strict=True)

    def read(self, explainer: TextExplainer, places: Sequence[int]) -> "Batch":
        """What the model reads of some of them."""
        return encode(explainer, [self.texts[i] for i in places])

    def each(
        self, explainer: TextExplainer, batch: list[int], read: "Batch", do: Callable[[list[int], "Batch"], None]
    ) -> None:
        """`do` the batch, as it was read, or in halves where it does not fit in memory."""
        in_halves(batch, lambda places: do(list(places), read if places is batch else self.read(explainer, places)))


Batch = tuple[dict[str, Any], NDArray[np.int64], NDArray[np.bool_]]


@final
@dataclass(frozen=True, slots=True)
class ExplainTexts:
    """The work on a shard of texts that are all explained; `names` are the groups, `words` finds words."""

    names: tuple[str, ...]
    words: Words

    @property
    def digest(self) -> str:
        """The names decide."""
        return digest("relevance of texts", self.names)

    def do(self, explainer: TextExplainer, content: Texts) -> Part:
        """Sums, words and lengths."""
        sums = Sums(explainer, self.names, len(content.texts))
        table = WordSums(len(explainer.names), len(content.texts))
        for batch, read in content.batches(explainer):
            content.each(explainer, batch, read, partial(self._add, sums, table, explainer, content))
        return {**sums.part(), **table.part(), f"{ROW}length": content.lengths}

    def _add(
        self, sums: Sums, table: WordSums, explainer: TextExplainer, content: "Texts", batch: list[int], read: Batch
    ) -> None:
        """Explain one batch and add it up."""
        inputs, offsets, real = read
        texts = [content.texts[i] for i in batch]
        target = explainer.target if content.targets is None else targets_of(content.targets[batch])
        tokens = words_of(explainer, texts, offsets, real)
        found = attribute(explainer.model, inputs, target, list(explainer.composites.values()), tokens)
        values = np.stack([f.values.float().cpu().numpy().astype(float) for f in found])
        sums.add_batch(batch, found)
        attended, matches = inputs["attention_mask"].cpu().numpy() == 1, [content.matches[i] for i in batch]
        sums.add_groups(batch, values, group_masks(sums.names, texts, matches, offsets, real, attended), attended)
        units = [units_of(self.words(text), found) for text, found in zip(texts, matches, strict=True)]
        table.add(batch, units, offsets[:, :, 1], real, values)


@final
@dataclass(frozen=True, slots=True)
class ScoreTexts:
    """The work on a shard of texts of which logits, or what else is read of a forward pass, are kept."""

    read: Read = logits

    @property
    def digest(self) -> str:
        """Of what is read."""
        return digest("logits of texts", self.read.__qualname__)

    def do(self, explainer: TextExplainer, content: Texts) -> Part:
        """What was read, by text."""
        import torch

        found = list[FloatArray]()

        def add(batch: list[int], read: Batch) -> None:
            with torch.inference_mode():
                found.append(self.read(explainer.model(**read[0]).logits).astype(float))

        for batch, read in content.batches(explainer):
            content.each(explainer, batch, read, add)
        return {f"{ROW}read": np.concatenate(found)}


def batch_tokens(explainer: TextExplainer) -> int:
    """Most tokens of a batch, with padding, for this model on its device."""
    import torch

    one = torch.zeros((1, PROBE), dtype=torch.long, device=explainer.device)
    return auto_batch(explainer.model, lambda: explainer.model(input_ids=one, attention_mask=one + 1), PROBE)


def explain_texts(
    engine: Engine,
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
    explainer: TextExplainer = engine.explainer
    names = (*(f"{a}.{g}" for a, g in declared), SPECIAL, PUNCTUATION)
    parts = engine.parts(
        ExplainTexts(names, words),
        _shards(explainer, texts, matches, batch_tokens=batch_tokens, targets=targets),
        lambda n: advance(n * len(explainer.names)),
    )
    columns = gathered(parts, len(texts))
    return ExplainedTexts(
        explained(parts, columns, explainer.names, names),
        word_table(
            parts, columns[AVERAGE], explainer.names, declared, lambda types: _type_embeddings(explainer, types)
        ),
        columns["length"] > explainer.reader.max_length,
    )


def _shards(
    explainer: TextExplainer, texts: Sequence[str], matches: Sequence[Sequence[Match]] = (), *, batch_tokens: int,
    targets: IntArray | None = None,
) -> Iterator[Shard[Texts]]:  # fmt: skip
    """Runs of batches of about `SHARD_TOKENS` tokens, in the order of the batches, made as they are asked for."""
    for start in range(0, len(texts), WINDOW):
        lengths = _lengths(explainer, texts[start : start + WINDOW])
        seen = np.minimum(lengths, explainer.reader.max_length)
        for batches in _runs(seen, batch_tokens):
            local = np.concatenate(batches)
            rows = start + local
            content = Texts(
                texts=tuple(texts[i] for i in rows.tolist()),
                sizes=tuple(map(len, batches)),
                lengths=lengths[local],
                matches=tuple(tuple(matches[i]) for i in rows.tolist()) if len(matches) else (),
                targets=None if targets is None else targets[rows],
            )
            yield Shard(rows, content, content.digest)


def _runs(lengths: IntArray, batch_tokens: int) -> Iterator[list[list[int]]]:
    """Batches that make a shard, so many that their tokens with padding reach `SHARD_TOKENS`."""
    run, tokens = list[list[int]](), 0
    for batch in _batches(lengths, batch_tokens):
        run.append(batch)
        tokens += len(batch) * int(lengths[batch[0]])
        if tokens >= SHARD_TOKENS:
            yield run
            run, tokens = [], 0
    if run:
        yield run


def group_masks(
    names: Sequence[str], texts: Sequence[str], matches: Sequence[Sequence[Match]], offsets: IntArray,
    real: NDArray[np.bool_], attended: NDArray[np.bool_],
) -> NDArray[np.bool_]:  # fmt: skip
    """Which tokens of a batch belong to which group, `[texts, groups, tokens]`."""
    masks = np.zeros((len(texts), len(names), real.shape[1]), dtype=np.bool_)
    place, ends, silent = {name: g for g, name in enumerate(names)}, np.where(real, offsets[:, :, 1], -1), _Silent()
    masks[:, place[SPECIAL]] = attended & ~real
    masks[:, place[PUNCTUATION]] = real & [
        [silent[text[s:e]] for s, e in pairs] for text, pairs in zip(texts, offsets.tolist(), strict=True)
    ]
    for i, found in enumerate(matches):
        for m in found:
            masks[i, place[f"{m.attribute}.{m.group}"]] |= (ends[i] > m.start) & (ends[i] <= m.end)
    return masks


class _Silent(dict[str, bool]):
    """Whether pieces of texts hold neither letter nor digit; the same pieces come again and again."""

    def __missing__(self, piece: str) -> bool:
        self[piece] = not any(map(str.isalnum, piece))
        return self[piece]


def encode(explainer: TextExplainer, texts: Sequence[str]) -> Batch:
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
    engine: Engine, texts: Sequence[str], *, batch_tokens: int, advance: Advance = lambda n: None, read: Read = logits
) -> FloatArray:
    """Logits `[texts, classes]`, or what else is read of each forward pass, in length-sorted batches."""
    if not len(texts):
        return np.zeros((0, int(engine.explainer.model.config.num_labels or 1)))
    parts = engine.parts(ScoreTexts(read), _shards(engine.explainer, texts, batch_tokens=batch_tokens), advance)
    return gathered(parts, len(texts))["read"]


def token_relevance(
    explainer: TextExplainer, texts: Sequence[str], composites: Sequence[Any], *, batch_tokens: int
) -> list[tuple[IntArray, FloatArray]]:
    """For each text the ends of its tokens in characters `[tokens]`, and their relevance for the contrast `[composites, tokens]`.

    Special tokens are left out.
    """
    found: dict[int, tuple[IntArray, FloatArray]] = {}

    def add(places: Sequence[int]) -> None:
        chosen = [texts[i] for i in places]
        inputs, offsets, real = encode(explainer, chosen)
        tokens = words_of(explainer, chosen, offsets, real)
        results = attribute(explainer.model, inputs, explainer.target, composites, tokens)
        values = np.stack([result.values.float().cpu().numpy().astype(float) for result in results])
        found.update((i, (offsets[k][real[k]][:, 1], values[:, k][:, real[k]])) for k, i in enumerate(places))

    for batch in _batches(np.minimum(_lengths(explainer, texts), explainer.reader.max_length), batch_tokens):
        in_halves(batch, add)
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
