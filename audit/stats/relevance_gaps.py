"""Cases on relevance between sides of the examples: groups of people, and misclassified against correct.

Relevance moves with confidence, and groups differ in it: sides are compared within strata of |margin|. Content moves
relevance even in networks that have learned nothing, so on images groups are referenced to re-initialised twins. Cost: one
rank test per feature, comparison and twin.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from audit.questions import EXAMPLES, QUESTIONS
from audit.records import Estimand, Estimate, Opinion
from audit.stats.cases import Case, Evidence, Variant, by_reason, not_testable, untested
from audit.stats.features import Feature, features, measure
from audit.stats.fractional import fractional_logit
from audit.stats.groupings import MENTIONED, TIMES, Grouping, groupings
from audit.stats.intervals import BoolArray, coded, units
from audit.stats.mask_swap import referenced
from audit.stats.placebos import Pool
from audit.stats.regions import twin_details
from audit.stats.resampling import cluster_permutation
from audit.stats.tests import RankEffect, brunner_munzel, comparable, omnibus, rank_effect, stratified_permutation
from audit.stats.two_part import Part, TwoPart, two_part
from audit.tables import FloatArray, IntArray

Strata = Callable[[IntArray, IntArray, FloatArray], IntArray]
LOGIT: Final = "fractional logit with the declared covariates"
ZEROS: Final = (0.1, 0.9)  # shares of zeros between which presence and amount are tested too


def confidence_bins(label: IntArray, predicted: IntArray, margin: FloatArray) -> IntArray:
    """Label x prediction x bins of |margin|: 8 for 250 rows, 11 for 1,000.

    Groups 1 to 3 apart in confidence (sd 1.4) differ within bins too: quintiles reject up to 30 % of true nulls at 1,000
    rows, these 3 to 9 % from 250 to 4,000. A bin's remainder falls with the square of their number, a standard error with
    the root of the rows.
    """
    if not len(margin):
        return np.zeros(0, dtype=int)
    size, bins = np.abs(margin), max(5, round(2 * len(margin) ** 0.25))
    cut = np.searchsorted(np.quantile(size, np.linspace(0, 1, bins + 1)[1:-1]), size)
    return np.asarray((label * (int(predicted.max()) + 1) + predicted) * bins + cut)


MATCHED: Final[dict[str, Strata]] = {
    "label, prediction and confidence": confidence_bins,
    "label and confidence": lambda label, predicted, margin: confidence_bins(label, 0 * label, margin),
    "confidence": lambda label, predicted, margin: confidence_bins(0 * label, 0 * label, margin),
}


@final
@dataclass(frozen=True, slots=True)
class _Comparison:
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
class _Sample:
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
        p, _ = stratified_permutation(
            self.values, self.side, strata=self.strata, cluster=self.cluster, rng=rng, resamples=resamples
        )
        return p, "stratified permutation" if clusters == len(self.cluster) else "sign flips of clusters within strata"


def disparity_cases(evidence: Evidence, pool: Pool | None) -> Sequence[Case]:
    """Each feature between the groups of each attribute, at equal label, prediction and confidence."""
    cases: list[Case] = []
    asked = features(evidence)
    for grouping in groupings(evidence):
        mine = [f for f in asked if f.attribute not in grouping.attribute.replace(MENTIONED, "").split(TIMES)]
        short = grouping.set_aside
        for compared in _groups(evidence, grouping):
            found, lacking = _answered(evidence, mine, compared, grouping)
            cases += found
            short += by_reason(lacking)
            again = [f for f in mine if lacking.get(f.name) == _no_stratum(compared)]
            found, lacking = _answered(evidence, again, _at_equal_confidence(evidence, compared), None)
            cases += found
            short += [f"correctly classified: {reason}" for reason in by_reason(lacking)]
        if mine and short:
            names = (*grouping.names, *grouping.small)
            cases.append(not_testable(evidence, "disparity", grouping.attribute, names, "; ".join(short)))
    return cases


def _groups(evidence: Evidence, grouping: Grouping) -> Iterator[_Comparison]:
    for name, other in grouping.pairs:
        side, rows = grouping.column == name, grouping.rows(name, other)
        yield _Comparison(
            question="disparity", id=f"{grouping.attribute}.{name}-{other}", attribute=grouping.attribute, groups=(name, other),
            sides=(name, other), rows=rows, side=side, matched="label, prediction and confidence",
            estimand={"group": name, "other": other}, margin=evidence.config.margins.disparity, twin_rows=rows,
        )  # fmt: skip


def _at_equal_confidence(evidence: Evidence, compared: _Comparison) -> _Comparison:
    """Where the group decides the label: correct examples, equal in confidence alone.

    What the examples show differs too, so it has no margin. Twins know no right answer: all their examples count.
    """
    name, other = compared.groups
    correct = evidence.examples.predicted == evidence.examples.label
    return _Comparison(
        question="disparity", id=f"{compared.id}.correct", attribute=compared.attribute, groups=compared.groups,
        sides=compared.sides, rows=compared.rows & correct, side=compared.side, matched="confidence",
        estimand={"group": name, "other": other, "matched": "confidence alone, correctly classified: labels differ between "
                  "the groups, so what is shown differs too"},
        remark=f"a margin does not apply where {name} and {other} differ in label; ", twin_rows=compared.rows,
    )  # fmt: skip


def error_cases(evidence: Evidence, pool: Pool | None) -> Sequence[Case]:
    """Each feature, misclassified against correct examples of a group, before and after matching confidence."""
    cases: list[Case] = []
    wrong, asked = evidence.examples.predicted != evidence.examples.label, features(evidence)
    for attribute, names, column in _within(evidence):
        short: dict[str, list[str]] = {}
        for name in names:
            compared = _Comparison(
                question="errors", id=f"{attribute}.{name}", attribute=attribute, groups=(name,),
                sides=("misclassified", "correct"), rows=column == name, side=wrong, matched="label and confidence",
                estimand={"group": name},
            )  # fmt: skip
            found, reasons = _answered(evidence, asked, compared, None)
            cases += found
            short[name] = by_reason(reasons)
        lacking = {name: listed for name, listed in short.items() if listed}
        if lacking:
            reason = "; ".join(f"{name}: {'; '.join(listed)}" for name, listed in lacking.items())
            cases.append(not_testable(evidence, "errors", attribute, tuple(lacking), reason))
    return cases


def _within(evidence: Evidence) -> Iterator[tuple[str, tuple[str, ...], NDArray[np.str_]]]:
    """Attribute, its groups and the group of each example; all examples as one group where there is no attribute."""
    found = groupings(evidence)
    for grouping in found:
        yield grouping.attribute, (*grouping.names, *grouping.small), grouping.column
    if not found:
        everything = f"{EXAMPLES[evidence.config.task]}s"
        yield "all", (everything,), np.full(len(evidence.examples.label), everything)


def _answered(
    evidence: Evidence, asked: Sequence[Feature], compared: _Comparison, grouping: Grouping | None
) -> tuple[list[Case], dict[str, str]]:
    """A case for every feature that can be compared (and one a part where it is often 0), and the reason of every other."""
    cases: list[Case] = []
    lacking: dict[str, str] = {}
    for feature in asked:
        sample = _sample(evidence, feature, compared)
        reason = _untestable(evidence, compared, sample)
        if reason:
            lacking[feature.name] = reason
        else:
            case = _case(evidence, feature, compared, sample, grouping)
            cases += [case, *_parts(case, sample)]
    return cases, lacking


def _untestable(evidence: Evidence, compared: _Comparison, sample: _Sample) -> str:
    """Why the sides cannot be compared on a feature; empty if they can."""
    sizes, smallest = (int(sample.side.sum()), int((~sample.side).sum())), evidence.config.statistics.min_group_size
    if min(sizes) < smallest:
        counts = ", ".join(f"{side} {n}" for side, n in zip(compared.sides, sizes, strict=True))
        return f"{EXAMPLES[evidence.config.task]}s with relevance there: {counts}; {smallest} a side are needed"
    return "" if sample.matched.any() else _no_stratum(compared)


def _no_stratum(compared: _Comparison) -> str:
    return f"no stratum holds both {' and '.join(compared.sides)} at equal {compared.matched}"


def _sample(evidence: Evidence, feature: Feature, compared: _Comparison, composite: str | None = None) -> _Sample:
    values, examples = feature.values[composite or evidence.composites[0]], evidence.examples
    rows = np.flatnonzero(compared.rows & np.isfinite(values))
    return _rows(evidence, compared, rows, values[rows], examples.predicted[rows], examples.margin[rows])


def _rows(
    evidence: Evidence, compared: _Comparison, rows: IntArray, values: FloatArray, predicted: IntArray, margin: FloatArray
) -> _Sample:  # fmt: skip
    strata = MATCHED[compared.matched](evidence.examples.label[rows], predicted, margin)
    return _Sample(values, compared.side[rows], strata, evidence.examples.cluster[rows], rows)


@final
@dataclass(frozen=True, slots=True)
class _Tested:
    """What the tests `named` say of one sample: Cliff's delta, and the largest `p`, None where one is `lacking`; `details` of them."""

    effect: RankEffect
    p: float | None
    named: tuple[str, ...]
    lacking: str
    note: str
    details: Mapping[str, JsonValue]

    def estimate(self, level: float) -> Estimate:
        """Delta with its interval at `level`, and what is lacking as the reason."""
        return _noting(self.effect.estimate(level), self.lacking)


def _tested(evidence: Evidence, feature: Feature, compared: _Comparison, sample: _Sample) -> _Tested:
    reference, twins, lacking = _reference(evidence, feature, compared)
    effect = sample.effect()
    permuted, permutation = sample.permuted(
        evidence.rng(_key(feature, compared)), evidence.config.statistics.permutations
    )
    adjusted, logit = _adjusted(evidence, sample)
    lacking = lacking or ("" if not logit or adjusted is not None else f"{LOGIT}: {logit['reason'] or 'no p'}")
    return _Tested(
        effect=effect,
        p=None
        if effect.p is None or permuted is None or lacking
        else max(effect.p, permuted, reference or 0.0, adjusted or 0.0),
        named=(
            "stratified Brunner-Munzel",
            permutation,
            *(["reference of twins"] if twins else []),
            *([LOGIT] if logit else []),
        ),
        lacking=lacking,
        note=_told(max(effect.p or 0.0, permuted or 0.0), reference),
        details={**twins, **({LOGIT: logit, f"p of the {LOGIT}": adjusted} if logit else {})},
    )


def _key(feature: Feature, compared: _Comparison) -> str:
    return f"{compared.question}.{feature.name}.{compared.id}"


def _case(
    evidence: Evidence, feature: Feature, compared: _Comparison, sample: _Sample, grouping: Grouping | None
) -> Case:  # fmt: skip
    note, matching = _matching(compared, sample)
    found = _tested(evidence, feature, compared, sample)
    return Case(
        id=_key(feature, compared),
        question=compared.question,
        attribute=compared.attribute,
        groups=compared.groups,
        estimand=_estimand(evidence, feature, compared),
        test=f"largest p of {', '.join(found.named)}",
        p=found.p,
        estimate=found.estimate,
        margin=compared.margin,
        composite=evidence.composites[0],
        resamples=evidence.config.statistics.permutations,
        opinions=tuple(
            Opinion(composite=other, estimate=again.estimate(0.95), p=again.p)
            for other in evidence.composites[1:]
            for again in [_sample(evidence, feature, compared, other).effect()]
        ),
        details={feature.kind: feature.name, **matching, **found.details},
        note=note + found.note,
        omnibus=_omnibus(evidence, feature, grouping),
        variants=(
            *_supposed(evidence, feature, compared, grouping),
            *(_redrawn(evidence, *other, compared, sample, grouping) for other in feature.varied.items()),
        ),
    )


def _redrawn(
    evidence: Evidence, changed: str, feature: Feature, compared: _Comparison, sample: _Sample, grouping: Grouping | None
) -> Variant:  # fmt: skip
    """The same tests of relevance inside other masks; those of the `sample` that they leave without the region are dropped."""
    again = _sample(evidence, feature, compared)
    reason = _untestable(evidence, compared, again)
    if reason:
        return untested(changed, reason, QUESTIONS[compared.question].put[evidence.config.task].scale)
    found, lost = _tested(evidence, feature, compared, again), len(np.setdiff1d(sample.rows, again.rows))

    def estimate(level: float) -> Estimate:
        bare = found.estimate(level)
        return bare.model_copy(update={"dropped": bare.dropped + lost})

    return Variant(changed, found.p, estimate, _omnibus(evidence, feature, grouping))


def _supposed(
    evidence: Evidence, feature: Feature, compared: _Comparison, grouping: Grouping | None
) -> tuple[Variant, ...]:
    """Unknown groups split by their values at the median: near the extremes of what they could do to the difference."""
    values = feature.values[evidence.composites[0]]
    if grouping is None or not (grouping.unknown & np.isfinite(values)).any():
        return ()
    high, made = values > np.nanmedian(values[grouping.unknown]), []
    for raised, towards in ((True, "high"), (False, "low")):
        column = grouping.supposing(high == raised, *compared.groups)
        again = replace(compared, side=column == compared.groups[0], rows=compared.rows | grouping.unknown)
        effect = _sample(evidence, feature, again).effect()
        made.append(
            Variant(f"unknown groups with {towards} values counted as {compared.groups[0]}", effect.p, effect.estimate)
        )
    return tuple(made)


def _adjusted(evidence: Evidence, sample: _Sample) -> tuple[float | None, dict[str, JsonValue]]:
    """p and difference of mean shares at equal covariates, label and confidence; nothing where no covariate is declared."""
    examples, rows = evidence.examples, sample.rows
    if not examples.covariates or (sample.values < 0).any():
        return None, {}
    labels = examples.label[rows][:, None] == np.arange(1, len(evidence.classes))
    columns = [values[rows] for values in examples.covariates.values()]
    estimate, p = fractional_logit(
        sample.values, sample.side, covariates=np.column_stack([*columns, np.abs(examples.margin[rows]), labels]),
        cluster=sample.cluster,
    )  # fmt: skip
    return p, estimate.model_dump()


def _estimand(evidence: Evidence, feature: Feature, compared: _Comparison) -> Estimand:
    names = {"matched": compared.matched, **compared.estimand}
    put = QUESTIONS[compared.question].put[evidence.config.task]
    return put.estimand(
        evidence.config.task, measure=measure(evidence.config.statistics.sign), feature=feature.words, **names
    )


def _omnibus(evidence: Evidence, feature: Feature, grouping: Grouping | None) -> float | None:
    """p of no difference between any of more than two groups, within the same strata as their pairs."""
    if grouping is None or len(grouping.names) < 3:
        return None
    values, examples = feature.values[evidence.composites[0]], evidence.examples
    rows = np.flatnonzero(grouping.known & np.isfinite(values))
    strata = confidence_bins(examples.label[rows], examples.predicted[rows], examples.margin[rows])
    return omnibus(values[rows], grouping.column[rows], cluster=examples.cluster[rows], strata=strata)


def _parts(case: Case, sample: _Sample) -> Sequence[Case]:
    """How often, and how far, the share exceeds 0, where 10 to 90 % of the shares are 0: one test of all would mix the two."""
    if not ZEROS[0] <= (sample.values == 0).mean() <= ZEROS[1] or (sample.values < 0).any():
        return ()

    def at(level: float) -> TwoPart:
        return two_part(sample.values, sample.side, cluster=sample.cluster, strata=sample.strata, level=level)

    found = at(0.95)
    parts = (
        _part(case, "presence", "how often it is above 0", found.presence, lambda level: at(level).presence.estimate),
        _part(case, "positive", "among values above 0", found.positive, lambda level: at(level).positive.estimate),
    )
    return [
        part
        for part, one in zip(parts, (found.presence, found.positive), strict=True)
        if one.estimate.value is not None and one.p is not None
    ]


def _part(case: Case, key: str, name: str, found: Part, estimate: Callable[[float], Estimate]) -> Case:
    return replace(
        case, id=f"{case.id}.{key}", p=found.p, test=found.test, estimate=estimate, opinions=(), omnibus=None, note="", resamples=None,
        variants=(),
        estimand=case.estimand.model_copy(update={"measure": f"{case.estimand.measure}, {name}"}),
        details={**case.details, "part": name},
    )  # fmt: skip


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
    evidence: Evidence, feature: Feature, compared: _Comparison
) -> tuple[float | None, Mapping[str, JsonValue], str]:
    """p of the trained delta among the twins' on their images, what to record, and why there is none where one is due."""
    regions = evidence.regions
    if regions is None or compared.twin_rows is None or not len(feature.twins):
        return None, {}, ""
    chosen, examples = regions.twin_rows, evidence.examples
    values, asked = feature.values[evidence.composites[0]][chosen], compared.rows[chosen]
    own = _delta(evidence, compared, chosen, asked, values, examples.predicted[chosen], examples.margin[chosen])
    twins = np.array([
        _delta(evidence, compared, chosen, compared.twin_rows[chosen], *twin)
        for twin in zip(feature.twins, regions.twin_predicted, regions.twin_margin, strict=True)
    ])  # fmt: skip
    p, t = referenced(own, twins)
    reason = "" if p is not None else "the untrained copies do not differ from each other, so they are no reference"
    if np.isnan(own) or np.isfinite(twins).sum() < 2:
        reason = "no stratum of the twins' images holds both sides: raise statistics.twin_examples"
    return p, {**twin_details(p, t, twins), "delta on the twins' images": None if np.isnan(own) else own}, reason


def _delta(
    evidence: Evidence, compared: _Comparison, chosen: IntArray, asked: BoolArray, values: FloatArray, predicted: IntArray,
    margin: FloatArray,
) -> float:  # fmt: skip
    """Cliff's delta of one model on the images the twins explained; NaN where no stratum holds both sides."""
    keep = asked & np.isfinite(values)
    if not keep.any():
        return float("nan")
    effect = _rows(evidence, compared, chosen[keep], values[keep], predicted[keep], margin[keep]).effect()
    return float("nan") if effect.reason else effect.delta
