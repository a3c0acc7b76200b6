"""What stands behind a finding, in words: other choices, interventions, and what could have been found."""

from collections import Counter
from collections.abc import Sequence

from audit.questions import QUESTIONS
from audit.records import Finding, Grade, Sensitivity, Verdict
from audit.report.text import count, interval, listed, number, plural


def fragility(finding: Finding) -> str:
    """Which other choices would give another verdict or direction, how many were tried, and which could not be; empty where none was."""
    tried = [other for other in finding.sensitivity if other.verdict is not Verdict.NOT_TESTABLE]
    untested = [other.changed for other in finding.sensitivity if other.verdict is Verdict.NOT_TESTABLE]
    flips, said = finding.flips, []
    if flips:
        told = [", ".join(filter(None, (f"{other.changed}: {other.verdict.value}", _number(other)))) for other in flips]
        said = [
            f"Fragile: another verdict or direction in {len(flips)} of {plural(len(tried), 'other choice')}: {listed(told, 4)}"
        ]
    elif tried:
        choices = listed([other.changed for other in tried], 3)
        values = [other.estimate.value for other in tried if other.same_unit and other.estimate.value is not None]
        between = f", estimates {number(min(values))} to {number(max(values))}" if values else ""
        said = [f"The verdict survives {plural(len(tried), 'other choice')} ({choices}){between}"]
    if untested:
        said.append(f"Not testable: {listed(untested, 3)}")
    return ". ".join(said)


def _number(other: Sensitivity) -> str:
    shown = other.estimate
    return "" if shown.value is None and shown.low is None else interval(shown)


def fragile(findings: Sequence[Finding]) -> str:
    """`, 2 fragile` of several, `, fragile` of one; empty where none is."""
    n = sum(finding.fragile for finding in findings)
    return "" if not n else ", fragile" if len(findings) == 1 else f", {n} fragile"


def evidence(finding: Finding) -> str:
    """Grade and grounds of a finding; empty where no difference is shown."""
    return "" if finding.grade is None else f"Evidence: {finding.grade.value}; {finding.grounds}"


def checked(finding: Finding) -> list[str]:
    """What each intervention gives, with the predictions that it flips."""
    return [
        f"{check.by}: {interval(check.estimate)} {check.estimate.unit}"
        + ("" if check.estimate.n is None else f", n = {count(check.estimate.n)}")
        + (
            f"; flips beyond the control {interval(check.flips)}"
            if check.flips and check.flips.value is not None
            else ""
        )
        for check in finding.checks
        if check.estimate.value is not None
    ]


def graded(findings: Sequence[Finding]) -> str:
    """How many findings on relevance have each grade, strongest first; empty where none has one."""
    counts = Counter(each.grade for each in findings if each.grade and explained(each))
    return listed([f"{counts[grade]} {grade.value}" for grade in Grade if counts[grade]])


def explained(finding: Finding) -> bool:
    """Whether it rests on relevance; so is taken what asks a question of another release."""
    return finding.question not in QUESTIONS or QUESTIONS[finding.question].explained


def detectable(finding: Finding) -> str:
    """What an INCONCLUSIVE finding could have found, and the n it would need."""
    if finding.detectable is None:
        return ""
    needed = (
        f"; about n = {finding.needed_n:,} would settle it if the estimate stays where it is"
        if finding.needed_n is not None
        else ""
    )
    return f"MDE {number(finding.detectable)} {finding.estimate.unit} at power 0.8{needed}"
