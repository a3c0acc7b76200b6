"""A case is one hypothesis before its family is known; settling a family turns its cases into findings.

A case carries its estimate as a function of the interval's level, because the level depends on how many cases are testable.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from audit.config import Config
from audit.records import Estimate, Finding, Opinion, Test, Verdict
from audit.stats.intervals import missing
from audit.stats.multiplicity import CORRECTIONS, Correction, adjusted
from audit.stats.questions import asked
from audit.stats.verdicts import decide, detectable_against, detectable_effect, needed_n, standard_error
from audit.tables import ExampleTable, FloatArray, GroupTable, IntArray, RegionTable, SwapTable, WordTable

NO_GROUP = ("(none)", "(several)", "unknown")
MENTIONED = " (mentioned)"


@final
@dataclass(frozen=True, slots=True)
class Evidence:
    """What the questions are asked of: texts have `words`, images `regions`; `classes[k]` names label k.

    `mentions[attribute]` names the group each text mentions; `swaps[attribute]` its interventions.
    """

    config: Config
    examples: ExampleTable
    words: WordTable | None
    groups: GroupTable
    mentions: Mapping[str, NDArray[np.str_]]
    swaps: Mapping[str, SwapTable]
    composites: tuple[str, ...]
    favourable: int
    classes: tuple[str, ...]
    regions: RegionTable | None = None

    @property
    def scale(self) -> float:
        """Standard deviation of the contrast logit over the audit set: the unit of effects."""
        return float(self.examples.margin.std(ddof=1))


@final
@dataclass(frozen=True, slots=True)
class Case:
    """One hypothesis before its family is known.

    `estimate(level)` gives the interval at that level; `origin` is the value under the null hypothesis; `note` follows the reason,
    `opened_by` is the id of the omnibus case of its attribute.
    """

    id: str
    question: str
    attribute: str
    groups: tuple[str, ...]
    estimand: str
    test: str
    p: float | None
    estimate: Callable[[float], Estimate]
    margin: float | None = None
    origin: float = 0.0
    composite: str | None = None
    resamples: int | None = None
    opinions: tuple[Opinion, ...] = ()
    null: FloatArray = field(default_factory=lambda: np.zeros(0))
    details: Mapping[str, JsonValue] = field(default_factory=dict)
    of_regions: bool = False
    note: str = ""
    opened_by: str | None = None


def settle(cases: Sequence[Case], config: Config) -> list[Finding]:
    """Correct a family (Holm if it is a gate, else the false discovery rate), intervals at the family's level, verdicts.

    An omnibus opens its cases: their adjusted p is at least its own, which only makes flat correction stricter.
    """
    if not cases:
        return []
    correction = CORRECTIONS["holm" if cases[0].question in config.gates else config.statistics.discovery]
    found = adjusted([case.p for case in cases], correction)
    by_id = {case.id: p for case, p in zip(cases, found, strict=True)}
    opened = [_opened(p, by_id.get(case.opened_by or "")) for case, p in zip(cases, found, strict=True)]
    family = _Family(correction, config.statistics.spent, [p for p in opened if p is not None])
    return [_finding(case, p, family, config) for case, p in zip(cases, opened, strict=True)]


def _opened(own: float | None, omnibus: float | None) -> float | None:
    return own if own is None or omnibus is None else max(own, omnibus)


@final
@dataclass(frozen=True, slots=True)
class _Family:
    """How a family is corrected, at which alpha, and the adjusted p of its testable members."""

    correction: Correction
    alpha: float
    adjusted: Sequence[float]

    @property
    def m(self) -> int:
        """How many could be tested."""
        return len(self.adjusted)

    @property
    def level(self) -> float:
        """Of the interval of each finding."""
        return self.correction.level(self.alpha, self.m, sum(p <= self.alpha for p in self.adjusted))


def _finding(case: Case, p_adjusted: float | None, family: _Family, config: Config) -> Finding:
    alpha, m = family.alpha, family.m
    estimate = case.estimate(family.level)
    question, equivalence = asked(case.question, of_regions=case.of_regions), case.estimate(1 - 2 * alpha / max(m, 1))
    verdict, reason = decide(estimate, equivalence, p_adjusted, case.margin, alpha, unsettled=question.inconclusive)
    inconclusive = verdict is Verdict.INCONCLUSIVE
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
            family=question.family,
            correction=family.correction.name,
            m=m,
            resamples=case.resamples,
            opened_by=case.opened_by,
        ),
        margin=case.margin,
        verdict=verdict,
        reason="; ".join(filter(None, (reason, case.note))),
        gate=case.question in config.gates,
        second_opinion=case.opinions,
        detectable=_smallest(case, estimate, alpha / max(m, 1)) if inconclusive else None,
        needed_n=_needed(case, estimate, alpha / max(m, 1)) if inconclusive else None,
        null=tuple(case.null.tolist()),
        details=dict(case.details),
    )


def _smallest(case: Case, estimate: Estimate, alpha: float) -> float | None:
    """The detectable effect, unless what was found exceeds it: then something else than noise, such as composites, disagrees."""
    found = _detectable(case, estimate, alpha)
    return None if found is None or abs((estimate.value or 0.0) - case.origin) >= found - case.origin else found


def _detectable(case: Case, estimate: Estimate, alpha: float) -> float | None:
    se = standard_error(estimate)
    if se is None or not estimate.clusters:
        return None
    if not len(case.null):
        return case.origin + detectable_effect(se, estimate.clusters - 1, alpha)
    return abs(float(np.mean(case.null))) + detectable_against(case.null, se, alpha)


def _needed(case: Case, estimate: Estimate, alpha: float) -> int | None:
    """Units for EQUIVALENT if the estimate stays where it is; None where it lies beyond the margin."""
    if case.margin is None or estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    room = case.margin - abs(estimate.value)
    wider = max(estimate.high - estimate.value, estimate.value - estimate.low)
    se = standard_error(estimate.model_copy(update={"low": -wider, "high": wider}))
    return None if se is None or room <= 0 else needed_n(se, estimate.n, room, alpha)


def not_testable(
    question: str, attribute: str, groups: tuple[str, ...], reason: str, *, of_regions: bool = False
) -> Case:
    """The row that says why nothing could be tested."""
    entry = asked(question, of_regions=of_regions)
    return Case(
        id=f"{question}.{attribute}.not_testable",
        question=question,
        attribute=attribute,
        groups=groups,
        estimand=entry.estimand.format(group="each group", other="the others", measure="rate"),
        test="none",
        p=None,
        estimate=lambda level: missing(reason, level=level, unit=entry.unit),
        of_regions=of_regions,
    )


def by_reason(reasons: Mapping[str, str]) -> list[str]:
    """`name, name: reason` for each reason, of the reason of each name."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    return [f"{', '.join(held)}: {reason}" for reason, held in names.items()]


def by_attribute(words: WordTable | None) -> dict[str, dict[str, IntArray]]:
    """Word types of each group, by attribute; images have none."""
    grouped: dict[str, dict[str, IntArray]] = {}
    for (attribute, group), types in words.groups.items() if words else ():
        grouped.setdefault(attribute, {})[group] = types
    return grouped


def group_columns(evidence: Evidence) -> dict[str, NDArray[np.str_]]:
    """Group of each example by what its text mentions and by the data's own columns."""
    return joined_columns(evidence.mentions, evidence.examples.attributes)


def joined_columns(
    mentions: Mapping[str, NDArray[np.str_]], attributes: Mapping[str, NDArray[np.str_]]
) -> dict[str, NDArray[np.str_]]:
    """The same before there is evidence: each attribute that texts mention has a column beside the data's own."""
    return {**{f"{name}{MENTIONED}": column for name, column in mentions.items()}, **attributes}


def group_pairs(column: NDArray[np.str_]) -> list[tuple[str, str]]:
    """Two groups: their pair. More: each against the rest."""
    names = [name for name in np.unique(column).tolist() if name not in NO_GROUP]
    return [(names[0], names[1])] if len(names) == 2 else [(name, "rest") for name in names]
