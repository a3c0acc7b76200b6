"""What the people of a system declared in the config, as far as it is text; whatever they left out is named as such.

The one place that reads the block `compliance`: every format tells the same of a blank or missing declaration.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from audit.config import Declarations
from audit.config.compliance import SUBJECTS
from audit.records import AuditRecord
from audit.report.text import shorten

NOT_SUPPLIED: Final = "not supplied"
MOST: Final = 4_000  # characters of one declaration
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def block(record: AuditRecord) -> Mapping[str, Any]:
    """The block `compliance` of the recorded config; empty in a record that is older."""
    found = record.config.get("compliance")
    return found if isinstance(found, Mapping) else NOTHING


def supplied(record: AuditRecord, key: str) -> str | None:
    """What was declared under `key`, cleaned, on one line; None where nothing was, blanks alone were, or what was is no text."""
    every = block(record).get("declarations")
    given = every.get(key) if isinstance(every, Mapping) else None
    return shorten(given, MOST) or None if isinstance(given, str) else None


def declared(record: AuditRecord, key: str) -> str:
    """What was declared under `key`, or that nothing was."""
    return supplied(record, key) or NOT_SUPPLIED


def by_subject(record: AuditRecord) -> list[tuple[str, list[tuple[str, str | None]]]]:
    """Subject, and label and value of each of its declarations; None is not supplied."""
    return [
        (subject, [(str(Declarations.model_fields[name].title), supplied(record, name)) for name in names])
        for subject, names in SUBJECTS.items()
    ]
