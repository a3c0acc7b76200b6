"""How far interventions back a difference that is shown, in one grade and the sentence that gives its grounds."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from audit.config import Margins
from audit.questions import QUESTIONS
from audit.records import SHOWN, Check, Finding, Grade
from audit.stats import effects, tests

ENOUGH: Final = 2  # interventions that must show a difference to confirm it
MARGIN: Final = {tests.UNIT: "disparity", effects.UNIT: "swap"}  # by unit of a check; of rates: outcome


def graded(finding: Finding, margins: Margins) -> Finding:
    """With its grade; unchanged where no difference is shown."""
    if finding.verdict not in SHOWN:
        return finding
    grade, grounds = _grade(finding, margins)
    return finding.model_copy(update={"grade": grade, "grounds": grounds})


def _grade(finding: Finding, margins: Margins) -> tuple[Grade, str]:
    if not QUESTIONS[finding.question].explained:
        return Grade.CONFIRMED, "it is read from predictions, without relevance between"
    known = [check for check in finding.checks if check.estimate.value is not None and check.estimate.low is not None]
    if not known:
        few = next((check.estimate.reason for check in finding.checks if check.estimate.reason), "")
        part = "its parts are not checked by intervention, see the whole" if "part" in finding.details else ""
        return Grade.SUGGESTIVE, few or part or "no intervention could be made"
    sign = _sign(finding)
    same = [check for check in known if _side(check) == sign]
    other = [check for check in known if _side(check) == -sign]
    along = [check for check in known if np.sign(check.estimate.value or 0.0) == sign]
    if len(other) == len(known) and len(other) >= ENOUGH:
        return Grade.REFUTED, f"every intervention shows the opposite direction: {_names(other)}"
    if other:
        return Grade.SUGGESTIVE, f"interventions contradict: {_names(other)} against it" + (
            f", {_names(same)} with it" if same else ""
        )
    if len(same) >= ENOUGH:
        told = f"interventions show it in the same direction: {_names(same)}"
        small = len(_beyond(same, margins)) < ENOUGH
        reasons = ["it is fragile"] * finding.fragile + ["the effect is smaller than its margin"] * small
        but = f"; but {' and '.join(reasons)}" if reasons else ""
        return (Grade.SUPPORTED if but else Grade.CONFIRMED), told + but
    if len(along) == len(known):
        shown = f"shown by {_names(same)} alone" if same else "none shown alone"
        return Grade.SUPPORTED, f"interventions point in the same direction, {shown}"
    return Grade.SUGGESTIVE, "interventions do not agree on a direction: some point the other way, none is shown to"


def _sign(finding: Finding) -> float:
    """Its direction; a ratio that is shown is always one of more relevance than placebos have."""
    return 1.0 if finding.estimate.unit == "ratio" else float(np.sign(finding.estimate.value or 0.0))


def _side(check: Check) -> float:
    """The direction that the interval shows; 0 where it holds 0."""
    low, high = check.estimate.low or 0.0, check.estimate.high or 0.0
    return 1.0 if low > 0 else -1.0 if high < 0 else 0.0


def _beyond(checks: Sequence[Check], margins: Margins) -> list[Check]:
    """Those whose effect is at least the margin of its unit."""
    return [
        check for check in checks
        if abs(check.estimate.value or 0.0) >= getattr(margins, MARGIN.get(check.estimate.unit, "outcome"))
    ]  # fmt: skip


def _names(checks: Sequence[Check]) -> str:
    return ", ".join(
        f"{check.by} {check.estimate.value:+.2f} [{check.estimate.low:+.2f}, {check.estimate.high:+.2f}]"
        for check in checks
    )
