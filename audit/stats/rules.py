"""Rule sensitivity: does a composite that has no vote show the same difference, asked alone?"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from audit.questions import QUESTIONS
from audit.records import SHOWN, Finding, Sensitivity
from audit.stats.cases import Evidence
from audit.stats.families import settled
from audit.tables import RegionTable


def with_rules(findings: Sequence[Finding], evidence: Evidence) -> tuple[Finding, ...]:
    """The findings, differences of relevance that are shown with the verdict of each of the composites in `evidence.witnesses`."""
    questions = _of_relevance(findings)
    asked = {
        name: {each.id: each for each in settled(_alone(evidence, name), questions)}
        for name in evidence.witnesses
        if questions
    }
    return tuple(
        each.model_copy(update={"sensitivity": (*each.sensitivity, *_said(each, asked))})
        if each.verdict in SHOWN
        else each
        for each in findings
    )


def _of_relevance(findings: Sequence[Finding]) -> list[str]:
    """Questions on relevance that show a difference."""
    shown = dict.fromkeys(each.question for each in findings if each.verdict in SHOWN)
    return [name for name in shown if QUESTIONS[name].explained]


def _said(finding: Finding, asked: dict[str, dict[str, Finding]]) -> list[Sensitivity]:
    found = {name: alone[finding.id] for name, alone in asked.items() if finding.id in alone}
    return [
        Sensitivity(changed=f"{name} alone", estimate=each.estimate, verdict=each.verdict, same_unit=False)
        for name, each in found.items()
    ]


def _alone(evidence: Evidence, name: str) -> Evidence:
    """Without other masks, interventions and twins, which explained with the first composite."""
    regions = evidence.regions and _without_twins(evidence.regions)
    return replace(evidence, composites=(name,), regions=regions, varied={}, effects=None)


def _without_twins(table: RegionTable) -> RegionTable:
    regions = len(table.names)
    none = np.zeros((0, 0, regions))
    return replace(
        table, twin_rows=np.zeros(0, dtype=np.int64), twin_share=none, twin_swap=none,
        twin_confidence=np.zeros((0, 0)), twin_predicted=np.zeros((0, 0), dtype=np.int64),
    )  # fmt: skip
