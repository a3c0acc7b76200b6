"""Texts that are shown, and what debugging asks of the model about texts: their own pair of classes, and its own vectors."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from audit.data.terms import Matcher, words
from audit.parts import Advance, Here
from audit.relevance.concepts import Batch, by_channel
from audit.relevance.representations import last_layers
from audit.relevance.texts import TextExplainer, encode, explain_texts, explain_tokens, group_masks, score_texts
from audit.stats.signals import Signals, of_words
from audit.tables import FloatArray, IntArray, Match
from audit.tasks.task import Change, Gallery, Shown, explanation
from audit.tasks.text_effects import swaps


def exhibits(
    explainer: TextExplainer, classes: Sequence[str], texts: Sequence[str], matches: Sequence[Sequence[Match]], shown: Sequence[Shown],
    advance: Advance,
) -> Gallery:  # fmt: skip
    """Tokens of each text, or of what it was changed to, with the relevance of the first class minus the second."""
    found, relevance = [], {}
    for each in shown:
        text, held = each.change.given if each.change else (texts[each.row], matches[each.row])
        tokens, result = explain_tokens(
            explainer, text, held, target=each.target, composite=explainer.first, condition=each.condition
        )
        found.append(explanation(result, each.explained(classes), classes, tokens=tokens))
        relevance[each.id] = np.array([token.relevance for token in tokens])
        advance(1)
    return Gallery(tuple(shown), tuple(found), relevance)


def swapped(
    texts: Sequence[str], matches: Sequence[Sequence[Match]], matcher: Matcher, shown: Sequence[Shown]
) -> list[Shown]:
    """Each of the texts with its terms swapped."""
    given, held = [texts[each.row] for each in shown], [matches[each.row] for each in shown]
    return [
        replace(shown[at], change=Change(name, (text, matcher.find(text))))
        for at, name, text in swaps(given, held, matcher)
    ]


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
