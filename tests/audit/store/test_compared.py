"""Two records beside each other: what is the same, what nearly, and that nothing is passed over."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from audit.records import AuditRecord, Estimate, Exhibit, Gate, MeanMap, ProtocolChange, Provenance, Verdict
from audit.records.impact import Category, ExpectedMinimum, ImpactTable
from audit.store.compared import (
    ASIDE,
    CHANGED,
    CLOSE,
    DIFFERENT,
    IDENTICAL,
    MISSING,
    NEW,
    SAME,
    UNKNOWN,
    inputs,
    outcomes,
)
from audit.store.runs import load_record
from tests.audit.report.complete import complete_record
from tests.audit.report.sample import sample_record
from tests.sample import SAMPLE


def sample() -> AuditRecord:
    """A record of many kinds of results."""
    record = sample_record()
    rate = Estimate(value=0.5, low=0.4, high=0.6, n=100)
    category = Category(name="a", n=100, selected=50, share=1.0, rate=rate, ratio=rate, p=0.2, p_adjusted=0.4)
    table = ImpactTable(attribute="x", axis="", output="class", n=100, unknown=0, categories=(category,), checks={})
    gate = Gate(question="contrast", state="holds", findings=())
    return record.model_copy(update={"impact": (table,), "gates": (gate,)})


def rich() -> AuditRecord:
    """Every part of a record, with one finding, whose null is short."""
    record, summed = complete_record(), load_record(SAMPLE).debug
    finding = record.findings[0].model_copy(
        update={"null": (0.5, 0.25), "second_opinion": record.findings[0].second_opinion}
    )
    mean = MeanMap(
        attribute="", group="", label="cat", composite="a", n=9, clusters=9, mean=((0.1, 0.2),), error=((0.1, 0.1),)
    )
    updates = {
        "identity": "0" * 64,
        "findings": (finding,), "maps": (mean,), "debug": summed, "exhibits": (PICTURE, *record.exhibits), "warnings": ("few",),
        "gates": (Gate(question="contrast", state="holds", findings=("contrast.a",)),),
        "protocol_changed": ProtocolChange(run_id="a", protocol_sha256="b", settings=("c",)),
    }  # fmt: skip
    return AuditRecord.model_validate(short(record.model_copy(update=updates).model_dump(mode="json")))


def short(value: Any) -> Any:
    """With two entries of each list."""
    if isinstance(value, dict):
        return {key: short(each) for key, each in value.items()}
    return [short(each) for each in value[:2]] if isinstance(value, list) else value


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
    assert {each.kind for each in found} >= {"findings", "impact", "model", "gates", "exit_code", "ledger", "discovery"}
    assert [each.name for each in found if each.kind == "findings"] == [finding.id for finding in record.findings]
    assert all(each.holds for each in found)


@pytest.mark.parametrize("part", ["value", "low", "high"])
@pytest.mark.parametrize(("shift", "state"), [(0.0, None), (2e-7, CLOSE), (3e-6, DIFFERENT)])
def test_numbers_hold_to_a_millionth(part: str, shift: float, state: str | None) -> None:
    record = first_changed(sample(), estimate=Estimate(value=0.5, low=0.25, high=0.75, n=10))
    name = record.findings[0].id
    estimate = record.findings[0].estimate
    moved = estimate.model_copy(update={part: getattr(estimate, part) + shift})
    found = states(record, first_changed(record, estimate=moved))
    differing = (f"estimate.{part}",) if state == DIFFERENT else ()
    assert found == ({} if state is None else {f"findings {name}": (state, *differing)})


def test_a_verdict_has_no_tolerance_and_neither_has_a_reason_for_no_number() -> None:
    record = first_changed(sample(), verdict=Verdict.BREACH, estimate=Estimate(value=0.0, n=5))
    name = f"findings {record.findings[0].id}"
    assert states(record, first_changed(record, verdict=Verdict.DIFFERENT)) == {name: (DIFFERENT, "verdict")}
    assert states(record, first_changed(record, estimate=Estimate(value=None, n=5))) == {
        name: (DIFFERENT, "estimate.value")
    }
    test = record.findings[0].test.model_copy(update={"p": 0.5, "p_adjusted": 0.123})
    assert states(record, first_changed(record, test=test))[name][0] == DIFFERENT


@pytest.mark.parametrize(
    ("before", "after", "state"),
    [
        (2_000_000, 2_000_001, DIFFERENT),
        (2_000_000, 2_000_001.0, DIFFERENT),
        (1, 1.0, IDENTICAL),
        (1, True, DIFFERENT),
        (0.0, False, DIFFERENT),
        ([], {}, DIFFERENT),
        ([], "[]", DIFFERENT),
        (["a"], {"1": "a"}, DIFFERENT),
        ({"a.b": 1}, {"a": {"b": 1}}, DIFFERENT),
        ({"a": None}, {"b": None}, DIFFERENT),
        (1e-9, -9e-7, DIFFERENT),
        (1e-9, 1.5e-9, CLOSE),
        (2_000_000.0, 2_000_001.0, CLOSE),
    ],
)
def test_whole_numbers_and_words_have_no_tolerance_and_small_numbers_little(
    before: Any, after: Any, state: str
) -> None:
    one, two = (first_changed(sample(), details={"it": each}) for each in (before, after))
    (found,) = [each for each in outcomes(one, two) if each.name == one.findings[0].id and each.kind == "findings"]
    assert found.state == state


ESTIMATE = Estimate(value=0.1, n=5)
EXPECTED = ExpectedMinimum(observed=0.1, median=0.1, low=0.1, high=0.1, below_four_fifths=0.1, p=0.1, draws=1)
PICTURE = Exhibit(id="p1", label="cat", predicted="dog", margin=0.5, picture="AAAA", scale=0.1)
PARTS = [part.model_dump(mode="json") for part in (ESTIMATE, EXPECTED, PICTURE)]
OTHERS: Sequence[Any] = (
    "BREACH",
    "EQUIVALENT",
    "confirmed",
    "breached",
    "holds",
    "proxy",
    "goes with errors",
    7,
    0.123,
    [1, 2, 3, 4],
    *PARTS,
)


def spots(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of leaves."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from spots(value[key], (*path, key))
    else:
        yield path


def altered(record: AuditRecord, path: tuple[Any, ...]) -> AuditRecord:
    """With another value, of those that the schema allows, at one place."""
    document = record.model_dump(mode="json")
    *way, last = path
    holder = document
    for step in way:
        holder = holder[step]
    value = holder[last]
    for other in (not value, f"{value}x", *OTHERS):
        holder[last] = other
        with contextlib.suppress(ValidationError):
            made = AuditRecord.model_validate(document)
            if made != record:
                return made
    raise AssertionError(f"nothing else fits {path}")


def test_no_leaf_of_a_record_changes_unseen_but_those_that_are_named_with_a_reason() -> None:
    record = rich()
    found = spots(record.model_dump(mode="json"))
    places = {tuple(each for each in path if isinstance(each, str)): path for path in found}.values()
    unseen = {path for path in places if not states(record, altered(record, path))}
    aside = {".".join(each for each in path if isinstance(each, str)) for path in unseen}
    assert len(places) > 300 and {path[0] for path in places} == AuditRecord.model_fields.keys()
    assert all(each in ASIDE or each.partition(".")[0] in ASIDE for each in aside), aside


def test_the_page_lists_what_is_not_compared_and_no_result_is_among_it() -> None:
    page = (SAMPLE.parents[1] / "docs" / "provenance.md").read_text()
    rows = page.partition("| field | why |")[2].partition("\n\n")[0].splitlines()[2:]
    listed = [name for row in rows for name in re.findall("`(.+?)`", row.split("|")[1])]
    assert sorted(each.replace("[]", "") for each in listed) == sorted(ASIDE)
    results = "findings impact agreement effects discovery distributions ledger concentration terms regions maps debug validity gates"
    assert not ASIDE.keys() & {*results.split(), "exhibits", "exit_code", "limits", "warnings"}


def test_missing_and_new_findings_are_told() -> None:
    record = sample()
    first, *others = record.findings
    fewer = record.model_copy(update={"findings": tuple(others)})
    assert states(record, fewer) == {f"findings {first.id}": (MISSING,)}
    assert states(fewer, record) == {f"findings {first.id}": (NEW,)}


def test_findings_of_one_id_hide_nothing() -> None:
    record = sample()
    first = record.findings[0]
    other = first.model_copy(update={"verdict": Verdict.NOT_TESTABLE})
    twice = record.model_copy(update={"findings": (first, first, *record.findings[1:])})
    changed = record.model_copy(update={"findings": (first, other, *record.findings[1:])})
    assert states(twice, changed) == {f"findings {first.id} (2)": (DIFFERENT, "verdict")}


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
        ["impact x", "model model", "gates contrast", "exit_code exit_code"], DIFFERENT
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
