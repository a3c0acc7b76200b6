"""Rows of CSV, JSONL and Parquet files, read one by one: a bad row is told apart, and the rest of the file goes on.

Memory is bounded by the longest row allowed, not by the file. Cells come as they are stored; their meaning is `audit.data.examples`'s.
"""

import csv
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, AnyStr, Final, final

from audit.data.folder_names import names_below
from audit.errors import DataError, did_you_mean

MAX_LINE: Final = 4_000_000  # characters of a CSV line, bytes of a JSONL line
MAX_ROW_LINES: Final = 1_000  # lines of a CSV row in quotes: bounds what an unclosed quote can cost
MAX_NAMES: Final = 100
CURE: Final = "data.columns says which column holds what (id: null numbers the rows)"
BATCH: Final = 4_096
BUFFER: Final = 65_536  # bytes of a Parquet column that are read at a time
FOLDER_COLUMNS: Final = ("id", "image", "label")


@final
@dataclass(frozen=True, slots=True)
class Row:
    """A data row: cells of the wanted columns in their order, or a `problem` (reason, detail); `line` is 0 for Parquet."""

    line: int
    cells: tuple[Any, ...] = ()
    problem: tuple[str, str] | None = None


def read_rows(path: Path, kind: str, columns: Sequence[str]) -> Iterator[Row]:
    """Every data row of a file of one of `FORMATS`; DataError if it cannot be read at all, or lacks a column."""
    try:
        yield from FORMATS[kind](path, columns)
    except OSError as error:
        raise DataError(f"{path}: cannot be read as {kind}: {error.strerror or first_line(error)}") from error


def _malformed(line: int, detail: str) -> Row:
    return Row(line, problem=("malformed row", detail))


def check_columns(path: Path, columns: Sequence[str], present: Sequence[str]) -> None:
    """DataError unless every one of `columns` stands in `present` once."""
    shown = ", ".join(f"{name:.60}" if name.isprintable() else f"{name!r:.60}" for name in present[:MAX_NAMES])
    for name in columns:
        if name not in present:
            semicolons = len(present) == 1 and (";" in present[0] or "\t" in present[0])
            hint = "; separate the fields by commas" if semicolons else did_you_mean(name, present[:MAX_NAMES])
            raise DataError(f"{path}: no column {name!r}; there are {shown}{hint}; {CURE}")
        if list(present).count(name) > 1:
            raise DataError(f"{path}: column {name!r} stands twice; there are {shown}; rename one")


def _csv_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        records = _csv_records(file)
        _, header = next(records, (0, None))
        if header is None:
            raise DataError(f"{path}: the file is empty; its first line names the columns")
        if isinstance(header, str):
            raise DataError(f"{path}:1: the line of column names is broken: {header}")
        if any(not is_whole(name) for name in header):
            raise DataError(f"{path}:1: the line of column names is not UTF-8; save the file as UTF-8")
        check_columns(path, columns, header)
        places = [header.index(name) for name in columns]
        for line, fields in records:
            if isinstance(fields, str):
                yield _malformed(line, fields)
            elif len(fields) != len(header):
                yield _malformed(line, f"{len(fields)} fields, the header has {len(header)}; quote a field with commas")
            else:
                yield Row(line, tuple(fields[place] for place in places))


def _csv_records(file: IO[str]) -> Iterator[tuple[int, list[str] | str]]:
    """First line and fields of every record, or what is wrong; behind a quote that nobody closes, the next line is a record."""
    lines = _Lines(_short_lines(file, ("\n", "\r")), deque())
    number = 1
    while True:
        used: list[str] = []
        try:
            fields = next(csv.reader(lines.take(used), strict=True), None)
        except csv.Error as error:
            lines.back.extendleft(reversed(used[1:]))
            yield number, str(error) if len(used) == 1 else f"{error}; is a quote not closed?"
            number += 1
            continue
        if fields is None:
            return
        if fields:
            yield number, fields
        number += len(used)


@final
@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines of a file, to some of which a reader has come back."""

    fresh: Iterator[str]
    back: deque[str]

    def take(self, used: list[str]) -> Iterator[str]:
        """Lines of one record, which are added to `used`."""
        size = 0
        while len(used) < MAX_ROW_LINES and size < MAX_LINE:
            line = self.back.popleft() if self.back else next(self.fresh, "")
            if not line:
                return
            used.append(line)
            size += len(line)
            yield line


def is_whole(text: str) -> bool:
    """Whether the text is Unicode without halves of characters, which is how undecodable bytes are read."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _jsonl_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    present: dict[str, None] = {}
    with path.open("rb") as file:
        for number, line in enumerate(_short_lines(file, (b"\n",)), start=1):
            if line.strip(b" \t\r\n\xef\xbb\xbf" if number == 1 else b" \t\r\n"):
                found = _json_object(number, line)
                if isinstance(found, dict):
                    present.update(dict.fromkeys(islice(found, MAX_NAMES if len(present) < MAX_NAMES else 0)))
                    present.update((name, None) for name in columns if name in found)
                    yield Row(number, tuple(found.get(name) for name in columns))
                else:
                    yield found
    if present:  # a key that some rows lack is a missing value, one that all lack a missing column
        check_columns(path, columns, tuple(present))


def _short_lines(file: IO[AnyStr], ends: tuple[AnyStr, ...]) -> Iterator[AnyStr]:
    """Lines, cut behind `MAX_LINE` + 1 characters."""
    while line := file.readline(MAX_LINE + 1):
        rest = line
        while rest and not rest.endswith(ends):
            rest = file.readline(MAX_LINE)
        yield line


def _json_object(number: int, line: bytes) -> dict[str, Any] | Row:
    if len(line) > MAX_LINE:
        return _malformed(number, f"the line is longer than {MAX_LINE} bytes")
    try:
        value = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        return Row(number, problem=("broken encoding", f"byte {error.start + 1} of the line is not UTF-8"))
    except (ValueError, RecursionError) as error:
        return _malformed(number, f"not JSON: {error}")
    return value if isinstance(value, dict) else _malformed(number, f"a JSON object is needed, not {value!r:.60}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(
            path, pre_buffer=False, buffer_size=BUFFER
        ) as file:  # else all columns of the file are held
            check_columns(path, columns, file.schema_arrow.names)
            for batch in file.iter_batches(BATCH, columns=list(dict.fromkeys(columns)), use_threads=False):
                yield from (Row(0, cells) for cells in zip(*(cells_of(batch.column(c)) for c in columns), strict=True))
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as parquet: {first_line(error)}") from error


def cells_of(column: Any) -> list[Any]:
    """Python values; text is decoded one by one, so that a broken one spoils its own row only."""
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if types.is_string(column.type) or types.is_large_string(column.type):
        raw = column.view("large_binary" if types.is_large_string(column.type) else "binary").to_pylist()
        return [None if cell is None else cell.decode("utf-8", "surrogateescape") for cell in raw]
    return list(column.to_pylist())


def _folder_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """A row per file of a folder per class, by name; id and image are the path, label the class. What is hidden is skipped."""
    other = [name for name in columns if name not in FOLDER_COLUMNS]
    if other:
        raise DataError(
            f"{path}: a folder per class has the columns {', '.join(FOLDER_COLUMNS)}, not {other[0]!r}; "
            "write a CSV file with a column for the image's path to give more"
        )
    for name in names_below(str(path)):
        label, *rest = name.split("/")
        cells = {"id": name, "image": name, "label": label}
        problem = None if rest else ("malformed row", f"{name} lies beside the folders of the classes, in none")
        yield Row(0, tuple(cells[column] for column in columns), problem)


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return next(iter(str(error).splitlines()), type(error).__name__)


FORMATS: Final[Mapping[str, Callable[[Path, Sequence[str]], Iterator[Row]]]] = MappingProxyType(
    {"csv": _csv_rows, "jsonl": _jsonl_rows, "parquet": _parquet_rows, "folder": _folder_rows}
)
