"""Runs of an audit that is run every night, as their summaries; numbers are invented."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from audit.records import DataSummary, GatedFinding, ProtocolChange, RunSummary, Verdict
from audit.store.manifest import write_manifest
from audit.store.summaries import write_document

MARGIN = 0.05
HALF = 0.02
FIRST, SECOND = "a" * 64, "b" * 64


def gap(value: float | None, **changes: Any) -> GatedFinding:
    """A difference of rates with the verdict that its interval has; None: withheld."""
    low, high = (None, None) if value is None else (value - HALF, value + HALF)
    verdict = Verdict.INCONCLUSIVE
    if low is not None and high is not None:
        inside, beyond = max(-low, high) < MARGIN, low > MARGIN or high < -MARGIN
        verdict = Verdict.BREACH if beyond else Verdict.EQUIVALENT if inside else verdict
    base = {
        "id": "outcome.gender.female-male", "question": "outcome", "attribute": "gender", "group": "female", "comparison": "male",
        "category": "error rate", "verdict": verdict, "value": value, "low": low, "high": high, "level": 0.95, "n": 400,
        "margin": MARGIN, "unit": "difference of rates", "p_adjusted": 0.2,
    }  # fmt: skip
    return GatedFinding(**(base | changes))


def night(i: int, *findings: GatedFinding, **changes: Any) -> RunSummary:
    """The run of night `i`, of the first protocol, the same model and data of its own."""
    started = datetime(2026, 1, 1, 2, tzinfo=UTC) + timedelta(days=i)
    breached = any(each.verdict is Verdict.BREACH for each in findings)
    base = {
        "name": "nightly", "run_id": f"{started:%Y%m%dT%H%M%SZ}-aaaaaa", "started": started.isoformat(), "finished": started.isoformat(),
        "exit_code": 3 if breached else 5, "protocol_sha256": FIRST, "protocol_changed": None, "alpha": 0.05, "looks": 365,
        "data": DataSummary(sha256=f"data {i}", rows=410, used=400, excluded=10, not_sampled=0), "model_sha256": "model",
        "code_revision": None, "release": "0.1.0", "gates": {"outcome": "breached" if breached else "inconclusive"},
        "findings": findings, "verdicts": {"INCONCLUSIVE": len(findings)}, "warnings": 0,
    }  # fmt: skip
    return RunSummary(**(base | changes))


def second(i: int, *findings: GatedFinding, **changes: Any) -> RunSummary:
    """A run of the second protocol, which has another margin of outcomes."""
    before = ProtocolChange(run_id="before", protocol_sha256=FIRST, settings=("margins.outcome",))
    return night(i, *findings, **({"protocol_sha256": SECOND, "protocol_changed": before} | changes))


def named(*runs: RunSummary) -> dict[str, RunSummary]:
    """By the names of their folders."""
    return {run.run_id: run for run in runs}


def written(folder: Path, *runs: RunSummary) -> Path:
    """Run folders that hold what is read of them."""
    for run in runs:
        (folder / run.run_id).mkdir(parents=True)
        write_document(folder / run.run_id, run)
        write_manifest(folder / run.run_id)
    return folder
