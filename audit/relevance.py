"""The relevance stage: streams length-sorted batches through the engine and keeps sums per word, group and example only.

Cost: one forward pass and one backward pass per composite over the data; memory grows with words, not with maps.
"""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from audit.errors import AuditError, ConfigError, ModelError
from audit.records import FloatArray, GroupTable, IntArray, LedgerSummary, Match, Token, WordTable

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Words = Callable[[str], Sequence[tuple[int, int, str]]]
Advance = Callable[[int], None]
SPECIAL, PUNCTUATION, CLOSURE = "special", "punctuation", "closure"
MIN_TYPE_EXAMPLES = 5


@final
@dataclass(frozen=True, slots=True)
class Explainer:
    """A text classifier with the contrast that is explained: logit `favour` minus logit `against` (None: the logit itself).

    `composites`: what `lrp.attribute` takes, by the name that a report shows; the first gives effect sizes.
    """

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    max_length: int
    favour: int
    against: int | None
    composites: Mapping[str, Any]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the composites."""
        return tuple(self.composites)

    @property
    def first(self) -> Any:
        """The composite that gives effect sizes."""
        return next(iter(self.composites.values()))

    @property
    def target(self) -> Any:
        """What `lrp.attribute` takes as target."""
        return self.favour if self.against is None else (self.favour, self.against)


def make_composite(given: Any, where: str) -> Any:
    """The composite that an item of `relevance.composites` describes; raises `ConfigError` that starts with `where`."""
    from lrp.composites import resolve

    with _refusals(ConfigError, f"{where}: "):
        return resolve(given)


def composite_name(given: Any) -> str:
    """How a report calls it.

    >>> composite_name("cp_lrp"), composite_name({"name": "attn_lrp", "gamma": 0.25})
    ('cp_lrp', 'attn_lrp(gamma=0.25)')
    """
    if isinstance(given, str):
        return given
    parameters = [f"{key}={value}" for key, value in given.items() if key != "name"]
    return given["name"] if "rules" in given or not parameters else f"{given['name']}({', '.join(parameters)})"


def _attribute(model: Any, inputs: Mapping[str, Any], target: Any, composites: Sequence[Any]) -> tuple[Any, ...]:
    import lrp

    with _refusals(ModelError):
        return lrp.attribute_each(model, inputs, target, composites)


@contextmanager
def _refusals(kind: type[AuditError], where: str = "") -> Iterator[None]:
    """What the engine refuses, as an error of the audit."""
    import lrp

    try:
        yield
    except lrp.LrpError as error:
        raise kind(f"{where}{error}") from error


@final
@dataclass(frozen=True, slots=True)
class Explained:
    """What the stage hands on: logits `[examples, classes]`, words, groups, truncation, empty maps, ledger and rules used."""

    scores: FloatArray
    words: WordTable
    groups: GroupTable
    truncated: NDArray[np.bool_]
    empty_maps: int
    ledger: tuple[LedgerSummary, ...]
    rules: Mapping[str, Mapping[str, int]]


@final
class _Rows:
    """Rows of the word table, spooled to a temporary file: small arrays kept between tensors would fragment the heap."""

    def __init__(self, composites: int, spool: IO[bytes]) -> None:
        measures = [("relevance", np.float32, (composites,)), ("magnitude", np.float32, (composites,))]
        self.dtype = np.dtype([("example", np.int32), ("type", np.int32), ("count", np.int32), *measures])
        self.spool = spool

    def unite(self, example: IntArray, kind: IntArray, values: FloatArray) -> None:
        """Add the occurrences of one batch, `values` `[composites, occurrences]`, as a row per (example, type).

        An example lies in one batch only, so no later row has the same key.
        """
        keys = (example.astype(np.int64) << 32) | kind
        unique, inverse, count = np.unique(keys, return_inverse=True, return_counts=True)
        rows = np.empty(len(unique), dtype=self.dtype)
        rows["example"], rows["type"], rows["count"] = unique >> 32, unique & 0xFFFFFFFF, count
        for i, part in enumerate(values):
            rows["relevance"][:, i] = np.bincount(inverse, part, len(unique)) / count
            rows["magnitude"][:, i] = np.bincount(inverse, np.abs(part), len(unique)) / count
        rows.tofile(self.spool)

    def read(self) -> "np.ndarray[Any, Any]":
        """Every row, ordered by example and type."""
        self.spool.seek(0)
        rows = np.fromfile(self.spool, dtype=self.dtype)
        return rows[np.lexsort((rows["type"], rows["example"]))]


def explain_texts(
    explainer: Explainer,
    texts: Sequence[str],
    matches: Sequence[Sequence[Match]],
    declared: Mapping[tuple[str, str], Sequence[str]],
    *,
    words: Words,
    batch_tokens: int,
    advance: Advance = lambda n: None,
) -> Explained:
    """Relevance of every text. `declared` maps (attribute, group) to its terms; `advance(n)` is called after n more texts."""
    lengths = _lengths(explainer, texts)
    names = (*(f"{a}.{g}" for a, g in declared), SPECIAL, PUNCTUATION)
    with tempfile.TemporaryFile() as spool:
        collect = _Collector(explainer, names, len(texts), spool)
        for batch in _batches(np.minimum(lengths, explainer.max_length), batch_tokens):
            collect.add(batch, [texts[i] for i in batch], [matches[i] for i in batch], words)
            advance(len(batch))
        return collect.finish(declared, lengths > explainer.max_length)


def encode(explainer: Explainer, texts: Sequence[str]) -> tuple[dict[str, Any], NDArray[np.int64], NDArray[np.bool_]]:
    """Model inputs, character offsets `[batch, tokens, 2]` and a mask of text tokens (neither special nor padding)."""
    encoded = explainer.tokenizer(
        list(texts),
        padding=True,
        truncation=True,
        max_length=explainer.max_length,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_tensors="pt",
    )
    offsets = encoded.pop("offset_mapping").numpy()
    special = encoded.pop("special_tokens_mask").numpy().astype(bool)
    inputs = {name: value.to(explainer.model.device) for name, value in encoded.items()}
    return inputs, offsets, ~special & (inputs["attention_mask"].cpu().numpy() == 1)


def score_texts(
    explainer: Explainer, texts: Sequence[str], *, batch_tokens: int, advance: Advance = lambda n: None
) -> FloatArray:
    """Logits `[texts, classes]` by forward passes only, in length-sorted batches."""
    import torch

    scores = np.zeros((len(texts), int(explainer.model.config.num_labels or 1)))
    for batch in _batches(np.minimum(_lengths(explainer, texts), explainer.max_length), batch_tokens):
        inputs, _, _ = encode(explainer, [texts[i] for i in batch])
        with torch.inference_mode():
            scores[batch] = _check_finite(explainer.model(**inputs).logits.float().cpu().numpy())
        advance(len(batch))
    return scores


def visible_ends(explainer: Explainer, texts: Sequence[str]) -> list[int]:
    """How many characters of each text the model reads; all of them unless it is truncated."""
    ends = [len(text) for text in texts]
    for i in np.flatnonzero(_lengths(explainer, texts) > explainer.max_length).tolist():
        _, offsets, real = encode(explainer, [texts[i]])
        ends[i] = int(offsets[0][real[0]].max(initial=0))
    return ends


def contrast_logit(explainer: Explainer, scores: FloatArray) -> FloatArray:
    """The explained value `[examples]` from logits `[examples, classes]`."""
    favour = scores[:, explainer.favour]
    return favour if explainer.against is None else favour - scores[:, explainer.against]


def explain_tokens(
    explainer: Explainer, text: str, matches: Sequence[Match], *, target: Any, composite: Any
) -> tuple[tuple[Token, ...], Any]:
    """The tokens of one text with their relevance for `target`, and the engine's `lrp.Relevance`."""
    inputs, offsets, real = encode(explainer, [text])
    (result,) = _attribute(explainer.model, inputs, target, [composite])
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


def _lengths(explainer: Explainer, texts: Sequence[str], chunk: int = 1000) -> IntArray:
    """Tokens of each text, special ones included, before truncation."""
    counts = [
        len(ids)
        for i in range(0, len(texts), chunk)
        for ids in explainer.tokenizer(list(texts[i : i + chunk]))["input_ids"]
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


class _Collector:
    """Sums of one run. Not frozen: it is the stage's accumulator, and lives inside `explain_texts` only."""

    def __init__(self, explainer: Explainer, names: tuple[str, ...], n: int, spool: IO[bytes]) -> None:
        self.explainer, self.names = explainer, names
        self.index = {name: i for i, name in enumerate(names)}
        self.vocabulary: dict[str, int] = {}
        self.rows = _Rows(len(explainer.composites), spool)
        self.pending: list[tuple[IntArray, IntArray, FloatArray]] = []
        self.scores: FloatArray | None = None
        self.average = {c: np.full(n, np.nan) for c in explainer.composites}
        self.group_sums = np.zeros((3, n, len(names)))
        self.totals = np.zeros((2, n))
        self.ledger: dict[str, dict[str, FloatArray]] = {c: {} for c in explainer.composites}
        self.rules: dict[str, dict[str, int]] = {}
        self.used: dict[str, str] = {}

    def add(self, batch: list[int], texts: Sequence[str], matches: Sequence[Sequence[Match]], words: Words) -> None:
        """Explain one batch and add it up."""
        inputs, offsets, real = encode(self.explainer, texts)
        composites = list(self.explainer.composites.values())
        found = _attribute(self.explainer.model, inputs, self.explainer.target, composites)
        values = np.stack([f.values.float().cpu().numpy().astype(float) for f in found])
        self._keep_scores(batch, found[0].output.float().cpu().numpy().astype(float))
        attended = inputs["attention_mask"].cpu().numpy() == 1
        for row, (i, text) in enumerate(zip(batch, texts, strict=True)):
            ends = offsets[row][real[row]][:, 1]
            self._add_words(i, text, matches[row], words, ends, values[:, row][:, real[row]])
            self._add_groups(i, text, matches[row], offsets[row], real[row], attended[row], values[0, row])
        if self.pending:
            example, kind, relevance = (np.concatenate(part, axis=-1) for part in zip(*self.pending, strict=True))
            self.rows.unite(example, kind, relevance)
            self.pending.clear()
        for composite, result in zip(self.explainer.composites, found, strict=True):
            self._add_ledger(batch, composite, result)

    def _keep_scores(self, batch: list[int], logits: FloatArray) -> None:
        _check_finite(logits)
        if self.scores is None:
            self.scores = np.zeros((self.totals.shape[1], logits.shape[1]))
        self.scores[batch] = logits

    def _add_words(
        self, i: int, text: str, matches: Sequence[Match], words: Words, ends: IntArray, values: FloatArray
    ) -> None:
        units = _units(words(text), matches)
        sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
        low = np.searchsorted(ends, [u[0] for u in units], side="right")
        high = np.searchsorted(ends, [u[1] for u in units], side="right")
        seen = high > low
        if not seen.any():
            return
        relevance = (sums[:, high] - sums[:, low])[:, seen]
        ids = [self.vocabulary.setdefault(u[2], len(self.vocabulary)) for u, s in zip(units, seen, strict=True) if s]
        self.pending.append((np.full(len(ids), i), np.array(ids), relevance))
        for composite, row in zip(self.explainer.composites, relevance, strict=True):
            self.average[composite][i] = np.abs(row).mean()

    def _add_groups(
        self,
        i: int,
        text: str,
        matches: Sequence[Match],
        offsets: IntArray,
        real: NDArray[np.bool_],
        attended: NDArray[np.bool_],
        values: FloatArray,
    ) -> None:
        magnitude = np.abs(values)
        self.totals[:, i] = magnitude[attended].sum(), attended.sum()
        ends = np.where(real, offsets[:, 1], -1)
        blank = np.array(
            [r and not any(ch.isalnum() for ch in text[s:e]) for r, (s, e) in zip(real, offsets, strict=True)]
        )
        masks = [(SPECIAL, attended & ~real), (PUNCTUATION, blank)]
        masks += [(f"{m.attribute}.{m.group}", (ends > m.start) & (ends <= m.end)) for m in matches]
        for name, mask in masks:
            self.group_sums[:, i, self.index[name]] += magnitude[mask].sum(), values[mask].sum(), mask.sum()

    def _add_ledger(self, batch: list[int], composite: str, relevance: Any) -> None:
        ledger, columns = relevance.ledger, self.ledger[composite]
        for name, values in {**ledger.entries, CLOSURE: ledger.closure}.items():
            columns.setdefault(name, np.zeros(self.totals.shape[1]))[batch] = values.numpy()
        if composite not in self.rules:
            counts: dict[str, int] = defaultdict(int)
            for entry in relevance.trace:
                counts[f"{entry.kind}: {entry.rule}"] += 1
            self.rules[composite], self.used[composite] = dict(counts), relevance.composite

    def finish(self, declared: Mapping[tuple[str, str], Sequence[str]], truncated: NDArray[np.bool_]) -> Explained:
        """The tables of the whole run."""
        assert self.scores is not None, "no text was explained"
        absolute, net, tokens = self.group_sums
        total, count = self.totals
        present = tokens > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            share, direction, size = absolute / total[:, None], net / total[:, None], tokens / count[:, None]
        usable = present & (total > 0)[:, None]
        groups = GroupTable(
            names=self.names,
            share=np.where(usable, share, np.nan),
            net=np.where(usable, direction, np.nan),
            size=np.where(present, size, np.nan),
            present=present,
        )
        summaries = tuple(_summary(c, self.used[c], self.ledger[c]) for c in self.explainer.composites)
        words = self._word_table(declared)
        return Explained(self.scores, words, groups, truncated, int((total <= 0).sum()), summaries, self.rules)

    def _word_table(self, declared: Mapping[tuple[str, str], Sequence[str]]) -> WordTable:
        rows = self.rows.read()
        spread = {term for terms in declared.values() for term in terms}
        frequency = np.bincount(rows["type"], minlength=len(self.vocabulary))
        names = list(self.vocabulary)
        kept_types = np.array(
            [f >= MIN_TYPE_EXAMPLES or n in spread for n, f in zip(names, frequency, strict=True)], dtype=bool
        )
        rows = rows[kept_types[rows["type"]]]
        position = np.cumsum(kept_types) - 1
        types = tuple(n for n, k in zip(names, kept_types, strict=True) if k)
        where = {name: i for i, name in enumerate(types)}
        return WordTable(
            example=rows["example"].copy(),
            type=position[rows["type"]].astype(np.int32),
            count=rows["count"].copy(),
            relevance={c: rows["relevance"][:, i].copy() for i, c in enumerate(self.explainer.names)},
            magnitude={c: rows["magnitude"][:, i].copy() for i, c in enumerate(self.explainer.names)},
            average=self.average,
            types=types,
            embedding=_type_embeddings(self.explainer, types),
            groups={
                key: np.array([where[t] for t in terms if t in where], dtype=np.int64)
                for key, terms in declared.items()
            },
        )


def _units(words: Sequence[tuple[int, int, str]], matches: Sequence[Match]) -> list[tuple[int, int, str]]:
    """Words and declared terms as (start, end, type), each character in one unit; the longest term wins over what it covers."""
    terms: list[tuple[int, int, str]] = []
    for m in sorted(matches, key=lambda m: (m.start - m.end, m.start)):
        if all(m.end <= start or m.start >= end for start, end, _ in terms):
            terms.append((m.start, m.end, m.term))
    free = [w for w in words if all(w[1] <= start or w[0] >= end for start, end, _ in terms)]
    return sorted(free + terms)


def _check_finite(logits: FloatArray) -> FloatArray:
    """The logits `[batch, classes]` themselves, or a ModelError."""
    if np.isfinite(logits).all():
        return logits
    bad = int((~np.isfinite(logits)).any(axis=1).sum())
    raise ModelError(
        f"the model returned NaN or infinite logits for {bad} of {len(logits)} texts; check the weights, or set model.dtype: float32"
    )


def _summary(composite: str, used: str, columns: Mapping[str, FloatArray]) -> LedgerSummary:
    closure = columns[CLOSURE]
    entries = {name: columns[name] for name in sorted(columns.keys() - {CLOSURE})}
    scale = sum(np.abs(column) for column in entries.values())
    return LedgerSummary(
        composite=composite,
        used=used,
        entries={name: float(np.median(column / np.maximum(scale, 1e-30))) for name, column in entries.items()},
        closure_median=float(np.median(closure)),
        closure_max=float(closure.max()),
        n=len(closure),
    )


def _type_embeddings(explainer: Explainer, types: Sequence[str]) -> FloatArray:
    """The model's own input embedding of each word type, mean over its sub-words, `[types, d]` float32."""
    table: Any = explainer.model.get_input_embeddings()
    weight = table.weight.detach().float().cpu().numpy()
    if not types:
        return np.zeros((0, weight.shape[1]), dtype=np.float32)
    pieces = explainer.tokenizer([f" {name}" for name in types], add_special_tokens=False)["input_ids"]
    return np.stack([weight[ids].mean(0) if ids else np.zeros(weight.shape[1], dtype=np.float32) for ids in pieces])
