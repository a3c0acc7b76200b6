"""What a finished run prints on the terminal: where the report is, and the verdict table."""

import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from rich.console import Console
from rich.table import Table
from rich.text import Text

from audit.questions import QUESTIONS
from audit.records import AuditRecord, Finding, Verdict
from audit.report.candidates import told
from audit.report.text import interval, listed, p_value
from audit.report.wording import exit_sentence, gate_extent, quantity

WIDTH = 150
STYLES = {
    Verdict.BREACH: "bold white on dark_orange3",
    Verdict.DIFFERENT: "dark_orange3",
    Verdict.EQUIVALENT: "blue",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NOT_TESTABLE: "dim",
}


def print_summary(record: AuditRecord, folder: Path) -> None:
    """Verdict table, gates, and the path of the report, on standard output."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    table = Table(
        title=f"{record.name}: {record.data.used} examples, contrast {record.model.contrast}", title_justify="left"
    )
    for column in ("question", "attribute", "groups", "estimate", "margin", "adjusted p", "verdict"):
        table.add_column(column, overflow="fold")
    tested = [finding for finding in record.findings if finding.verdict is not Verdict.NOT_TESTABLE]
    shown = [finding for finding in tested if finding.verdict is not Verdict.INCONCLUSIVE or finding.margin is not None]
    for finding in shown:
        table.add_row(*_row(finding))
    console.print(table)
    if len(tested) > len(shown):
        console.print(
            Text(f"and {len(tested) - len(shown)} INCONCLUSIVE findings without a margin (the report has them)")
        )
    console.print(Text(f"NOT TESTABLE: {_untested(record.findings)} (the report says why)"))
    if record.data.excluded:
        listed = ", ".join(f"{reason} {n}" for reason, n in record.data.excluded.items())
        console.print(Text(f"{sum(record.data.excluded.values())} rows not used ({listed}): see quarantine.jsonl"))
    for warning in record.warnings:
        console.print(Text(f"WARNING: {warning}", "bold"))
    console.print(Text(f"candidates nobody declared: {told(record)}"))
    for gate in record.gates:
        console.print(
            Text(f"gate {gate.question}: {gate.state} ({gate_extent(gate, record.findings, record.worsenings)})")
        )
    console.print(Text(exit_sentence(record.exit_code)))
    console.print(Text(f"report: {folder / 'report.html'}"), soft_wrap=True)
    console.print(
        Text(f"debugging, internal: {folder / 'debug.html'}, or: lrp-audit explore {quote(str(folder))}"),
        soft_wrap=True,
    )


def _untested(findings: Sequence[Finding]) -> str:
    """Question by question, the attributes that could not be tested."""
    missed: dict[str, list[str]] = {}
    for finding in findings:
        if finding.verdict is Verdict.NOT_TESTABLE:
            groups = f" ({listed(finding.groups, 3)})" if finding.groups else ""
            missed.setdefault(finding.question, []).append(f"{finding.attribute}{groups}")
    return (
        "; ".join(f"{question} of {', '.join(dict.fromkeys(names))}" for question, names in missed.items()) or "nothing"
    )


def _row(finding: Finding) -> tuple[Text, ...]:
    adjusted = finding.test.p_adjusted
    return (
        Text(_question(finding)),
        Text(finding.attribute),
        Text(" - ".join(finding.groups) if len(finding.groups) < 4 else f"{len(finding.groups)} groups"),
        Text(interval(finding.estimate)),
        Text("" if finding.margin is None else f"{finding.margin:g}"),
        Text("" if adjusted is None else p_value(adjusted)),
        Text(_verdict(finding), STYLES[finding.verdict]),
    )


def _question(finding: Finding) -> str:
    """The question, and which quantity where a question has several."""
    return " ".join(filter(None, (finding.question, quantity(finding))))


def _verdict(finding: Finding) -> str:
    """The verdict; a difference inside its margin says so, and so does one that another choice would change; its grade, if of relevance."""
    graded = finding.grade if QUESTIONS[finding.question].explained else None
    fragile = (", fragile" if finding.fragile else "") + (f", {graded.value}" if graded else "")
    if finding.verdict is Verdict.DIFFERENT and finding.margin is not None:
        return (
            "DIFFERENT, inside margin" if finding.estimate.within(finding.margin) else "DIFFERENT, may exceed"
        ) + fragile
    return finding.verdict.value + fragile
