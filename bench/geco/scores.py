"""Scores of relevance against the tokens that carry the class, each sentence for itself, and means over pairs of sentences."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from audit.relevance.explainer import attribute
from audit.relevance.methods import METHODS, make_method
from bench.geco.models import BATCH, Classifier
from bench.geco.sentences import Sentence
from bench.intervals import Interval, mean_interval

Array = NDArray[np.float64]
COMPOSITES: Final = ("auto", "lrp_z", "epsilon", "attn_lrp", "cp_lrp", "gradient_x_input")
RANDOM: Final = "random"
ROWS: Final = (*COMPOSITES, *METHODS, RANDOM)
STEPS: Final = 20
SEED: Final = 11


def mass_accuracy(relevance: Array, truth: NDArray[np.bool_]) -> float:
    """The share of |relevance| on the truth; 0 where there is none at all."""
    size = np.abs(relevance)
    return float(size[truth].sum() / size.sum()) if size.any() else 0.0


def ranks_first(relevance: Array, truth: NDArray[np.bool_]) -> float:
    """Area under the ROC curve of |relevance|: how often a token of the truth has more than another."""
    return float(roc_auc_score(truth, np.abs(relevance)))


def precision(relevance: Array, truth: NDArray[np.bool_]) -> float:
    """Average precision of |relevance|."""
    return float(average_precision_score(truth, np.abs(relevance)))


SCORES: Final[Mapping[str, Callable[[Array, NDArray[np.bool_]], float]]] = {
    "mass accuracy": mass_accuracy, "ROC-AUC": ranks_first, "average precision": precision,
}  # fmt: skip


def relevance_of(row: str, made: Classifier, sentences: Sequence[Sentence], *, samples: int) -> Iterator[Array]:
    """Relevance of the given tokens of each sentence, for its class against the other."""
    rng = np.random.default_rng(SEED)
    chosen: Any = row if row in COMPOSITES else None
    if row in METHODS:
        chosen = make_method(row, "bench", steps=STEPS, samples=samples, seed=SEED)
    for start in range(0, len(sentences), BATCH):
        batch = sentences[start : start + BATCH]
        if row == RANDOM:
            yield from (rng.standard_normal(len(sentence.tokens)) for sentence in batch)
            continue
        inputs, tokens = made.read(batch)
        target = torch.tensor([[sentence.label, 1 - sentence.label] for sentence in batch])
        (found,) = attribute(made.model, inputs, target, [chosen], tokens)
        for sentence, values, words in zip(batch, found.values.double().numpy(), tokens.words, strict=True):
            inside = words >= 0
            yield np.bincount(words[inside], values[inside], len(sentence.tokens))


def scored(relevance: Sequence[Array], sentences: Sequence[Sentence]) -> dict[str, Interval]:
    """Each score with its 95 % t interval; a pair of sentences is one unit, the mean of those that are there."""
    pairs = np.array([sentence.pair for sentence in sentences])
    found = {}
    for name, score in SCORES.items():
        values = np.array([score(each, s.truth) for each, s in zip(relevance, sentences, strict=True)])
        found[name] = mean_interval(np.array([values[pairs == pair].mean() for pair in np.unique(pairs)]))
    return found
