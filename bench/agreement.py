"""Agreement of relevance with intervention on a real model: mean relevance per term against the effect of masking that term.

The ceiling is what the effect agrees with itself (split half, Spearman-Brown), which is printed beside.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from audit.data.terms import words
from audit.parts import Here
from audit.relevance.explainer import contrast_logit
from audit.relevance.texts import TextExplainer, score_texts
from audit.tables import FloatArray, WordTable

OCCURRENCES = 12


def masked_effects(
    explainer: TextExplainer, texts: Sequence[str], margin: FloatArray, *, seed: int = 5
) -> pd.DataFrame:
    """Row per masked occurrence (12 per term that has as many): term, and the drop of the contrast logit without it."""
    places: dict[str, list[tuple[int, int, int]]] = {}
    for i, text in enumerate(texts):
        for start, end, name in words(text):
            places.setdefault(name, []).append((i, start, end))
    rng = np.random.default_rng(seed)
    chosen = [
        (term, *found[k])
        for term, found in places.items()
        if len(found) >= OCCURRENCES
        for k in rng.permutation(len(found))[:OCCURRENCES]
    ]
    mask = explainer.reader.tokenizer.mask_token
    masked = [texts[i][:start] + mask + texts[i][end:] for _, i, start, end in chosen]
    after = contrast_logit(explainer, score_texts(Here(explainer), masked, batch_tokens=2048))
    effect = margin[[i for _, i, _, _ in chosen]] - after
    return pd.DataFrame({"term": [term for term, *_ in chosen], "effect": effect})


def agreement(table: WordTable, effects: pd.DataFrame) -> dict[str, float]:
    """Spearman correlation over terms, per composite; `truth` is the reliability of the effects, `terms` their number."""
    known = {name: i for i, name in enumerate(table.types)}
    kept = effects[effects["term"].isin(known.keys())]
    mean = kept.groupby("term")["effect"].mean()
    half = np.arange(len(kept)) % 2 == 0
    halves = [kept[part].groupby("term")["effect"].mean() for part in (half, ~half)]
    reliability = stats.spearmanr(*halves)[0]
    found = {"terms": float(len(mean)), "truth": 2 * reliability / (1 + reliability)}
    frequency = np.bincount(table.type, minlength=len(table.types))
    for composite, values in table.relevance.items():
        by_type = np.bincount(table.type, values, len(table.types)) / np.maximum(frequency, 1)
        found[composite] = float(stats.spearmanr([by_type[known[term]] for term in mean.index], mean)[0])
    return found
