"""Cases on image regions between sides of the photographs: groups of people, and misclassified against correct.

Relevance moves with confidence, and groups differ in it: sides are compared within strata of |margin|. Content moves
relevance even in networks that have learned nothing, so groups are referenced to re-initialised twins. Cost: one rank
test per region, comparison and twin.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from audit.records import Estimate, Opinion
from audit.stats.cases import NO_GROUP, Case, Evidence, by_reason, group_columns, group_pairs, not_testable
from audit.stats.group_gaps import confidence_strata
from audit.stats.intervals import BoolArray
from audit.stats.mask_swap import referenced
from audit.stats.placebos import Pool
from audit.stats.questions import QUESTIONS
from audit.stats.regions import twin_details
from audit.stats.tests import brunner_munzel, comparable, stratified_permutation
from audit.tables import FloatArray, IntArray, RegionTable

Strata = Callable[[IntArray, IntArray, FloatArray], NDArray[np.str_]]


def _bins(label: IntArray, predicted: IntArray, margin: FloatArray) -> NDArray[np.str_]:
    """Label x prediction x bins of |margin|: 8 for 250 rows, 11 for 1,000.

    Groups 1 to 3 apart in confidence (sd 1.4) differ within bins too: quintiles reject up to 30 % of true nulls at 1,000
    rows, these 3 to 9 % from 250 to 4,000. A bin's remainder falls with the square of their number, a standard error with
    the root of the rows.
    """
    return confidence_strata(label, predicted, margin, bins=max(5, round(2 * len(margin) ** 0.25)))


MATCHED: Final[dict[str, Strata]] = {
    "label, prediction and confidence": _bins,
    "label and confidence": lambda label, predicted, margin: _bins(label, 0 * label, margin),
    "confidence": lambda label, predicted, margin: _bins(0 * label, 0 * label, margin),
}


@final
@dataclass(frozen=True, slots=True)
class _Comparison:
    """Photographs `side` against the other `rows` `[n]`, within strata of what `matched` names; `twins` are asked of `twin_rows`."""

    question: str
    id: str
    attribute: str
    groups: tuple[str, ...]
    sides: tuple[str, str]
    rows: BoolArray
    side: BoolArray
    matched: str
    estimand: str
    margin: float | None = None
    remark: str = ""
    twin_rows: BoolArray | None = None


@final
@dataclass(frozen=True, slots=True)
class _Sample:
    """The rows of a comparison that have a value, as the rank tests take them."""

    values: FloatArray
    side: BoolArray
    strata: NDArray[np.str_]
    cluster: IntArray

    @property
    def matched(self) -> BoolArray:
        """Rows whose stratum holds at least 2 clusters of each side."""
        layer = np.unique(self.strata, return_inverse=True)[1]
        return comparable(layer, self.side, self.cluster, np.ones(len(layer), dtype=bool))

    def delta(self, level: float) -> tuple[Estimate, float | None]:
        """Overlap-weighted Cliff's delta and the p of its rank test."""
        return brunner_munzel(self.values, self.side, cluster=self.cluster, strata=self.strata, level=level)


def region_disparity_cases(evidence: Evidence, pool: Pool | None, rng: np.random.Generator) -> Sequence[Case]:
    """Share of each region between the groups of each attribute, at equal label, prediction and confidence."""
    if evidence.regions is None:
        return ()
    cases: list[Case] = []
    for attribute, column in group_columns(evidence).items():
        names = tuple(name for name in np.unique(column).tolist() if name not in NO_GROUP)
        short: list[str] = []
        for compared in _groups(evidence, attribute, column):
            found, lacking = _answered(evidence, evidence.regions, compared, rng)
            cases += found
            short += by_reason(lacking)
            again = [name for name, reason in lacking.items() if reason == _no_stratum(compared)]
            if again:
                correct = _at_equal_confidence(evidence, compared)
                found, lacking = _answered(evidence, evidence.regions, correct, rng, asked=again)
                cases += found
                short += [f"correctly classified: {reason}" for reason in by_reason(lacking)]
        if short or len(names) < 2:
            reason = "; ".join(short) or "fewer than two groups occur"
            cases.append(not_testable("disparity", attribute, names, reason))
    return cases


def _groups(evidence: Evidence, attribute: str, column: NDArray[np.str_]) -> Iterator[_Comparison]:
    known = ~np.isin(column, NO_GROUP)
    for name, other in group_pairs(column):
        rows = known if other == "rest" else known & np.isin(column, (name, other))
        yield _Comparison(
            question="disparity", id=f"{attribute}.{name}-{other}", attribute=attribute, groups=(name, other),
            sides=(name, other), rows=rows, side=column == name, matched="label, prediction and confidence",
            estimand=QUESTIONS["disparity"].estimand.format(group=name, other=other),
            margin=evidence.config.margins.disparity, twin_rows=rows,
        )  # fmt: skip


def _at_equal_confidence(evidence: Evidence, compared: _Comparison) -> _Comparison:
    """Where the group decides the label: correct photographs, equal in confidence alone.

    What the photographs show differs too, so it has no margin. Twins know no right answer: all their photographs count.
    """
    name, other = compared.groups
    correct = evidence.examples.predicted == evidence.examples.label
    return _Comparison(
        question="disparity", id=f"{compared.id}.correct", attribute=compared.attribute, groups=compared.groups,
        sides=compared.sides, rows=compared.rows & correct, side=compared.side, matched="confidence",
        estimand=f"Cliff's delta of the relevance of a feature both groups have, {name} against {other}, correctly "
        "classified, within strata of confidence alone: labels differ between the groups, so what is shown differs too",
        remark=f"a margin does not apply where {name} and {other} differ in label; ", twin_rows=compared.rows,
    )  # fmt: skip


def error_cases(evidence: Evidence, pool: Pool | None, rng: np.random.Generator) -> Sequence[Case]:
    """Share of each region, misclassified against correct photographs of a group, before and after matching confidence."""
    if evidence.regions is None:
        return ()
    cases: list[Case] = []
    wrong = evidence.examples.predicted != evidence.examples.label
    for attribute, column in (group_columns(evidence) or {"all": np.full(len(wrong), "photographs")}).items():
        short: dict[str, list[str]] = {}
        for name in (name for name in np.unique(column).tolist() if name not in NO_GROUP):
            compared = _Comparison(
                question="errors", id=f"{attribute}.{name}", attribute=attribute, groups=(name,),
                sides=("misclassified", "correct"), rows=column == name, side=wrong, matched="label and confidence",
                estimand=QUESTIONS["errors"].estimand.format(group=name),
            )  # fmt: skip
            found, reasons = _answered(evidence, evidence.regions, compared, rng)
            cases += found
            short[name] = by_reason(reasons)
        lacking = {name: listed for name, listed in short.items() if listed}
        if lacking:
            reason = "; ".join(f"{name}: {'; '.join(listed)}" for name, listed in lacking.items())
            cases.append(not_testable("errors", attribute, tuple(lacking), reason))
    return cases


def _answered(
    evidence: Evidence, regions: RegionTable, compared: _Comparison, rng: np.random.Generator, asked: Sequence[str] = ()
) -> tuple[list[Case], dict[str, str]]:
    """A case for every region (of `asked`, if any are) that can be compared, and the reason of every other."""
    cases: list[Case] = []
    lacking: dict[str, str] = {}
    for r, name in enumerate(regions.names):
        if (asked and name not in asked) or not np.isfinite(regions.share[evidence.composites[0]][:, r]).any():
            continue  # or no photograph has the region
        sample = _sample(evidence, regions, compared, r)
        reason = _untestable(evidence, compared, sample)
        if reason:
            lacking[name] = reason
        else:
            cases.append(_case(evidence, regions, compared, r, sample, rng))
    return cases, lacking


def _untestable(evidence: Evidence, compared: _Comparison, sample: _Sample) -> str:
    """Why the sides cannot be compared on a region; empty if they can."""
    sizes, smallest = (int(sample.side.sum()), int((~sample.side).sum())), evidence.config.statistics.min_group_size
    if min(sizes) < smallest:
        counts = ", ".join(f"{side} {n}" for side, n in zip(compared.sides, sizes, strict=True))
        return f"photographs with relevance there: {counts}; {smallest} a side are needed"
    return "" if sample.matched.any() else _no_stratum(compared)


def _no_stratum(compared: _Comparison) -> str:
    return f"no stratum holds both {' and '.join(compared.sides)} at equal {compared.matched}"


def _sample(
    evidence: Evidence, regions: RegionTable, compared: _Comparison, r: int, composite: str | None = None
) -> _Sample:
    share, examples = regions.share[composite or evidence.composites[0]][:, r], evidence.examples
    rows = np.flatnonzero(compared.rows & np.isfinite(share))
    return _rows(evidence, compared, rows, share[rows], examples.predicted[rows], examples.margin[rows])


def _rows(
    evidence: Evidence, compared: _Comparison, rows: IntArray, values: FloatArray, predicted: IntArray, margin: FloatArray
) -> _Sample:  # fmt: skip
    strata = MATCHED[compared.matched](evidence.examples.label[rows], predicted, margin)
    return _Sample(values, compared.side[rows], strata, evidence.examples.cluster[rows])


def _case(
    evidence: Evidence, regions: RegionTable, compared: _Comparison, r: int, sample: _Sample, rng: np.random.Generator
) -> Case:  # fmt: skip
    name, resamples = regions.names[r], evidence.config.statistics.permutations
    note, matching = _matching(compared, sample)
    p, twins, lacking = _reference(evidence, regions, compared, r)
    ranked = sample.delta(0.95)[1]
    permuted, _ = stratified_permutation(
        sample.values, sample.side, strata=sample.strata, cluster=sample.cluster, rng=rng, resamples=resamples
    )
    tests = "stratified Brunner-Munzel, stratified permutation" + (" and the reference of twins" if twins else "")
    return Case(
        id=f"{compared.question}.{name}.{compared.id}",
        question=compared.question,
        attribute=compared.attribute,
        groups=compared.groups,
        estimand=f"{compared.estimand}; feature: share of region {name}",
        test=f"largest p of {tests}",
        p=None if ranked is None or permuted is None or lacking else max(ranked, permuted, p or 0.0),
        estimate=lambda level: _noting(sample.delta(level)[0], lacking),
        margin=compared.margin,
        composite=evidence.composites[0],
        resamples=resamples,
        opinions=tuple(
            Opinion(composite=other, estimate=estimate, p=rank)
            for other in evidence.composites[1:]
            for estimate, rank in [_sample(evidence, regions, compared, r, other).delta(0.95)]
        ),
        details={"region": name, **matching, **twins},
        of_regions=True,
        note=note + _told(max(ranked or 0.0, permuted or 0.0), p),
    )


def _told(p: float, reference: float | None) -> str:
    """Says so where not the model but its untrained copies decide."""
    if reference is None or reference <= max(p, 0.05):
        return ""
    return f"; untrained copies of the network differ about as much (p {reference:.3f}), which decides here"


def _matching(compared: _Comparison, sample: _Sample) -> tuple[str, Mapping[str, JsonValue]]:
    """What matching does to the difference and what it loses on each side, in words and as details."""
    unmatched, p = brunner_munzel(sample.values, sample.side, cluster=sample.cluster)
    counts = [int((~sample.matched & side).sum()) for side in (sample.side, ~sample.side)]
    lost: dict[str, JsonValue] = dict(zip(compared.sides, counts, strict=True))
    known = unmatched.value is not None and p is not None
    size = "" if p is None else "p < 0.001" if p < 0.001 else f"p {p:.3f}"
    before = f"before matching on {compared.matched} {unmatched.value:+.2f} ({size}); " if known else ""
    left_out = " and ".join(f"{n} {side}" for side, n in lost.items())
    kept = " and ".join(
        f"{int((sample.matched & side).sum())} {name}"
        for name, side in zip(compared.sides, (sample.side, ~sample.side), strict=True)
    )
    return f"{compared.remark}{before}matching keeps {kept}, and leaves out {left_out}", {
        "matched on": compared.matched,
        "rows lost to empty strata": lost,
        "unmatched": unmatched.model_dump(),
        "p unmatched": p,
    }


def _noting(estimate: Estimate, reason: str) -> Estimate:
    return estimate.model_copy(update={"reason": reason}) if reason else estimate


def _reference(
    evidence: Evidence, regions: RegionTable, compared: _Comparison, r: int
) -> tuple[float | None, Mapping[str, JsonValue], str]:
    """p of the trained delta among the twins' on their images, what to record, and why there is none where one is due."""
    if compared.twin_rows is None or not len(regions.twin_share):
        return None, {}, ""
    chosen = regions.twin_rows
    share = regions.share[evidence.composites[0]][chosen, r]
    examples, asked = evidence.examples, compared.rows[chosen]
    own = _delta(evidence, compared, chosen, asked, share, examples.predicted[chosen], examples.margin[chosen])
    twins = np.array([
        _delta(evidence, compared, chosen, compared.twin_rows[chosen], values[:, r], predicted, margin)
        for values, predicted, margin in zip(regions.twin_share, regions.twin_predicted, regions.twin_margin, strict=True)
    ])  # fmt: skip
    p, t = referenced(own, twins)
    reason = "" if p is not None else "the untrained copies do not differ from each other, so they are no reference"
    if np.isnan(own) or np.isfinite(twins).sum() < 2:
        reason = "no stratum of the twins' images holds both sides: raise statistics.twin_examples"
    return p, {**twin_details(p, t, twins), "delta on the twins' images": None if np.isnan(own) else own}, reason


def _delta(
    evidence: Evidence, compared: _Comparison, chosen: IntArray, asked: BoolArray, share: FloatArray, predicted: IntArray,
    margin: FloatArray,
) -> float:  # fmt: skip
    """Cliff's delta of one model on the images the twins explained; NaN where no stratum holds both sides."""
    keep = asked & np.isfinite(share)
    if not keep.any():
        return float("nan")
    value = _rows(evidence, compared, chosen[keep], share[keep], predicted[keep], margin[keep]).delta(0.95)[0].value
    return float("nan") if value is None else value
