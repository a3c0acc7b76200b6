"""Reports from the record alone: no torch, no transformers, no pandas, and the same bytes for the same record."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from audit.errors import OutputError
from audit.files import write_atomically
from audit.records import AuditRecord
from audit.report.document import debug_html
from audit.report.formats import FORMATS
from audit.report.publication import publication

DEBUG: Final = "debug.html"


def render(record: AuditRecord, folder: Path, formats: Sequence[str] = ("html",)) -> list[Path]:
    """Write what `rendered` makes; raises `OutputError` for a folder that cannot be written too."""
    return [_write(folder / name, content) for name, content in rendered(record, formats).items()]


def rendered(
    record: AuditRecord, formats: Sequence[str], *, public: bool = False, least: int | None = None
) -> dict[str, bytes]:  # fmt: skip
    """The files of each format by their names, and with HTML the page for debugging, which is not for the `public`.

    `least`: see `publication`. Raises `OutputError` for an unknown format.
    """
    unknown = sorted(set(formats) - FORMATS.keys())
    if unknown:
        raise OutputError(f"--format {unknown[0]!r}: this release renders {', '.join(FORMATS)}; give one of these")
    shown = publication(record, public=public, least=least)
    made = {file: make(shown) for name in dict.fromkeys(formats) for file, make in FORMATS[name].files.items()}
    if record.debug is not None and "html" in formats and not public:
        made[DEBUG] = debug_html(record)
    return made


def _write(path: Path, content: bytes) -> Path:
    write_atomically(path, content, cure="give a run folder that you may write and that has space")
    return path
