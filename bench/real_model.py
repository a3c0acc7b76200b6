"""Agreement of relevance with masking on the fine-tuned film review model, with the baseline beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import pandas as pd

from audit.config import Model
from audit.data.terms import words
from audit.models.builtin import builtin_data, builtin_model
from audit.models.huggingface import load_text_model
from audit.parts import Here
from audit.relevance.explainer import Explainer, contrast_logit
from audit.relevance.texts import ExplainedTexts, TextExplainer, TextReader, explain_texts
from audit.tables import FloatArray, IntArray
from bench.agreement import agreement, masked_effects


@final
@dataclass(frozen=True)
class Audited:
    """A sample of unseen films, explained; `cluster` is the film, `label` 1 for fresh."""

    explainer: TextExplainer
    texts: list[str]
    explained: ExplainedTexts
    cluster: IntArray
    label: IntArray
    margin: FloatArray


def audited(snippets: int, composites: tuple[str, ...]) -> Audited:
    """Explain a seeded sample of the built-in film reviews; raises AuditError where the packages are missing."""
    folder, data = builtin_model("film_reviews"), builtin_data("film_reviews")
    loaded = load_text_model(Model(path=str(folder)), str(folder))
    explainer = Explainer(loaded.model, TextReader(loaded.tokenizer, 64), 1, 0, {name: name for name in composites})
    table = pd.read_csv(Path(data))
    table = table.iloc[np.sort(np.random.default_rng(11).choice(len(table), snippets, replace=False))]
    texts = table["text"].tolist()
    explained = explain_texts(Here(explainer), texts, [()] * len(texts), {}, words=words, batch_tokens=2048)
    cluster = np.unique(table["film"], return_inverse=True)[1]
    label = (table["label"] == "fresh").to_numpy().astype(int)
    return Audited(explainer, texts, explained, cluster, label, contrast_logit(explainer, explained.common.scores))


def main(*, small: bool) -> None:
    """Print agreement with masking; error rates of the tests that rest on it are in docs/simulations.md."""
    run = audited(1500 if small else 3000, ("cp_lrp", "attn_lrp", "gradient_x_input"))
    found = agreement(run.explained.words, masked_effects(run.explainer, run.texts, run.margin))
    print("Spearman of mean relevance per term with the effect of masking it (ceiling: reliability of the effects)")
    print("  " + ", ".join(f"{name} {value:.2f}" for name, value in found.items()))
