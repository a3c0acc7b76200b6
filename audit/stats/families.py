"""From tables to findings: each declared question collects its cases, Holm runs within the family, every case gets a verdict.

A case carries its estimate as a function of the interval's level, because the level depends on how many cases are testable.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from scipy import stats as distributions

from audit.config import Config
from audit.records import (
    Estimate,
    ExampleTable,
    Finding,
    FloatArray,
    GroupTable,
    IntArray,
    Opinion,
    SwapTable,
    Test,
    TermEffect,
    Verdict,
    WordTable,
)
from audit.stats.intervals import effective_n, mean_interval, missing, wilson
from audit.stats.multiplicity import adjusted_level, holm
from audit.stats.nulls import Pool, PlaceboTest, build_pool, contrast, contrast_test, enrichment, reliance_test, usable
from audit.stats.performance import MEASURES, Gap, outcome_gaps
from audit.stats.questions import QUESTIONS
from audit.stats.tests import brunner_munzel, sign_flip, stratified_permutation
from audit.stats.verdicts import decide, detectable_against, detectable_effect, needed_n, standard_error

NO_GROUP = ("none", "several", "unknown")


@final
@dataclass(frozen=True, slots=True)
class Evidence:
    """What the questions are asked of. `mentions[attribute]` names the group each text mentions; `swaps[attribute]` its interventions."""

    config: Config
    examples: ExampleTable
    words: WordTable
    groups: GroupTable
    mentions: Mapping[str, NDArray[np.str_]]
    swaps: Mapping[str, SwapTable]
    composites: tuple[str, ...]
    favourable: int

    @property
    def scale(self) -> float:
        """Standard deviation of the contrast logit over the audit set: the unit of effects."""
        return float(self.examples.margin.std(ddof=1))


@final
@dataclass(frozen=True, slots=True)
class Case:
    """One hypothesis before its family is known. `estimate(level)` gives the interval at that level."""

    id: str
    question: str
    attribute: str
    groups: tuple[str, ...]
    estimand: str
    test: str
    p: float | None
    estimate: Callable[[float], Estimate]
    margin: float | None = None
    composite: str | None = None
    resamples: int | None = None
    opinions: tuple[Opinion, ...] = ()
    null: FloatArray = field(default_factory=lambda: np.zeros(0))
    details: Mapping[str, JsonValue] = field(default_factory=dict)


def answer(evidence: Evidence, rng: Mapping[str, np.random.Generator]) -> tuple[Finding, ...]:
    """Every finding of every question; `rng` has one generator per question, so that adding one changes no other."""
    pool = build_pool(evidence.words)
    findings: list[Finding] = []
    for question, collect in COLLECTORS.items():
        cases = list(collect(evidence, pool, rng[question]))
        findings += _settle(cases, evidence.config)
    return tuple(findings)


def _settle(cases: Sequence[Case], config: Config) -> list[Finding]:
    """Holm within the family, intervals at the family's level, verdicts."""
    alpha = config.statistics.alpha
    adjusted = holm([case.p for case in cases])
    m = sum(p is not None for p in adjusted)
    return [_finding(case, p, m, config, alpha) for case, p in zip(cases, adjusted, strict=True)]


def _finding(case: Case, p_adjusted: float | None, m: int, config: Config, alpha: float) -> Finding:
    estimate = case.estimate(adjusted_level(alpha, m))
    verdict, reason = decide(estimate, case.estimate(1 - 2 * alpha), p_adjusted, case.margin, alpha)
    inconclusive = verdict is Verdict.INCONCLUSIVE
    if inconclusive and case.question == "reliance":
        reason = "not shown to be among the most used word groups, which never says unused"
    return Finding(
        id=case.id,
        question=case.question,
        attribute=case.attribute,
        groups=case.groups,
        composite=case.composite,
        estimand=case.estimand,
        estimate=estimate,
        test=Test(
            name=case.test,
            p=case.p,
            p_adjusted=p_adjusted,
            family=QUESTIONS[case.question].family,
            m=m,
            resamples=case.resamples,
        ),
        margin=case.margin,
        verdict=verdict,
        reason=reason,
        gate=case.question in config.gates,
        second_opinion=case.opinions,
        detectable=_detectable(case, estimate, alpha / max(m, 1)) if inconclusive else None,
        needed_n=_needed(case, estimate, alpha) if inconclusive else None,
        null=tuple(case.null.tolist()),
        details=dict(case.details),
    )


def _detectable(case: Case, estimate: Estimate, alpha: float) -> float | None:
    se = standard_error(estimate)
    if se is None or not estimate.clusters:
        return None
    if not len(case.null):
        return detectable_effect(se, estimate.clusters - 1, alpha)
    return float(np.mean(case.null)) + detectable_against(case.null, se, alpha)


def _needed(case: Case, estimate: Estimate, alpha: float) -> int | None:
    se = standard_error(estimate)
    return None if se is None or case.margin is None else needed_n(se, estimate.n, case.margin, alpha)


def _reliance(evidence: Evidence, pool: Pool, rng: np.random.Generator) -> Sequence[Case]:
    config = evidence.config.statistics
    cases, first = [], evidence.composites[0]
    for attribute, groups in _by_attribute(evidence.words).items():
        for group, types in _testable(pool, groups, evidence.config).items():
            kept = usable(pool, types, min_examples=config.min_examples_per_term)
            tests = reliance_test(
                pool, types, evidence.composites, cluster=evidence.examples.cluster, k=config.placebos, rng=rng,
                min_terms=config.min_terms, min_examples=config.min_examples_per_term,
            )  # fmt: skip
            cases.append(
                _placebo_case(
                    "reliance", attribute, (group,), first, tests,
                    lambda level, kept=kept: enrichment(pool, kept, first, cluster=evidence.examples.cluster, level=level),
                )
            )  # fmt: skip
        cases += _untestable("reliance", attribute, pool, groups, evidence.config)
    return cases


def _contrast(evidence: Evidence, pool: Pool, rng: np.random.Generator) -> Sequence[Case]:
    config = evidence.config.statistics
    cases, first, cluster = [], evidence.composites[0], evidence.examples.cluster
    for attribute, groups in _by_attribute(evidence.words).items():
        testable = _testable(pool, groups, evidence.config)
        for (name, a), (other, b) in _pairs(testable):
            kept = [usable(pool, types, min_examples=config.min_examples_per_term) for types in (a, b)]
            tests = contrast_test(
                pool, a, b, evidence.composites, cluster=cluster, scale=evidence.scale, k=config.placebos, rng=rng,
                min_terms=config.min_terms, min_examples=config.min_examples_per_term,
            )  # fmt: skip
            cases.append(
                _placebo_case(
                    "contrast", attribute, (name, other), first, tests,
                    lambda level, kept=kept: contrast(
                        pool, kept[0], kept[1], first, cluster=cluster, scale=evidence.scale, level=level
                    ),
                    margin=evidence.config.margins.contrast,
                )
            )  # fmt: skip
        cases += _untestable("contrast", attribute, pool, groups, evidence.config, alone=len(testable) == 1)
    return cases


def _placebo_case(
    question: str, attribute: str, groups: tuple[str, ...], first: str, tests: Mapping[str, PlaceboTest],
    estimate: Callable[[float], Estimate], margin: float | None = None,
) -> Case:  # fmt: skip
    """A finding needs every composite: p is the largest, and composites of opposite sign never make a difference."""
    values = [test.p for test in tests.values() if test.p is not None]
    signs = {
        np.sign(test.estimate.value - np.median(test.null))
        for test in tests.values()
        if test.estimate.value is not None
    }
    p = None if len(values) < len(tests) else 1.0 if question == "contrast" and len(signs) > 1 else max(values)
    placebos = tests[first].placebos
    return Case(
        id=".".join((question, attribute, "-".join(groups))),
        question=question,
        attribute=attribute,
        groups=groups,
        estimand=QUESTIONS[question].estimand.format(group=groups[0], other=groups[-1]),
        test=f"rank among {len(tests[first].null)} placebo {'pairs' if len(placebos) == 2 else 'groups'}, largest p of {len(tests)} composites",
        p=p,
        estimate=lambda level: _noting(estimate(level), tests[first].estimate.reason),
        margin=margin,
        composite=first,
        resamples=len(tests[first].null),
        opinions=tuple(
            Opinion(composite=name, estimate=test.estimate, p=test.p) for name, test in tests.items() if name != first
        ),
        null=tests[first].null,
        details={
            "candidates per term": [int(n) for each in placebos for n in each.candidates],
            "p of the first composite": tests[first].p,
            "coherence of the groups": [round(each.coherence, 3) for each in placebos],
            "coherence of the placebos": [round(float(np.mean(each.matched)), 3) for each in placebos],
        },
    )


def _noting(estimate: Estimate, reason: str) -> Estimate:
    return estimate.model_copy(update={"reason": reason}) if reason and estimate.value is not None else estimate


def _intervention(evidence: Evidence, pool: Pool, rng: np.random.Generator) -> Sequence[Case]:
    cases: list[Case] = []
    for attribute, table in evidence.swaps.items():
        pairs = sorted({tuple(sorted(pair)) for pair in zip(table.source.tolist(), table.target.tolist(), strict=True)})
        for name, other in pairs:
            cases += _swap_cases(evidence, attribute, table, name, other, rng)
    return cases


def _swap_cases(
    evidence: Evidence, attribute: str, table: SwapTable, name: str, other: str, rng: np.random.Generator
) -> list[Case]:
    """Two cases a pair: mean effect on the contrast logit, and how often the prediction flips."""
    forward = (table.source == other) & (table.target == name)
    rows = forward | ((table.source == name) & (table.target == other))
    delta = (np.where(forward, table.delta, -table.delta) / evidence.scale)[rows]
    flipped, cluster = table.flipped[rows], evidence.examples.cluster[table.example[rows]]
    config, margins = evidence.config.statistics, evidence.config.margins
    few = len(delta) < config.min_group_size
    reason = f"{len(delta)} texts can be swapped; {config.min_group_size} are needed"
    details: dict[str, JsonValue] = {"texts swapped": len(delta), f"from {other} to {name}": int(forward[rows].sum())}

    def effect(level: float) -> Estimate:
        unit = QUESTIONS["intervention"].unit
        return (
            missing(reason, level=level, unit=unit, n=len(delta))
            if few
            else mean_interval(delta, cluster=cluster, level=level, unit=unit)
        )

    def flips(level: float) -> Estimate:
        unit = "share of predictions flipped"
        return (
            missing(reason, level=level, unit=unit, n=len(delta))
            if few
            else wilson(flipped, cluster=cluster, level=level, unit=unit)
        )

    p = None if few else sign_flip(delta, cluster=cluster, rng=rng, resamples=config.permutations)
    shared = {"question": "intervention", "attribute": attribute, "groups": (name, other), "details": details}
    key = f"{attribute}.{name}-{other}"
    return [
        Case(
            id=f"intervention.{key}",
            estimand=QUESTIONS["intervention"].estimand.format(group=other, other=name),
            test="sign flips of clusters",
            p=p,
            estimate=effect,
            margin=margins.swap,
            resamples=config.permutations,
            **shared,  # type: ignore[arg-type]
        ),
        Case(
            id=f"intervention.flips.{key}",
            estimand=f"share of predictions that change when {name} and {other} words are swapped",
            test="score test of a rate above the margin",
            p=None if few else _above(flipped, cluster, margins.flips),
            estimate=flips,
            margin=margins.flips,
            **shared,  # type: ignore[arg-type]
        ),
    ]


def _above(successes: NDArray[np.bool_], cluster: IntArray, margin: float) -> float:
    """One-sided p of a rate above `margin` at the effective sample size."""
    n = effective_n(successes, cluster)
    return float(distributions.norm.sf((successes.mean() - margin) / np.sqrt(margin * (1 - margin) / n)))


def _outcome(evidence: Evidence, pool: Pool, rng: np.random.Generator) -> Sequence[Case]:
    cases: list[Case] = []
    for attribute, column in _columns(evidence).items():
        gaps = _Gaps(evidence, column)
        short = []
        for key, gap in gaps.at(0.95).items():
            if gap.difference.value is None:
                short.append(f"{gap.measure}: {gap.difference.reason}")
            else:
                cases.append(_outcome_case(attribute, gaps, key, evidence.config.margins.outcome))
        if short:
            names = tuple(sorted({gap.group for gap in gaps.at(0.95).values() if gap.difference.value is None}))
            cases.append(_not_testable("outcome", attribute, names, "; ".join(short)))
    return cases


def _columns(evidence: Evidence) -> dict[str, NDArray[np.str_]]:
    """Group of each example by what its text mentions and by the data's own columns."""
    mentioned = {f"{name} (mentioned)": column for name, column in evidence.mentions.items()}
    return {**mentioned, **evidence.examples.attributes}


@final
@dataclass(frozen=True, slots=True)
class _Gaps:
    """The outcome gaps of one column at any level, each level computed once."""

    evidence: Evidence
    column: NDArray[np.str_]
    known: dict[float, dict[tuple[str, str], Gap]] = field(default_factory=dict)

    def at(self, level: float) -> dict[tuple[str, str], Gap]:
        """Gaps by measure and group."""
        if level not in self.known:
            examples = self.evidence.examples
            found = outcome_gaps(
                examples.label, examples.predicted, self.column, favourable=self.evidence.favourable, cluster=examples.cluster,
                level=level, min_group_size=self.evidence.config.statistics.min_group_size, unknown=NO_GROUP,
            )  # fmt: skip
            self.known[level] = {(gap.measure, gap.group): gap for gap in found}
        return self.known[level]


def _outcome_case(attribute: str, gaps: _Gaps, key: tuple[str, str], margin: float) -> Case:
    gap = gaps.at(0.95)[key]
    return Case(
        id=f"outcome.{gap.measure.replace(' ', '_')}.{attribute}.{gap.group}-{gap.reference}",
        question="outcome",
        attribute=attribute,
        groups=(gap.group, gap.reference),
        estimand=QUESTIONS["outcome"].estimand.format(measure=gap.measure, group=gap.group, other=gap.reference),
        test="score test of two rates at the effective sample size",
        p=gap.p,
        estimate=lambda level: gaps.at(level)[key].difference,
        margin=margin,
        details={
            "measure": gap.measure,
            "meaning": MEASURES[gap.measure].words,
            "rate": gap.rate.model_dump(),
            "reference rate": gap.reference_rate.model_dump(),
        },
    )


def _disparity(evidence: Evidence, pool: Pool, rng: np.random.Generator) -> Sequence[Case]:
    """Relevance of one attribute's words between the groups of another: only there do both groups have the feature."""
    cases: list[Case] = []
    for attribute, column in _columns(evidence).items():
        names = [name for name in np.unique(column).tolist() if name not in NO_GROUP]
        pairs = [(names[0], names[1])] if len(names) == 2 else [(name, "rest") for name in names]
        short: list[str] = []
        for feature in _by_attribute(evidence.words):
            if feature != attribute.removesuffix(" (mentioned)"):
                found, lacking = _feature_cases(evidence, attribute, column, feature, pairs, rng)
                cases += found
                short += lacking
        if short:
            needed = f"{evidence.config.statistics.min_group_size} examples a side are needed"
            cases.append(_not_testable("disparity", attribute, tuple(names), f"{'; '.join(short)}; {needed}"))
    return cases


def _feature_cases(
    evidence: Evidence,
    attribute: str,
    column: NDArray[np.str_],
    feature: str,
    pairs: Sequence[tuple[str, str]],
    rng: np.random.Generator,
) -> tuple[list[Case], list[str]]:
    """Cases of one feature, and a phrase where groups are too small for some."""
    columns = [i for i, name in enumerate(evidence.groups.names) if name.rpartition(".")[0] == feature]
    share = evidence.groups.share[:, columns]
    values = np.where(np.isfinite(share).any(1), np.nansum(share, axis=1), np.nan)
    known = np.isfinite(values) & ~np.isin(column, NO_GROUP)
    smallest = evidence.config.statistics.min_group_size
    cases, short = [], []
    for name, other in pairs:
        rows = known if other == "rest" else known & np.isin(column, (name, other))
        sizes = int((rows & (column == name)).sum()), int((rows & (column != name)).sum())
        if min(sizes) < smallest:
            short.append(f"{name} {sizes[0]} against {other} {sizes[1]}")
        else:
            cases.append(
                _share_case(evidence, attribute, feature, (name, other), values[rows], column[rows] == name, rows, rng)
            )
    return cases, [f"examples with {feature} words: {', '.join(short)}"] if short else []


def _share_case(
    evidence: Evidence, attribute: str, feature: str, pair: tuple[str, str], values: FloatArray, group: NDArray[np.bool_],
    rows: NDArray[np.bool_], rng: np.random.Generator,
) -> Case:  # fmt: skip
    examples, config = evidence.examples, evidence.config
    cluster = examples.cluster[rows]
    strata = confidence_strata(examples.label[rows], examples.predicted[rows], examples.margin[rows])
    _, p_rank = brunner_munzel(values, group, cluster=cluster, strata=strata)
    p_permuted, lost = stratified_permutation(
        values, group, strata=strata, cluster=cluster, rng=rng, resamples=config.statistics.permutations
    )
    return Case(
        id=f"disparity.{feature}.{attribute}.{pair[0]}-{pair[1]}",
        question="disparity",
        attribute=attribute,
        groups=pair,
        estimand=f"{QUESTIONS['disparity'].estimand.format(group=pair[0], other=pair[1])}; feature: share of {feature} words",
        test="larger p of stratified Brunner-Munzel and stratified permutation",
        p=None if p_rank is None or p_permuted is None else max(p_rank, p_permuted),
        estimate=lambda level: brunner_munzel(values, group, cluster=cluster, strata=strata, level=level)[0],
        margin=config.margins.disparity,
        composite=evidence.composites[0],
        resamples=config.statistics.permutations,
        details={"feature": feature, "rows lost to empty strata": lost},
    )


def confidence_strata(label: IntArray, predicted: IntArray, margin: FloatArray, bins: int = 5) -> NDArray[np.str_]:
    """Label x prediction x quintile of |margin|: groups that differ only in the model's confidence must not be flagged."""
    size = np.abs(margin)
    quintile = np.searchsorted(np.quantile(size, np.linspace(0, 1, bins + 1)[1:-1]), size)
    return np.array([f"{a}/{b}/{c}" for a, b, c in zip(label, predicted, quintile, strict=True)], dtype=np.str_)


def term_effects(
    evidence: Evidence, classes: Sequence[str], level: float = 0.95, fewest: int = 5
) -> tuple[TermEffect, ...]:
    """Mean net relevance of each declared term (first composite, in sd of the logit) over all examples and per true class."""
    words, examples, effects = evidence.words, evidence.examples, []
    values = words.relevance[evidence.composites[0]] / evidence.scale
    for (attribute, group), types in words.groups.items():
        for kind in types.tolist():
            rows = np.flatnonzero(words.type == kind)
            labels = examples.label[words.example[rows]]
            parts = {"all": rows, **{name: rows[labels == i] for i, name in enumerate(classes)}}
            effects += [
                TermEffect(
                    attribute=attribute,
                    group=group,
                    term=words.types[kind],
                    label=label,
                    estimate=mean_interval(
                        values[part].astype(float),
                        cluster=examples.cluster[words.example[part]],
                        level=level,
                        unit="sd of the contrast logit",
                    ),
                )
                for label, part in parts.items()
                if len(part) >= fewest
            ]
    return tuple(effects)


def share_means(evidence: Evidence) -> dict[str, Estimate]:
    """Mean share of each group over the examples that hold it."""
    groups, cluster = evidence.groups, evidence.examples.cluster
    return {
        name: mean_interval(groups.share[held, i], cluster=cluster[held], unit="share of |R|")
        for i, name in enumerate(groups.names)
        for held in [groups.present[:, i]]
    }


def _by_attribute(words: WordTable) -> dict[str, dict[str, IntArray]]:
    grouped: dict[str, dict[str, IntArray]] = {}
    for (attribute, group), types in words.groups.items():
        grouped.setdefault(attribute, {})[group] = types
    return grouped


def _count(pool: Pool, types: IntArray, config: Config) -> int:
    return len(usable(pool, types, min_examples=config.statistics.min_examples_per_term))


def _testable(pool: Pool, groups: Mapping[str, IntArray], config: Config) -> dict[str, IntArray]:
    return {name: types for name, types in groups.items() if _count(pool, types, config) >= config.statistics.min_terms}


def _pairs(groups: Mapping[str, IntArray]) -> list[tuple[tuple[str, IntArray], tuple[str, IntArray]]]:
    """Two groups: their pair. More: each against the rest of the testable ones."""
    items = list(groups.items())
    if len(items) == 2:
        return [(items[0], items[1])]
    return [
        ((name, types), ("rest", np.unique(np.concatenate([t for n, t in items if n != name]))))
        for name, types in items
        if len(items) > 2
    ]


def _untestable(
    question: str, attribute: str, pool: Pool, groups: Mapping[str, IntArray], config: Config, *, alone: bool = False
) -> list[Case]:
    """One row for all groups of an attribute that cannot be tested, with the count of each."""
    statistics = config.statistics
    counts = {name: _count(pool, types, config) for name, types in groups.items()}
    short = {name: n for name, n in counts.items() if alone or n < statistics.min_terms}
    if not short:
        return []
    listed = ", ".join(f"{name} {n}" for name, n in short.items())
    needed = (
        f"{statistics.min_terms} a side are needed" if question == "contrast" else f"{statistics.min_terms} are needed"
    )
    reason = f"terms that occur in at least {statistics.min_examples_per_term} examples: {listed}; {needed}"
    return [_not_testable(question, attribute, tuple(short), reason)]


def _not_testable(question: str, attribute: str, groups: tuple[str, ...], reason: str) -> Case:
    return Case(
        id=f"{question}.{attribute}.not_testable",
        question=question,
        attribute=attribute,
        groups=groups,
        estimand=QUESTIONS[question].estimand.format(group="each group's", other="the other groups'", measure="rate"),
        test="none",
        p=None,
        estimate=lambda level: missing(reason, level=level, unit=QUESTIONS[question].unit),
    )


COLLECTORS: dict[str, Callable[[Evidence, Pool, np.random.Generator], Sequence[Any]]] = {
    "contrast": _contrast,
    "intervention": _intervention,
    "reliance": _reliance,
    "disparity": _disparity,
    "outcome": _outcome,
}
