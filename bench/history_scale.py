"""Time, memory and size of `lrp-audit history` over thousands of runs: `python -m bench.history_scale [RUNS]` prints JSON.

Run folders hold what is read of them, a summary of 60 gated findings and a manifest; the whole command is timed, start-up included.
Floor: `lrp-audit --version`.
"""

import hashlib
import json
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from audit.records import DataSummary, GatedFinding, ProtocolChange, RunSummary, Verdict
from audit.store.manifest import write_manifest
from audit.store.summaries import write_document

RUNS: Final = 5_000
FINDINGS: Final = 60
MARGIN: Final = 0.05
PROTOCOL_EVERY, MODEL_EVERY = 1_100, 45  # runs; data are new every night
BEGAN: Final = datetime(2013, 3, 1, 2, 0, tzinfo=UTC)
ATTRIBUTES: Final = ("gender", "age", "religion", "nationality", "region")
MEASURES: Final = ("rate of favourable predictions", "error rate", "false positive rate", "false negative rate")


def write_runs(folder: Path, runs: int, seed: int = 0) -> None:
    """Nightly runs whose estimates wander; some breach."""
    rng = np.random.default_rng(seed)
    walks = 0.08 * np.sin(np.cumsum(rng.normal(0, 0.012, (runs, FINDINGS)), axis=0))
    for i in range(runs):
        made = _summary(i, walks[i] + rng.normal(0, 0.004, FINDINGS), rng)
        run = folder / f"{made.run_id}"
        run.mkdir(parents=True)
        write_document(run, made)
        write_manifest(run)


def _summary(i: int, values: Any, rng: np.random.Generator) -> RunSummary:
    started, now = BEGAN + timedelta(days=i), i // PROTOCOL_EVERY
    protocol = _hash(f"protocol {now}")
    findings = tuple(_finding(k, float(value), rng) for k, value in enumerate(values))
    breached = any(each.verdict is Verdict.BREACH for each in findings)
    before = ProtocolChange(
        run_id="before", protocol_sha256=_hash(f"protocol {now - 1}"), settings=("margins.outcome", "seed")
    )
    return RunSummary(
        name="nightly", run_id=f"{started:%Y%m%dT%H%M%SZ}-{protocol[:6]}", started=started.isoformat(),
        finished=(started + timedelta(minutes=9)).isoformat(), exit_code=3 if breached else 5, protocol_sha256=protocol,
        protocol_changed=before if now else None, alpha=0.05, looks=365,
        data=DataSummary(sha256=_hash(f"data {i}"), rows=2_600, used=2_500, excluded=100, not_sampled=0),
        model_sha256=_hash(f"model {i // MODEL_EVERY}"), code_revision=_hash("code")[:40], release="0.1.0",
        gates={"outcome": "breached" if breached else "inconclusive"}, findings=findings,
        verdicts={"INCONCLUSIVE": FINDINGS}, warnings=0,
    )  # fmt: skip


def _finding(k: int, value: float, rng: np.random.Generator) -> GatedFinding:
    half, attribute, measure = float(rng.uniform(0.012, 0.03)), ATTRIBUTES[k % 5], MEASURES[k // 5 % 4]
    low, high, group = value - half, value + half, f"group {k // 20}"
    beyond, inside = low > MARGIN or high < -MARGIN, max(-low, high) < MARGIN
    verdict = Verdict.BREACH if beyond else Verdict.EQUIVALENT if inside else Verdict.INCONCLUSIVE
    return GatedFinding(
        id=f"outcome.{measure}.{attribute}.{group}-rest", question="outcome", attribute=attribute, group=group, comparison="rest",
        category=measure, verdict=verdict, value=value, low=low, high=high, level=0.99917, n=int(rng.integers(200, 2_500)),
        margin=MARGIN, unit="difference of rates", p_adjusted=float(rng.uniform()),
    )  # fmt: skip


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def seconds(*arguments: str) -> tuple[float, int]:
    """Wall time of the whole command, and characters that it printed."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "audit", *arguments], check=True, capture_output=True)
    return round(time.perf_counter() - start, 2), len(done.stdout)


def main() -> None:
    """Of the newest runs, of all, as JSON and as a page."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    found: dict[str, Any] = {"runs": runs, "findings": FINDINGS}
    with TemporaryDirectory() as name:
        folder, page = Path(name) / "nightly", Path(name) / "history.html"
        write_runs(folder, runs)
        found["bytes of a summary"] = next(folder.glob("*/summary.json")).stat().st_size
        found["--version"] = seconds("--version")[0]
        for each in ((), ("--last", str(runs)), ("--json",), ("--html", str(page))):
            found[" ".join(("history", *each[:1]))] = seconds("history", str(folder), *each)[0]
        found["page MB"] = round(page.stat().st_size / 1e6, 2)
    found["peak MB of the largest"] = round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
