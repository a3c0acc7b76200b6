"""Cases on relevance between sides of the examples: groups of people, and misclassified against correct.

Relevance moves with confidence, and groups differ in it: sides are compared within strata of it. Content moves
relevance even in networks that have learned nothing, so on images groups are referenced to re-initialised twins. Cost: one
rank test per feature, comparison, composite and twin.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from audit.config import FEWEST_TWINS
from audit.questions import EXAMPLES, QUESTIONS
from audit.records import Check, Estimand, Estimate, Opinion
from audit.stats.cases import Case, Evidence, Variant, by_reason, not_testable, untested
from audit.stats.effects import effects
from audit.stats.features import PARTS, Feature, features, measure
from audit.stats.fractional import fractional_logit
from audit.stats.groupings import Grouping, groupings
from audit.stats.intervals import BoolArray, missing, noting
from audit.stats.matching import (
    CONFIDENCE_ALONE,
    LIMIT,
    Comparison,
    Sample,
    confidence_bins,
    incomparable,
    matching_note,
    no_stratum,
    rows_sampled,
    sampled,
)
from audit.stats.multiplicity import every
from audit.stats.placebos import Pool
from audit.stats.tests import UNIT, RankEffect, omnibus
from audit.stats.twins import referenced, twin_details
from audit.tables import FloatArray, IntArray

TWINS: Final = "reference of twins"
LOGIT: Final = "fractional logit with the declared covariates"
ZEROS: Final = (0.1, 0.9)  # shares of zeros between which presence and amount are tested too


def disparity_cases(evidence: Evidence, pool: Pool | None) -> Sequence[Case]:
    """Each feature between the groups of each attribute, at equal label, prediction and confidence."""
    cases: list[Case] = []
    asked = features(evidence)
    for grouping in groupings(evidence):
        mine = [f for f in asked if f.attribute not in grouping.attributes]
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
        sides=compared.sides, rows=compared.rows & correct, side=compared.side, matched=CONFIDENCE_ALONE,
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
            continue
        cases.append(_case(evidence, feature, compared, sample, grouping))
        for part in feature.parts if _often_zero(sample.values) else ():
            inside = sampled(evidence, part, compared)
            reason = incomparable(evidence, compared, inside)
            if reason:
                lacking[f"{feature.name} {PARTS[part.part].words}"] = reason
            else:
                cases.append(_case(evidence, part, compared, inside, grouping))
    return cases, lacking


def _often_zero(values: FloatArray) -> bool:
    """One test of all values would mix how often they exceed 0 with how far."""
    return bool(ZEROS[0] <= (values == 0).mean() <= ZEROS[1] and (values >= 0).all())


@final
@dataclass(frozen=True, slots=True)
class _Said:
    """What one test says: its p, None where it has none and `why`, and the direction in which it sees the difference."""

    test: str
    p: float | None
    sign: float
    why: str = ""


@final
@dataclass(frozen=True, slots=True)
class _Tested:
    """What all tests say of one sample; every one must show a difference, in the same direction. `lacking`: why one has no p."""

    effect: RankEffect
    tests: tuple[_Said, ...]
    opinions: tuple[Opinion, ...]
    lacking: str
    details: Mapping[str, JsonValue]

    @property
    def p(self) -> float | None:
        """The largest, and 1 where directions differ."""
        return None if self.lacking else every([said.p for said in self.tests], (said.sign for said in self.tests))

    @property
    def note(self) -> str:
        """Which tests see another direction than the first, or that untrained copies decide."""
        other = [said.test for said in self.tests if said.sign != self.tests[0].sign]
        if other and self.p is not None:
            return f"; in the other direction, so that this is no finding (p 1): {', '.join(other)}"
        p = {said.test: said.p or 0.0 for said in self.tests}
        if TWINS not in p or p[TWINS] <= max(0.05, *(p[name] for name in p if name != TWINS)):
            return ""
        return f"; untrained copies of the network differ about as much (p {p[TWINS]:.3f}), which decides here"

    def estimate(self, level: float) -> Estimate:
        """Delta with its interval at `level`, and what is lacking as the reason."""
        return noting(self.effect.estimate(level), self.lacking)


def _tested(evidence: Evidence, feature: Feature, compared: Comparison, sample: Sample) -> _Tested:
    effect, others = sample.effect(), evidence.composites[1:]
    permuted, permutation = sample.permuted(
        evidence.rng(_key(feature, compared)), evidence.config.statistics.permutations
    )
    sign, again = float(np.sign(effect.delta)), {c: sampled(evidence, feature, compared, c).effect() for c in others}
    twins, about_twins, lacking = _reference(evidence, feature, compared)
    logit, about_logit = _adjusted(evidence, sample)
    rest = [_Said(name, other.p, float(np.sign(other.delta)), other.reason) for name, other in again.items()]
    tests = (
        _Said("stratified Brunner-Munzel", effect.p, sign),
        _Said(permutation, permuted, sign),
        *twins,
        *logit,
        *rest,
    )
    return _Tested(
        effect,
        tests,
        tuple(Opinion(composite=name, estimate=other.estimate(0.95), p=other.p) for name, other in again.items()),
        "; ".join(
            filter(
                None, (lacking, *(f"{said.test}: {said.why or 'no p'}" for said in (*logit, *rest) if said.p is None))
            )
        ),
        {**about_twins, **about_logit},
    )


def _key(feature: Feature, compared: Comparison) -> str:
    return ".".join(filter(None, (compared.question, feature.name, compared.id, feature.part)))


def _case(
    evidence: Evidence, feature: Feature, compared: Comparison, sample: Sample, grouping: Grouping | None
) -> Case:  # fmt: skip
    note, matching = matching_note(compared, sample)
    found = _tested(evidence, feature, compared, sample)
    part = {"part": PARTS[feature.part].words} if feature.part else {}
    return Case(
        id=_key(feature, compared),
        question=compared.question,
        attribute=compared.attribute,
        groups=compared.groups,
        estimand=_estimand(evidence, feature, compared),
        test=f"largest p of {', '.join(said.test for said in found.tests)}",
        p=found.p,
        estimate=found.estimate,
        margin=compared.margin,
        composite=evidence.composites[0],
        resamples=None if found.tests[1].test.endswith(LIMIT) else evidence.config.statistics.permutations,
        opinions=found.opinions,
        details={feature.kind: feature.name, **part, **matching, **found.details},
        note=note + found.note,
        omnibus=_omnibus(evidence, feature, grouping),
        checks=_checks(evidence, feature, compared),
        variants=(
            *_supposed(evidence, feature, compared, sample, grouping),
            *(
                _again(evidence, changed, other, compared, sample, grouping)
                for changed, other in feature.varied.items()
            ),
        ),
    )


def _checks(evidence: Evidence, feature: Feature, compared: Comparison) -> tuple[Check, ...]:
    """The sides compared, in strata of the same kind, on what hiding the feature does; of the whole values, not of their parts."""
    values = {} if feature.part else effects(evidence, (feature.name,), evidence.config.statistics.sign)
    hidden = replace(feature, values=values, twins=np.zeros((0, 0)), varied={})
    return tuple(Check(by=fill, estimate=_compared(evidence, hidden, compared, fill)) for fill in values)


def _compared(evidence: Evidence, hidden: Feature, compared: Comparison, fill: str) -> Estimate:
    sample = sampled(evidence, hidden, compared, fill)
    reason = incomparable(evidence, compared, sample)
    return missing(reason, level=0.95, unit=UNIT) if reason else sample.effect().estimate(0.95)


def _again(
    evidence: Evidence, changed: str, feature: Feature, compared: Comparison, sample: Sample, grouping: Grouping | None
) -> Variant:  # fmt: skip
    """The same tests under another choice; those of the `sample` that it leaves without the feature are dropped."""
    again = sampled(evidence, feature, compared)
    reason = incomparable(evidence, compared, again)
    if reason:
        return untested(changed, reason, QUESTIONS[compared.question].put[evidence.config.task].scale)
    found, lost = _tested(evidence, feature, compared, again), len(np.setdiff1d(sample.rows, again.rows))

    def estimate(level: float) -> Estimate:
        bare = found.estimate(level)
        return bare.model_copy(update={"dropped": bare.dropped + lost})

    return Variant(changed, found.p, estimate, _omnibus(evidence, feature, grouping, changed))


def _supposed(
    evidence: Evidence, feature: Feature, compared: Comparison, sample: Sample, grouping: Grouping | None
) -> Iterator[Variant]:
    """Unknown groups split by their values at the median: near the extremes of what they could do to the difference."""
    values = feature.values[evidence.composites[0]]
    if grouping is None or not (grouping.unknown & np.isfinite(values)).any():
        return
    high = values > np.nanmedian(values[grouping.unknown])
    for raised, towards in ((True, "high"), (False, "low")):
        column, asked = grouping.supposing(high == raised, *compared.groups), compared.rows | grouping.unknown
        twins = None if compared.twin_rows is None else compared.twin_rows | grouping.unknown
        again = replace(compared, side=column == compared.groups[0], rows=asked, twin_rows=twins)
        changed = f"unknown groups with {towards} values counted as {compared.groups[0]}"
        yield _again(evidence, changed, feature, again, sample, replace(grouping, column=column))


def _adjusted(evidence: Evidence, sample: Sample) -> tuple[tuple[_Said, ...], dict[str, JsonValue]]:
    """Difference of mean shares at equal covariates, label and confidence; nothing where no covariate is declared."""
    examples, rows = evidence.examples, sample.rows
    if not examples.covariates:
        return (), {}
    labels = examples.label[rows][:, None] == np.arange(1, len(evidence.classes))
    columns = [values[rows] for values in examples.covariates.values()]
    estimate, p = fractional_logit(
        np.clip(sample.values, 0, 1), sample.side, covariates=np.column_stack([*columns, examples.confidence[rows], labels]),
        cluster=sample.cluster,
    )  # fmt: skip
    said = _Said(LOGIT, p, float(np.sign(estimate.value or 0.0)), estimate.reason)
    return (said,), {LOGIT: estimate.model_dump(), f"p of the {LOGIT}": p}


def _estimand(evidence: Evidence, feature: Feature, compared: Comparison) -> Estimand:
    names, part = {"matched": compared.matched, **compared.estimand}, PARTS.get(feature.part)
    measured = measure(evidence.config.statistics.sign) + (f", {part.words}" if part else "")
    put = QUESTIONS[compared.question].put[evidence.config.task]
    return put.estimand(evidence.config.task, measure=measured, feature=feature.words, **names)


def _omnibus(evidence: Evidence, feature: Feature, grouping: Grouping | None, changed: str = "") -> float | None:
    """p of no difference between any of more than two groups, within the same strata as their pairs."""
    if grouping is None:
        return None
    values, examples = feature.values[evidence.composites[0]], evidence.examples

    def test() -> float | None:
        rows = np.flatnonzero(grouping.known & np.isfinite(values))
        strata = confidence_bins(examples.label[rows], examples.predicted[rows], examples.confidence[rows])
        return omnibus(values[rows], grouping.code[rows], cluster=examples.cluster[rows], strata=strata)

    return grouping.omnibus(f"{feature.name}.{feature.part}.{changed}", test)


def _reference(
    evidence: Evidence, feature: Feature, compared: Comparison
) -> tuple[tuple[_Said, ...], Mapping[str, JsonValue], str]:
    """The trained delta among the twins' on their images, what to record, and why there is no p where one is due."""
    regions = evidence.regions
    if regions is None or compared.twin_rows is None or not len(feature.twins):
        return (), {}, ""
    chosen, examples = regions.twin_rows, evidence.examples
    values, asked = feature.values[evidence.composites[0]][chosen], compared.rows[chosen]
    own = _delta(evidence, compared, chosen, asked, values, examples.predicted[chosen], examples.confidence[chosen])
    twins = np.array([
        _delta(evidence, compared, chosen, compared.twin_rows[chosen], *twin)
        for twin in zip(feature.twins, regions.twin_predicted, regions.twin_confidence, strict=True)
    ])  # fmt: skip
    p, t = referenced(own, twins)
    reason = "" if p is not None else "the untrained copies do not differ from each other, so they are no reference"
    usable, asked_for = int(np.isfinite(twins).sum()), min(FEWEST_TWINS, len(twins))
    if np.isnan(own) or usable < asked_for:
        reason = f"{usable} untrained copies have both sides in one stratum, {asked_for} are needed: raise statistics.twin_examples"
    details = {**twin_details(p, t, twins), "delta on the twins' images": None if np.isnan(own) else own}
    return (_Said(TWINS, p, float(np.sign(t or 0.0))),), details, reason


def _delta(
    evidence: Evidence, compared: Comparison, chosen: IntArray, asked: BoolArray, values: FloatArray, predicted: IntArray,
    confidence: FloatArray,
) -> float:  # fmt: skip
    """Cliff's delta of one model on the images the twins explained; NaN where no stratum holds both sides."""
    keep = asked & np.isfinite(values)
    if not keep.any():
        return float("nan")
    effect = rows_sampled(evidence, compared, chosen[keep], values[keep], predicted[keep], confidence[keep]).effect()
    return float("nan") if effect.reason else effect.delta
