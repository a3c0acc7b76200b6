"""What a build server should make of each finding of a gate; the rules are those of the exit code, so both say the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, final

from audit.questions import AGAINST, INVALID
from audit.records import AuditRecord, Finding, Gate, Standing, Verdict, Worsening
from audit.report import wording
from audit.report.text import LONGEST, count, measured, number, p_value, shorten


class Outcome(StrEnum):
    """Of a finding for its gate; the first two keep it from holding, and so do findings that one run alone has (`Suite.unsaid`)."""

    BREACHED = "breached"
    OPEN = "not shown to lie inside its margin"
    UNTESTED = "not testable"
    HELD = "shown to lie inside its margin"


@final
@dataclass(frozen=True, slots=True)
class Case:
    """One finding of a gate, or how it stands against the baseline: its verdict (`kind`), and in words what it comes to."""

    id: str
    kind: str
    outcome: Outcome
    message: str
    grade: str | None = None


@final
@dataclass(frozen=True, slots=True)
class Suite:
    """A gate and its findings."""

    gate: Gate
    cases: tuple[Case, ...]

    @property
    def title(self) -> str:
        """Of the question."""
        return shorten(wording.question_title(self.gate.question), 160)

    @property
    def unsaid(self) -> str:
        """Why the gate does not hold, where none of its findings says so, as where none could be compared; else empty."""
        said = any(each.outcome in (Outcome.BREACHED, Outcome.OPEN) for each in self.cases)
        held = self.gate.state == "holds"
        return "" if said or held else f"{self.title}: {self.gate.state}, {wording.gate_sentence(self.gate)}"


def suites(record: AuditRecord) -> list[Suite]:
    """A suite a gate, a case a finding, or how one stands against the baseline."""
    known: dict[str, Finding | Worsening] = {each.id: each for each in record.findings}
    known |= {each.id: each for each in record.worsenings}
    return [
        Suite(gate, tuple(_case(known[key], held=gate.state == "holds") for key in gate.findings if key in known))
        for gate in record.gates
    ]


def faults(record: AuditRecord) -> str:
    """Why the explanation is not valid; empty where it is, or is not required to be."""
    if record.exit_code != INVALID:
        return ""
    told = [warning for warning in record.warnings if warning.startswith("the explanation is not valid")]
    return shorten(" ".join((wording.exit_sentence(INVALID), *told)), LONGEST)


def _case(found: Finding | Worsening, *, held: bool) -> Case:
    if isinstance(found, Worsening):
        return Case(found.id, found.standing.value, STANDINGS[found.standing], shorten(_standing(found), LONGEST))
    grade = found.grade.value if found.grade else None
    return Case(found.id, found.verdict.value, _outcome(found, held=held), shorten(_message(found), LONGEST), grade)


STANDINGS: Final[Mapping[Standing, Outcome]] = {
    Standing.BREACHED: Outcome.BREACHED, Standing.INCONCLUSIVE: Outcome.OPEN, Standing.NOT_TESTED: Outcome.UNTESTED,
    Standing.HOLDS: Outcome.HELD,
}  # fmt: skip


def _standing(found: Worsening) -> str:
    """Standing, what it is about, both estimates and the worsening."""
    quantity = f" ({found.quantity})" if found.quantity else ""
    title = wording.question_title(f"{found.question}{AGAINST}")
    about = f"{found.standing.value}, {title}, {found.attribute}: {wording.pair(found)}{quantity}"
    if found.standing is Standing.NOT_TESTED:
        return f"{about}. {found.reason}"
    numbers = measured(
        found.estimate, f"n = {count(found.estimate.n)}", f"adjusted p {p_value(found.test.p_adjusted)}",
        f"margin {number(found.margin)}",
    )  # fmt: skip
    return f"{about}, {number(found.before.value)} in the baseline, {number(found.after.value)} now, worse by {numbers}. {found.reason}"


def _outcome(finding: Finding, *, held: bool) -> Outcome:
    """`held`: the gate holds, and so do its findings, though an interval that would show it may be withheld."""
    if finding.verdict is Verdict.NOT_TESTABLE:
        return Outcome.UNTESTED
    if finding.verdict is Verdict.BREACH:
        return Outcome.BREACHED
    return Outcome.HELD if held or finding.settled else Outcome.OPEN


def _message(finding: Finding) -> str:
    """Verdict, what it is about, numbers and reason; never in which direction, which is not shown of most."""
    asked, title = wording.quantity(finding), wording.question_title(finding.question)
    about = f"{finding.verdict.value}, {title}, {finding.attribute}: {wording.pair(finding)}{f' ({asked})' if asked else ''}"
    if finding.verdict is Verdict.NOT_TESTABLE:
        return f"{about}. {finding.reason}"
    numbers = measured(
        finding.estimate, f"n = {count(finding.estimate.n)}", f"adjusted p {p_value(finding.test.p_adjusted)}",
        f"margin {number(finding.margin)}",
    )  # fmt: skip
    return f"{about}, {numbers}. {finding.reason}"
