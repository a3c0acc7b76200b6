"""What every format is made of: the part of a record that may be published."""

from dataclasses import dataclass
from hashlib import sha256
from typing import final

from audit.records import AuditRecord
from audit.report.debugging import told
from audit.report.privacy import published


@final
@dataclass(frozen=True, slots=True)
class Publication:
    """A record without what may not be told, the names of the slices that may (None: nothing was asked), and the hash of `audit.json`.

    `audit.json` is the auditor's file and keeps the whole record, small counts and ids included.
    """

    record: AuditRecord
    slices: tuple[str, ...] | None
    sha256: str


def publication(record: AuditRecord) -> Publication:
    """What may be published of `record`."""
    named = told(record)
    return Publication(
        published(record), None if named is None else tuple(named), sha256(record.file_bytes()).hexdigest()
    )
