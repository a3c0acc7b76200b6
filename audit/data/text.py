"""Labelled texts, and spans of characters that belong to groups, from the columns of a table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from audit.config import Data
from audit.data.examples import BadRow, Examples, Reader, is_blank, is_name, load_examples
from audit.tables import Match

MAX_TEXT: Final = 131_072  # characters; the csv module's own limit, kept for all formats


@final
@dataclass(frozen=True, slots=True)
class TextRow:
    """A text, and the matches that its spans column declares, by start."""

    text: str
    spans: tuple[Match, ...] = ()


def load_texts(
    config: Data, path: Path, *, classes: Sequence[str], labels: Mapping[str, str], seed: int
) -> Examples[TextRow]:
    """Read the file of texts; arguments and errors as for `load_examples`."""
    reader = Reader("text", (config.columns.text, config.columns.spans), _read, pack=_pack, unpack=_unpack)
    return load_examples(config, path, reader, classes=classes, labels=labels, seed=seed)


def _read(cells: Sequence[Any]) -> TextRow:
    text = _text(cells[0])
    return TextRow(text, _spans(cells[1], text))


def _pack(row: TextRow) -> bytes:
    """The text, and behind a NUL character, which no text holds, its spans."""
    if not row.spans:
        return row.text.encode()
    return f"{row.text}\0{json.dumps([(m.start, m.end, m.attribute, m.group) for m in row.spans])}".encode()


def _unpack(packed: bytes) -> TextRow:
    text, _, spans = packed.decode().partition("\0")
    return TextRow(text, tuple(_span(item, text) for item in json.loads(spans)) if spans else ())


def _text(cell: object) -> str:
    """Not stripped: spans count characters of the text as it stands."""
    if is_blank(cell):
        raise BadRow("empty text")
    if not isinstance(cell, str):
        raise BadRow("malformed row", f"text is a {type(cell).__name__}, not text")
    if len(cell) > MAX_TEXT:
        raise BadRow("malformed row", f"text has {len(cell)} characters; at most {MAX_TEXT} are allowed")
    return cell


def _spans(cell: object, text: str) -> tuple[Match, ...]:
    """Matches by start from `[[start, end, attribute, group], ...]`, as JSON or as a list; blank is none."""
    if is_blank(cell):
        return ()
    try:
        items = json.loads(cell) if isinstance(cell, str) else cell
        if not isinstance(items, list):
            raise ValueError("not a list")
        found = sorted((_span(item, text) for item in items), key=lambda match: (match.start, match.end))
    except (ValueError, RecursionError) as error:
        raise BadRow("bad spans", f"{error!s:.120}; write [[start, end, attribute, group], ...]") from None
    ends: dict[str, int] = {}
    for match in found:
        if match.start < ends.get(match.attribute, 0):
            raise BadRow("bad spans", f"two spans of {match.attribute!r} overlap at character {match.start}")
        ends[match.attribute] = match.end
    return tuple(found)


def _span(item: object, text: str) -> Match:
    if not isinstance(item, list) or len(item) != 4:
        raise ValueError(f"{item!r:.60} has not four parts")
    start, end, attribute, group = item
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(text):
        raise ValueError(f"{start!r:.20} to {end!r:.20} is not inside the text of {len(text)} characters")
    for name in (attribute, group):
        if not is_name(name):
            raise ValueError(f"{name!r:.60} is no name of an attribute or a group")
    return Match(start, end, attribute, group, text[start:end].lower())
