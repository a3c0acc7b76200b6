"""Whether the explanation itself can be trusted: only then may relevance carry a verdict (exit code 4 otherwise)."""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

import numpy as np

from audit.config import LRP
from audit.questions import REQUIREMENTS
from audit.records import Estimate, LedgerSummary, ValidityCheck
from audit.stats.intervals import mean_interval, missing
from audit.tables import COPY, MEAN_MAP, OWN, FloatArray, IntArray, ValidityTable

OPEN_LEDGER: Final = (
    0.05  # share of the sum of |terms| that no entry explains, median over examples; float32 closes to 1e-7
)
EMPTY_MAPS: Final = 0.1  # share of examples whose relevance is 0 everywhere
NO_LEDGER: Final = ("gradient_x_input",)  # the plain gradient conserves nothing, so its ledger cannot close
ALIKE: Final = 0.5  # share of features that most examples have, above which their mean map is that of each
FEWEST: Final = 20  # independent examples, below which nothing is required
AREA: Final = "area between the curves, sd of the contrast logit"
CORRELATION: Final = "rank correlation over features"


def validity_checks(
    table: ValidityTable, cluster: IntArray, scale: float, voting: Collection[str]
) -> tuple[ValidityCheck, ...]:
    """Each requirement by fill or composite; `cluster` `[n]` of all examples, `scale` the sd of the contrast logit.

    Composites that are not `voting` are described.
    """
    found = [_check(*each, cluster[table.rows], voting) for each in _asked(table, scale)]
    return tuple(_waived(each, table.alike) if each.asks == "mean map" else each for each in found)


def _waived(check: ValidityCheck, alike: float) -> ValidityCheck:
    """Nothing is required where examples are alike, because their mean map is right for each of them."""
    if alike <= ALIKE:
        return check
    reason = f"not required: the examples are alike, {alike:.2f} of their features stand in most of them"
    return check.model_copy(update={"holds": None, "estimate": check.estimate.model_copy(update={"reason": reason})})


def _asked(table: ValidityTable, scale: float) -> Iterator[tuple[str, str, FloatArray, str]]:
    """What is asked, by what, the values `[m]` and their unit."""
    own = table.area[OWN]
    for asks, other in (("random order", None), ("mean map", MEAN_MAP), ("re-initialised copy", COPY)):
        for fill, values in own.items():
            yield asks, fill, (values if other is None else values - table.area[other][fill]) / scale, AREA
    yield "noise", "noise", table.noise, CORRELATION
    for composite, values in table.composites.items():
        yield "composites", composite, values, CORRELATION
    yield "likeness of the copy", "copy", table.copy, CORRELATION


def _check(
    asks: str, by: str, values: FloatArray, unit: str, cluster: IntArray, voting: Collection[str]
) -> ValidityCheck:
    estimate = mean_interval(values, cluster=cluster, unit=unit)
    if (estimate.clusters or 0) < FEWEST:
        reason = f"{estimate.clusters or 0} independent examples with a map; {FEWEST} are needed"
        estimate = missing(reason, level=estimate.level, unit=unit, n=int(np.isfinite(values).sum()))
    least = estimate.value if estimate.low is None else estimate.low  # values that are all equal have no interval
    above = REQUIREMENTS[asks].above if asks != "composites" or by in voting else None
    holds = None if above is None or least is None else least > above
    return ValidityCheck(asks=asks, by=by, estimate=estimate, holds=holds)


def faults(checks: Sequence[ValidityCheck], ledger: Sequence[LedgerSummary]) -> tuple[str, ...]:
    """What makes the explanation invalid, one sentence each; empty when it is valid."""
    return (*_ledger_faults(ledger), *_shown_faults(checks))


def cures(checks: Sequence[ValidityCheck], method: str) -> tuple[str, ...]:
    """What may help where a requirement does not hold, once; `method` as the config names it."""
    broken = [REQUIREMENTS[each.asks] for each in checks if each.holds is False]
    if not broken:
        return ()
    if method != LRP:
        return (f"what may help: look into what {method} gives, or take relevance.method: {LRP}",)
    return (f"what may help: {'; '.join(dict.fromkeys(each.cure for each in broken))}",)


def untested(checks: Sequence[ValidityCheck]) -> tuple[str, ...]:
    """A warning where what is required could not be asked, for then nothing speaks for the explanation."""
    reasons = [each.estimate.reason for each in checks if each.asks == "random order" and each.estimate.value is None]
    return tuple(f"the explanation could not be tested: {reason}" for reason in dict.fromkeys(reasons))


def _shown_faults(checks: Sequence[ValidityCheck]) -> Iterator[str]:
    for each in checks:
        if each.holds is False:
            needed, found = REQUIREMENTS[each.asks], each.estimate
            yield (
                f"{needed.fault} ({each.by}: {_shown(found)}, {found.unit}; the whole interval must exceed {needed.above:g})"
            )


def _shown(found: Estimate) -> str:
    between = "" if found.low is None else f" [{found.low:.2f}, {found.high:.2f}]"
    return f"{found.value:.2f}{between}"


def _ledger_faults(ledger: Sequence[LedgerSummary]) -> Iterator[str]:
    for summary in ledger:
        if summary.composite not in NO_LEDGER and not summary.closure_median <= OPEN_LEDGER:
            yield (
                f"the ledger of {summary.composite} leaves {summary.closure_median:.3f} of the logit's terms unexplained "
                f"(median; at most {OPEN_LEDGER:g} is valid)"
            )
    emptied = [each for each in ledger if (each.empty_maps or 0) > EMPTY_MAPS * (each.n or 1)]
    if emptied:
        emptiest = max(emptied, key=lambda each: each.empty_maps or 0)
        yield (
            f"{emptiest.empty_maps} of {emptiest.n} examples have no relevance anywhere (at most {EMPTY_MAPS:.0%} is valid)"
        )
