"""The manifest of a run folder: sha256 of every file, written last; what differs from it, and what no run writes."""

import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from audit.errors import OutputError
from audit.files import file_sha256, write_atomically

RECORD: Final = "audit.json"
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "signature.json"  # over the manifest, so outside of it
EXPLORER: Final = "explorer"  # folder of selections that people save in a finished run: no part of it
CURE: Final = "give another folder with --output"
RESTORE: Final = (
    "restore what differs and remove what was added (lrp-audit verify lists all of it), or run the audit again"
)
NAMED: Final = 10  # in the message that refuses a run


@final
@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one file of a run; `file` is its name relative to the run."""

    run: Path
    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.run / self.file}: {self.what}"


def write_manifest(folder: Path) -> None:
    """sha256 of every other file of the folder; its presence says that the run is complete."""
    hashes = {name: file_sha256(path) for name, path in _contents(folder)[0].items()}
    content = json.dumps({"sha256": hashes}, indent=2, sort_keys=True)
    write_atomically(folder / MANIFEST, f"{content}\n".encode(), cure=CURE)


def altered(folder: str | Path) -> list[Problem]:
    """What differs from the manifest, one a file; empty when all is as the run wrote it. OutputError without a manifest."""
    run = Path(folder)
    manifest = run / MANIFEST
    if not manifest.is_file():
        raise OutputError(f"{run}: has no {MANIFEST}; give the folder of one finished run")
    wanted = _hashes(manifest)
    if wanted is None:
        return [Problem(run, MANIFEST, "is not a valid manifest")]
    present, odd = _contents(run)
    missing = [Problem(run, name, "is missing") for name in sorted(wanted.keys() - present.keys() - odd.keys())]
    extra = [Problem(run, name, "is not in the manifest") for name in sorted(present.keys() - wanted.keys())]
    both = sorted(wanted.keys() & present.keys())
    changed = [Problem(run, name, what) for name in both if (what := _changed(present[name], wanted[name]))]
    return missing + extra + changed + [Problem(run, name, what) for name, what in sorted(odd.items())]


def refusal(problems: Sequence[object]) -> str:
    """The first problems, a line each, and the cure."""
    more = [f"and {len(problems) - NAMED} more"] if len(problems) > NAMED else []
    return "\n".join([*map(_printable, problems[:NAMED]), *more, RESTORE])


def _printable(problem: object) -> str:
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in str(problem))


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `object_pairs_hook`: ValueError for a key that stands twice, of which readers see different values."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _hashes(manifest: Path) -> Mapping[str, Any] | None:
    try:
        wanted: Any = json.loads(manifest.read_text(encoding="utf-8"), object_pairs_hook=once)["sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return wanted if isinstance(wanted, dict) else None


def _changed(path: Path, wanted: object) -> str:
    try:
        return "" if file_sha256(path) == wanted else "was changed after the run"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _contents(run: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Files that the manifest speaks for, hidden ones too, and what no run writes with the reason; by name relative to the run."""
    files, odd = dict[str, Path](), dict[str, str]()

    def unreadable(error: OSError) -> None:
        odd[Path(error.filename).relative_to(run).as_posix()] = f"cannot be read ({error.strerror})"

    for top, folders, names in os.walk(run, onerror=unreadable):
        here = Path(top)
        if here == run and EXPLORER in folders and not (run / EXPLORER).is_symlink():
            folders.remove(EXPLORER)
        if here != run and not folders and not names:
            odd[here.relative_to(run).as_posix()] = "is an empty folder, which no run writes"
        for path in (here / name for name in (*folders, *names)):
            kind, name = path.lstat().st_mode, path.relative_to(run).as_posix()
            if stat.S_ISLNK(kind):
                odd[name] = "is a symbolic link, which no run writes"
            elif stat.S_ISREG(kind) and path not in (run / MANIFEST, run / SIGNATURE):
                files[name] = path
            elif not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
                odd[name] = "is no regular file, and no run writes such"
    return files, odd
