"""model-card.json against what schema 0.0.2 of the Model Card Toolkit allows, written down here from its definitions."""

import json
import re

import pytest

from audit.report.toolkit_card import toolkit_card
from tests.audit.report.complete import complete_record, shown, untold
from tests.audit.report.hostile import LATER, TURNS, UNWRITABLE, hostile_record
from tests.audit.report.sample import sample_record

TEXT = str
SCHEMA = {
    "schema_version": TEXT,
    "model_details": {
        "name": TEXT, "overview": TEXT, "documentation": TEXT, "owners": [{"name": TEXT, "contact": TEXT}],
        "version": {"name": TEXT, "date": TEXT, "diff": TEXT}, "licenses": [{"identifier": TEXT, "custom_text": TEXT}],
        "references": [{"reference": TEXT}], "citations": [{"style": TEXT, "citation": TEXT}], "path": TEXT,
    },
    "model_parameters": {
        "model_architecture": TEXT, "input_format": TEXT, "output_format": TEXT,
        "data": [{"name": TEXT, "link": TEXT, "sensitive": {"sensitive_data": [TEXT]}, "description": TEXT}],
    },
    "quantitative_analysis": {
        "performance_metrics": [
            {"type": TEXT, "value": TEXT, "slice": TEXT, "confidence_interval": {"lower_bound": TEXT, "upper_bound": TEXT}}
        ]
    },
    "considerations": {
        "users": [{"description": TEXT}], "use_cases": [{"description": TEXT}], "limitations": [{"description": TEXT}],
        "tradeoffs": [{"description": TEXT}], "ethical_considerations": [{"name": TEXT, "mitigation_strategy": TEXT}],
    },
}  # fmt: skip


def fits(value, schema):
    """Whether a document has only known keys, and texts where texts are due."""
    if isinstance(schema, dict):
        return (
            isinstance(value, dict)
            and set(value) <= set(schema)
            and all(fits(value[key], schema[key]) for key in value)
        )
    if isinstance(schema, list):
        return isinstance(value, list) and all(fits(each, schema[0]) for each in value)
    return isinstance(value, schema)


def card(record=None):
    return json.loads(toolkit_card(shown(record or complete_record())))


@pytest.mark.parametrize("record", [complete_record(), sample_record(), untold(complete_record())])
def test_it_fits_the_schema(record):
    document = card(record)
    assert fits(document, SCHEMA) and document["schema_version"] == "0.0.2"
    assert all(len(each) == 1 for each in document["model_details"]["licenses"])  # one of two


def test_figures_have_their_slice_and_interval_as_text():
    metrics = card()["quantitative_analysis"]["performance_metrics"]
    assert metrics[0] == {
        "type": "accuracy", "value": "0.801", "confidence_interval": {"lower_bound": "0.785", "upper_bound": "0.817"},
    }  # fmt: skip
    ratio = next(each for each in metrics if each.get("slice") == "gender: female" and each["type"] == "impact ratio")
    assert (ratio["value"], ratio["confidence_interval"]) == ("0.75", {"lower_bound": "0.65", "upper_bound": "0.85"})
    assert card(untold(sample_record()))["quantitative_analysis"]["performance_metrics"][0]["type"] != "accuracy"


def test_considerations_are_what_was_declared_and_found_and_nothing_else():
    document = card()["considerations"]
    assert document["users"] == [{"description": "declared intended_purpose"}]
    assert document["tradeoffs"] == [{"description": "declared tradeoffs"}]
    risks = document["ethical_considerations"]
    assert len(risks) == 3 and {each["mitigation_strategy"] for each in risks} == {"declared mitigation"}
    assert any("BREACH: beyond the margin" in each["name"] for each in risks)
    assert sum(each["description"].startswith("Not testable: ") for each in document["limitations"]) == 5
    assert card(sample_record())["considerations"]["users"] == [{"description": "not supplied"}]


def test_documentation_and_version_are_what_was_declared_as_such():
    details = card()["model_details"]
    assert details["documentation"] == "declared documentation"
    assert details["version"] == {
        "name": "declared system_version", "date": "declared version_date", "diff": "declared version_changes",
    }  # fmt: skip
    assert set(card(sample_record())["model_details"]["version"].values()) == {"not supplied"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("apache-2.0", {"identifier": "Apache-2.0"}), ("Proprietary", {"custom_text": "Proprietary"}),
        ("MIT OR Apache-2.0", {"custom_text": "MIT OR Apache-2.0"}),
    ],
)  # fmt: skip
def test_a_licence_is_an_identifier_where_spdx_lists_it(given, told):
    record = complete_record()
    config = {**record.config, "compliance": {"declarations": {"license": given}}}
    assert card(record.model_copy(update={"config": config}))["model_details"]["licenses"] == [told]


@pytest.mark.parametrize("turn", [*TURNS, LATER])
def test_hostile_text_is_one_clean_line_of_text(turn):
    content = toolkit_card(shown(hostile_record(turn, UNWRITABLE))).decode("utf-8")
    assert fits(json.loads(content), SCHEMA) and len(content) < 1_000_000
    assert not re.search(r"\\u(00[0-9a-f]{2}|d[89a-f]|202)", content) and "\\n" not in content
