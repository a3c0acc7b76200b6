"""The published record as JSON, for programs; not `audit.json`, and it cannot be loaded as one."""

import json
import re
from typing import Any, Final

from audit.records import AuditRecord
from audit.report.page import hashes_ids, shows_text, smallest_cell
from audit.report.publication import Publication
from audit.report.text import UNSAFE

NOTE: Final = (
    "What may be published of an audit: small counts are withheld, and whatever they could be computed from. The auditor keeps the "
    "whole record in audit.json, which this file is not."
)


def report_json(shown: Publication) -> bytes:
    """The record in the style of `audit.json`, and under `published` what was withheld; the whole record allows no such key."""
    document = _quotable(shown.record).model_dump()
    del document["debug"]
    document["published"] = {
        "audit_json_sha256": shown.sha256,
        "hash_ids": hashes_ids(shown.record),
        "note": NOTE,
        "public": shown.public,
        "show_text": shows_text(shown.record),
        "smallest_cell": smallest_cell(shown.record),
    }
    return encoded(document)


def encoded(document: Any) -> bytes:
    """JSON with sorted keys; NaN is refused. Control characters, overrides of direction and lone surrogates are escaped, so
    that a terminal that prints the file obeys none and a program reads every text as it was."""
    plain = json.dumps(document, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    return f"{UNSAFE.sub(_escape, plain)}\n".encode()


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _quotable(record: AuditRecord) -> AuditRecord:
    """Without words of the data, where the config lets none be shown."""
    if shows_text(record):
        return record
    found = record.discovery
    cells = found and found.model_copy(
        update={"candidates": tuple(each for each in found.candidates if each.box is not None)}
    )
    terms = tuple(term.model_copy(update={"forms": {}}) for term in record.terms)
    return record.model_copy(update={"exhibits": (), "discovery": cells, "terms": terms})
