"""Rows of results, one JSON a line: what is finished is never done again, and rows of another protocol are refused."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from bench.planted.protocol import Part, Protocol

FOLDER: Final = Path(__file__).with_name("results")


class ProtocolChanged(Exception):
    """Rows were measured under another declaration."""


def results_file(part: Part, folder: Path = FOLDER) -> Path:
    """Where the rows of a part are."""
    return folder / f"{part}.jsonl"


def rows(path: Path) -> list[dict[str, Any]]:
    """All rows in order; a last line that was cut off while it was written is left out."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def unfinished(keys: Iterable[tuple[str, str]], found: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """Of (unit, method), those without a row."""
    done = {(row["key"], row["method"]) for row in found}
    return [each for each in keys if each not in done]


def check_protocol(found: Sequence[dict[str, Any]], protocol: Protocol, path: Path) -> None:
    """Raise ProtocolChanged where a file, of whatever part, has rows of another protocol."""
    others = [row["protocol"] for row in found if row["protocol"] != protocol.sha256]
    if others:
        raise ProtocolChanged(
            f"{path}: {len(others)} of {len(found)} rows are of protocol {min(others)[:12]}, and protocol.json is {protocol.sha256[:12]} "
            "now: rows of two declarations are not one benchmark. Move the file away and measure all anew, or restore protocol.json"
        )


def append(path: Path, row: dict[str, Any]) -> None:
    """Add a row; a line that was cut off before goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(json.dumps(row, separators=(",", ":")).encode() + b"\n")
