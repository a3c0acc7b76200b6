"""Whole null audits through `audit.stats.families.answer`: 3 attributes x 4 groups x 3 classes, 48 outcome gaps in one gate family."""

from typing import Final

import numpy as np
from scipy import stats

from audit.config import Config, Data, Groups, Model, Statistics, Target
from audit.records import Verdict
from audit.stats.cases import Evidence
from audit.stats.families import answer
from audit.tables import ExampleTable, GroupTable

ROWS: Final = 900
CASES: Final = 48
ALARMS: Final = (Verdict.BREACH, Verdict.DIFFERENT)
CLASSES: Final = ("a", "b", "c")


def null_audit(rng: np.random.Generator, looks: int = 1) -> Evidence:
    """The model errs in 3 of 10 rows and knows no attribute; the attributes of a row agree in half of the rows."""
    label = rng.integers(0, 3, ROWS)
    predicted = np.where(rng.random(ROWS) < 0.7, label, rng.integers(0, 3, ROWS))
    scores = rng.normal(size=(ROWS, 3)) + 2 * np.eye(3)[predicted]
    first = rng.choice(4, ROWS, p=[0.35, 0.3, 0.2, 0.15])
    columns = {
        name: np.where(rng.random(ROWS) < share, first, rng.integers(0, 4, ROWS)).astype(str)
        for name, share in (("one", 1.0), ("two", 0.5), ("three", 0.5))
    }
    examples = ExampleTable(
        id=np.arange(ROWS).astype(str), label=label, predicted=predicted, margin=scores[:, 0] - scores[:, 1],
        scores=scores, cluster=np.arange(ROWS), attributes=columns,
    )  # fmt: skip
    config = Config(
        name="x", data=Data(path="x"), model=Model(path="x"), target=Target(favour="a", against="b"),
        groups=(Groups(attribute="one", lexicon="gender"),), statistics=Statistics(looks=looks), gates=("outcome",),
    )  # fmt: skip
    none = np.zeros((ROWS, 0))
    groups = GroupTable(names=(), share=none, net=none, size=none, present=none.astype(bool))
    return Evidence(
        config=config, examples=examples, words=None, groups={"first": groups}, mentions={}, swaps={}, composites=("first",),
        favourable=0, classes=CLASSES,
    )  # fmt: skip


def alarms(evidence: Evidence) -> bool:
    """Whether any finding of a gate says BREACH or DIFFERENT."""
    findings = answer(evidence)
    tested = [finding for finding in findings if finding.test.p is not None]
    if len(tested) != CASES or not all(finding.gate for finding in findings):
        raise ValueError(f"{len(tested)} of {len(findings)} findings were tested; {CASES} in a gate were meant")
    return any(finding.verdict in ALARMS for finding in findings)


def may_alarm(evidence: Evidence) -> bool:
    """Whether Holm's smallest adjusted p, 48 times the smallest p, comes within twice alpha: if not, `alarms` is False.

    Score tests on the counts, all groups at once; it spares the audits that cannot alarm the second of a whole one.
    """
    examples = evidence.examples
    favour, true = examples.predicted == evidence.favourable, examples.label == evidence.favourable
    rows = np.stack([np.ones(ROWS), np.ones(ROWS), ~true, true], axis=1)
    events = rows * np.stack([favour, examples.predicted != examples.label, favour, ~favour], axis=1)
    inside = np.concatenate([column == np.arange(4).astype(str)[:, None] for column in examples.attributes.values()])
    n, found = inside @ rows, inside @ events
    gap = found / n - (events.sum(axis=0) - found) / (rows.sum(axis=0) - n)
    pooled = events.sum(axis=0) / rows.sum(axis=0)
    z = np.abs(gap) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / (rows.sum(axis=0) - n)))
    return bool(CASES * 2 * stats.norm.sf(z.max()) <= 2 * evidence.config.statistics.spent)


def audit_alarms(rng: np.random.Generator) -> bool:
    """Whether one null audit at alpha .05 alarms."""
    evidence = null_audit(rng)
    return may_alarm(evidence) and alarms(evidence)


def series_alarms(rng: np.random.Generator, looks: int = 26) -> bool:
    """Whether any of `looks` independent null audits alarms when alpha is spent on them all."""
    audits = (null_audit(rng, looks) for _ in range(looks))
    return any(may_alarm(evidence) and alarms(evidence) for evidence in audits)
