"""Impact ratios: rates of selection of each category against the highest, as 6 RCNY 5-300 (NYC Local Law 144) and 29 CFR 1607.4 D ask.

From predictions alone, for every attribute column of the data, and for sex crossed with race or ethnicity where the config says which
these are. The reference is chosen by the data, so the smallest ratio is below 1 where nothing differs, often far below .8: the smallest
ratio to expect stands beside it. Description, and no verdict. Cost: 2 s for 1,000,000 rows of three attributes, half of it reading names.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from scipy import special

from audit.config import Compliance
from audit.questions import RATE_OF
from audit.records import Category, Estimate, ExpectedMinimum, ImpactTable, Stratified
from audit.stats.cases import Evidence
from audit.stats.coded_columns import Column, coded_columns, crossed_axes
from audit.stats.intervals import BoolArray, missing
from audit.stats.multiplicity import CORRECTIONS, adjusted
from audit.stats.performance import equal_rates
from audit.stats.rates import Rate, RateGap, rate
from audit.stats.score_ratios import NONE_SELECTED, odds_ratio, rate_ratio
from audit.stats.stratified import common_odds
from audit.stats.tally import Tally
from audit.tables import FloatArray, IntArray

MOST: Final = 50  # categories of a table
DRAWS: Final = 2000
NO_REASON: Final = "no justification supplied"
REFERENCE: Final = "the reference, which has the highest rate"
CHOSEN: Final = (
    "score, effective n; the reference is chosen by the data as the highest, "
    "so the ratio is biased below 1: see the smallest to expect"
)


@final
@dataclass(frozen=True, slots=True)
class Compared:
    """A category beside the reference: both rates, the p of equal rates, and the test's name."""

    gap: RateGap
    p: float | None
    test: str


def impact(evidence: Evidence) -> tuple[ImpactTable, ...]:
    """A table for each attribute column, then the axes crossed; an example unknown on either axis is unknown there."""
    selected, threshold = selection(evidence)
    axes = evidence.config.compliance.axes
    columns = coded_columns(evidence.examples.attributes, axes)
    crossed = crossed_axes(columns, axes, evidence.config.statistics.intersections)
    return tuple(_table(evidence, columns, column, selected, threshold) for column in (*columns.values(), *crossed))


def selection(evidence: Evidence) -> tuple[BoolArray, float | None]:
    """Who is selected `[n]`: whose predicted class is the favoured one, or whose score is strictly above the median over all examples.

    The score is the log odds of the favoured class, which order examples as its probability does and never saturate; of two
    classes it is the contrast logit. The median, the second value, is over the full sample, those of unknown groups included.
    """
    examples, favour = evidence.examples, evidence.favourable
    if evidence.config.compliance.output == "selection":
        return examples.predicted == favour, None
    logits = np.asarray(examples.scores, dtype=float)
    score = logits[:, favour] - special.logsumexp(np.delete(logits, favour, axis=1), axis=1)
    median = float(np.median(score))
    return score > median, median


def _table(
    evidence: Evidence, columns: Mapping[str, Column], column: Column, selected: BoolArray, threshold: float | None
) -> ImpactTable:
    known, compliance = column.code >= 0, evidence.config.compliance
    bare = ImpactTable(
        attribute=column.attribute, axis=column.axis, output=compliance.output, threshold=threshold,
        n=int(known.sum()), unknown=int((~known).sum()), unknown_selected=int(selected[~known].sum()), categories=(),
        checks={}, reason=_not_made(column),
    )  # fmt: skip
    if bare.reason:
        return bare
    tally = _tally(column, selected, compliance.exclude_below)
    rates = [_rate(evidence, column, i, selected) for i in range(len(tally.names))]
    categories = _categories(evidence, column, tally, rates, selected)
    return bare.model_copy(
        update={
            "categories": categories,
            "expected": _expected(evidence, column, tally, rates),
            "stratified": tuple(_stratified(evidence, columns, column, tally, selected)),
            "checks": checks(
                categories, total=len(selected), unknown=tally.unknown, exclude_below=compliance.exclude_below
            ),
        }
    )


def _not_made(column: Column) -> str:
    if not column.names:
        return "no example has a known category"
    many = len(column.names) > MOST
    return f"{len(column.names)} categories; ratios are made of at most {MOST}" if many else ""


def _tally(column: Column, selected: BoolArray, exclude_below: float) -> Tally:
    size, places = len(column.names), column.code + 1
    n, k = np.bincount(places, minlength=size + 1), np.bincount(places[selected], minlength=size + 1)
    return Tally(column.names, tuple(n[1:].tolist()), tuple(k[1:].tolist()), int(n[0]), int(k[0]), exclude_below)


def _categories(
    evidence: Evidence, column: Column, tally: Tally, rates: Sequence[Rate], selected: BoolArray
) -> tuple[Category, ...]:  # fmt: skip
    against = {i: _compared(evidence, column, i, tally.reference, selected) for i in _others(tally)}
    corrected = dict(zip(against, adjusted([each.p for each in against.values()], CORRECTIONS["holm"]), strict=True))
    return tuple(
        _compare(bare, tally, i, against[i], corrected[i], evidence.config.statistics.alpha) if i in against else bare
        for i, bare in enumerate(_bare(evidence, tally, i, each) for i, each in enumerate(rates))
    )


def _others(tally: Tally) -> list[int]:
    """The categories that are compared with the reference."""
    return [] if tally.reference is None else [i for i in tally.compared if i != tally.reference]


def _compared(evidence: Evidence, column: Column, i: int, reference: int | None, selected: BoolArray) -> Compared:
    rows = np.flatnonzero((column.code == i) | (column.code == reference))
    return Compared(*equal_rates(selected[rows], column.code[rows] == i, cluster=evidence.examples.cluster[rows]))


def _rate(evidence: Evidence, column: Column, i: int, selected: BoolArray) -> Rate:
    rows = np.flatnonzero(column.code == i)
    return rate(selected[rows], cluster=evidence.examples.cluster[rows])


def _bare(evidence: Evidence, tally: Tally, i: int, found: Rate) -> Category:
    """A category without its comparison: the reference, one that is excluded, or one of which nobody is selected anywhere."""
    excluded = "" if i in tally.compared else _excluded(tally.share(i), evidence.config.compliance)
    first = i == tally.reference
    lowest, highest = (None, None) if excluded or tally.reference is None else tally.bounds(i)
    none = missing(excluded or NONE_SELECTED, level=0.95, unit="ratio of rates", n=tally.n[i])
    return Category(
        name=tally.names[i], n=tally.n[i], selected=tally.selected[i], share=tally.share(i),
        rate=found.estimate(0.95, unit=RATE_OF[evidence.config.compliance.output]),
        ratio=Estimate(value=1.0, unit="ratio of rates", n=tally.n[i], reason=REFERENCE) if first else none,
        reference=first, excluded=excluded, lowest=lowest, highest=highest,
    )  # fmt: skip


def _excluded(share: float, compliance: Compliance) -> str:
    return f"{100 * share:.3g} % of the examples of a known category; {below(compliance.exclude_below, compliance.exclusion_reason)}"


def below(exclude_below: float, reason: str | None) -> str:
    """Why a category is excluded, without its share.

    >>> below(0.02, None)
    'less than 2 % are excluded: no justification supplied'
    """
    return f"less than {100 * exclude_below:g} % are excluded: {reason or NO_REASON}"


def _compare(bare: Category, tally: Tally, i: int, found: Compared, p_adjusted: float | None, alpha: float) -> Category:
    """A category beside the reference; Holm's p is over the table."""
    ratio, lower, crosses = rate_ratio(found.gap), tally.four_fifths(i), tally.crosses(i)
    said = {"value": float(tally.ratio(i)), "interval": CHOSEN if ratio.interval else ""}
    significant = p_adjusted is not None and p_adjusted <= alpha
    return bare.model_copy(
        update={
            "ratio": ratio.model_copy(update=said), "four_fifths": lower, "p": found.p, "p_adjusted": p_adjusted,
            "test": found.test, "deviations": found.gap.deviations, "odds": odds_ratio(found.gap),
            "shortfall": tally.shortfall(i), "crosses": crosses,
            "reading": reading(below=lower, significant=significant, crosses=crosses),
        }
    )  # fmt: skip


def reading(*, below: bool, significant: bool, crosses: bool) -> str:
    """The key of `audit.questions.ADVERSE`: four fifths by significance, and by what one selection would change.

    >>> reading(below=True, significant=False, crosses=True)
    'fragile'
    """
    if significant:
        return "both" if below else "difference"
    return "neither" if not below else "fragile" if crosses else "ratio"


def _expected(evidence: Evidence, column: Column, tally: Tally, found: Sequence[Rate]) -> ExpectedMinimum | None:
    """What the smallest ratio would be if those selected, as many as there are, were drawn from all compared categories alike.

    Where rows share clusters, sizes and selections are effective ones. None: fewer than two categories, or nobody or all selected.
    """
    if not (others := _others(tally)):
        return None
    rates = [found[i] for i in tally.compared]
    sizes = np.array([max(1, round(each.n)) for each in rates])
    total = min(round(sum(each.n * each.value for each in rates)), int(sizes.sum()))
    if total in (0, sizes.sum()):
        return None
    rng, observed = evidence.rng(f"impact.{column.attribute}"), float(min(tally.ratio(i) for i in others))
    smallest, lower = smallest_ratios(sizes, total, rng)
    low, median, high = np.quantile(smallest, (0.025, 0.5, 0.975)).tolist()
    return ExpectedMinimum(
        observed=observed, median=median, low=low, high=high, below_four_fifths=float(lower.mean()), draws=DRAWS,
        p=(1 + int((smallest <= observed * (1 + 1e-12)).sum())) / (DRAWS + 1),
    )  # fmt: skip


def smallest_ratios(sizes: IntArray, total: int, rng: np.random.Generator) -> tuple[FloatArray, BoolArray]:
    """Smallest ratio of each of `DRAWS` draws of `total` from categories of these sizes, and whether it is below four fifths."""
    drawn = rng.multivariate_hypergeometric(sizes, total, size=DRAWS, method="marginals")
    rates, rows = drawn / sizes, np.arange(DRAWS)
    least, most = rates.argmin(axis=1), rates.argmax(axis=1)
    lower = 5 * drawn[rows, least] * sizes[most] < 4 * drawn[rows, most] * sizes[least]
    return rates[rows, least] / rates[rows, most], lower


def _stratified(
    evidence: Evidence, columns: Mapping[str, Column], column: Column, tally: Tally, selected: BoolArray
) -> Iterator[Stratified]:
    """Each compared category against the reference within the groups of `compliance.strata`; rows count as independent, even in clusters.

    Examples of an unknown stratum are dropped and counted.
    """
    by = evidence.config.compliance.strata
    if by is None or by in column.parts:
        return
    strata = columns[by].code
    for i in _others(tally):
        pair = (column.code == i) | (column.code == tally.reference)
        rows = np.flatnonzero(pair & (strata >= 0))
        lost = int(pair.sum()) - len(rows)
        yield _within(tally.names[i], by, selected[rows], column.code[rows] == i, strata[rows], lost=lost)


def _within(name: str, by: str, event: BoolArray, group: BoolArray, strata: IntArray, *, lost: int) -> Stratified:
    cells = np.bincount(4 * strata + 2 * group + event)
    fewest = int(cells[cells > 0].min()) if len(event) else None
    found = common_odds(event, group, strata=strata) if len(event) else None
    if found is None:
        reason = f"no group of {by} has both categories, and selected and others"
        odds = missing(reason, level=0.95, unit="odds ratio", dropped=len(event) + lost)
        return Stratified(category=name, by=by, strata=0, odds=odds, p=None, p_equal=None, fewest=fewest)
    odds = found.ratio.model_copy(update={"dropped": found.ratio.dropped + lost})
    return Stratified(
        category=name, by=by, strata=found.strata, odds=odds, p=found.p, p_equal=found.p_equal, fewest=fewest
    )


def checks(categories: Sequence[Category], *, total: int, unknown: int, exclude_below: float) -> dict[str, bool]:
    """What a reader would add up, as plain sentences, and whether it is so; ties make the second False."""
    known = sum(each.n or 0 for each in categories)
    told = (
        each.n is not None and all(e.value is not None or e.reason for e in (each.rate, each.ratio))
        for each in categories
    )
    return {
        "categories and unknown add up to all examples": known + unknown == total,
        "exactly one category has the ratio 1": sum(each.ratio.value == 1 for each in categories) == 1,
        "every category has n, rate and ratio or a reason": all(told),
        f"every excluded category holds less than {100 * exclude_below:g} % of the data": all(
            (each.n or 0) / known < exclude_below for each in categories if each.excluded
        ),
    }
