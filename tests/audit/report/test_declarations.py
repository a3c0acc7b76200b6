"""What was declared, and what was not."""

import pytest

from audit.config import Declarations
from audit.report.declarations import MOST, NOT_SUPPLIED, block, by_subject, declared, supplied
from tests.audit.report.complete import complete_record
from tests.audit.report.sample import sample_record


def test_a_declaration_is_told_and_a_missing_one_is_named_as_missing():
    assert declared(complete_record(), "owner") == supplied(complete_record(), "owner") == "declared owner"
    assert (declared(sample_record(), "owner"), supplied(sample_record(), "owner")) == (NOT_SUPPLIED, None)


@pytest.mark.parametrize(
    "compliance",
    [None, "x", [], {}, {"declarations": None}, {"declarations": {"owner": 3}}, {"declarations": {"owner": " \n"}}],
)
def test_what_is_no_text_is_not_supplied(compliance):
    record = sample_record()
    assert (
        declared(record.model_copy(update={"config": {**record.config, "compliance": compliance}}), "owner")
        == NOT_SUPPLIED
    )


def test_a_declaration_is_one_clean_line_of_a_bounded_length():
    config = {"compliance": {"declarations": {"owner": "a\nb\x00" + "c" * 9_000}}}
    told = declared(sample_record().model_copy(update={"config": config}), "owner")
    assert told.startswith("a b\ufffdc") and len(told) == MOST


def test_all_declarations_are_listed_by_subject_and_what_is_blank_is_none():
    given = {"provider": " P\n", "data_kind": "test", "owner": " \t"}
    record = sample_record()
    subjects = by_subject(
        record.model_copy(update={"config": {**record.config, "compliance": {"declarations": given}}})
    )
    assert [subject for subject, _ in subjects] == ["System", "Audit", "Data", "Governance"]
    values = dict(entry for _, entries in subjects for entry in entries)
    assert len(values) == len(Declarations.model_fields)
    assert {label: value for label, value in values.items() if value is not None} == {
        "Provider": "P",
        "Kind of data": "test",
    }


@pytest.mark.parametrize("compliance", [None, "x", [], 3])
def test_an_older_record_has_an_empty_block(compliance):
    record = sample_record()
    assert block(record.model_copy(update={"config": {"compliance": compliance}})) == {} == block(record)
