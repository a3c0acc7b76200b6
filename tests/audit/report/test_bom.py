"""ml-bom.cdx.json against the schema of CycloneDX 1.6, by the validator of its library."""

import json

import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from audit.report.bom import ml_bom
from tests.audit.report.complete import complete_record, shown, untold
from tests.audit.report.hostile import LATER, TURNS, UNPRINTED, UNWRITABLE, hostile_record
from tests.audit.report.sample import sample_record

VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)


def bill(record=None):
    content = ml_bom(shown(record or complete_record())).decode("utf-8")
    assert VALIDATOR.validate_str(content) is None
    return json.loads(content)


def components(document):
    return {each["bom-ref"]: each for each in document["components"]}


def test_the_validator_refuses_what_is_not_in_the_schema():
    document = bill()
    document["components"][0]["modelcard"] = {}
    assert "modelcard" in str(VALIDATOR.validate_str(json.dumps(document)))


def test_model_data_lexicons_and_packages_are_components_with_their_hashes():
    found, record = components(bill()), complete_record()
    model, data = found["model"], found["data"]
    assert (model["type"], model["name"], model["version"]) == (
        "machine-learning-model",
        "declared system",
        "declared system_version",
    )
    assert model["hashes"] == [{"alg": "SHA-256", "content": record.model.sha256}] and model["licenses"] == [
        {"license": {"id": "Apache-2.0"}}
    ]
    assert (data["type"], data["hashes"][0]["content"]) == ("data", record.data.sha256)
    assert sum(name.startswith("lexicon-") for name in found) == len(record.lexicons)
    assert {each["purl"] for name, each in found.items() if name.startswith("package-")} == {
        "pkg:pypi/lrp-audit@0.1.0", "pkg:pypi/numpy@2.4.6", "pkg:pypi/torch@2.13.0",
    }  # fmt: skip


def test_the_model_card_holds_figures_limits_and_differences():
    card = components(bill())["model"]["modelCard"]
    figures = card["quantitativeAnalysis"]["performanceMetrics"]
    assert figures[0] == {
        "type": "accuracy",
        "value": "0.801",
        "confidenceInterval": {"lowerBound": "0.785", "upperBound": "0.817"},
    }
    assert card["modelParameters"]["datasets"] == [{"ref": "data"}]
    assert any("Relevance is not causation" in each for each in card["considerations"]["technicalLimitations"])
    assert len(card["considerations"]["ethicalConsiderations"]) == 3
    assert components(bill(untold(sample_record())))["model"]["version"] == "sha256:eeeeeeeeeeee"


def test_serial_number_and_time_are_those_of_the_run():
    first, again = bill(), bill()
    assert first == again and first["metadata"]["timestamp"].startswith("2026-05-01T10:19:42")
    other = bill(complete_record().model_copy(update={"run_id": "another"}))
    assert other["serialNumber"] != first["serialNumber"]
    untimed = bill(complete_record().model_copy(update={"finished": "yesterday"}))
    assert "timestamp" not in untimed["metadata"]


def test_the_library_reads_the_bill_back():
    read = Bom.from_json(bill())
    assert {each.bom_ref.value for each in read.components} == set(components(bill()))
    assert {each.ref.value: len(each.dependencies) for each in read.dependencies}["model"] == len(read.components) - 1


@pytest.mark.parametrize("turn", [*TURNS, LATER])
def test_hostile_text_leaves_the_bill_valid_and_clean(turn):
    found = bill(hostile_record(turn, UNWRITABLE))
    assert len(found["components"]) == len(bill()["components"])
    content = json.dumps(found, ensure_ascii=False)
    assert not UNPRINTED.search(content) and len(content) < 1_000_000
