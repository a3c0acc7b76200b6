"""Cases on gaps that are still there where everything declared is hidden: something that nobody declared makes them."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from audit.questions import QUESTIONS
from audit.records import Check, Finding, Verdict
from audit.stats.cases import Case, Evidence
from audit.stats.groupings import groupings
from audit.stats.multiplicity import every
from audit.stats.performance import Gap, outcome_gaps

SHOWN: Final = (Verdict.BREACH, Verdict.DIFFERENT)
OF_PREDICTIONS: Final = (
    "selection rate",
    "false positive rate",
    "false negative rate",
)  # a model that answers alike has no gap in them


def unexplained_cases(evidence: Evidence, findings: Sequence[Finding]) -> Sequence[Case]:
    """Each gap that is shown, with every declared word or region hidden; all fills must show it, and in its direction."""
    if evidence.effects is None:
        return ()
    attributes, cases = {grouping.attribute: grouping.column for grouping in groupings(evidence)}, list[Case]()
    for finding in findings:
        measure, examples = str(finding.details.get("measure")), evidence.examples
        if finding.question != "outcome" or finding.verdict not in SHOWN or measure not in OF_PREDICTIONS:
            continue
        found = {
            fill: outcome_gaps(
                examples.label, predicted, attributes[finding.attribute], [(finding.groups[0], finding.groups[1])],
                favourable=evidence.favourable, cluster=examples.cluster, measures=(measure,),
                min_group_size=evidence.config.statistics.min_group_size, among=_among(evidence, finding.attribute),
            )[0]
            for fill, predicted in evidence.effects.predicted.items()
        }  # fmt: skip
        cases.append(_case(evidence, finding, measure, found))
    return cases


def _among(evidence: Evidence, attribute: str) -> tuple[str, ...]:
    return next(grouping.names for grouping in groupings(evidence) if grouping.attribute == attribute)


def _case(evidence: Evidence, finding: Finding, measure: str, found: dict[str, Gap]) -> Case:
    put = QUESTIONS["unexplained"].put[evidence.config.task]
    first, (name, other) = next(iter(found.values())), finding.groups
    values = [finding.estimate.value or 0.0, *(gap.difference().value or 0.0 for gap in found.values())]
    return Case(
        id=finding.id.replace("outcome.", "unexplained.", 1),
        question="unexplained",
        attribute=finding.attribute,
        groups=finding.groups,
        estimand=put.estimand(evidence.config.task, measure=measure, group=name, other=other),
        test=f"{first.test}, larger p of {len(found)} fills",
        p=every([gap.p for gap in found.values()], map(float, np.sign(values))),
        estimate=first.difference,
        details={"measure": measure},
        checks=tuple(Check(by=fill, estimate=gap.difference()) for fill, gap in found.items()),
        omnibus=finding.test.p_adjusted,
    )
