"""Cases on word groups, ranked among placebo groups and pairs: reliance and contrast."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from audit.config import Config
from audit.questions import QUESTIONS
from audit.records import Check, Estimate, Opinion
from audit.stats.cases import Case, Evidence, Variant, by_attribute, not_testable
from audit.stats.effects import contrast_checks, effects, mean_checks
from audit.stats.intervals import noting
from audit.stats.nulls import (
    Design,
    PlaceboTest,
    agreed,
    contrast,
    contrast_test,
    direction_test,
    enrichment,
    push,
    reliance_test,
    without_term,
)
from audit.stats.placebos import Pool, build_pool, usable
from audit.tables import IntArray


def reliance_cases(evidence: Evidence, pool: Pool | None) -> Sequence[Case]:
    """Each group's enrichment, ranked among placebo groups."""
    if pool is None:
        return ()
    cases: list[Case] = []
    first, design = evidence.composites[0], _design(evidence)
    for attribute, groups in by_attribute(evidence.words).items():
        for group, types in _testable(pool, groups, evidence.config).items():
            kept = usable(pool, types, min_examples=design.min_examples)
            rng = evidence.rng(f"reliance.{attribute}.{group}")
            tests = reliance_test(pool, types, evidence.composites, design=design, rng=rng)
            cases.append(
                _placebo_case(
                    "reliance", attribute, (group,), first, tests,
                    partial(_enriched, evidence, pool, kept),
                    checks=mean_checks(
                        evidence, (attribute, group), effects(evidence, (attribute, group), "|R|", each=True)
                    ),
                    variants=_leaving_out(evidence, pool, tests, (kept,)),
                )
            )  # fmt: skip
        cases += _untestable(evidence, "reliance", attribute, pool, groups)
    return cases


def contrast_cases(evidence: Evidence, pool: Pool | None) -> Sequence[Case]:
    """Mean relevance of one group's words minus another's, ranked among placebo pairs."""
    if pool is None:
        return ()
    cases: list[Case] = []
    first, design = evidence.composites[0], _design(evidence)
    for attribute, groups in by_attribute(evidence.words).items():
        testable = _testable(pool, groups, evidence.config)
        for (name, a), (other, b) in _pairs(testable):
            kept = [usable(pool, types, min_examples=design.min_examples) for types in (a, b)]
            rng = evidence.rng(f"contrast.{attribute}.{name}-{other}")
            tests = contrast_test(pool, a, b, evidence.composites, design=design, scale=evidence.scale, rng=rng)
            cases.append(
                _placebo_case(
                    "contrast", attribute, (name, other), first, tests,
                    partial(_contrasted, evidence, pool, kept),
                    margin=evidence.config.margins.contrast,
                    checks=contrast_checks(evidence, attribute, name, _others(testable, name, other)),
                    variants=_leaving_out(evidence, pool, tests, kept),
                )
            )  # fmt: skip
        cases += _untestable(evidence, "contrast", attribute, pool, groups, alone=len(testable) == 1)
    return cases


def direction_cases(evidence: Evidence, pool: Pool | None) -> Sequence[Case]:
    """Each declared term's mean net relevance among the texts of one true class, ranked among words of its frequency there."""
    words, examples, cases = evidence.words, evidence.examples, list[Case]()
    for k, label in enumerate(evidence.classes) if words else ():
        if words is None or not (examples.label == k).any():
            continue
        mine = build_pool(words.only(examples.label[words.example] == k))
        rare: dict[str, int] = {}
        for (attribute, group), types in words.groups.items():
            kept = usable(mine, types, min_examples=evidence.config.statistics.min_examples_per_term).tolist()
            cases += [_term_case(evidence, mine, attribute, group, kind, label) for kind in kept]
            rare[attribute] = rare.get(attribute, 0) + int((mine.frequency[types] > 0).sum()) - len(kept)
        needed = evidence.config.statistics.min_examples_per_term
        cases += [
            replace(
                not_testable(
                    evidence,
                    "direction",
                    attribute,
                    (),
                    f"{n} terms occur in fewer than {needed} texts of true class {label}",
                ),
                id=f"direction.{attribute}.{label}.not_testable",
            )
            for attribute, n in rare.items()
            if n
        ]
    return cases


def _term_case(evidence: Evidence, pool: Pool, attribute: str, group: str, kind: int, label: str) -> Case:
    term, first = pool.table.types[kind], evidence.composites[0]
    key = f"{attribute}.{group}.{term}.{label}"
    tests = direction_test(
        pool,
        kind,
        evidence.composites,
        design=_design(evidence),
        scale=evidence.scale,
        rng=evidence.rng(f"direction.{key}"),
    )
    case = _placebo_case(
        "direction", attribute, (group,), first, tests,
        lambda level: push(
            pool, np.array([kind]), first, cluster=evidence.examples.cluster, scale=evidence.scale, level=level
        ),
        checks=mean_checks(
            evidence, (attribute, group, term), effects(evidence, (attribute, group, term), each=True),
            evidence.examples.label == evidence.classes.index(label),
        ),
        feature=term, label=label,
    )  # fmt: skip
    return replace(case, id=f"direction.{key}", details={"term": term, "true class": label, **case.details})


def _design(evidence: Evidence) -> Design:
    statistics = evidence.config.statistics
    return Design(
        cluster=evidence.examples.cluster,
        k=statistics.placebos,
        min_terms=statistics.min_terms,
        min_examples=statistics.min_examples_per_term,
    )


def _placebo_case(
    question: str, attribute: str, groups: tuple[str, ...], first: str, tests: Mapping[str, PlaceboTest],
    estimate: Callable[[float], Estimate], margin: float | None = None,
    variants: tuple[Variant, ...] = (), checks: tuple[Check, ...] = (), **named: str,
) -> Case:  # fmt: skip
    """A finding needs every composite: p is the largest, and composites of opposite sign never make a difference."""
    put = QUESTIONS[question].put["text"]
    placebos = tests[first].placebos
    kind = "words" if question == "direction" else "pairs" if len(placebos) == 2 else "groups"
    return Case(
        id=".".join((question, attribute, "-".join(groups))),
        question=question,
        attribute=attribute,
        groups=groups,
        estimand=put.estimand("text", group=groups[0], other=groups[-1], **named),
        test=f"among {len(tests[first].null)} placebo {kind}: larger p of rank and t tail, largest of {len(tests)} composites",
        p=agreed(tests),
        estimate=lambda level: noting(estimate(level), tests[first].estimate.reason),
        margin=margin,
        variants=variants,
        checks=checks,
        composite=first,
        resamples=len(tests[first].null),
        opinions=tuple(
            Opinion(composite=name, estimate=test.estimate, p=test.p) for name, test in tests.items() if name != first
        ),
        null=tests[first].null,
        reach=tests[first].reach,
        details={
            "candidates per term": [int(n) for each in placebos for n in each.candidates],
            "p of the first composite": tests[first].p,
            "coherence of the groups": [round(each.coherence, 3) for each in placebos],
            "coherence of the placebos": [round(float(np.mean(each.matched)), 3) for each in placebos],
        },
    )


def _leaving_out(
    evidence: Evidence, pool: Pool, tests: Mapping[str, PlaceboTest], groups: Sequence[IntArray]
) -> tuple[Variant, ...]:
    """The finding without each of its terms in turn, as far as the groups keep enough."""
    if any(test.p is None for test in tests.values()):
        return ()
    scale, smallest, made = evidence.scale if len(groups) == 2 else None, evidence.config.statistics.min_terms, []
    for side, terms in enumerate(groups):
        for term in terms.tolist() if len(terms) > smallest else ():
            p, left = without_term(pool, tests, groups, side, term, scale=scale)
            again = partial(_contrasted, evidence, pool, left) if scale else partial(_enriched, evidence, pool, left[0])
            made.append(Variant(f"without the term {pool.table.types[term]}", p, again))
    return tuple(made)


def _enriched(evidence: Evidence, pool: Pool, kept: IntArray, level: float) -> Estimate:
    return enrichment(pool, kept, evidence.composites[0], cluster=evidence.examples.cluster, level=level)


def _contrasted(evidence: Evidence, pool: Pool, kept: Sequence[IntArray], level: float) -> Estimate:
    cluster, first = evidence.examples.cluster, evidence.composites[0]
    return contrast(pool, kept[0], kept[1], first, cluster=cluster, scale=evidence.scale, level=level)


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


def _others(groups: Mapping[str, IntArray], name: str, other: str) -> list[str]:
    """The groups on the other side of a pair."""
    return [group for group in groups if group != name] if other == "rest" else [other]


def _untestable(
    evidence: Evidence,
    question: str,
    attribute: str,
    pool: Pool,
    groups: Mapping[str, IntArray],
    *,
    alone: bool = False,
) -> list[Case]:
    """One row for all groups of an attribute that cannot be tested, with the count of each."""
    statistics = evidence.config.statistics
    counts = {name: _count(pool, types, evidence.config) for name, types in groups.items()}
    short = {name: n for name, n in counts.items() if alone or n < statistics.min_terms}
    if not short:
        return []
    listed = ", ".join(f"{name} {n}" for name, n in short.items())
    needed = (
        f"{statistics.min_terms} a side are needed" if question == "contrast" else f"{statistics.min_terms} are needed"
    )
    reason = f"terms that occur in at least {statistics.min_examples_per_term} examples: {listed}; {needed}"
    return [not_testable(evidence, question, attribute, tuple(short), reason)]
