"""How a run stands against an earlier one, its baseline: by how much each finding lies further from no difference than there."""

from enum import StrEnum

from audit.records.base import Entry, Estimate
from audit.records.findings import Test


class Standing(StrEnum):
    """What may be said of one finding against the baseline; the words are those of a gate."""

    BREACHED = "breached"
    HOLDS = "holds"
    INCONCLUSIVE = "inconclusive"
    NOT_TESTED = "not tested"


class Worsening(Entry):
    """|after| - |before|, each the distance of the finding `finding` from no difference; above 0 is further than in the baseline.

    `margin` is what it may be. BREACHED: the interval lies wholly above the margin; HOLDS: wholly below. `method` says what the
    interval is made of; `test` asks whether the worsening exceeds the margin.
    """

    id: str
    finding: str
    question: str
    attribute: str
    groups: tuple[str, ...]
    quantity: str = ""
    before: Estimate
    after: Estimate
    estimate: Estimate
    method: str
    test: Test
    margin: float
    standing: Standing
    reason: str
    needed_n: int | None = None

    @property
    def lone(self) -> bool:
        """Whether one run alone has an estimate with an interval: a finding that is new, or that is gone."""
        return (self.before.low is None) != (self.after.low is None)


class Baseline(Entry):
    """The run that this one was held against, `sha256` that of its audit.json, and how each finding stands."""

    run_id: str
    started: str
    sha256: str
    model_sha256: str
    worsenings: tuple[Worsening, ...]
