"""What was declared, and what was not."""

import pytest

from audit.report.declarations import MOST, NOT_SUPPLIED, declared, supplied
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
