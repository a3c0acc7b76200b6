"""report.json is read by a JSON parser, and refused by everything that reads audit.json."""

import hashlib
import json
import re

import pytest
from pydantic import ValidationError

from audit.errors import OutputError
from audit.records import AuditRecord, Discovery
from audit.report.document_json import encoded, report_json
from audit.report.publication import publication
from audit.store.manifest import write_manifest
from audit.store.runs import load_record, write_record
from tests.audit.report.complete import complete_record, shown
from tests.audit.report.hostile import LATER, TURNS, UNWRITABLE, hostile_record


def with_report(**settings):
    record = complete_record()
    return record.model_copy(update={"config": {**record.config, "report": settings}})


def test_it_is_the_published_record_in_the_style_of_audit_json(tmp_path):
    record = with_report(smallest_cell=5, hash_ids=True)
    text = report_json(shown(record)).decode()
    document = json.loads(text)
    assert document.pop("published") == {
        "smallest_cell": 5, "hash_ids": True, "show_text": True, "note": document_note(text), "public": False,
        "audit_json_sha256": "5" * 64,
    }  # fmt: skip
    write_record(tmp_path, publication(record).record)
    whole = json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))
    assert whole.pop("debug") is None and document == whole
    keys = re.findall(r'^  "(\w+)":', text, re.MULTILINE)
    assert keys == sorted(keys) and text.startswith('{\n  "agreement": ')


def document_note(text):
    note = json.loads(text)["published"]["note"]
    assert "small counts are withheld" in note and "audit.json" in note
    return note


def test_small_counts_are_not_in_it():
    text = report_json(shown(with_report(smallest_cell=20))).decode()
    assert "waiter" in text and json.loads(text)["published"]["smallest_cell"] == 20
    assert next(each for each in json.loads(text)["terms"] if each["term"] == "waiter")["examples"] is None


def test_it_says_of_which_audit_json_it_is_and_whether_it_is_for_everybody():
    record = complete_record()
    told = json.loads(report_json(publication(record, public=True)))["published"]
    assert told["audit_json_sha256"] == hashlib.sha256(record.file_bytes()).hexdigest()
    assert (told["public"], told["show_text"], told["hash_ids"], told["smallest_cell"]) == (True, False, True, 10)


def test_it_cannot_be_loaded_as_the_whole_record(tmp_path):
    content = report_json(shown(complete_record()))
    (tmp_path / "audit.json").write_bytes(content)
    write_manifest(tmp_path)
    with pytest.raises(OutputError, match=r"not a valid record \(1 problems, the first at 'published'"):
        load_record(tmp_path)
    with pytest.raises(ValidationError, match=r"published\n\s+Extra inputs are not permitted"):
        AuditRecord.model_validate_json(content)


def test_words_of_the_data_are_left_out_where_the_config_says_so():
    full = report_json(shown(complete_record())).decode()
    hidden = report_json(shown(with_report(smallest_cell=1, show_text=False)))
    document = json.loads(hidden)
    for word in ('"<script>alert(1)</script>"', "onerror=alert(3)", "ballet", '"Her"'):
        assert word in full and word.encode() not in hidden
    assert document["exhibits"] == [] and document["discovery"]["candidates"] == []
    assert Discovery.model_validate(document["discovery"]).compared


@pytest.mark.parametrize("turn", [*TURNS, LATER])
def test_hostile_text_is_escaped_and_comes_back_as_it_was(turn):
    record = hostile_record(turn, UNWRITABLE)
    content = report_json(shown(record)).decode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", content)
    document = json.loads(content)
    assert document["name"] == record.name and document["findings"][0]["reason"] == record.findings[0].reason
    assert list(document["data"]["attributes"]) == list(record.data.attributes)


def test_numbers_that_are_none_are_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        encoded({"p": float("nan")})
