"""Selections that people save while they explore: a file each below `explorer/` of the run folder, the only thing ever written there."""

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, final

from audit.errors import OutputError
from audit.files import inert, write_atomically
from audit.store.manifest import EXPLORER

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}")
MOST_NOTE: Final = 2_000
MOST_IDS: Final = 1_000_000
CURE: Final = "free some space, or make the run folder writable"


@final
@dataclass(frozen=True, slots=True)
class Selection:
    """Ids of examples under a name, what was noted, where they come from (the address of a list, or ""), and when it was saved (UTC)."""

    name: str
    note: str
    ids: tuple[str, ...]
    source: str = ""
    saved: str = ""

    def as_json(self) -> bytes:
        """Everything."""
        return f"{json.dumps(asdict(self), indent=1, ensure_ascii=False)}\n".encode()

    def as_csv(self, columns: Sequence[tuple[str, Sequence[Any]]]) -> bytes:
        """A row an example with the given columns; cells are no formulas."""
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\r\n")
        writer.writerow([inert(name) for name, _ in columns])
        writer.writerows([inert(cell) for cell in row] for row in zip(*(cells for _, cells in columns), strict=True))
        return table.getvalue().encode()


def save(folder: Path, name: str, note: str, ids: Sequence[str], source: str = "") -> Selection:
    """Write a selection, in the place of one of the same name; ValueError for a name, a note or ids that cannot be kept."""
    if not NAME.fullmatch(name):
        raise ValueError(
            "a name has 1 to 60 letters, digits, blanks, dots, dashes or underscores, and starts with a letter or digit"
        )
    if len(note) > MOST_NOTE:
        raise ValueError(f"a note has at most {MOST_NOTE:,} characters")
    if not 0 < len(ids) <= MOST_IDS:
        raise ValueError("no example is selected" if not ids else f"at most {MOST_IDS:,} examples can be saved")
    made = Selection(name, note, tuple(dict.fromkeys(ids)), source, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    if (folder / EXPLORER).is_symlink():
        raise OutputError(f"{folder / EXPLORER}: is a link, and worklists stay in the run folder; remove it")
    try:
        (folder / EXPLORER).mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder / EXPLORER}: cannot be made ({error.strerror}); {CURE}") from None
    write_atomically(_path(folder, name), made.as_json(), cure=CURE)
    return made


def selections(folder: Path) -> list[Selection]:
    """Those that are saved, by name; a file that is none is left out."""
    found = (_read(path) for path in sorted((folder / EXPLORER).glob("*.json")))
    return [each for each in found if each is not None]


def selection(folder: Path, name: str) -> Selection | None:
    """The one of this name."""
    return _read(_path(folder, name)) if NAME.fullmatch(name) else None


def remove(folder: Path, name: str) -> None:
    """Nothing where there is none of this name."""
    if selection(folder, name):
        _path(folder, name).unlink(missing_ok=True)


def _path(folder: Path, name: str) -> Path:
    return folder / EXPLORER / f"{name}.json"


def _read(path: Path) -> Selection | None:
    if path.is_symlink() or path.parent.is_symlink() or not NAME.fullmatch(path.stem):
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        ids = tuple(str(each) for each in found["ids"])
        return Selection(path.stem, str(found["note"]), ids, str(found.get("source", "")), str(found.get("saved", "")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
