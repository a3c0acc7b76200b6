"""Texts that are shown, and what debugging asks of the model about texts: their own pair of classes, and its own vectors."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from audit.data.terms import words
from audit.parts import Here
from audit.records import Exhibit
from audit.relevance.concepts import Batch, by_channel
from audit.relevance.representations import last_layers
from audit.relevance.texts import TextExplainer, encode, explain_texts, explain_tokens, group_masks, score_texts
from audit.stats.signals import Signals, of_words
from audit.tables import FloatArray, IntArray, Match
from audit.tasks.task import Gallery, Shown


def exhibits(
    explainer: TextExplainer, texts: Sequence[str], matches: Sequence[Sequence[Match]], shown: Sequence[Shown]
) -> Gallery:
    """Tokens of each text with the relevance of the first class minus the second."""
    found = []
    for each in shown:
        tokens, result = explain_tokens(
            explainer,
            texts[each.row],
            matches[each.row],
            target=each.target,
            composite=explainer.first,
            condition=each.condition,
        )
        found.append(
            Exhibit(
                id=each.id, label=each.label, predicted=each.predicted, margin=float(result.ledger.output[0]), tokens=tokens
            )
        )  # fmt: skip
    relevance = {each.id: np.array([token.relevance for token in each.tokens]) for each in found}
    return Gallery(tuple(found), relevance)


def column(texts: Sequence[str], chunk: int = 10_000) -> Any:
    """The texts as a column of a pandas table, read piece by piece: as objects they would take three times the memory."""
    import pandas as pd
    import pyarrow

    kind = pyarrow.large_string()
    pieces = [pyarrow.array(texts[i : i + chunk], kind) for i in range(0, len(texts), chunk)]
    return pd.array(pyarrow.chunked_array(pieces, kind), dtype="str")


def concepts(
    explainer: TextExplainer, texts: Sequence[str], matches: Sequence[Sequence[Match]], names: Sequence[str], rows: IntArray,
    layers: Sequence[str], *, size: int,
) -> dict[str, FloatArray]:  # fmt: skip
    """Channels that carry the relevance of the words of each group."""

    def batches() -> Iterator[Batch]:
        for start in range(0, len(rows), size):
            chosen = rows[start : start + size].tolist()
            inputs, offsets, real = encode(explainer, [texts[i] for i in chosen])
            attended = inputs["attention_mask"].cpu().numpy() == 1
            found = [matches[i] for i in chosen]
            yield inputs, group_masks(names, [texts[i] for i in chosen], found, offsets, real, attended)

    return by_channel(explainer, batches(), layers)


def represent(explainer: TextExplainer, texts: Sequence[str], *, batch_tokens: int) -> FloatArray:
    """The model's own vectors `[texts, d]`."""
    with last_layers(explainer.model) as read:
        return score_texts(Here(explainer), texts, batch_tokens=batch_tokens, read=read)


def pairs(
    explainer: TextExplainer, texts: Sequence[str], rows: IntArray, targets: IntArray, *, scale: float, batch_tokens: int
) -> Signals:  # fmt: skip
    """Words of the texts `rows` `[m]`, each explained for its own pair of classes `targets` `[m, 2]`, over `scale`; others have none."""
    first = replace(explainer, composites=dict(list(explainer.composites.items())[:1]))
    chosen, none = [texts[i] for i in rows.tolist()], [()] * len(rows)
    found = explain_texts(Here(first), chosen, none, {}, words=words, batch_tokens=batch_tokens, targets=targets)
    signals = of_words(found.words, len(rows), scale)
    return replace(signals, example=rows[signals.example], usable=np.ones(len(texts), dtype=np.bool_))
