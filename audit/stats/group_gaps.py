"""Cases on groups of examples and on interventions: swaps, outcome gaps, disparity of relevance."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from scipy import stats as distributions

from audit.stats.cases import (
    MENTIONED,
    NO_GROUP,
    Case,
    Evidence,
    by_attribute,
    group_columns,
    group_pairs,
    not_testable,
)
from audit.stats.intervals import effective_n, mean_interval, wilson
from audit.stats.performance import MEASURES, Gap, outcome_gaps
from audit.stats.placebos import Pool
from audit.stats.questions import QUESTIONS
from audit.stats.tests import brunner_munzel, sign_flip, stratified_permutation
from audit.tables import FloatArray, IntArray, SwapTable


def intervention_cases(evidence: Evidence, pool: Pool | None, rng: np.random.Generator) -> Sequence[Case]:
    """Paired term swaps between two groups: effect on the contrast logit, and flips."""
    cases: list[Case] = []
    smallest = evidence.config.statistics.min_group_size
    for attribute, table in evidence.swaps.items():
        counted = Counter(
            tuple(sorted(pair)) for pair in zip(table.source.tolist(), table.target.tolist(), strict=True)
        )
        for (name, other), n in sorted(counted.items()):
            if n >= smallest:
                cases += _swap_cases(evidence, attribute, table, name, other, rng)
        short = {pair: n for pair, n in sorted(counted.items()) if n < smallest}
        if short or not counted:
            listed = ", ".join(f"{name}-{other} {n}" for (name, other), n in short.items()) or "none"
            names = tuple(dict.fromkeys(name for pair in short for name in pair))
            reason = f"texts that can be swapped: {listed}; {smallest} are needed"
            cases.append(not_testable("intervention", attribute, names, reason))
    return cases


def _swap_cases(
    evidence: Evidence, attribute: str, table: SwapTable, name: str, other: str, rng: np.random.Generator
) -> list[Case]:
    """Two cases a pair: mean effect on the contrast logit, and how often the prediction flips."""
    forward = (table.source == other) & (table.target == name)
    rows = forward | ((table.source == name) & (table.target == other))
    delta = (np.where(forward, table.delta, -table.delta) / evidence.scale)[rows]
    flipped, cluster = table.flipped[rows], evidence.examples.cluster[table.example[rows]]
    margins, resamples = evidence.config.margins, evidence.config.statistics.permutations
    details: dict[str, JsonValue] = {"texts swapped": len(delta), f"from {other} to {name}": int(forward[rows].sum())}
    shared = {"question": "intervention", "attribute": attribute, "groups": (name, other), "details": details}
    key = f"{attribute}.{name}-{other}"
    return [
        Case(
            id=f"intervention.{key}",
            estimand=QUESTIONS["intervention"].estimand.format(group=other, other=name),
            test="sign flips of clusters",
            p=sign_flip(delta, cluster=cluster, rng=rng, resamples=resamples),
            estimate=lambda level: mean_interval(
                delta, cluster=cluster, level=level, unit=QUESTIONS["intervention"].unit
            ),
            margin=margins.swap,
            resamples=resamples,
            **shared,  # type: ignore[arg-type]
        ),
        Case(
            id=f"intervention.flips.{key}",
            estimand=f"share of predictions that change when {name} and {other} words are swapped",
            test="score test of a rate above the margin",
            p=_above(flipped, cluster, margins.flips),
            estimate=lambda level: wilson(flipped, cluster=cluster, level=level, unit="share of predictions flipped"),
            margin=margins.flips,
            origin=margins.flips,
            **shared,  # type: ignore[arg-type]
        ),
    ]


def _above(successes: NDArray[np.bool_], cluster: IntArray, margin: float) -> float:
    """One-sided p of a rate above `margin` at the effective sample size."""
    n = effective_n(successes, cluster)
    return float(distributions.norm.sf((successes.mean() - margin) / np.sqrt(margin * (1 - margin) / n)))


def outcome_cases(evidence: Evidence, pool: Pool | None, rng: np.random.Generator) -> Sequence[Case]:
    """Rates of each group against the other or the rest."""
    cases: list[Case] = []
    for attribute, column in group_columns(evidence).items():
        gaps = _Gaps(evidence, column)
        short = [] if gaps.at(0.95) else ["fewer than two groups occur"]
        for key, gap in gaps.at(0.95).items():
            if gap.difference.value is None:
                short.append(f"{gap.measure}: {gap.difference.reason}")
            else:
                cases.append(_outcome_case(attribute, gaps, key, evidence.config.margins.outcome))
        if short:
            names = tuple(sorted({gap.group for gap in gaps.at(0.95).values() if gap.difference.value is None}))
            cases.append(not_testable("outcome", attribute, names, "; ".join(short)))
    return cases


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


def disparity_cases(evidence: Evidence, pool: Pool | None, rng: np.random.Generator) -> Sequence[Case]:
    """Relevance of one attribute's words between the groups of another: only there do both groups have the feature."""
    cases: list[Case] = []
    for attribute, column in group_columns(evidence).items():
        pairs = group_pairs(column)
        short: list[str] = []
        for feature in by_attribute(evidence.words):
            if feature != attribute.removesuffix(MENTIONED):
                found, lacking = _feature_cases(evidence, attribute, column, feature, pairs, rng)
                cases += found
                short += lacking
        if short:
            needed = f"{evidence.config.statistics.min_group_size} examples a side are needed"
            names = tuple(dict.fromkeys(name for pair in pairs for name in pair if name != "rest"))
            cases.append(not_testable("disparity", attribute, names, f"{'; '.join(short)}; {needed}"))
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
    if not len(margin):
        return np.zeros(0, dtype=np.str_)
    size = np.abs(margin)
    quintile = np.searchsorted(np.quantile(size, np.linspace(0, 1, bins + 1)[1:-1]), size)
    return np.array([f"{a}/{b}/{c}" for a, b, c in zip(label, predicted, quintile, strict=True)], dtype=np.str_)
