"""A case is one hypothesis before its family is known; settling a family turns its cases into findings.

A case carries its estimate as a function of the interval's level, because the level depends on how many cases are testable.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, final

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from audit.config import Config
from audit.questions import QUESTIONS, Put
from audit.records import Check, Estimand, Estimate, Finding, Opinion, Sensitivity, Test, Verdict
from audit.stats.draws import correction_of, needed_draws
from audit.stats.intervals import missing
from audit.stats.multiplicity import Correction, adjusted
from audit.stats.verdicts import decide, detectable_beyond, detectable_effect, needed_n, standard_error
from audit.tables import (
    UNKNOWN,
    CellTable,
    EffectTable,
    ExampleTable,
    FloatArray,
    GroupTable,
    IntArray,
    RegionTable,
    SwapTable,
    WordTable,
)

LARGEST: Final = {"Cliff's delta": 1.0, "difference of rates": 1.0}  # effect there can be, by unit
NO_GROUP: Final = ("(none)", "(several)", UNKNOWN)


@final
@dataclass(frozen=True, slots=True)
class Evidence:
    """What the questions are asked of: texts have `words`, images `regions`; `classes[k]` names label k.

    `composites` vote, `witnesses` do not. `groups[c]` is relevance by word group or region under composite c, `mentions[attribute]` the
    group each text mentions; `swaps[attribute]` and `effects` are its interventions. `varied` are the `regions` under other masks, by
    what is changed; `cells` are those of a grid over photographs.
    """

    config: Config
    examples: ExampleTable
    words: WordTable | None
    groups: Mapping[str, GroupTable]
    mentions: Mapping[str, NDArray[np.str_]]
    swaps: Mapping[str, SwapTable]
    composites: tuple[str, ...]
    favourable: int
    classes: tuple[str, ...]
    regions: RegionTable | None = None
    varied: Mapping[str, RegionTable] = field(default_factory=dict)
    effects: EffectTable | None = None
    cells: CellTable | None = None
    witnesses: tuple[str, ...] = ()

    @property
    def scale(self) -> float:
        """Standard deviation of the contrast logit over the audit set: the unit of effects."""
        return float(self.examples.margin.std(ddof=1))

    def rng(self, case: str) -> np.random.Generator:
        """A generator of the case's own, so that adding a case changes no other."""
        return np.random.default_rng([self.config.seed, zlib.crc32(case.encode())])


@final
@dataclass(frozen=True, slots=True)
class Variant:
    """The same hypothesis under another choice: what is `changed`, in words, its p, and its estimate at any level.

    `omnibus` is the p of no difference between any of the groups then; None: the choice does not change that of the case.
    """

    changed: str
    p: float | None
    estimate: Callable[[float], Estimate]
    omnibus: float | None = None


@final
@dataclass(frozen=True, slots=True)
class Case:
    """One hypothesis before its family is known.

    `estimate(level)` gives the interval at that level; `origin` is the value under the null hypothesis; `note` follows the reason,
    `omnibus` is the p of no difference between any of the groups of which these are a pair. `reach(alpha)`: how far from the middle
    of the null a value is significant, where not its quantiles alone decide.
    """

    id: str
    question: str
    attribute: str
    groups: tuple[str, ...]
    estimand: Estimand
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
    note: str = ""
    omnibus: float | None = None
    variants: tuple[Variant, ...] = ()
    checks: tuple[Check, ...] = ()
    reach: Callable[[float], float] | None = None


def settle(cases: Sequence[Case], config: Config) -> list[Finding]:
    """Correct a family (Holm if it is a gate, else the false discovery rate), intervals at the family's level, verdicts.

    An omnibus opens its pairs: their adjusted p is at least its own p, which only makes flat correction stricter.
    """
    if not cases:
        return []
    correction = correction_of(cases[0].question, config)
    found = adjusted([case.p for case in cases], correction)
    opened = [_opened(p, case.omnibus) for case, p in zip(cases, found, strict=True)]
    family = _Family(correction, config.alpha_of(cases[0].question), [p for p in opened if p is not None])
    raw = [case.p for case in cases]
    return [
        _finding(case, p, family, config, [*raw[:i], *raw[i + 1 :]])
        for i, (case, p) in enumerate(zip(cases, opened, strict=True))
    ]


def _opened(p: float | None, omnibus: float | None) -> float | None:
    return None if p is None else max(p, omnibus or 0.0)


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

    def judge(
        self, asked: "Case | Variant", p_adjusted: float | None, margin: float | None, unsettled: str
    ) -> tuple[Estimate, Verdict, str]:
        """Estimate at the family's level, verdict and reason."""
        estimate, equivalence = asked.estimate(self.level), asked.estimate(1 - 2 * self.alpha / max(self.m, 1))
        return estimate, *decide(estimate, equivalence, p_adjusted, margin, self.alpha, unsettled=unsettled)


def _finding(
    case: Case, p_adjusted: float | None, family: _Family, config: Config, others: Sequence[float | None]
) -> Finding:
    """`others` are the raw p of the rest of the family."""
    alpha, m = family.alpha, family.m
    unsettled = _put(case.question, config).inconclusive
    estimate, verdict, reason = family.judge(case, p_adjusted, case.margin, unsettled)
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
            family=QUESTIONS[case.question].family,
            correction=family.correction.name,
            m=m,
            alpha=alpha,
            resamples=case.resamples,
            omnibus=case.omnibus,
        ),
        margin=case.margin,
        verdict=verdict,
        reason="; ".join(filter(None, (reason, case.note, _coarse(case, family)))),
        gate=case.question in config.gates,
        second_opinion=case.opinions,
        detectable=_smallest(case, estimate, alpha / max(m, 1)) if inconclusive else None,
        needed_n=_needed(case, estimate, alpha / max(m, 1)) if inconclusive else None,
        null=tuple(case.null.tolist()) if QUESTIONS[case.question].drawn else (),
        sensitivity=()
        if verdict is Verdict.NOT_TESTABLE
        else tuple(_varied(case, v, family, others, unsettled) for v in case.variants),
        checks=case.checks,
        details=dict(case.details),
    )


def _coarse(case: Case, family: "_Family") -> str:
    """Says so where there are too few draws, or words to draw, for a family whose size shows in the run only."""
    needed = needed_draws(family.m, family.alpha, family.correction)
    if case.p is None or case.resamples is None or case.resamples >= needed:
        return ""
    return f"{case.resamples:,} draws are too few to find one of {family.m} tests alone at alpha {family.alpha:.2g}: that takes {needed:,}"


def _varied(
    case: Case, variant: Variant, family: _Family, others: Sequence[float | None], unsettled: str
) -> Sensitivity:
    """The verdict of a variant in the place of its case, in the same family."""
    omnibus = case.omnibus if variant.omnibus is None else variant.omnibus
    p = _opened(adjusted([variant.p, *others], family.correction)[0], omnibus)
    estimate, verdict, _ = family.judge(variant, p, case.margin, unsettled)
    return Sensitivity(changed=variant.changed, estimate=estimate, verdict=verdict)


def _smallest(case: Case, estimate: Estimate, alpha: float) -> float | None:
    """The detectable effect, unless what was found exceeds it: then something else than noise, such as composites, disagrees."""
    found = _detectable(case, estimate, alpha)
    if found is not None and found > LARGEST.get(estimate.unit, np.inf):
        return None
    return None if found is None or abs((estimate.value or 0.0) - case.origin) >= found - case.origin else found


def _detectable(case: Case, estimate: Estimate, alpha: float) -> float | None:
    se = standard_error(estimate)
    if se is None or not estimate.clusters:
        return None
    if not len(case.null):
        return case.origin + detectable_effect(se, estimate.clusters - 1, alpha)
    reach = case.reach(alpha) if case.reach else float(np.quantile(np.abs(case.null - case.null.mean()), 1 - alpha))
    return abs(float(np.mean(case.null))) + detectable_beyond(reach, se)


def _needed(case: Case, estimate: Estimate, alpha: float) -> int | None:
    """Units for EQUIVALENT if the estimate stays where it is; None where it lies beyond the margin."""
    if case.margin is None or estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    room = case.margin - abs(estimate.value)
    wider = max(estimate.high - estimate.value, estimate.value - estimate.low)
    se = standard_error(estimate.model_copy(update={"low": -wider, "high": wider}))
    return None if se is None or room <= 0 else needed_n(se, estimate.n or 0, room, alpha)


def _put(question: str, config: Config) -> Put:
    return QUESTIONS[question].put[config.task]


def untested(changed: str, reason: str, unit: str) -> Variant:
    """A choice under which there is nothing to test, with the reason."""
    return Variant(changed, None, lambda level: missing(reason, level=level, unit=unit))


def not_testable(evidence: Evidence, question: str, attribute: str, groups: tuple[str, ...], reason: str) -> Case:
    """The row that says why nothing could be tested."""
    put = _put(question, evidence.config)
    return Case(
        id=f"{question}.{attribute}.not_testable",
        question=question,
        attribute=attribute,
        groups=groups,
        estimand=put.estimand(
            evidence.config.task, group="each group", other="the others", measure="the measure", feature="each feature",
            matched="label and confidence", label="each",
        ),
        test="none",
        p=None,
        estimate=lambda level: missing(reason, level=level, unit=put.scale),
    )  # fmt: skip


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
