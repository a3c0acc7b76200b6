"""Two records beside each other: what is the same, what nearly, and that nothing is passed over."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from audit.records import AuditRecord, Estimate, Gate, Provenance, Verdict
from audit.records.impact import Category, ImpactTable
from audit.store.compared import CHANGED, CLOSE, DIFFERENT, IDENTICAL, MISSING, NEW, SAME, UNKNOWN, inputs, outcomes


def sample() -> AuditRecord:
    """A record of every kind of result."""
    path = Path(__file__).parents[1] / "report" / "sample.py"
    spec = importlib.util.spec_from_file_location("sample_of_reports", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    record: AuditRecord = module.sample_record()
    rate = Estimate(value=0.5, low=0.4, high=0.6, n=100)
    category = Category(name="a", n=100, selected=50, share=1.0, rate=rate, ratio=rate, p=0.2, p_adjusted=0.4)
    table = ImpactTable(attribute="x", axis="", output="class", n=100, unknown=0, categories=(category,), checks={})
    gate = Gate(question="contrast", state="holds", findings=())
    return record.model_copy(update={"impact": (table,), "gates": (gate,)})


def first_changed(record: AuditRecord, **changes: Any) -> AuditRecord:
    first, *others = record.findings
    return record.model_copy(update={"findings": (first.model_copy(update=changes), *others)})


def states(before: AuditRecord, after: AuditRecord) -> dict[str, tuple[str, ...]]:
    """State and differing parts of what is not identical, by kind and name."""
    return {
        f"{each.kind} {each.name}": (each.state, *each.differing)
        for each in outcomes(before, after)
        if each.state != IDENTICAL
    }


def test_a_record_is_identical_to_itself_and_every_kind_is_compared() -> None:
    record = sample()
    assert states(record, record) == {}
    found = outcomes(record, record)
    assert {each.kind for each in found} >= {"finding", "impact ratio", "accuracy", "gate", "exit code"}
    assert [each.name for each in found if each.kind == "finding"] == [finding.id for finding in record.findings]
    assert all(each.holds for each in found)


@pytest.mark.parametrize("part", ["value", "low", "high"])
@pytest.mark.parametrize(("shift", "state"), [(0.0, None), (3e-7, CLOSE), (3e-6, DIFFERENT)])
def test_numbers_hold_to_a_millionth(part: str, shift: float, state: str | None) -> None:
    record = first_changed(sample(), estimate=Estimate(value=0.5, low=0.25, high=0.75, n=10))
    name = record.findings[0].id
    estimate = record.findings[0].estimate
    moved = estimate.model_copy(update={part: getattr(estimate, part) + shift})
    found = states(record, first_changed(record, estimate=moved))
    differing = (part,) if state == DIFFERENT else ()
    assert found == ({} if state is None else {f"finding {name}": (state, *differing)})


def test_a_verdict_has_no_tolerance_and_neither_has_a_reason_for_no_number() -> None:
    record = first_changed(sample(), verdict=Verdict.BREACH, estimate=Estimate(value=0.0, n=5))
    name = f"finding {record.findings[0].id}"
    assert states(record, first_changed(record, verdict=Verdict.DIFFERENT)) == {name: (DIFFERENT, "verdict")}
    assert states(record, first_changed(record, estimate=Estimate(value=None, n=5))) == {name: (DIFFERENT, "value")}
    test = record.findings[0].test.model_copy(update={"p": 0.5, "p_adjusted": 0.123})
    assert states(record, first_changed(record, test=test))[name][0] == DIFFERENT


def test_missing_and_new_findings_are_told() -> None:
    record = sample()
    first, *others = record.findings
    fewer = record.model_copy(update={"findings": tuple(others)})
    assert states(record, fewer) == {f"finding {first.id}": (MISSING,)}
    assert states(fewer, record) == {f"finding {first.id}": (NEW,)}


def test_findings_of_one_id_hide_nothing() -> None:
    record = sample()
    first = record.findings[0]
    other = first.model_copy(update={"verdict": Verdict.NOT_TESTABLE})
    twice = record.model_copy(update={"findings": (first, first, *record.findings[1:])})
    changed = record.model_copy(update={"findings": (first, other, *record.findings[1:])})
    assert states(twice, changed) == {f"finding {first.id} (2)": (DIFFERENT, "verdict")}


def test_gate_exit_code_ratio_and_accuracy_are_compared() -> None:
    record = sample()
    table = record.impact[0]
    category = table.categories[0].model_copy(update={"selected": 49})
    other = record.model_copy(
        update={
            "gates": (record.gates[0].model_copy(update={"state": "breached"}),),
            "exit_code": 1,
            "impact": (table.model_copy(update={"categories": (category,)}),),
            "model": record.model.model_copy(update={"accuracy": Estimate(value=0.1, n=3)}),
        }
    )
    assert {name: found[0] for name, found in states(record, other).items()} == dict.fromkeys(
        ["impact ratio x: a", "accuracy accuracy", "gate contrast", "exit code exit code"], DIFFERENT
    )


def told(**changes: Any) -> AuditRecord:
    provenance = Provenance(
        git_revision=None, git_dirty=None, python="3.11", platform="Linux", packages={"torch": "2"}, device="cpu", seed=0, **changes
    )  # fmt: skip
    return sample().model_copy(update={"provenance": provenance})


def test_inputs_are_the_same_changed_or_not_known() -> None:
    before = told(code_revision="a" * 40, code_dirty=False, hardware={"cores": "2"})
    after = told(code_revision="b" * 40, code_dirty=False, hardware={"cores": "4"})
    found = {each.name: each.state for each in inputs(before, after)}
    assert (found["code"], found["cores"], found["package torch"], found["data"]) == (CHANGED, CHANGED, SAME, SAME)
    older = {each.name: each.state for each in inputs(told(), after)}
    assert (older["code"], older["cores"]) == (UNKNOWN, UNKNOWN)
    assert "code" not in {each.name for each in inputs(told(), told())}, "neither is a checkout"


def test_code_with_uncommitted_changes_is_never_the_same() -> None:
    dirty = told(code_revision="a" * 40, code_dirty=True)
    (code,) = [each for each in inputs(dirty, dirty) if each.name == "code"]
    assert code.state == UNKNOWN and code.before == "a" * 40 + " with uncommitted changes"
