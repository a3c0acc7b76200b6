"""Every declared question in one table, and the description that goes with them: effects by term, mean shares."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np

from audit.progress import timed
from audit.records import Estimate, Finding, TermEffect
from audit.stats.cases import Case, Evidence, settle
from audit.stats.intervals import mean_interval
from audit.stats.outcomes import intervention_cases, link_cases, outcome_cases
from audit.stats.placebos import Pool, build_pool
from audit.stats.regions import region_direction_cases, region_reliance_cases
from audit.stats.relevance_gaps import disparity_cases, error_cases
from audit.stats.unexplained import unexplained_cases
from audit.stats.word_groups import contrast_cases, direction_cases, reliance_cases


def answer(evidence: Evidence, *, seconds: dict[str, float] | None = None) -> tuple[Finding, ...]:
    """Every finding of every question; what each took is noted in `seconds` as "statistics.QUESTION"."""
    findings = settled(evidence, COLLECTORS, seconds=seconds)
    with timed({} if seconds is None else seconds, "statistics.unexplained"):
        return (*findings, *settle(unexplained_cases(evidence, findings), evidence.config))


def settled(
    evidence: Evidence, questions: Iterable[str], *, seconds: dict[str, float] | None = None
) -> tuple[Finding, ...]:
    """The findings of these questions, each a family of its own."""
    pool = build_pool(evidence.words) if evidence.words else None
    findings: list[Finding] = []
    for question in questions:
        with timed({} if seconds is None else seconds, f"statistics.{question}"):
            cases = [case for collect in COLLECTORS.get(question, ()) for case in collect(evidence, pool)]
            findings += settle(cases, evidence.config)
    return tuple(findings)


def below_chance(accuracy: Estimate, classes: Sequence[str]) -> tuple[str, ...]:
    """A warning when the model is surely worse than guessing: most often the labels are mapped the wrong way round."""
    chance = 1 / len(classes)
    if accuracy.value is None or accuracy.high is None or accuracy.high >= chance:
        return ()
    return (
        f"accuracy {accuracy.value:.3f} is below chance ({chance:.3f}), so labels and classes are probably mixed up: "
        f"check model.labels (label in the data: class of the model; classes are {', '.join(classes)})",
    )


def term_effects(
    evidence: Evidence, classes: Sequence[str], level: float = 0.95, fewest: int = 5
) -> tuple[TermEffect, ...]:
    """Mean net relevance of each declared term (first composite, in sd of the logit) over all examples and per true class."""
    words, examples, effects = evidence.words, evidence.examples, []
    if words is None:
        return ()
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
    groups, cluster = evidence.groups[evidence.composites[0]], evidence.examples.cluster
    return {
        name: mean_interval(groups.share[held, i], cluster=cluster[held], unit="share of |R|")
        for i, name in enumerate(groups.names)
        for held in [groups.present[:, i]]
    }


Collect = Callable[[Evidence, Pool | None], Sequence[Case]]
COLLECTORS: Final[
    dict[str, tuple[Collect, ...]]
] = {  # one that lacks its evidence (words, regions, swaps) finds no case
    "contrast": (contrast_cases,),
    "intervention": (intervention_cases,),
    "reliance": (reliance_cases, region_reliance_cases),
    "direction": (direction_cases, region_direction_cases),
    "disparity": (disparity_cases,),
    "errors": (error_cases,),
    "outcome": (outcome_cases,),
    "link": (link_cases,),
}
