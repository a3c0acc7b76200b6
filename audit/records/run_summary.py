"""A run in a few kB: `summary.json`, which `lrp-audit history` reads, and which may be sent on."""

from typing import Final, final

from pydantic import FiniteFloat

from audit.records.audit import ProtocolChange
from audit.records.base import Entry
from audit.records.findings import Verdict

SUMMARY_VERSION: Final = "1.0"


@final
class GatedFinding(Entry):
    """A finding of a gated question: `group` against `comparison` (empty where it is no pair), `category` where a question asks several.

    `value` is None where nothing could be estimated or where it, as `n`, is withheld; `p_adjusted` is corrected within its family.
    """

    id: str
    question: str
    attribute: str
    group: str
    comparison: str
    category: str
    verdict: Verdict
    value: FiniteFloat | None
    low: FiniteFloat | None
    high: FiniteFloat | None
    level: FiniteFloat
    n: int | None
    margin: FiniteFloat | None
    unit: str
    p_adjusted: FiniteFloat | None

    @property
    def settled(self) -> bool:
        """Whether it is shown to lie strictly inside its margin; see `Finding.settled`."""
        if self.verdict is not Verdict.DIFFERENT or self.margin is None or self.low is None or self.high is None:
            return self.verdict is Verdict.EQUIVALENT
        return -self.margin < self.low and self.high < self.margin

    @property
    def place(self) -> float | None:
        """Where it stands on an axis: its value, or the middle of its interval where the value is withheld."""
        if self.value is None and self.low is not None and self.high is not None:
            return (self.low + self.high) / 2
        return self.value

    @property
    def reach(self) -> float | None:
        """Size of the estimate in margins; None where either is missing."""
        return None if self.place is None or self.margin is None or self.margin <= 0 else abs(self.place) / self.margin

    @property
    def label(self) -> str:
        """What it is about, in words of the data: `gender: female − male, flips`."""
        groups = " − ".join(filter(None, (self.group, self.comparison)))
        return f"{self.attribute}: {groups}" + (f", {self.category}" if self.category else "")


@final
class DataSummary(Entry):
    """Counts that add up: rows = used + excluded + not_sampled; the excluded stand in `quarantine.jsonl`."""

    sha256: str
    rows: int
    used: int
    excluded: int
    not_sampled: int


@final
class RunSummary(Entry):
    """What is told of a run beside others: gates, the findings they rest on, and what went in.

    `alpha` is spent on `looks` runs of one protocol. `gates` have the state of each gated question, `findings` all findings of these;
    `verdicts` counts the findings of all questions by verdict, `warnings` those of the run. `protocol_changed`: see `AuditRecord`.
    """

    schema_version: str = SUMMARY_VERSION
    name: str
    run_id: str
    started: str
    finished: str
    exit_code: int
    protocol_sha256: str
    protocol_changed: ProtocolChange | None
    identity: str = ""
    alpha: FiniteFloat | None
    looks: int
    data: DataSummary
    model_sha256: str
    code_revision: str | None
    release: str
    gates: dict[str, str]
    findings: tuple[GatedFinding, ...]
    verdicts: dict[str, int]
    warnings: int
