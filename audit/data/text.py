"""Labelled texts from CSV, JSONL or Parquet: one bad row is quarantined with its number and reason, and the rest goes on."""

import csv
import difflib
import hashlib
import io
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from audit.config import Columns, Data
from audit.errors import DataError
from audit.records import IntArray, Match

UNKNOWN = "unknown"
FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
MISSING = frozenset({"", "nan", "none", "null", "na", "n/a", "unknown"})
FIELD_LIMIT = 10_000_000
LONGEST_NAME = 200  # numpy stores every id and attribute value as wide as the longest one
Row = Mapping[str, Any]


@final
@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row that could not be used; `row` counts data rows from 1."""

    row: int
    id: str
    reason: str
    detail: str


@final
@dataclass(frozen=True, slots=True)
class TextData:
    """The usable rows, in file order. `rows` = len(text) + sum(excluded) + not_sampled.

    `label` indexes the model's classes; without a cluster column each row is its own cluster and `clusters` is None.
    A missing attribute value is "unknown" and counted in `unknown`.
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


class BadRow(Exception):
    """A row that will be quarantined."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


@final
@dataclass(slots=True)
class _Kept:
    """Columns of the usable rows while the file is read."""

    id: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    label: list[int] = field(default_factory=list)
    cluster: list[str] = field(default_factory=list)
    attributes: dict[str, list[str]] = field(default_factory=dict)
    spans: list[tuple[Match, ...]] = field(default_factory=list)


def load_texts(config: Data, path: Path, *, classes: Sequence[str], labels: Mapping[str, str], seed: int) -> TextData:
    """Read the file; `labels` maps a label of the data to a class. Raises `DataError` when the file as a whole is unusable."""
    try:
        return _load(config, path, _label_map(classes, labels), seed)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); give a file that you may read") from None


def _load(config: Data, path: Path, mapping: Mapping[str, int], seed: int) -> TextData:
    kind = _format(config, path)
    kept, quarantined, seen = _Kept(attributes={name: [] for name in config.columns.attributes}), [], set[str]()
    rows = 0
    for rows, read in enumerate(READERS[kind](path, config.columns), start=1):
        try:
            if isinstance(read, BadRow):
                raise read
            _keep(kept, read, config.columns, mapping, seen, rows)
        except BadRow as bad:
            given = "" if isinstance(read, BadRow) else _identity(read, config.columns, rows)
            quarantined.append(Quarantined(rows, given[:200], bad.reason, bad.detail[:200]))
    excluded = dict(Counter(q.reason for q in quarantined))
    _check_usable(path, rows, kept, excluded, mapping)
    return _finish(config, path, kept, rows, excluded, tuple(quarantined), seed)


def write_quarantine(path: Path, quarantined: Sequence[Quarantined]) -> None:
    """One JSON object a line: row, id, reason, detail."""
    lines = (json.dumps({"row": q.row, "id": q.id, "reason": q.reason, "detail": q.detail}) for q in quarantined)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _format(config: Data, path: Path) -> str:
    if not path.exists():
        raise DataError(f"{path}: no such data file; data.path is relative to the config file")
    if not path.is_file():
        raise DataError(f"{path}: is not a file; give a CSV, JSONL or Parquet file")
    kind = config.format or FORMATS.get(path.suffix.lower())
    if kind is None:
        raise DataError(f"{path}: suffix {path.suffix!r} is none of {', '.join(FORMATS)}; rename it or set data.format")
    return kind


def _label_map(classes: Sequence[str], labels: Mapping[str, str]) -> dict[str, int]:
    """Label as it stands in the data to class index: by the config's mapping, else class names, else integer indices."""
    for label, name in labels.items():
        if name not in classes:
            raise DataError(
                f"model.labels: {label!r} is mapped to {name!r}, but the model's classes are {', '.join(classes)}"
                + _meant(name, classes)
            )
    if labels:
        return {label: classes.index(name) for label, name in labels.items()}
    return {**{str(i): i for i in range(len(classes))}, **{name: i for i, name in enumerate(classes)}}


def _meant(given: str, allowed: Sequence[str]) -> str:
    near = difflib.get_close_matches(given, allowed, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _wanted(columns: Columns) -> list[str]:
    """The columns that the config names, each once."""
    named = [columns.id, columns.text, columns.label, columns.cluster, columns.spans, *columns.attributes.values()]
    return list(dict.fromkeys(name for name in named if name is not None))


def _check_columns(path: Path, present: Sequence[str], columns: Columns) -> None:
    for name in _wanted(columns):
        if name not in present:
            cure = "; set data.columns.id: null to number the rows" if name == columns.id else ""
            named = ", ".join(c if c.isprintable() else repr(c) for c in present)
            raise DataError(f"{path}: no column {name!r}; there are {named:.2000}{_meant(name, present)}{cure}")
        if list(present).count(name) > 1:
            raise DataError(f"{path}: column {name!r} is there twice; rename one")


def _csv_rows(path: Path, columns: Columns) -> Iterator[Row | BadRow]:
    csv.field_size_limit(FIELD_LIMIT)
    with path.open("rb") as raw:
        text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(text, strict=True)  # else an open quote swallows the rest of the file unseen
        header = next(_safely(reader), None)
        if header is None:
            raise DataError(f"{path}: is empty; the first line must name the columns")
        if isinstance(header, BadRow):
            raise DataError(f"{path}: the first line must name the columns, but is malformed: {header.detail}")
        _check_columns(path, header, columns)
        for values in _safely(reader):
            if isinstance(values, BadRow):
                yield values
            elif values and len(values) != len(header):
                yield BadRow(
                    "malformed row", f"line {reader.line_num}: {len(values)} fields, the header has {len(header)}"
                )
            elif values:
                yield dict(zip(header, values, strict=True))


def _safely(reader: Any) -> Iterator[list[str] | BadRow]:
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadRow("malformed row", f"line {reader.line_num}: {error}")


def _jsonl_rows(path: Path, columns: Columns) -> Iterator[Row | BadRow]:
    first: list[str] | None = None
    absent = set(_wanted(columns))
    with path.open("rb") as raw:
        for number, line in enumerate(raw, start=1):
            if not line.strip():
                continue
            row = _json_object(line, number)
            if not isinstance(row, BadRow):
                first = list(row) if first is None else first
                absent.difference_update(row)
            yield row
    if first is not None:  # a column that only some rows hold is there
        _check_columns(path, [*first, *(name for name in _wanted(columns) if name not in absent | {*first})], columns)


def _json_object(line: bytes, number: int) -> Row | BadRow:
    try:
        value = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        return BadRow("broken encoding", f"line {number}: byte {error.start} is not UTF-8")
    except (ValueError, RecursionError) as error:
        return BadRow("malformed row", f"line {number}: {error}")
    return value if isinstance(value, dict) else BadRow("malformed row", f"line {number}: not a JSON object")


def _parquet_rows(path: Path, columns: Columns) -> Iterator[Row | BadRow]:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    try:
        file = parquet.ParquetFile(path)
        _check_columns(path, file.schema_arrow.names, columns)
        for batch in file.iter_batches(batch_size=4096, columns=sorted(_wanted(columns))):
            yield from _batch_rows(batch)
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file: {str(error).splitlines()[0]}") from None


def _batch_rows(batch: Any) -> Iterator[Row | BadRow]:
    """The rows of a record batch; where one cell has no Python value, row by row, so that only its row is lost."""
    try:
        yield from batch.to_pylist()
        return
    except (ValueError, OverflowError):
        pass
    for position in range(batch.num_rows):
        try:
            row: Row = batch.slice(position, 1).to_pylist()[0]
        except UnicodeDecodeError:
            yield BadRow("broken encoding", "not UTF-8")
        except (ValueError, OverflowError) as error:
            yield BadRow("malformed row", str(error))
        else:
            yield row


READERS = {"csv": _csv_rows, "jsonl": _jsonl_rows, "parquet": _parquet_rows}


def _identity(row: Row, columns: Columns, number: int) -> str:
    return str(number) if columns.id is None else _plain(row.get(columns.id))


def _plain(value: object) -> str:
    """A cell as text; integral floats (what Parquet and JSON make of missing-able integers) lose their `.0`."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _keep(kept: _Kept, row: Row, columns: Columns, labels: Mapping[str, int], seen: set[str], number: int) -> None:
    """Append one row, or raise `BadRow` before anything is appended."""
    text = row.get(columns.text)
    cells = [text, *(row.get(c) for c in (columns.id, columns.label, columns.cluster) if c)]
    if any(
        isinstance(cell, str) and _broken(cell) for cell in [*cells, *(row.get(c) for c in columns.attributes.values())]
    ):
        raise BadRow("broken encoding", "not UTF-8, or a NUL character")
    identity = _identity(row, columns, number)
    if not identity:
        raise BadRow("missing id")
    if not isinstance(text, str) or not text.strip():
        raise BadRow("empty text")
    label = _plain(row.get(columns.label))
    if not label:
        raise BadRow("missing label")
    if label not in labels:
        raise BadRow("unknown label", f"{label!r}; known: {', '.join(labels)}")
    if identity in seen:
        raise BadRow("duplicate id", identity)
    values = {name: _plain(row.get(column)) for name, column in columns.attributes.items()}
    for name, value in {"id": identity, **values}.items():
        if len(value) > LONGEST_NAME:
            raise BadRow("value too long", f"{name}: {len(value)} characters, at most {LONGEST_NAME}")
    spans = _spans(row.get(columns.spans), text) if columns.spans else ()
    seen.add(identity)
    kept.id.append(identity)
    kept.text.append(text)
    kept.label.append(labels[label])
    kept.spans.append(spans)
    kept.cluster.append(_plain(row.get(columns.cluster)) if columns.cluster else "")
    for name, value in values.items():
        kept.attributes[name].append(UNKNOWN if value.lower() in MISSING else value)


def _broken(text: str) -> bool:
    return "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)


def _spans(cell: object, text: str) -> tuple[Match, ...]:
    if cell is None or cell != cell or (isinstance(cell, str) and not cell.strip()):
        return ()
    try:
        items = json.loads(cell) if isinstance(cell, str) else cell
        return tuple(_span(item, text) for item in items)  # type: ignore[union-attr]
    except (ValueError, TypeError, RecursionError) as error:
        raise BadRow("bad spans", f"{error}; write [[start, end, attribute, group], ...]") from None


def _span(item: Any, text: str) -> Match:
    start, end, attribute, group = item
    if not (type(start) is type(end) is int and 0 <= start < end <= len(text)):
        raise ValueError(f"span {start!r} to {end!r} is not inside the text of {len(text)} characters")
    names = [name for name in (attribute, group) if isinstance(name, str) and name and not _broken(name)]
    if len(names) < 2:
        raise ValueError("attribute and group must be text")
    return Match(start, end, attribute, group, text[start:end].lower())


def _check_usable(path: Path, rows: int, kept: _Kept, excluded: Mapping[str, int], labels: Mapping[str, int]) -> None:
    if rows == 0:
        raise DataError(f"{path}: has no data rows")
    if not kept.text:
        reasons = ", ".join(f"{reason} {n}" for reason, n in excluded.items())
        raise DataError(
            f"{path}: none of {rows} rows can be used ({reasons}); labels must be one of {', '.join(labels)} "
            "(map others with model.labels)"
        )


def _finish(
    config: Data,
    path: Path,
    kept: _Kept,
    rows: int,
    excluded: Mapping[str, int],
    quarantined: tuple[Quarantined, ...],
    seed: int,
) -> TextData:
    chosen = _sample(len(kept.text), config.limit, seed)
    codes = _codes([kept.cluster[i] for i in chosen])
    attributes = {name: np.array(values, dtype=np.str_)[chosen] for name, values in kept.attributes.items()}
    return TextData(
        id=np.array(kept.id, dtype=np.str_)[chosen],
        text=tuple(kept.text[i] for i in chosen),
        label=np.array(kept.label, dtype=np.int64)[chosen],
        cluster=codes,
        clusters=int(codes.max()) + 1 if config.columns.cluster else None,
        attributes=attributes,
        spans=tuple(kept.spans[i] for i in chosen),
        rows=rows,
        excluded=excluded,
        not_sampled=len(kept.text) - len(chosen),
        unknown={name: int((values == UNKNOWN).sum()) for name, values in attributes.items()},
        sha256=_file_sha256(path),
        quarantined=quarantined,
    )


def _codes(names: Sequence[str]) -> IntArray:
    """Named clusters in the order of their names, then one for every row without a name."""
    known = {name: code for code, name in enumerate(sorted({*names} - {""}))}
    unnamed = itertools.count(len(known))
    return np.array([known[name] if name else next(unnamed) for name in names], dtype=np.int64)


def _sample(n: int, limit: int | None, seed: int) -> IntArray:
    """Positions of a seeded sample without replacement, in file order; all of them when `limit` is large enough or None."""
    if limit is None or limit >= n:
        return np.arange(n)
    return np.sort(np.random.default_rng([seed, n]).choice(n, limit, replace=False))


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
