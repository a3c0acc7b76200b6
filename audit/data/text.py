"""Labelled texts from CSV, JSONL or Parquet: one bad row is quarantined with its number and reason, and the rest goes on."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from audit.config import Data
from audit.data.row_files import Row, is_whole, read_rows
from audit.errors import DataError, did_you_mean
from audit.files import file_sha256
from audit.records import IntArray, Match

UNKNOWN: Final = "unknown"
SUFFIXES: Final = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
MAX_TEXT: Final = 131_072  # characters; the csv module's own limit, kept for all formats
MAX_NAME: Final = 200  # characters of an id, label, cluster or attribute value


@final
@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row that could not be used; `row` counts data rows from 1, `detail` starts with the file's line if it has lines."""

    row: int
    id: str
    reason: str
    detail: str


@final
@dataclass(frozen=True, slots=True)
class TextData:
    """The usable rows, in file order: `rows` = len(text) + sum(excluded) + not_sampled.

    `label` indexes the model's classes. Without a cluster column, and where the cell is blank, a row is its own cluster;
    `clusters` counts them, or is None without a column. A missing attribute value is "unknown" and counted in `unknown`.
    """

    id: NDArray[np.str_]
    text: tuple[str, ...]
    label: IntArray
    cluster: IntArray
    clusters: int | None
    attributes: Mapping[str, NDArray[np.str_]]
    spans: tuple[tuple[Match, ...], ...]
    rows: int
    excluded: Mapping[str, int]
    not_sampled: int
    unknown: Mapping[str, int]
    sha256: str
    quarantined: tuple[Quarantined, ...]


@final
@dataclass(frozen=True, slots=True)
class _Usable:
    """One usable row."""

    id: str
    text: str
    label: int
    cluster: str
    spans: tuple[Match, ...]
    attributes: tuple[str, ...]


class _BadRow(Exception):
    """Why a row is quarantined: a stable reason, and the detail."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def load_texts(config: Data, path: Path, *, classes: Sequence[str], labels: Mapping[str, str], seed: int) -> TextData:
    """Read the file; `labels` maps labels of the data to classes. DataError if the file as a whole cannot be used.

    Every row is read, then `limit` usable ones are drawn by `seed`. Ids are unique: of rows with one id the first usable
    one is used.
    """
    index = _label_index(classes, labels)
    kind = _kind(config, path)
    names = _columns(config)
    kept: dict[str, _Usable] = {}
    bad: list[Quarantined] = []
    for number, row in enumerate(read_rows(path, kind, [name for name in names if name is not None]), start=1):
        given = iter(row.cells)
        cells = [None if name is None or row.problem else next(given) for name in names]
        try:
            usable = _usable(row, cells, index, number=None if config.columns.id else number)
            if usable.id in kept:
                raise _BadRow("duplicate id", f"{usable.id!r} stands in an earlier row, which is used")
            kept[usable.id] = usable
        except _BadRow as problem:
            detail = ": ".join(part for part in (f"line {row.line}" if row.line else "", problem.detail) if part)
            bad.append(Quarantined(number, _shown_id(cells[0], number, config), problem.reason, detail[:MAX_NAME]))
    _check_usable(path, len(kept), bad, index)
    return _table(config, path, list(kept.values()), tuple(bad), seed)


def write_quarantine(path: Path, quarantined: Sequence[Quarantined]) -> None:
    """JSON lines in ASCII: `row`, `id`, `reason`, `detail` (cut at 200 characters)."""
    with path.open("w", encoding="ascii") as file:
        for one in quarantined:
            shown = {"row": one.row, "id": one.id, "reason": one.reason, "detail": one.detail[:MAX_NAME]}
            file.write(json.dumps(shown) + "\n")


def _kind(config: Data, path: Path) -> str:
    try:
        exists = path.exists()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if not exists:
        raise DataError(f"{path}: there is no such data file; data.path is relative to the config")
    if not path.is_file():
        raise DataError(f"{path}: is not a regular file; data.path names one CSV, JSONL or Parquet file")
    kind = config.format or SUFFIXES.get(path.suffix.lower())
    if kind is None:
        allowed = ", ".join(SUFFIXES)
        raise DataError(f"{path}: unknown suffix {path.suffix!r}; allowed are {allowed}; else set data.format")
    return kind


def _columns(config: Data) -> tuple[str | None, ...]:
    """Columns in the order in which `_usable` takes the cells; None for a role that no column has."""
    columns = config.columns
    return (columns.id, columns.text, columns.label, columns.cluster, columns.spans, *columns.attributes.values())


def _label_index(classes: Sequence[str], labels: Mapping[str, str]) -> dict[str, int]:
    """Class index of every label that the data may hold: mapped ones, names of classes, and 0..K-1 if no name is a number."""
    for label, name in labels.items():
        if name not in classes:
            allowed = f"its classes are {', '.join(classes)}{did_you_mean(name, classes)}"
            raise DataError(f"model.labels: {label!r} stands for {name!r}, which the model does not have; {allowed}")
    index = {name: i for i, name in enumerate(classes)} | {label: classes.index(name) for label, name in labels.items()}
    numbers = any(label.lstrip("+-").isdecimal() for label in index)
    return index if numbers else index | {str(i): i for i in range(len(classes))}


def _usable(row: Row, cells: Sequence[Any], index: Mapping[str, int], *, number: int | None) -> _Usable:
    """The row's values, or _BadRow; `number` is the id if no column has it."""
    if row.problem:
        raise _BadRow(*row.problem)
    for cell in cells:
        if isinstance(cell, str):
            _check_characters(cell)
    name = _plain(cells[0], "id") if number is None else str(number)
    if not name:
        raise _BadRow("missing id")
    text = _text(cells[1])
    label = _label(_plain(cells[2], "label"), index)
    attributes = tuple(_plain(cell, "attribute") or UNKNOWN for cell in cells[5:])
    return _Usable(name, text, label, _plain(cells[3], "cluster"), _spans(cells[4], text), attributes)


def _check_characters(cell: str) -> None:
    if not is_whole(cell):
        raise _BadRow("broken encoding", "a cell is not UTF-8, or holds half a surrogate pair")
    if "\0" in cell:
        raise _BadRow("malformed row", "a cell holds a NUL character")


def _plain(cell: object, role: str) -> str:
    """A short cell as text, '' for null and NaN; 1.0 is '1', since a column of integers with nulls is stored as floats."""
    if cell is None or cell != cell:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, bytes | list | tuple | dict):
        raise _BadRow("malformed row", f"{role} is a {type(cell).__name__}, not text or a number")
    text = str(int(cell) if isinstance(cell, float) and cell.is_integer() else cell).strip()
    if len(text) > MAX_NAME:
        raise _BadRow("malformed row", f"{role} has {len(text)} characters; at most {MAX_NAME} are allowed")
    return text


def _text(cell: object) -> str:
    """Not stripped: spans count characters of the text as it stands."""
    if cell is None or cell != cell or (isinstance(cell, str) and not cell.strip()):
        raise _BadRow("empty text")
    if not isinstance(cell, str):
        raise _BadRow("malformed row", f"text is a {type(cell).__name__}, not text")
    if len(cell) > MAX_TEXT:
        raise _BadRow("malformed row", f"text has {len(cell)} characters; at most {MAX_TEXT} are allowed")
    return cell


def _label(label: str, index: Mapping[str, int]) -> int:
    if not label:
        raise _BadRow("missing label")
    if label not in index:
        raise _BadRow("unknown label", f"{label!r:.60} is none of {', '.join(index)}")
    return index[label]


def _spans(cell: object, text: str) -> tuple[Match, ...]:
    """Matches by start from `[[start, end, attribute, group], ...]`, as JSON or as a list; blank is none."""
    if cell is None or cell != cell or (isinstance(cell, str) and not cell.strip()):
        return ()
    try:
        items = json.loads(cell) if isinstance(cell, str) else cell
        if not isinstance(items, list):
            raise ValueError("not a list")
        found = sorted((_span(item, text) for item in items), key=lambda match: (match.start, match.end))
    except (ValueError, RecursionError) as error:
        raise _BadRow("bad spans", f"{error!s:.120}; write [[start, end, attribute, group], ...]") from None
    ends: dict[str, int] = {}
    for match in found:
        if match.start < ends.get(match.attribute, 0):
            raise _BadRow("bad spans", f"two spans of {match.attribute!r} overlap at character {match.start}")
        ends[match.attribute] = match.end
    return tuple(found)


def _span(item: object, text: str) -> Match:
    if not isinstance(item, list) or len(item) != 4:
        raise ValueError(f"{item!r:.60} has not four parts")
    start, end, attribute, group = item
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(text):
        raise ValueError(f"{start!r:.20} to {end!r:.20} is not inside the text of {len(text)} characters")
    for name in (attribute, group):
        if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME or not is_whole(name) or "\0" in name:
            raise ValueError(f"{name!r:.60} is no name of an attribute or a group")
    return Match(start, end, attribute, group, text[start:end].lower())


def _shown_id(cell: object, number: int, config: Data) -> str:
    return str(number) if config.columns.id is None else "" if cell is None else str(cell)[:MAX_NAME]


def _check_usable(path: Path, used: int, bad: Sequence[Quarantined], index: Mapping[str, int]) -> None:
    if used:
        return
    if not bad:
        raise DataError(f"{path}: has no rows; give at least one labelled text")
    first = {one.reason: one for one in reversed(bad)}
    counts = Counter(one.reason for one in bad)
    reasons = ", ".join(
        f"{reason} {n} (row {first[reason].row}: {first[reason].detail})" for reason, n in counts.items()
    )
    cure = f"; labels may be {', '.join(index)}; map others with model.labels" if "unknown label" in counts else ""
    raise DataError(f"{path}: none of {len(bad)} rows can be used: {reasons}{cure}")


def _table(config: Data, path: Path, kept: list[_Usable], bad: tuple[Quarantined, ...], seed: int) -> TextData:
    drawn = [kept[i] for i in _sample(len(kept), config.limit, seed)]
    cluster, blank = _cluster_codes([row.cluster for row in drawn])
    attributes = {
        name: np.array([row.attributes[k] for row in drawn], dtype=np.str_)
        for k, name in enumerate(config.columns.attributes)
    }
    unknown = {name: int((values == UNKNOWN).sum()) for name, values in attributes.items()}
    if config.columns.cluster and blank:
        unknown[f"cluster ({config.columns.cluster})"] = blank
    return TextData(
        id=np.array([row.id for row in drawn], dtype=np.str_),
        text=tuple(row.text for row in drawn),
        label=np.array([row.label for row in drawn], dtype=np.int64),
        cluster=cluster,
        clusters=int(cluster.max()) + 1 if config.columns.cluster else None,
        attributes=attributes,
        spans=tuple(row.spans for row in drawn),
        rows=len(kept) + len(bad),
        excluded=dict(Counter(one.reason for one in bad)),
        not_sampled=len(kept) - len(drawn),
        unknown=unknown,
        sha256=file_sha256(path),
        quarantined=bad,
    )


def _cluster_codes(names: Sequence[str]) -> tuple[IntArray, int]:
    """Codes 0, 1, ... in the order of the names, then a new one for every blank; and how many are blank."""
    known = {name: code for code, name in enumerate(sorted(set(names) - {""}))}
    alone = count(len(known))
    codes = [known[name] if name else next(alone) for name in names]
    return np.array(codes, dtype=np.int64), sum(not name for name in names)


def _sample(n: int, limit: int | None, seed: int) -> IntArray:
    """Positions of a seeded sample without replacement, in file order; all of them if `limit` is None or no less than n."""
    if limit is None or limit >= n:
        return np.arange(n)
    return np.sort(np.random.default_rng([seed, n]).choice(n, limit, replace=False))
