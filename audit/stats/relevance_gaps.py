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
from audit.stats.intervals import BoolArray, noting
from audit.stats.matching import (
    Comparison,
    Sample,
    confidence_bins,
    incomparable,
    matching_note,
    no_stratum,
    rows_sampled,
    sampled,
)
from audit.stats.placebos import Pool
from audit.stats.tests import RankEffect, omnibus
from audit.stats.twins import referenced, twin_details
from audit.stats.two_part import Part, TwoPart, two_part
from audit.tables import FloatArray, IntArray

LOGIT: Final = "fractional logit with the declared covariates"
ZEROS: Final = (0.1, 0.9)  # shares of zeros between which presence and amount are tested too


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
            again = [f for f in mine if lacking.get(f.name) == no_stratum(compared)]
            found, lacking = _answered(evidence, again, _at_equal_confidence(evidence, compared), None)
            cases += found
            short += [f"correctly classified: {reason}" for reason in by_reason(lacking)]
        if mine and short:
            names = (*grouping.names, *grouping.small)
            cases.append(not_testable(evidence, "disparity", grouping.attribute, names, "; ".join(short)))
    return cases


def _groups(evidence: Evidence, grouping: Grouping) -> Iterator[Comparison]:
    for name, other in grouping.pairs:
        side, rows = grouping.column == name, grouping.rows(name, other)
        yield Comparison(
            question="disparity", id=f"{grouping.attribute}.{name}-{other}", attribute=grouping.attribute, groups=(name, other),
            sides=(name, other), rows=rows, side=side, matched="label, prediction and confidence",
            estimand={"group": name, "other": other}, margin=evidence.config.margins.disparity, twin_rows=rows,
        )  # fmt: skip


def _at_equal_confidence(evidence: Evidence, compared: Comparison) -> Comparison:
    """Where the group decides the label: correct examples, equal in confidence alone.

    What the examples show differs too, so it has no margin. Twins know no right answer: all their examples count.
    """
    name, other = compared.groups
    correct = evidence.examples.predicted == evidence.examples.label
    return Comparison(
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
            compared = Comparison(
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
    evidence: Evidence, asked: Sequence[Feature], compared: Comparison, grouping: Grouping | None
) -> tuple[list[Case], dict[str, str]]:
    """A case for every feature that can be compared (and one a part where it is often 0), and the reason of every other."""
    cases: list[Case] = []
    lacking: dict[str, str] = {}
    for feature in asked:
        sample = sampled(evidence, feature, compared)
        reason = incomparable(evidence, compared, sample)
        if reason:
            lacking[feature.name] = reason
        else:
            case = _case(evidence, feature, compared, sample, grouping)
            cases += [case, *_parts(case, sample)]
    return cases, lacking


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
        return noting(self.effect.estimate(level), self.lacking)


def _tested(evidence: Evidence, feature: Feature, compared: Comparison, sample: Sample) -> _Tested:
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


def _key(feature: Feature, compared: Comparison) -> str:
    return f"{compared.question}.{feature.name}.{compared.id}"


def _case(
    evidence: Evidence, feature: Feature, compared: Comparison, sample: Sample, grouping: Grouping | None
) -> Case:  # fmt: skip
    note, matching = matching_note(compared, sample)
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
            for again in [sampled(evidence, feature, compared, other).effect()]
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
    evidence: Evidence, changed: str, feature: Feature, compared: Comparison, sample: Sample, grouping: Grouping | None
) -> Variant:  # fmt: skip
    """The same tests of relevance inside other masks; those of the `sample` that they leave without the region are dropped."""
    again = sampled(evidence, feature, compared)
    reason = incomparable(evidence, compared, again)
    if reason:
        return untested(changed, reason, QUESTIONS[compared.question].put[evidence.config.task].scale)
    found, lost = _tested(evidence, feature, compared, again), len(np.setdiff1d(sample.rows, again.rows))

    def estimate(level: float) -> Estimate:
        bare = found.estimate(level)
        return bare.model_copy(update={"dropped": bare.dropped + lost})

    return Variant(changed, found.p, estimate, _omnibus(evidence, feature, grouping))


def _supposed(
    evidence: Evidence, feature: Feature, compared: Comparison, grouping: Grouping | None
) -> tuple[Variant, ...]:
    """Unknown groups split by their values at the median: near the extremes of what they could do to the difference."""
    values = feature.values[evidence.composites[0]]
    if grouping is None or not (grouping.unknown & np.isfinite(values)).any():
        return ()
    high, made = values > np.nanmedian(values[grouping.unknown]), []
    for raised, towards in ((True, "high"), (False, "low")):
        column = grouping.supposing(high == raised, *compared.groups)
        again = replace(compared, side=column == compared.groups[0], rows=compared.rows | grouping.unknown)
        effect = sampled(evidence, feature, again).effect()
        made.append(
            Variant(f"unknown groups with {towards} values counted as {compared.groups[0]}", effect.p, effect.estimate)
        )
    return tuple(made)


def _adjusted(evidence: Evidence, sample: Sample) -> tuple[float | None, dict[str, JsonValue]]:
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


def _estimand(evidence: Evidence, feature: Feature, compared: Comparison) -> Estimand:
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


def _parts(case: Case, sample: Sample) -> Sequence[Case]:
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


def _reference(
    evidence: Evidence, feature: Feature, compared: Comparison
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
    evidence: Evidence, compared: Comparison, chosen: IntArray, asked: BoolArray, values: FloatArray, predicted: IntArray,
    margin: FloatArray,
) -> float:  # fmt: skip
    """Cliff's delta of one model on the images the twins explained; NaN where no stratum holds both sides."""
    keep = asked & np.isfinite(values)
    if not keep.any():
        return float("nan")
    effect = rows_sampled(evidence, compared, chosen[keep], values[keep], predicted[keep], margin[keep]).effect()
    return float("nan") if effect.reason else effect.delta
