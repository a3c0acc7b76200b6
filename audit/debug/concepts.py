"""Concepts: the channels of a layer that carry most of the relevance inside a feature, and the examples in which they do."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from audit.config import LRP
from audit.debug.groups import LEVEL, told_features
from audit.records.debugging import Concept
from audit.stats.cases import Evidence
from audit.stats.intervals import mean_interval
from audit.tables import FloatArray, IntArray

CHANNELS: Final = 3  # a feature and layer
EXAMPLES: Final = 3
CONCEPT_SEED: Final = 10
ByChannel = Callable[[IntArray, Sequence[str]], Mapping[str, FloatArray]]


def concepts(evidence: Evidence, explain: ByChannel) -> tuple[Concept, ...]:
    """For the layers of `debug.layers`; `explain(rows, layers)` gives `[m, features, channels]` by layer."""
    debug, table = evidence.config.debug, evidence.groups[evidence.composites[0]]
    if not debug.layers or evidence.config.relevance.method != LRP:
        return ()
    rng = np.random.default_rng([evidence.config.seed, CONCEPT_SEED])
    told = [k for k, name in enumerate(table.names) if name in told_features(evidence)]
    held = np.flatnonzero(table.present[:, told].any(axis=1))
    rows = np.sort(rng.permutation(held)[: debug.concept_examples])
    if not len(rows):
        return ()
    found = []
    for layer, shares in explain(rows, debug.layers).items():
        for k in told:
            here = table.present[rows, k]
            if here.sum() >= evidence.config.statistics.min_group_size:
                mine, who = shares[here, k], rows[here]
                size = float(np.nanmean(table.size[who, k]))
                found += [_concept(evidence, layer, (table.names[k], size), c, mine[:, c], who) for c in _largest(mine)]
    return tuple(found)


def _largest(shares: FloatArray) -> list[int]:
    order = np.argsort(-np.abs(shares.mean(axis=0)), kind="stable")[:CHANNELS]
    return [int(c) for c in order]


def _concept(
    evidence: Evidence, layer: str, feature: tuple[str, float], channel: int, share: FloatArray, rows: IntArray
) -> Concept:
    examples, sign = evidence.examples, 1.0 if share.mean() > 0 else -1.0
    best = rows[np.argsort(-sign * share, kind="stable")[:EXAMPLES]]
    return Concept(
        layer=layer, feature=feature[0], channel=channel, size=feature[1],
        share=mean_interval(share, cluster=examples.cluster[rows], level=LEVEL, unit="share of the layer's |R|"),
        examples=tuple(str(examples.id[i]) for i in best),
    )  # fmt: skip
