"""What every format is made of: the part of a record that may be published."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PureWindowsPath
from typing import Final, final

from pydantic import JsonValue

from audit.records import AuditRecord
from audit.report.debugging import told
from audit.report.page import smallest_cell
from audit.report.privacy import published
from audit.report.text import WITHHELD

NAMES_A_FILE: Final = ("path", "ids", "weights", "output", "lexicon", "coco", "run")  # keys of a config
PUBLIC_CELL: Final = 10  # the smallest count of people that everybody is told, if the config asks for no larger one


@final
@dataclass(frozen=True, slots=True, eq=False)
class Publication:
    """A record without what may not be told, the names of the slices that may (None: nothing was asked), and the hash of `audit.json`.

    `audit.json` is the auditor's file and keeps the whole record, small counts and ids included. `public`: for everybody, not only for
    those who may read the report.
    """

    record: AuditRecord
    slices: tuple[str, ...] | None
    sha256: str
    public: bool = False


def publication(record: AuditRecord, *, public: bool = False, least: int | None = None) -> Publication:
    """What may be published of `record`: by its config, or to the `public`; `least`: in the place of its `report.smallest_cell`."""
    digest = sha256(record.file_bytes()).hexdigest()
    k = least or max(PUBLIC_CELL * public, smallest_cell(record))
    asked = _with_report(_for_the_public(record) if public else record, {"smallest_cell": k})
    named = told(asked)
    return Publication(published(asked), None if named is None or public else tuple(named), digest, public)


def _for_the_public(record: AuditRecord) -> AuditRecord:
    """Without examples, quotations of the dataset, ids, folders and machine."""
    shown: dict[str, JsonValue] = {"examples": 0, "show_text": False, "images": "hide", "hash_ids": True}
    machine = {
        "command": (), "config_path": "", "config_written": "", "overrides": (), "hardware": {}, "platform": WITHHELD,
    }  # fmt: skip
    told = record.model_copy(update={
        "exhibits": (),
        "ledger": tuple(row.model_copy(update={"empty_ids": ()}) for row in record.ledger),
        "provenance": record.provenance.model_copy(update=machine),
    })  # fmt: skip
    bare = _without_folders(told, {record.data.path, record.model.path, *_paths(record.config)})
    return _with_report(bare, shown)


def _with_report(record: AuditRecord, settings: Mapping[str, JsonValue]) -> AuditRecord:
    """With other settings of the block `report`."""
    given = record.config.get("report")
    block = {**(given if isinstance(given, Mapping) else {}), **settings}
    return record.model_copy(update={"config": {**record.config, "report": block}})


def _paths(settings: JsonValue) -> Iterator[str]:
    """Files and folders that a config names."""
    items = (
        settings.items() if isinstance(settings, Mapping) else enumerate(settings) if isinstance(settings, list) else ()
    )
    for key, value in items:
        if key in NAMES_A_FILE and isinstance(value, str):
            yield value
        else:
            yield from _paths(value)


def _without_folders(record: AuditRecord, paths: Collection[str]) -> AuditRecord:
    """Each path is its last part, wherever it stands; separators are those of any system."""
    text = record.model_dump_json()
    for path in sorted(paths, key=len, reverse=True):
        name = PureWindowsPath(path).name
        if name and name != path:
            text = text.replace(json.dumps(path, ensure_ascii=False)[1:-1], json.dumps(name, ensure_ascii=False)[1:-1])
    return AuditRecord.model_validate_json(text)
