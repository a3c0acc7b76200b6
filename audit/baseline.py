"""The findings of a run held against those of its baseline: gates that are breached where a difference has grown."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from audit.progress import timed
from audit.recording import Answers, example_frame
from audit.records import AuditRecord, Baseline, Finding
from audit.reference import Reference, reference
from audit.report.wording import quantity
from audit.stats.cases import Evidence
from audit.stats.pairing import NUMBERED, changed
from audit.stats.run_examples import Examples, examples_of
from audit.stats.worsening import Held, alone, baseline_gate, worsenings
from audit.store.tables import columns_of, load_examples
from audit.tasks.task import Task


def against_baseline(task: Task[Any], evidence: Evidence, answers: Answers) -> Answers:
    """The answers with how they stand against the baseline, and its gates behind the others; as they are where none is declared."""
    before = reference(task)
    if before is None:
        return answers
    config = task.loaded.config
    with timed(task.seconds, "statistics.baseline"):
        sides = _tables(before), _examples(task, evidence)
        why = _unpaired(before.record, task)
        found = {
            question: worsenings(
                list(_held(question, before.record, answers, sides, why)), margin, config.alpha_of_baseline
            )
            for question, margin in config.worse_by.items()
        }
    return replace(
        answers,
        gates=(*answers.gates, *(baseline_gate(question, each) for question, each in found.items())),
        baseline=Baseline(
            run_id=before.record.run_id,
            started=before.record.started,
            sha256=before.sha256,
            model_sha256=before.record.model.sha256,
            worsenings=tuple(each for rows in found.values() for each in rows),
        ),
    )


def _held(
    question: str, before: AuditRecord, answers: Answers, sides: tuple[Examples | None, Examples], why: str
) -> Iterator[Held]:
    """Every finding of a question that either run has."""
    one, two = _of(question, before.findings), _of(question, answers.findings)
    for name in dict.fromkeys([*two, *one]):
        if name not in one:
            yield alone(two[name], "the baseline has no such finding", after=True)
        elif name not in two:
            yield alone(one[name], "only the baseline has such a finding", after=False)
        else:
            change = changed(one[name], two[name], *sides, why=why)
            yield Held(one[name], two[name], change, quantity(two[name]))


def _of(question: str, findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {each.id: each for each in findings if each.question == question}


def _tables(before: Reference) -> Examples | None:
    return examples_of(before.record, load_examples(before.folder))


def _examples(task: Task[Any], evidence: Evidence) -> Examples:
    examples = evidence.examples
    return Examples(
        columns_of(example_frame(evidence, {})), tuple(examples.attributes), evidence.classes[evidence.favourable], evidence.scale,
        task.loaded.config.statistics,
    )  # fmt: skip


def _unpaired(before: AuditRecord, task: Task[Any]) -> str:
    """Why ids do not tell which examples are the same; empty where they do."""
    numbered = task.loaded.config.data.columns.id is None and before.data.sha256 != task.data.sha256
    return NUMBERED if numbered else ""
