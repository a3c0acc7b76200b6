"""The calibration and the agreement on the fine-tuned film review model, with the baseline beside them."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import pandas as pd

from audit.config import Model
from audit.data.terms import words
from audit.models.builtin import builtin_data, builtin_model
from audit.models.huggingface import load_text_model
from audit.relevance.explainer import Explainer, contrast_logit
from audit.relevance.texts import ExplainedTexts, TextExplainer, TextReader, explain_texts
from audit.tables import FloatArray, IntArray
from bench.agreement import agreement, masked_effects
from bench.calibration import false_alarms


@final
@dataclass(frozen=True)
class Audited:
    """A sample of unseen films, explained; `cluster` is the film."""

    explainer: TextExplainer
    texts: list[str]
    explained: ExplainedTexts
    cluster: IntArray
    margin: FloatArray


def audited(snippets: int, composites: tuple[str, ...]) -> Audited:
    """Explain a seeded sample of the built-in film reviews; raises AuditError where the packages are missing."""
    folder, data = builtin_model("film_reviews"), builtin_data("film_reviews")
    loaded = load_text_model(Model(path=str(folder)), str(folder))
    explainer = Explainer(loaded.model, TextReader(loaded.tokenizer, 64), 1, 0, {name: name for name in composites})
    table = pd.read_csv(Path(data))
    table = table.iloc[np.sort(np.random.default_rng(11).choice(len(table), snippets, replace=False))]
    texts = table["text"].tolist()
    explained = explain_texts(explainer, texts, [()] * len(texts), {}, words=words, batch_tokens=2048)
    cluster = np.unique(table["film"], return_inverse=True)[1]
    return Audited(explainer, texts, explained, cluster, contrast_logit(explainer, explained.common.scores))


def main(*, small: bool) -> None:
    """Print agreement with masking and false alarms of pretend-protected groups."""
    run = audited(1500 if small else 3000, ("cp_lrp", "attn_lrp", "gradient_x_input"))
    found = agreement(run.explained.words, masked_effects(run.explainer, run.texts, run.margin))
    print("Spearman of mean relevance per term with the effect of masking it (ceiling: reliability of the effects)")
    print("  " + ", ".join(f"{name} {value:.2f}" for name, value in found.items()))
    alarms = false_alarms(
        run.explained.words,
        run.cluster,
        float(run.margin.std(ddof=1)),
        n=20 if small else 100,
        composites=("cp_lrp", "attn_lrp"),
    )
    print("false alarms at .05 of pretend-protected word groups (floor .05; 'all' needs both composites)")
    for name, p in alarms.items():
        print(f"  {name}: {np.mean(np.array(p) <= 0.05):.3f} of {len(p)}")
