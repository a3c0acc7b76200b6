"""Cases on predictions: rates of groups, what links them to relevance, and the effect of swapped words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from scipy import special

from audit.questions import QUESTIONS
from audit.records import Check
from audit.stats.cases import Case, Evidence, Variant, not_testable
from audit.stats.counts import mcnemar
from audit.stats.effects import effects, swapped
from audit.stats.features import Feature, features, measure
from audit.stats.groupings import Grouping, groupings
from audit.stats.intervals import BoolArray, mean_interval
from audit.stats.performance import MEASURES, Gap, equal_rates, outcome_gaps
from audit.stats.placebos import Pool
from audit.stats.rates import RateGap, rate, wilson
from audit.stats.stratified import common_odds
from audit.stats.tests import omnibus, sign_flip
from audit.tables import FloatArray, IntArray, SwapTable

THIRDS: Final = ("third with least relevance there", "middle third", "third with most")


def intervention_cases(evidence: Evidence, pool: Pool | None) -> Sequence[Case]:
    """Paired term swaps between two groups: effect on the contrast logit, and flips."""
    cases: list[Case] = []
    smallest = evidence.config.statistics.min_group_size
    for attribute, table in evidence.swaps.items():
        counted = Counter(
            tuple(sorted(pair)) for pair in zip(table.source.tolist(), table.target.tolist(), strict=True)
        )
        for (name, other), n in sorted(counted.items()):
            if n >= smallest:
                cases += _swap_cases(evidence, attribute, table, name, other)
        short = {pair: n for pair, n in sorted(counted.items()) if n < smallest}
        if short or not counted:
            listed = ", ".join(f"{name}-{other} {n}" for (name, other), n in short.items()) or "none"
            names = tuple(dict.fromkeys(name for pair in short for name in pair))
            reason = f"texts that can be swapped: {listed}; {smallest} are needed"
            cases.append(not_testable(evidence, "intervention", attribute, names, reason))
    return cases


def _swap_cases(evidence: Evidence, attribute: str, table: SwapTable, name: str, other: str) -> list[Case]:
    """Two cases a pair: mean effect on the contrast logit, and how often the prediction flips."""
    forward, (rows, effect) = table.source == other, swapped(table, name, other)
    delta = effect / evidence.scale
    flipped = (table.predicted != evidence.examples.predicted[table.example])[rows]
    cluster = evidence.examples.cluster[table.example[rows]]
    margins, resamples = evidence.config.margins, evidence.config.statistics.permutations
    before, after = _favoured(evidence, table, rows, forward)
    changed = mcnemar(before, after)
    details: dict[str, JsonValue] = {
        "texts swapped": len(delta),
        f"from {other} to {name}": int(forward[rows].sum()),
        f"favourable with {name} words only": changed.gained,
        f"favourable with {other} words only": changed.lost,
        "p of equal changes (exact McNemar, texts as independent)": changed.p,
    }
    shared = {"question": "intervention", "attribute": attribute, "groups": (name, other)}
    key, put = f"{attribute}.{name}-{other}", QUESTIONS["intervention"].put["text"]
    what = "change of the contrast logit in sd", "share of predictions that change"
    return [
        Case(
            id=f"intervention.{key}",
            estimand=put.estimand("text", measure=what[0], group=name, other=other),
            test="sign flips of clusters",
            p=sign_flip(delta, cluster=cluster, rng=evidence.rng(f"intervention.{key}"), resamples=resamples),
            estimate=lambda level: mean_interval(delta, cluster=cluster, level=level, unit=put.scale),
            margin=margins.swap,
            resamples=resamples,
            details=details,
            **shared,  # type: ignore[arg-type]
        ),
        Case(
            id=f"intervention.flips.{key}",
            estimand=put.estimand("text", measure=what[1], group=name, other=other),
            test="binomial test of a rate above the margin",
            p=_above(flipped, cluster, margins.flips),
            estimate=lambda level: wilson(flipped, cluster=cluster, level=level, unit=what[1]),
            margin=margins.flips,
            origin=margins.flips,
            details=details | {"measure": "flips"},
            **shared,  # type: ignore[arg-type]
        ),
    ]


def _favoured(evidence: Evidence, table: SwapTable, rows: BoolArray, forward: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Whether each swapped text is predicted favourable with the other group's words, and with the group's own."""
    original = evidence.examples.predicted[table.example] == evidence.favourable
    swapped = table.predicted == evidence.favourable
    return np.where(forward, original, swapped)[rows], np.where(forward, swapped, original)[rows]


def _above(successes: NDArray[np.bool_], cluster: IntArray, margin: float) -> float:
    """One-sided p of a rate above `margin`: exact binomial, in clusters at the effective sample size (as an incomplete beta integral)."""
    found = rate(successes, cluster=cluster)
    k = found.value * found.n
    return float(special.betainc(k, found.n - k + 1, margin)) if k > 0 else 1.0


def outcome_cases(evidence: Evidence, pool: Pool | None) -> Sequence[Case]:
    """Rates of each group against the reference, the other or the rest."""
    cases: list[Case] = []
    for grouping in groupings(evidence):
        gaps = _gaps(evidence, grouping, grouping.column, grouping.pairs, tuple(MEASURES))
        lacking = {gap: gap.difference().reason for gap in gaps if gap.difference().value is None}
        cases += [_outcome_case(evidence, grouping, gap) for gap in gaps if gap not in lacking]
        short = [*grouping.set_aside, *(f"{gap.measure}: {reason}" for gap, reason in lacking.items())]
        if short:
            names = (*sorted({gap.group for gap in lacking}), *grouping.small)
            cases.append(not_testable(evidence, "outcome", grouping.attribute, names, "; ".join(short)))
    return cases


def _gaps(
    evidence: Evidence, grouping: Grouping, column: NDArray[np.str_], pairs: Sequence[tuple[str, str]],
    measures: tuple[str, ...],
) -> tuple[Gap, ...]:  # fmt: skip
    examples = evidence.examples
    return outcome_gaps(
        examples.label, examples.predicted, column, pairs, favourable=evidence.favourable, cluster=examples.cluster,
        min_group_size=evidence.config.statistics.min_group_size, among=grouping.names, measures=measures,
    )  # fmt: skip


def _outcome_case(evidence: Evidence, grouping: Grouping, gap: Gap) -> Case:
    attribute, (rate, other) = grouping.attribute, gap.rates
    put = QUESTIONS["outcome"].put[evidence.config.task]
    return Case(
        id=f"outcome.{gap.measure.replace(' ', '_')}.{attribute}.{gap.group}-{gap.reference}",
        question="outcome",
        attribute=attribute,
        groups=(gap.group, gap.reference),
        estimand=put.estimand(evidence.config.task, measure=gap.measure, group=gap.group, other=gap.reference),
        test=gap.test,
        p=gap.p,
        estimate=gap.difference,
        margin=evidence.config.margins.outcome,
        details={
            "measure": gap.measure,
            "meaning": MEASURES[gap.measure].words,
            "rate": rate.model_dump(),
            "reference rate": other.model_dump(),
            **(_within_classes(evidence, grouping, gap) if gap.measure == "error rate" else {}),
        },
        omnibus=_omnibus(evidence, grouping, gap.measure),
        variants=_supposed(evidence, grouping, gap),
    )


def _supposed(evidence: Evidence, grouping: Grouping, gap: Gap) -> tuple[Variant, ...]:
    """The extremes over all values that the unknown groups could have: events all on one side, the rest on the other."""
    examples, measured = evidence.examples, MEASURES[gap.measure]
    if not (grouping.unknown & measured.rows_of(examples.label, evidence.favourable)).any():
        return ()
    event = measured.event_of(examples.label, examples.predicted, evidence.favourable)
    return tuple(
        _with_groups(evidence, grouping, gap, grouping.supposing(event == raised, gap.group, gap.reference), towards)
        for raised, towards in ((True, "largest"), (False, "smallest"))
    )


def _with_groups(evidence: Evidence, grouping: Grouping, gap: Gap, column: NDArray[np.str_], towards: str) -> Variant:
    again = _gaps(evidence, grouping, column, [(gap.group, gap.reference)], (gap.measure,))[0]
    return Variant(
        f"unknown groups such that the difference is {towards}", again.p, again.difference,
        _omnibus(evidence, replace(grouping, column=column), gap.measure),
    )  # fmt: skip


def _omnibus(evidence: Evidence, grouping: Grouping, name: str) -> float | None:
    examples, measured = evidence.examples, MEASURES[name]

    def test() -> float | None:
        rows = np.flatnonzero(grouping.known & measured.rows_of(examples.label, evidence.favourable))
        event = measured.event_of(examples.label[rows], examples.predicted[rows], evidence.favourable)
        return omnibus(event.astype(float), grouping.code[rows], cluster=examples.cluster[rows])

    return grouping.omnibus(name, test)


def _within_classes(evidence: Evidence, grouping: Grouping, gap: Gap) -> dict[str, JsonValue]:
    """Odds of an error at equal true class, and whether they are the same in every class; of rows as if independent."""
    examples = evidence.examples
    rows = np.flatnonzero(grouping.rows(gap.group, gap.reference))
    wrong = examples.label[rows] != examples.predicted[rows]
    odds = common_odds(wrong, grouping.column[rows] == gap.group, strata=examples.label[rows])
    if odds is None:
        return {}
    return {
        "odds ratio of an error within true classes": odds.ratio.model_dump(),
        "p of equal odds within true classes (Cochran-Mantel-Haenszel)": odds.p,
        "p of one odds ratio in all classes (Breslow-Day, Tarone)": odds.p_equal,
    }


def link_cases(evidence: Evidence, pool: Pool | None) -> Sequence[Case]:
    """Error rate of each group's third with most relevance on a feature against the third with least."""
    cases: list[Case] = []
    asked = features(evidence)
    for grouping in groupings(evidence):
        short: list[str] = []
        for feature in asked:
            for name in grouping.names:
                case = _link_case(evidence, grouping, feature, name)
                cases += [case] if case else []
                short += [] if case else [f"{feature.words} of {name}"]
        if short:
            smallest = evidence.config.statistics.min_group_size
            reason = f"fewer than {smallest} examples with relevance in a third: {', '.join(short)}"
            cases.append(not_testable(evidence, "link", grouping.attribute, grouping.names, reason))
    return cases


def _thirds(
    evidence: Evidence, grouping: Grouping, name: str, values: FloatArray
) -> tuple[BoolArray, IntArray, IntArray] | None:
    """Of a group's examples that have a value: which are wrong, their third, their cluster; None where a third is too small."""
    examples = evidence.examples
    held = np.flatnonzero((grouping.column == name) & np.isfinite(values))
    third = np.searchsorted(np.quantile(values[held], (1 / 3, 2 / 3)) if len(held) else np.zeros(2), values[held])
    if min(np.bincount(third, minlength=3)) < evidence.config.statistics.min_group_size:
        return None
    return examples.label[held] != examples.predicted[held], third, examples.cluster[held]


def _ends(wrong: BoolArray, third: IntArray, cluster: IntArray) -> tuple[RateGap, float | None, str]:
    """Errors in the last third against the first."""
    ends = third != 1
    return equal_rates(wrong[ends], third[ends] == 2, cluster=cluster[ends])


def _link_checks(evidence: Evidence, grouping: Grouping, feature: Feature, name: str, unit: str) -> tuple[Check, ...]:
    """The same thirds by what hiding the feature does."""
    hidden = effects(evidence, (feature.name,), evidence.config.statistics.sign)
    thirds = {fill: _thirds(evidence, grouping, name, values) for fill, values in hidden.items()}
    return tuple(
        Check(by=fill, estimate=_ends(*found)[0].estimate(0.95, unit=unit)) for fill, found in thirds.items() if found
    )


def _link_case(evidence: Evidence, grouping: Grouping, feature: Feature, name: str) -> Case | None:
    task, values = evidence.config.task, feature.values[evidence.composites[0]]
    thirds = _thirds(evidence, grouping, name, values)
    if thirds is None:
        return None
    wrong, third, unit = thirds
    gap, p, test = _ends(*thirds)
    put = QUESTIONS["link"].put[task]
    rates = {
        word: wilson(wrong[third == i], cluster=unit[third == i], unit="error rate") for i, word in enumerate(THIRDS)
    }
    return Case(
        id=f"link.{feature.name}.{grouping.attribute}.{name}",
        question="link",
        attribute=grouping.attribute,
        groups=(name,),
        estimand=put.estimand(
            task, measure=measure(evidence.config.statistics.sign), feature=feature.words, group=name
        ),
        test=test,
        p=p,
        estimate=lambda level: gap.estimate(level, unit=put.scale),
        composite=evidence.composites[0],
        checks=_link_checks(evidence, grouping, feature, name, put.scale),
        details={
            feature.kind: feature.name,
            **{f"error rate, {word}": rate.model_dump() for word, rate in rates.items()},
        },
        note="confidence is not matched here, and errors are less confident; see misclassified against correct",
    )
