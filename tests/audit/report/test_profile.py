"""Profiles are strict files: every path, name and section in them exists, and anything else is refused with file and field."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from audit.config import Declarations
from audit.config.compliance import SUBJECTS
from audit.errors import ConfigError
from audit.loading import load_config
from audit.records import ProtocolChange
from audit.report.computed import COMPUTED
from audit.report.conditions import CONDITIONS
from audit.report.crosswalk import resolve
from audit.report.outline import AXES, SECTIONS
from audit.report.profile import FOLDER, NAMES, SOURCES, read, shipped
from tests.audit.report.sample import sample_record

FIELDS = [(name, field) for name in NAMES for field in shipped(name).fields]
GOOD: dict[str, Any] = {
    "title": "t", "dated": "2026-11-30", "basis": "b", "caveat": "c",
    "fields": [{"field": "hash", "source": "s 1", "record": "data.sha256"}, {"field": "who", "source": "s 2", "declaration": "auditor"}],
}  # fmt: skip


def refused(tmp_path: Path, **changes: Any) -> str:
    path = tmp_path / "own.yaml"
    text = yaml.safe_dump({**GOOD, **changes}).replace("'2026-11-30'", "2026-11-30")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"own\.yaml: ") as caught:
        read(path)
    return str(caught.value)


def of_field(tmp_path: Path, **field: Any) -> str:
    return refused(tmp_path, fields=[GOOD["fields"][0], {"field": "odd one", "source": "s", **field}])


def test_every_profile_of_the_config_has_a_file_and_every_file_is_one() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(NAMES)


def test_every_record_path_has_a_value_in_a_whole_record(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        "data: {path: a}\nmodel: {path: m}\ntarget: {favour: a}\ngroups: [{attribute: g, lexicon: gender}]\n"
    )
    record = sample_record()
    whole = record.model_copy(update={
        "config": load_config(config).config.model_dump(mode="json"),
        "protocol_changed": ProtocolChange(run_id="r", protocol_sha256="0", settings=("seed",)),
    })  # fmt: skip
    paths = {field.record for _, field in FIELDS if field.record}
    assert {"data.sha256", "model.accuracy", "config.compliance.output"} <= paths
    assert not [path for path in paths if not resolve(whole, path)]


def test_every_declaration_is_asked_for_by_a_profile_and_has_a_label_of_its_own() -> None:
    assert {field.declaration for _, field in FIELDS if field.declaration} == Declarations.model_fields.keys()
    named = [name for names in SUBJECTS.values() for name in names]
    assert sorted(named) == sorted(Declarations.model_fields)
    labels = [field.title for field in Declarations.model_fields.values()]
    assert None not in labels and len(set(labels)) == len(labels)


def test_every_source_condition_and_computation_is_used() -> None:
    assert {source for _, field in FIELDS for source in SOURCES if getattr(field, source) is not None} == set(SOURCES)
    assert {name for _, field in FIELDS for name in (field.when, field.needs) if name} == CONDITIONS.keys()
    assert {field.computed for _, field in FIELDS if field.computed} == COMPUTED.keys()


def test_sections_are_those_of_the_report() -> None:
    assert "".join(SECTIONS) == "ABCDEFGHIJKL"
    assert {field.section for _, field in FIELDS if field.section} <= SECTIONS.keys()
    assert {field.impact for _, field in FIELDS if field.impact} == {*AXES, "all"}


@pytest.mark.parametrize("name", NAMES)
def test_every_profile_says_how_its_text_was_read_and_that_an_audit_never_establishes_compliance(name: str) -> None:
    profile = shipped(name)
    assert "read" in profile.basis or "compared" in profile.basis
    assert name == "model_card" or "never establishes it" in " ".join(profile.caveat.split())


def test_what_was_read_in_no_official_journal_says_so() -> None:
    profile = shipped("eu_ai_act")
    assert "the Official Journal was not read" in profile.basis
    assert "2 December 2027" in profile.caveat and "not read in the Official Journal" in profile.caveat


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({}, "give exactly one of record, section, declaration, impact, computed, outside; given: none"),
        ({"section": "A", "outside": "no"}, "given: section, outside"),
        ({"section": "M"}, "Input should be 'A', 'B'"),
        ({"record": "data.sha265"}, "'sha265' of 'data.sha265' is unknown; did you mean 'sha256'?"),
        ({"record": "config.complience"}, "did you mean 'compliance'?"),
        ({"record": "findings.margins"}, "did you mean 'margin'?"),
        ({"declaration": "auditer"}, "declaration: 'auditer' is unknown; did you mean 'auditor'?"),
        ({"impact": "gender"}, "Input should be 'sex', 'race_ethnicity'"),
        ({"computed": "age"}, "computed: 'age' is unknown"),
        ({"section": "E", "when": "monday"}, "when: 'monday' is unknown"),
        ({"declaration": "auditor", "needs": "ratios"}, "needs: only for a field with a section"),
        ({"section": "E", "empty": "none"}, "empty: only for a field with a record path"),
        ({"section": "E", "colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"outside": ""}, "at least 1 character"),
    ],
)
def test_a_bad_field_is_refused_with_file_and_field(tmp_path: Path, field: dict[str, Any], message: str) -> None:
    told = of_field(tmp_path, **field)
    assert message in told and "own.yaml: fields.1 ('odd one')" in told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dated": "soon"}, "dated: Input should be a valid date"),
        ({"law": "x"}, "law: Extra inputs are not permitted"),
        ({"fields": []}, "fields: "),
        ({"fields": [GOOD["fields"][0]] * 2}, "'hash' of 's 1' stands twice"),
        ({"basis": None}, "basis: Input should be a valid string"),
    ],
)
def test_a_bad_file_is_refused_with_its_key(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    assert message in refused(tmp_path, **changes)


@pytest.mark.parametrize("content", ["", "- a\n", "a: [", "a: \xff"])
def test_what_is_no_profile_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"own\.yaml: "):
        read(path)
    with pytest.raises(ConfigError, match="'gdpr' is no profile; choose from nyc_ll144"):
        shipped("gdpr")
