"""Impact tables as reports may show them: whole, or, where a count below k could be computed, names and readings.

A table counts who is selected, as findings on selection rates do: what is withheld of an attribute's rates or counts is withheld of both.
"""

from typing import Final

from audit.records import Category, Estimate, ImpactTable, Stratified
from audit.report.disclosure import Told
from audit.report.suppression import rounding, shown_estimate, small, unvalued
from audit.report.text import WITHHELD
from audit.tables import TIMES

COARSEST: Final = 0.5  # step of a ratio, beyond which it tells nothing
FOUR_FIFTHS: Final = 0.8
UNCOUNTED: Final = (
    "Counts, rates and ratios are not shown: a count below {} could be computed from them (report.smallest_cell; who may see all of "
    "them renders the report again with --smallest-cell 1)"
)
NOT_TOLD: Final = (
    "n", "selected", "share", "lowest", "highest", "four_fifths", "p", "p_adjusted", "deviations", "odds", "shortfall", "crosses",
)  # fmt: skip


def shown_impact(table: ImpactTable, told: Told, k: int) -> ImpactTable:
    """Of an attribute of which counts or rates are withheld, names and readings; a reading of crossed attributes is none of these, as what
    it crosses tells the sums of its counts."""
    if table.attribute not in told.counts | told.rates:
        return table.model_copy(update={
            "categories": tuple(_whole(each, k) for each in table.categories),
            "stratified": tuple(_stratified(each, k) for each in table.stratified),
        })  # fmt: skip
    first = next((each for each in table.categories if each.reference), None)
    reference = None if first is None or TIMES in table.attribute or _few(first, k) else first
    return table.model_copy(update={
        "n": None, "unknown": None, "unknown_selected": None, "expected": None, "stratified": (),
        "reason": table.reason or UNCOUNTED.format(k),
        "categories": tuple(_rounded(each, reference, k) for each in table.categories),
    })  # fmt: skip


def _whole(each: Category, k: int) -> Category:
    """Without small numbers of clusters."""
    return each.model_copy(update={
        "rate": shown_estimate(each.rate, k), "ratio": shown_estimate(each.ratio, k),
        "odds": each.odds and shown_estimate(each.odds, k),
    })  # fmt: skip


def _stratified(each: Stratified, k: int) -> Stratified:
    """Without counts; without numbers where a stratum has a small cell, which its odds ratio could tell."""
    odds, update = shown_estimate(each.odds, k, counts=False), {"fewest": None}
    if small(each.fewest, k):
        return each.model_copy(update=update | {"odds": unvalued(odds, WITHHELD), "p": None, "p_equal": None})
    return each.model_copy(update=update | {"odds": odds})


def _few(each: Category, k: int) -> bool:
    """Whether few examples of it are selected, or few are not."""
    return any(small(n, k) for n in (each.selected, (each.n or 0) - (each.selected or 0)))


def _rounded(each: Category, reference: Category | None, k: int) -> Category:
    """Name and reading; `reference`: None where a reading against it would tell a small count.

    A reading goes where four fifths lie within a rounding that leaves k numbers of selected or more; a rounded ratio itself would
    stand on the wrong side of them. Whether one selection would change it would tell a count.
    """
    return each.model_copy(
        update={
            **dict.fromkeys(NOT_TOLD),
            "test": "",
            "rate": _unsaid(each.rate),
            "ratio": _bare(each.ratio) if each.reference or each.ratio.value is None else _unsaid(each.ratio),
            "excluded": _without_share(each.excluded),
            "reading": each.reading.replace("fragile", "ratio") if _clear(each, reference, k) else "",
        }
    )


def _bare(ratio: Estimate) -> Estimate:
    return ratio.model_copy(
        update={
            "n": None,
            "clusters": None,
            "dropped": 0,
            "low": None,
            "high": None,
            "reason": _without_share(ratio.reason),
        }
    )


def _clear(each: Category, reference: Category | None, k: int) -> bool:
    """Whether a ratio lies further from four fifths than half of a step that leaves k numbers of selected or more, to who knows all
    but how the selected are shared between the category and its reference."""
    if each.reference or each.ratio.value is None or reference is None or _few(each, k):
        return False
    if not (each.n and reference.n and reference.selected):
        return False
    both = 1 + (each.selected or 0) / reference.selected
    step = rounding(2 * k * both * reference.n / (each.n * reference.selected))
    told = round(round(each.ratio.value / step) * step, 9)
    return step <= COARSEST and abs(told - FOUR_FIFTHS) > step / 2


def _unsaid(estimate: Estimate) -> Estimate:
    return unvalued(estimate.model_copy(update={"n": None, "clusters": None, "dropped": 0}), WITHHELD)


def _without_share(excluded: str) -> str:
    """The rule and the reason, of `share; rule: reason`."""
    return excluded.partition(" % of the examples of a known category; ")[2] or excluded
