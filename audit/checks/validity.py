"""Whether the explanation itself can be trusted: only then may relevance carry a verdict (exit code 4 otherwise)."""

from collections.abc import Sequence
from typing import Final

from audit.records import LedgerSummary

OPEN_LEDGER: Final = (
    0.05  # share of the sum of |terms| that no entry explains, median over examples; float32 closes to 1e-7
)
EMPTY_MAPS: Final = 0.1  # share of examples whose relevance is 0 everywhere
NO_LEDGER: Final = ("gradient_x_input",)  # the plain gradient conserves nothing, so its ledger cannot close


def faults(ledger: Sequence[LedgerSummary]) -> tuple[str, ...]:
    """What makes the explanation invalid, one sentence each; empty when it is valid."""
    found = [
        f"the ledger of {summary.composite} leaves {summary.closure_median:.3f} of the logit's terms unexplained "
        f"(median; at most {OPEN_LEDGER:g} is valid)"
        for summary in ledger
        if summary.composite not in NO_LEDGER and not summary.closure_median <= OPEN_LEDGER
    ]
    emptiest = max(ledger, key=lambda summary: (summary.empty_maps or 0) / (summary.n or 1))
    if (emptiest.empty_maps or 0) > EMPTY_MAPS * (emptiest.n or 1):
        found.append(
            f"{emptiest.empty_maps} of {emptiest.n} examples have no relevance anywhere (at most {EMPTY_MAPS:.0%} is valid)"
        )
    return tuple(found)
