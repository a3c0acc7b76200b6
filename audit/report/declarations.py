"""What the people of a system declared in the config, as far as it is text; whatever they left out is named as such."""

from typing import Final

from audit.records import AuditRecord
from audit.report.outline import said
from audit.report.text import shorten

NOT_SUPPLIED: Final = "not supplied"
MOST: Final = 4_000  # characters of one declaration


def supplied(record: AuditRecord, key: str) -> str | None:
    """What was declared under `key`, cleaned, on one line; None where nothing was, as in records older than declarations."""
    given = said(record).get(key)
    return shorten(given, MOST) or None if isinstance(given, str) else None


def declared(record: AuditRecord, key: str) -> str:
    """What was declared under `key`, or that nothing was."""
    return supplied(record, key) or NOT_SUPPLIED
