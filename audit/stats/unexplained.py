"""Cases on gaps that are still there where everything declared is hidden: something that nobody declared makes them."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from audit.questions import QUESTIONS
from audit.records import SHOWN, Check, Finding
from audit.stats.cases import Case, Evidence
from audit.stats.groupings import Grouping, groupings
from audit.stats.multiplicity import every
from audit.stats.performance import Gap, outcome_gaps
from audit.tables import EffectTable

OF_PREDICTIONS: Final = ("selection rate", "false positive rate", "false negative rate")
"""A model that answers alike has no gap in these."""


def unexplained_cases(evidence: Evidence, findings: Sequence[Finding]) -> Sequence[Case]:
    """Each gap that is shown, with every declared word or region hidden; all fills must show it, and in its direction."""
    gaps = [
        each for each in findings
        if each.question == "outcome" and each.verdict in SHOWN and each.details.get("measure") in OF_PREDICTIONS
    ]  # fmt: skip
    if evidence.effects is None or not gaps:
        return ()
    known = {grouping.attribute: grouping for grouping in groupings(evidence)}
    return [
        _case(evidence, each, _still_there(evidence, evidence.effects, each, known[each.attribute])) for each in gaps
    ]


def _still_there(evidence: Evidence, effects: EffectTable, finding: Finding, grouping: Grouping) -> dict[str, Gap]:
    """The same gap by fill."""
    pair, measure = (finding.groups[0], finding.groups[1]), str(finding.details["measure"])
    return {
        fill: outcome_gaps(
            evidence.examples.label, predicted, grouping.column, [pair], favourable=evidence.favourable,
            cluster=evidence.examples.cluster, min_group_size=evidence.config.statistics.min_group_size,
            among=grouping.names, measures=(measure,),
        )[0]
        for fill, predicted in effects.predicted.items()
    }  # fmt: skip


def _case(evidence: Evidence, finding: Finding, found: dict[str, Gap]) -> Case:
    put = QUESTIONS["unexplained"].put[evidence.config.task]
    first, (name, other), measure = next(iter(found.values())), finding.groups, str(finding.details["measure"])
    values = [finding.estimate.value or 0.0, *(gap.difference().value or 0.0 for gap in found.values())]
    return Case(
        id=finding.id.replace("outcome.", "unexplained.", 1),
        question="unexplained",
        attribute=finding.attribute,
        groups=finding.groups,
        estimand=put.estimand(evidence.config.task, measure=measure, group=name, other=other),
        test=f"{first.test}, largest p of {len(found)} fills and of the gap with nothing hidden (adjusted)",
        p=every([finding.test.p_adjusted, *(gap.p for gap in found.values())], map(float, np.sign(values))),
        estimate=first.difference,
        details={
            "measure": measure,
            "rate": first.rates[0].model_dump(),
            "reference rate": first.rates[1].model_dump(),
        },
        checks=tuple(Check(by=fill, estimate=gap.difference()) for fill, gap in found.items()),
    )
