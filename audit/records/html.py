"""How findings and records look in a notebook: small tables, everything escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from audit.records.findings import Finding, Gate

WORST: Final = ("BREACH", "DIFFERENT", "INCONCLUSIVE", "EQUIVALENT", "NOT TESTABLE")
MOST: Final = 20
COLUMNS: Final = ("question", "attribute", "groups", "verdict", "estimate", "adjusted p", "why")


def finding_html(finding: "Finding") -> str:
    """A table of one finding."""
    return _table([_row(finding)])


def record_html(name: str, run_id: str, exit_code: int, gates: "Sequence[Gate]", findings: "Sequence[Finding]") -> str:
    """Gates, and the findings, the worst verdicts first."""
    ranked = sorted(findings, key=lambda each: WORST.index(each.verdict.value))
    states = ", ".join(f"{gate.question} {gate.state}" for gate in gates)
    left = f"<p>{len(ranked) - MOST} more findings are in record.table</p>" if len(ranked) > MOST else ""
    head = f"<p><b>{escape(name)}</b> {escape(run_id)}: exit code {exit_code}; gates: {escape(states)}</p>"
    return head + _table([_row(each) for each in ranked[:MOST]]) + left


def _row(finding: "Finding") -> list[str]:
    estimate, p, fragile = finding.estimate, finding.test.p_adjusted, ", fragile" if finding.fragile else ""
    grade = f", {finding.grade.value}" if finding.grade else ""
    value = "" if estimate.value is None else f"{estimate.value:.3f}"
    ends = "" if estimate.low is None or estimate.high is None else f" [{estimate.low:.3f}, {estimate.high:.3f}]"
    return [
        finding.question, finding.attribute, " \u2212 ".join(finding.groups), f"{finding.verdict.value}{grade}{fragile}",
        f"{value}{ends} {estimate.unit}, n = {estimate.n}", "" if p is None else f"{p:.3g}", finding.grounds or finding.reason,
    ]  # fmt: skip


def _table(rows: Iterable[Sequence[Any]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in COLUMNS)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
