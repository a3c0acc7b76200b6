"""Sides of the examples that are compared at equal confidence: its strata, the rows that have a counterpart, what is lost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from pydantic import JsonValue

from audit.questions import EXAMPLES
from audit.stats.cases import Evidence
from audit.stats.features import Feature
from audit.stats.intervals import BoolArray, coded, units
from audit.stats.resampling import cluster_permutation
from audit.stats.tests import MANY, RankEffect, brunner_munzel, comparable, rank_effect, stratified_permutation
from audit.tables import FloatArray, IntArray

LIMIT: Final = ", at its normal limit"  # of a permutation test of more than `MANY` units
Strata = Callable[[IntArray, IntArray, FloatArray], IntArray]


def confidence_bins(label: IntArray, predicted: IntArray, confidence: FloatArray) -> IntArray:
    """Label x prediction x bins of confidence: 8 for 250 rows, 11 for 1,000.

    Groups 1 to 3 apart in confidence (sd 1.4) differ within bins too: quintiles reject up to 30 % of true nulls at 1,000
    rows, these 3 to 9 % from 250 to 4,000. A bin's remainder falls with the square of their number, a standard error with
    the root of the rows.
    """
    if not len(confidence):
        return np.zeros(0, dtype=int)
    size, bins = np.abs(confidence), max(5, round(2 * len(confidence) ** 0.25))
    cut = np.searchsorted(np.quantile(size, np.linspace(0, 1, bins + 1)[1:-1]), size)
    return np.asarray((label * (int(predicted.max()) + 1) + predicted) * bins + cut)


CONFIDENCE_ALONE: Final = "confidence"  # of a disparity: among correctly classified examples
MATCHED: Final[dict[str, Strata]] = {
    "label, prediction and confidence": confidence_bins,
    "label and confidence": lambda label, predicted, confidence: confidence_bins(label, 0 * label, confidence),
    CONFIDENCE_ALONE: lambda label, predicted, confidence: confidence_bins(0 * label, 0 * label, confidence),
}


@final
@dataclass(frozen=True, slots=True)
class Comparison:
    """Examples `side` against the other `rows` `[n]`, within strata of what `matched` names; twins are asked of `twin_rows`."""

    question: str
    id: str
    attribute: str
    groups: tuple[str, ...]
    sides: tuple[str, str]
    rows: BoolArray
    side: BoolArray
    matched: str
    estimand: Mapping[str, str]
    margin: float | None = None
    remark: str = ""
    twin_rows: BoolArray | None = None


@final
@dataclass(frozen=True, slots=True)
class Sample:
    """The rows of a comparison that have a value, as the rank tests take them."""

    values: FloatArray
    side: BoolArray
    strata: IntArray
    cluster: IntArray
    rows: IntArray

    @property
    def matched(self) -> BoolArray:
        """Rows whose stratum holds at least 2 clusters of each side."""
        layer = coded(self.strata)[0]
        return comparable(layer, self.side, self.cluster, np.ones(len(layer), dtype=bool))

    def units(self, rows: BoolArray) -> tuple[int, int]:
        """Clusters of each side among `rows`."""
        return units(self.cluster[rows & self.side]), units(self.cluster[rows & ~self.side])

    def effect(self) -> RankEffect:
        """Overlap-weighted Cliff's delta and the p of its rank test."""
        return rank_effect(self.values, self.side, cluster=self.cluster, strata=self.strata)

    def permuted(self, rng: np.random.Generator, resamples: int) -> tuple[float | None, str]:
        """p of permuting sides within strata, and the test's name: whole clusters where each is of one side and enough compare."""
        clusters = units(self.cluster)
        if clusters < len(self.cluster):
            p, note = cluster_permutation(
                self.values, self.side, cluster=self.cluster, strata=self.strata, rng=rng, resamples=resamples
            )
            if p is not None and not note:
                return p, "permutation of clusters"
        p, lost = stratified_permutation(
            self.values, self.side, strata=self.strata, cluster=self.cluster, rng=rng, resamples=resamples
        )
        if clusters < len(self.cluster):
            return p, "sign flips of clusters within strata" + (LIMIT if clusters > MANY else "")
        return p, "stratified permutation" + (LIMIT if clusters - lost > MANY else "")


def incomparable(evidence: Evidence, compared: Comparison, sample: Sample) -> str:
    """Why the sides cannot be compared on a feature; empty if they can."""
    smallest, matched = evidence.config.statistics.min_group_size, sample.matched
    for what, rows in (("", np.full(len(matched), True)), (f" and a counterpart of equal {compared.matched}", matched)):
        if not rows.any() and what:
            return no_stratum(compared)
        sizes = sample.units(rows)
        if min(sizes) < smallest:
            counts = ", ".join(f"{side} {n}" for side, n in zip(compared.sides, sizes, strict=True))
            own = "" if units(sample.cluster) == len(sample.cluster) else "clusters of "
            noun = f"{own}{EXAMPLES[evidence.config.task]}s"
            return f"{noun} with relevance there{what}: {counts}; {smallest} a side are needed"
    return ""


def no_stratum(compared: Comparison) -> str:
    """The reason that `incomparable` gives where sides have examples but no stratum in common."""
    return f"no stratum holds both {' and '.join(compared.sides)} at equal {compared.matched}"


def sampled(evidence: Evidence, feature: Feature, compared: Comparison, composite: str | None = None) -> Sample:
    """The rows of a comparison on a feature under a composite, by default the first."""
    values, examples = feature.values[composite or evidence.composites[0]], evidence.examples
    rows = np.flatnonzero(compared.rows & np.isfinite(values))
    return rows_sampled(evidence, compared, rows, values[rows], examples.predicted[rows], examples.confidence[rows])


def rows_sampled(
    evidence: Evidence, compared: Comparison, rows: IntArray, values: FloatArray, predicted: IntArray, confidence: FloatArray
) -> Sample:  # fmt: skip
    """The same from given rows, for a model whose predictions, and their confidence, these are."""
    strata = MATCHED[compared.matched](evidence.examples.label[rows], predicted, confidence)
    return Sample(values, compared.side[rows], strata, evidence.examples.cluster[rows], rows)


def matching_note(compared: Comparison, sample: Sample) -> tuple[str, Mapping[str, JsonValue]]:
    """What matching does to the difference and what it loses on each side, in words and as details."""
    unmatched, p = brunner_munzel(sample.values, sample.side, cluster=sample.cluster)
    matched, sides = sample.matched, dict(zip(compared.sides, (sample.side, ~sample.side), strict=True))
    lost: dict[str, JsonValue] = {name: int((~matched & side).sum()) for name, side in sides.items()}
    known = unmatched.value is not None and p is not None
    size = "" if p is None else "p < 0.001" if p < 0.001 else f"p {p:.3f}"
    before = f"before matching on {compared.matched} {unmatched.value:+.2f} ({size}); " if known else ""
    left_out = " and ".join(f"{n} {side}" for side, n in lost.items())
    kept = " and ".join(f"{int((matched & side).sum())} {name}" for name, side in sides.items())
    empty = int(compared.rows.sum()) - len(sample.rows)
    without = f"; {empty} have no relevance there (it is absent, or their map is empty)" if empty else ""
    return f"{compared.remark}{before}matching keeps {kept}, and leaves out {left_out}{without}", {
        "matched on": compared.matched,
        "rows lost to empty strata": lost,
        "unmatched": unmatched.model_dump(),
        "p unmatched": p,
    }
