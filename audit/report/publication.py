"""What every format is made of: the part of a record that may be published."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePath
from typing import Final, final

from pydantic import JsonValue

from audit.records import AuditRecord
from audit.report.debugging import told
from audit.report.page import smallest_cell
from audit.report.privacy import published

PUBLIC_CELL: Final = (
    10  # the smallest count of people in the variant for the public, if the config asks for no larger one
)


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


def publication(record: AuditRecord, *, public: bool = False) -> Publication:
    """What may be published of `record`: by its config, or to the `public`."""
    digest = sha256(record.file_bytes()).hexdigest()
    asked = _for_the_public(record) if public else record
    named = told(asked)
    return Publication(published(asked), None if named is None or public else tuple(named), digest, public)


def _for_the_public(record: AuditRecord) -> AuditRecord:
    """Without examples, words of the dataset, ids, paths and machine; counts of people from `PUBLIC_CELL`."""
    shown: dict[str, JsonValue] = {
        "examples": 0, "show_text": False, "images": "hide", "smallest_cell": max(PUBLIC_CELL, smallest_cell(record)), "hash_ids": True,
    }  # fmt: skip
    config = {**record.config, "report": shown}
    for block in ("data", "model"):
        given = config.get(block)
        if isinstance(given, Mapping):
            config[block] = {
                **given,
                **{key: PurePath(str(given[key])).name for key in ("path", "ids", "weights") if given.get(key)},
            }
    machine = {
        "command": (),
        "config_path": "",
        "config_written": "",
        "overrides": (),
        "hardware": {},
        "platform": "not shown",
    }
    return record.model_copy(update={
        "config": config,
        "exhibits": (),
        "ledger": tuple(row.model_copy(update={"empty_ids": ()}) for row in record.ledger),
        "data": record.data.model_copy(update={"path": PurePath(record.data.path).name}),
        "model": record.model.model_copy(update={"path": PurePath(record.model.path).name}),
        "provenance": record.provenance.model_copy(update=machine),
    })  # fmt: skip
