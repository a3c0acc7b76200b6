"""The calibration that everything rests on, on the fine-tuned film review model and snippets of films it has never seen."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from audit.config import Model
from audit.data.terms import words
from audit.errors import AuditError
from audit.models.builtin import builtin_data, builtin_model
from audit.models.huggingface import load_text_model
from audit.records import FloatArray, IntArray
from audit.relevance import Explained, Explainer, contrast_logit, explain_texts, score_texts
from bench.calibration import false_alarms

SNIPPETS = 1600


@final
@dataclass(frozen=True)
class Audited:
    explainer: Explainer
    texts: list[str]
    explained: Explained
    cluster: IntArray
    margin: FloatArray


@pytest.fixture(scope="module")
def audited() -> Audited:
    try:
        folder, data = builtin_model("film_reviews"), builtin_data("film_reviews")
    except AuditError as error:
        pytest.skip(f"the film review packages are not installed: {error}")
    loaded = load_text_model(Model(path=str(folder)), str(folder))
    composites = ("cp_lrp", "attn_lrp", "gradient_x_input")
    explainer = Explainer(loaded.model, loaded.tokenizer, 64, 1, 0, composites)
    table = pd.read_csv(Path(data))
    table = table.iloc[np.sort(np.random.default_rng(11).choice(len(table), SNIPPETS, replace=False))]
    texts = table["text"].tolist()
    explained = explain_texts(explainer, texts, [()] * len(texts), {}, words=words, batch_tokens=2048)
    cluster = np.unique(table["film"], return_inverse=True)[1]
    return Audited(explainer, texts, explained, cluster, contrast_logit(explainer, explained.scores))


def test_ledger_closes_on_real_text(audited: Audited) -> None:
    for summary in audited.explained.ledger:
        if summary.composite != "gradient_x_input":
            assert summary.closure_max < 1e-4


def test_pretend_protected_groups_raise_few_false_alarms(audited: Audited) -> None:
    scale = float(audited.margin.std(ddof=1))
    found = false_alarms(
        audited.explained.words, audited.cluster, scale, n=100, composites=("cp_lrp", "attn_lrp"), seed=4
    )
    for question in ("reliance", "contrast"):
        p = np.concatenate(
            [values for name, values in found.items() if name.startswith(question) and name.endswith("all")]
        )
        assert len(p) >= 150
        assert (p <= 0.05).mean() <= 0.08, f"{question}: {(p <= 0.05).mean():.3f} of {len(p)}"


def masked_effects(audited: Audited, terms: list[str], each: int) -> dict[str, float]:
    """Mean change of the contrast logit when the term's occurrences are replaced by the mask token, per term."""
    rng = np.random.default_rng(5)
    wanted, found = set(terms), {term: [] for term in terms}
    for i, text in enumerate(audited.texts):
        for start, end, name in words(text):
            if name in wanted:
                found[name].append((i, start, end))
    chosen = [(t, *places[k]) for t, places in found.items() for k in rng.permutation(len(places))[:each]]
    mask = audited.explainer.tokenizer.mask_token
    after = [audited.texts[i][:start] + mask + audited.texts[i][end:] for _, i, start, end in chosen]
    scores = contrast_logit(audited.explainer, score_texts(audited.explainer, after, batch_tokens=2048))
    effect = audited.margin[[i for _, i, _, _ in chosen]] - scores
    return pd.Series(effect).groupby([t for t, *_ in chosen]).mean().to_dict()


def test_relevance_agrees_with_masking(audited: Audited) -> None:
    table = audited.explained.words
    frequency = np.bincount(table.type, minlength=len(table.types))
    # terms frequent enough for a mean to mean something, short of the handful of function words in every text
    order = np.argsort(-frequency)[20:330]
    terms = [table.types[i] for i in order]
    effects = masked_effects(audited, terms, each=6)
    agreement = {}
    for composite, values in table.relevance.items():
        mean = np.bincount(table.type, values, len(table.types)) / np.maximum(frequency, 1)
        by_term = [mean[i] for i in order if table.types[i] in effects]
        agreement[composite] = stats.spearmanr(
            by_term, [effects[table.types[i]] for i in order if table.types[i] in effects]
        )[0]
    print(agreement)
    assert len(effects) >= 300
    assert agreement["cp_lrp"] >= 0.80
    assert agreement["gradient_x_input"] < 0.3, "the baseline is known to fail before the embedding's LayerNorm"
