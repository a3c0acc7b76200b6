"""What may be published of a baseline: no more than of the findings that were held against it, and no count.

A worsening is a difference of two estimates of one finding, so it is withheld where that finding's value is, and where its p is; a change
of rates tells how many predictions flipped, so it is rounded to steps that hold k of the fewest examples of a group.
"""

from collections.abc import Iterable
from typing import Final

from audit.records import Baseline, Estimate, Finding, Worsening
from audit.report.disclosure import OF_RATES, fewest
from audit.report.suppression import masked, outward, shown_estimate, unvalued
from audit.report.text import WITHHELD

FLIPS: Final = "flips"  # the quantity that is a rate of its question


def shown_baseline(baseline: Baseline, findings: Iterable[Finding], k: int) -> Baseline:
    """`findings` as they are published."""
    known = {each.id: each for each in findings}
    shown = tuple(_shown(each, known.get(each.finding), k) for each in baseline.worsenings)
    return baseline.model_copy(update={"worsenings": shown})


def _shown(each: Worsening, finding: Finding | None, k: int) -> Worsening:
    estimates = {"before": each.before, "after": each.after, "estimate": each.estimate}
    told = finding is not None and finding.estimate.value is not None and finding.estimate.n is not None
    hidden = each.estimate.value is not None and not told
    rates = each.question in OF_RATES or each.quantity == FLIPS
    least = k / max(1, fewest(finding) if finding else 1) if rates else 0.0
    return each.model_copy(update={
        **{name: _estimate(estimate, k, least, hidden=hidden) for name, estimate in estimates.items()},
        "test": each.test.model_copy(update={"p": None, "p_adjusted": None}) if hidden or rates else each.test,
        "reason": masked(each.reason, k, counts=False, names=each.groups),
        "needed_n": None,
    })  # fmt: skip


def _estimate(estimate: Estimate, k: int, least: float, *, hidden: bool) -> Estimate:
    bare = shown_estimate(estimate, k, counts=False)
    if hidden:
        return unvalued(bare, WITHHELD)
    return outward(bare, least) if least and bare.value is not None else bare
