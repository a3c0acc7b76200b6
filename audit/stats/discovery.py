"""Candidates nobody declared: words, or cells of a grid, that carry a difference between groups, or between errors and correct ones.

Clusters are split into two halves. One chooses in each comparison the features whose contribution differs most, of which the other
half alone tests those, all comparisons together corrected for the false discovery rate; of the words offered it is then asked how
often they occur, in a family of its own. Like is compared with like: within true classes. A candidate is an offer for the next lexicon
or mask and touches no verdict: content alone makes networks differ that have learned nothing. Cost: a joint permutation of the chosen
a comparison.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from audit.records import Candidate, CandidateKind, Discovery, Estimate, Screened
from audit.stats.cases import Evidence
from audit.stats.draws import needed_draws
from audit.stats.groupings import groupings
from audit.stats.intervals import linearised, missing, units
from audit.stats.joint_permutation import LATER, joint_permutation
from audit.stats.matching import Sample
from audit.stats.multiplicity import CORRECTIONS, Correction, adjusted
from audit.stats.screening import (
    Compared,
    Layers,
    asks_presence,
    chosen_features,
    comparisons,
    layers_of,
    nothing_varies,
    shortage,
    split,
)
from audit.stats.signals import Signals, signals
from audit.tables import FloatArray, IntArray

PRESENCE: Final = "difference in the share of examples that hold it"


@final
@dataclass(frozen=True, slots=True)
class Tested:
    """A chosen feature and p of its contribution."""

    compared: Compared
    held_out: Layers
    feature: int
    p: float


@final
@dataclass(frozen=True, slots=True)
class Offered:
    """A feature whose contribution is shown to differ: its difference and adjusted p, and that of its presence (None: not asked)."""

    tested: Tested
    estimate: Estimate
    p: float
    presence: float | None = None


def discover(evidence: Evidence) -> Discovery | None:
    """Every comparison with what was chosen in it or why it could not be asked, and the candidates; None if none are looked for."""
    found, most = signals(evidence), evidence.config.checks.candidates
    if found is None or not most:
        return None
    halves = split(evidence.examples.cluster, evidence.rng("discovery.halves"))
    screened, chosen = list[Screened](), list[tuple[Compared, Layers, list[int]]]()
    for compared in comparisons(evidence):
        parts = [layers_of(evidence, compared, half & found.usable) for half in (halves.choosing, halves.testing)]
        reason = shortage(evidence, compared, parts)
        features = [] if reason else chosen_features(found, evidence, *parts)
        reason = reason or ("" if features else nothing_varies(evidence, found))
        screened.append(
            Screened(
                id=compared.id, attribute=compared.attribute, sides=compared.sides, chosen=len(features), reason=reason
            )
        )
        chosen += [(compared, parts[1], features)] if features else []
    statistics, correction = evidence.config.statistics, CORRECTIONS[evidence.config.statistics.discovery]
    m = sum(len(features) for _, _, features in chosen)
    resamples = max(statistics.permutations, needed_draws(max(m, 1), statistics.spent, correction))
    tested = [each for held in chosen for each in _tested(evidence, found, *held, resamples=resamples)]
    return Discovery(
        most=most, composite=evidence.composites[0], correction=correction.name, alpha=statistics.spent, m=m, resamples=resamples,
        compared=(*screened, *_set_aside(evidence)),
        candidates=tuple(_candidates(evidence, found, tested, correction, resamples=resamples)),
        aligned=evidence.cells.aligned if evidence.cells else None,
        covered=int((~found.allowed).sum()) if evidence.cells else 0,
    )  # fmt: skip


def _set_aside(evidence: Evidence) -> Iterator[Screened]:
    """Groups too small to be compared at all."""
    for grouping in groupings(evidence):
        if grouping.set_aside:
            names = tuple(grouping.small) or grouping.names
            yield Screened(
                id=f"groups.{grouping.attribute}.set_aside", attribute=grouping.attribute, sides=names,
                reason="; ".join(grouping.set_aside),
            )  # fmt: skip


def _tested(
    evidence: Evidence, found: Signals, compared: Compared, half: Layers, features: Sequence[int], *, resamples: int
) -> Iterator[Tested]:
    columns = [found.column(k, evidence.composites[0])[half.rows] for k in features]
    p = _permuted(columns, half, rng=evidence.rng(f"discovery.{compared.id}"), resamples=resamples)
    yield from (Tested(compared, half, k, value) for k, value in zip(features, p.tolist(), strict=True))


def _permuted(columns: Sequence[FloatArray], half: Layers, *, rng: np.random.Generator, resamples: int) -> FloatArray:
    """The largest p of dealing rows and, where they share clusters, of dealing or turning clusters.

    Rows alone find too much where words and groups keep to clusters, turned clusters where a rare word is absent from a small side.
    """
    p = joint_permutation(np.stack(columns, axis=1), half.side, half.layer, rng=rng, resamples=resamples)
    if units(half.cluster) < len(half.cluster):
        for i in np.flatnonzero(p <= LATER).tolist():
            sample = Sample(columns[i], half.side, half.layer, half.cluster, half.rows)
            clustered = sample.permuted(rng, resamples)[0]
            p[i] = max(p[i], 1.0 if clustered is None else clustered)
    return p


def _candidates(
    evidence: Evidence, found: Signals, tested: Sequence[Tested], correction: Correction, *, resamples: int
) -> list[Candidate]:
    """Those whose contribution is shown to differ by p and interval; within a comparison the largest difference first."""
    alpha = evidence.config.statistics.spent
    told = [1.0 if p is None else p for p in adjusted([each.p for each in tested], correction)]
    level = correction.level(alpha, len(told), sum(p <= alpha for p in told))
    offered = list[Offered]()
    for each, p in zip(tested, told, strict=True):
        estimate = _difference(evidence, found, each, evidence.composites[0], level)
        if p <= alpha and estimate.low is not None and estimate.high is not None and estimate.low * estimate.high > 0:
            offered.append(Offered(each, estimate, p))
    factor = alpha / (1 - correction.level(alpha, len(told), len(offered)))
    asked = (_with_presence(evidence, found, each, factor=factor, resamples=resamples) for each in offered)
    shown = [_candidate(evidence, found, each, level) for each in asked]
    order = list(dict.fromkeys(one.comparison for one in shown))
    return sorted(shown, key=lambda one: (order.index(one.comparison), -abs(one.estimate.value or 0.0)))


def _with_presence(evidence: Evidence, found: Signals, offered: Offered, *, factor: float, resamples: int) -> Offered:
    """The same with p, times `factor`, that how often it occurs differs.

    The rows that offer a word are those that tell its presence, so the family is corrected for that choice: of m words R are offered,
    and p is multiplied by m / R (Benjamini and Bogomolov 2014, Journal of the Royal Statistical Society B 76).
    """
    each = offered.tested
    if not asks_presence(found, each.compared):
        return offered
    rng = evidence.rng(f"discovery.presence.{each.compared.id}.{found.names[each.feature]}")
    held = found.holds(each.feature)[each.held_out.rows]
    (p,) = _permuted([held], each.held_out, rng=rng, resamples=resamples).tolist()
    return replace(offered, presence=min(1.0, factor * p))


def _candidate(evidence: Evidence, found: Signals, offered: Offered, level: float) -> Candidate:
    each, estimate, presence = offered.tested, offered.estimate, offered.presence
    k, compared = each.feature, each.compared
    proxy = presence is not None and presence <= evidence.config.statistics.spent
    held = difference_within(found.holds(k)[each.held_out.rows], each.held_out, level=level, unit=PRESENCE)
    signs = {np.sign(_difference(evidence, found, each, c, level).value or 0.0) for c in evidence.composites}
    kind = CandidateKind.ERRORS if compared.errors else CandidateKind.PROXY if proxy else CandidateKind.DIFFERENT
    return Candidate(
        comparison=compared.id, attribute=compared.attribute, sides=compared.sides, name=found.names[k], kind=kind,
        estimate=estimate, p=each.p, p_adjusted=offered.p,
        larger=compared.sides[((held if proxy else estimate).value or 0.0) < 0],
        presence=None if presence is None else held,
        p_presence_adjusted=presence,
        examples=int(found.holds(k).sum()) if found.worded else None,
        agrees=None if len(evidence.composites) < 2 else len(signs) == 1,
        box=_box(found.boxes, k), photograph=_box(found.photograph, k),
    )  # fmt: skip


def _box(boxes: IntArray, k: int) -> tuple[int, int, int, int] | None:
    if not len(boxes):
        return None
    left, top, right, bottom = boxes[k].tolist()
    return left, top, right, bottom


def _difference(evidence: Evidence, found: Signals, each: Tested, composite: str, level: float) -> Estimate:
    values = found.column(each.feature, composite)[each.held_out.rows]
    return difference_within(values, each.held_out, level=level, unit=found.unit)


def difference_within(values: FloatArray, half: Layers, *, level: float, unit: str) -> Estimate:
    """Mean of a side minus that of the other within layers, these weighted by n_1 n_0 / (n_1 + n_0); cluster-robust interval."""
    layers = int(half.layer.max(initial=0)) + 1
    cell = 2 * half.layer + half.side
    size = np.bincount(cell, minlength=2 * layers)
    mean = np.bincount(cell, values, minlength=2 * layers) / np.maximum(size, 1)
    weight = size[::2] * size[1::2] / np.maximum(size[::2] + size[1::2], 1)
    if not weight.sum():
        return missing("no layer holds both sides", level=level, unit=unit)
    weight = weight / weight.sum()
    influence = np.where(half.side, 1, -1) * weight[half.layer] * (values - mean[cell]) / size[cell]
    value = float((weight * (mean[1::2] - mean[::2])).sum())
    scale = float(np.abs(values).max(initial=0.0))
    return linearised(value, influence, cell, cluster=half.cluster, level=level, unit=unit, scale=scale)
