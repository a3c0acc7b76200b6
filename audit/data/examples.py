"""Labelled examples from a table or a folder: one bad row is quarantined with its number and reason, and the rest goes on.

What a row holds besides id, label, cluster and attributes (its payload: a text, a photograph) is read by a `Reader`, lies in a
temporary file, and is read again whenever it is asked for.
"""

import json
import pickle
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from audit.config import Columns, Data
from audit.data.chosen_ids import only
from audit.data.dataset_folders import files_of, folder_sha256, kind_of, read_folder
from audit.data.gathered import Gathered, Usable
from audit.data.row_files import FORMATS, Row, is_whole, read_rows
from audit.data.spool import Spool
from audit.errors import DataError, did_you_mean
from audit.files import file_sha256
from audit.tables import UNKNOWN, FloatArray, IntArray

P = TypeVar("P")
SUFFIXES: Final = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
FOLDERS: Final = {True: "that holds a folder per class", False: "of Parquet files, or one that save_to_disk wrote"}
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
class Examples(Generic[P]):
    """The usable rows, in file order: `rows` = len(payload) + sum(excluded) + not_sampled.

    `label` indexes the model's classes. Without a cluster column, and where the cell is blank, a row is its own cluster;
    `clusters` counts them, or is None without a column. A missing attribute value is "unknown", a missing
    number of a covariate NaN; both are counted in `unknown`.
    """

    id: NDArray[np.str_]
    payload: Sequence[P]
    label: IntArray
    cluster: IntArray
    clusters: int | None
    attributes: Mapping[str, NDArray[np.str_]]
    covariates: Mapping[str, FloatArray]
    rows: int
    excluded: Mapping[str, int]
    not_sampled: int
    unknown: Mapping[str, int]
    sha256: str
    quarantined: tuple[Quarantined, ...]

    def __len__(self) -> int:
        return len(self.payload)


@final
@dataclass(frozen=True, slots=True)
class Reader(Generic[P]):
    """How payloads are read: `read` takes the cells of `columns` (None where the config names none) and may raise BadRow.

    `inspect` is for what costs more than a look at the cells, and is called for the rows that are sampled only: it
    returns the payload with the sha256 (32 bytes) of the files that belong to it. `noun` names one payload in messages. `pack` and `unpack`
    are how a payload is written to and read from the process's own temporary file.
    """

    noun: str
    columns: tuple[str | None, ...]
    read: Callable[[Sequence[Any]], P]
    inspect: Callable[[P], tuple[P, bytes]] | None = None
    folders: bool = False
    pack: Callable[[P], bytes] = pickle.dumps
    unpack: Callable[[bytes], P] = pickle.loads


class BadRow(Exception):
    """Why a row is quarantined: a stable reason, and the detail."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def load_examples(
    config: Data, path: Path, reader: Reader[P], *, classes: Sequence[str], labels: Mapping[str, str], seed: int
) -> Examples[P]:
    """Read the file; `labels` maps labels of the data to classes. DataError if the file as a whole cannot be used.

    Every row is read, then `limit` usable ones, of those that `ids` names, are drawn by `seed`. Ids are unique: of rows with one id
    the first usable one is used.
    """
    index = _label_index(classes, labels)
    kind = _kind(config, path, reader)
    names = (*_columns(config), *reader.columns)
    before = _stamps(path, kind)
    kept, bad = _gathered(path, kind, names, config, reader, index)
    rows = len(kept) + len(bad)
    drawn, payload, digest = _draw(kept, _chosen(kept, config.ids), reader, config.limit, seed, bad)
    _check_usable(path, len(drawn), bad, index, reader)
    ids = kept.names(drawn)
    table = _table_sha256(path, kind, ids)
    if _stamps(path, kind) != before:
        raise DataError(f"{path}: was changed while it was read; run it again when it is whole")
    sha = sha256(table.encode() + digest).hexdigest() if digest else table
    return _table(config, kept, drawn, ids, payload, tuple(sorted(bad, key=lambda one: one.row)), rows, sha)


def write_quarantine(path: Path, quarantined: Sequence[Quarantined]) -> None:
    """JSON lines in ASCII: `row`, `id`, `reason`, `detail` (cut at 200 characters)."""
    with path.open("w", encoding="ascii") as file:
        for one in quarantined:
            shown = {"row": one.row, "id": one.id, "reason": one.reason, "detail": one.detail[:MAX_NAME]}
            file.write(json.dumps(shown) + "\n")


def is_name(value: object) -> bool:
    """Whether a value can name an attribute, a group or a region."""
    return (
        isinstance(value, str)
        and bool(value.strip())
        and len(value) <= MAX_NAME
        and is_whole(value)
        and "\0" not in value
    )


def is_blank(cell: object) -> bool:
    """Whether a cell holds nothing: null, NaN or blanks."""
    return cell is None or cell != cell or (isinstance(cell, str) and not cell.strip())


def _gathered(
    path: Path, kind: str, names: Sequence[str | None], config: Data, reader: Reader[P], index: Mapping[str, int]
) -> tuple[Gathered, list[Quarantined]]:
    """The usable rows, and the others; `names` are the columns whose cells `_usable` and `reader` take, None for none."""
    shared, wanted = len(names) - len(reader.columns), [name for name in names if name is not None]
    place = count()
    places = [None if name is None else next(place) for name in names]
    kept = Gathered.empty(len(config.columns.attributes), len(config.columns.covariates))
    bad: list[Quarantined] = []
    for number, row in enumerate((read_rows if kind in FORMATS else read_folder)(path, kind, wanted), start=1):
        cells = [None if place is None or row.problem else row.cells[place] for place in places]
        try:
            _check_row(row, cells)
            payload = reader.read(cells[shared:])
            usable = _usable(number, cells[:shared], index, config.columns)
            if usable.id in kept.ids:
                raise BadRow("duplicate id", f"{usable.id!r} stands in an earlier row, which is used")
            kept.add(number, row.line, usable, reader.pack(payload))
        except BadRow as problem:
            bad.append(_quarantined(number, row.line, _shown_id(cells[0], number, config), problem))
    return kept, bad


def _chosen(kept: Gathered, ids: str | None) -> IntArray:
    """Places of the rows that the file `ids` names, of all without one."""
    if ids is None:
        return np.arange(len(kept))
    return np.array(only({name: i for i, name in enumerate(kept.ids)}, ids), dtype=np.int64)


def _quarantined(number: int, line: int, name: str, problem: BadRow) -> Quarantined:
    detail = ": ".join(part for part in (f"line {line}" if line else "", problem.detail) if part)
    return Quarantined(number, name, problem.reason, detail[:MAX_NAME])


def _kind(config: Data, path: Path, reader: Reader[P]) -> str:
    try:
        exists = path.exists()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if not exists:
        raise DataError(f"{path}: there is no such data file; data.path is relative to the config")
    if reader.folders and path.is_dir():
        return "folder"
    if path.is_dir() and (found := kind_of(path)):
        return found
    if not path.is_file():
        folder = FOLDERS[reader.folders]
        raise DataError(
            f"{path}: is not a regular file; data.path names one CSV, JSONL or Parquet file, or a folder {folder}"
        )
    kind = config.format or SUFFIXES.get(path.suffix.lower())
    if kind is None:
        allowed = ", ".join(SUFFIXES)
        raise DataError(f"{path}: unknown suffix {path.suffix!r}; allowed are {allowed}; else set data.format")
    return kind


def _columns(config: Data) -> tuple[str | None, ...]:
    """Columns in the order in which `_usable` takes the cells; None for a role that no column has."""
    columns = config.columns
    return columns.id, columns.label, columns.cluster, *columns.attributes.values(), *columns.covariates.values()


def _label_index(classes: Sequence[str], labels: Mapping[str, str]) -> dict[str, int]:
    """Class index of every label that the data may hold: mapped ones, names of classes, and 0..K-1 if no name is a number."""
    for label, name in labels.items():
        if name not in classes:
            allowed = f"its classes are {', '.join(classes)}{did_you_mean(name, classes)}"
            raise DataError(f"model.labels: {label!r} stands for {name!r}, which the model does not have; {allowed}")
    index = {name: i for i, name in enumerate(classes)} | {label: classes.index(name) for label, name in labels.items()}
    numbers = any(label.lstrip("+-").isdecimal() for label in index)
    return index if numbers else index | {str(i): i for i in range(len(classes))}


def _check_row(row: Row, cells: Sequence[Any]) -> None:
    if row.problem:
        raise BadRow(*row.problem)
    for cell in cells:
        if isinstance(cell, str):
            _check_characters(cell)


def _check_characters(cell: str) -> None:
    if not is_whole(cell):
        raise BadRow("broken encoding", "a cell is not UTF-8, or holds half a surrogate pair")
    if "\0" in cell:
        raise BadRow("malformed row", "a cell holds a NUL character")


def _usable(number: int, cells: Sequence[Any], index: Mapping[str, int], columns: Columns) -> Usable:
    """The row's values, or BadRow; its number is its id where no column has it."""
    name = str(number) if columns.id is None else _plain(cells[0], "id")
    if not name:
        raise BadRow("missing id")
    label = _label(_plain(cells[1], "label"), index)
    last = 3 + len(columns.attributes)
    attributes = [_plain(cell, "attribute") or UNKNOWN for cell in cells[3:last]]
    covariates = [_number(cell, name) for cell, name in zip(cells[last:], columns.covariates.values(), strict=True)]
    return Usable(name, label, _plain(cells[2], "cluster"), attributes, covariates)


def _number(cell: object, column: str) -> float:
    """A finite number, NaN where it is missing."""
    text = _plain(cell, "covariate")
    try:
        number = float(text) if text else float("nan")
    except ValueError:
        number = float("inf")
    if np.isinf(number):
        raise BadRow(
            "bad covariate", f"{column} is {text!r}, which is no finite number; leave it empty if it is unknown"
        )
    return number


def _plain(cell: object, role: str) -> str:
    """A short cell as text, '' for null and NaN; 1.0 is '1', since a column of integers with nulls is stored as floats."""
    if isinstance(cell, str):
        text = cell.strip()
    elif cell is None or cell != cell:
        return ""
    elif isinstance(cell, bool):
        return "true" if cell else "false"
    elif isinstance(cell, bytes | list | tuple | dict):
        raise BadRow("malformed row", f"{role} is a {type(cell).__name__}, not text or a number")
    else:
        text = str(int(cell) if isinstance(cell, float) and cell.is_integer() else cell).strip()
    if len(text) > MAX_NAME:
        raise BadRow("malformed row", f"{role} has {len(text)} characters; at most {MAX_NAME} are allowed")
    return text


def _label(label: str, index: Mapping[str, int]) -> int:
    if not label:
        raise BadRow("missing label")
    if label not in index:
        raise BadRow("unknown label", f"{label!r:.60} is none of {', '.join(index)}")
    return index[label]


def _shown_id(cell: object, number: int, config: Data) -> str:
    return str(number) if config.columns.id is None else "" if cell is None else str(cell)[:MAX_NAME]


def _draw(
    kept: Gathered, chosen: IntArray, reader: Reader[P], limit: int | None, seed: int, bad: list[Quarantined]
) -> tuple[IntArray, Sequence[P], bytes]:
    """Places of a seeded sample without replacement of rows that pass inspection, in file order, and their payloads.

    Those that do not pass join `bad`.
    """
    n = len(chosen)
    wanted = n if limit is None else min(limit, n)
    order = chosen if wanted == n else chosen[np.random.default_rng([seed, n]).permutation(n)]
    if reader.inspect is None:
        places = np.sort(order[:wanted])
        return places, kept.payload.rows(reader.unpack, places), b""
    drawn, digests, inspected = array("q"), bytearray(), Spool()
    ids, payload = list(kept.ids), kept.payload.rows(reader.unpack, order)
    for i, row in zip(order.tolist(), payload, strict=True):
        if len(drawn) == wanted:
            break
        try:
            seen, digest = reader.inspect(row)
            inspected.add(reader.pack(seen))
            digests += digest
            drawn.append(i)
        except BadRow as problem:
            bad.append(_quarantined(kept.number[i], kept.line[i], ids[i], problem))
    places = np.array(drawn, dtype=np.int64)
    in_order = places.argsort()
    digests_in_order = np.frombuffer(digests, dtype=np.uint8).reshape(-1, 32)[in_order].tobytes()
    return places[in_order], inspected.rows(reader.unpack, in_order), digests_in_order


def _stamps(path: Path, kind: str) -> list[tuple[int, ...]]:
    """Of the files with the rows that are there: which they are, their sizes and times; of a folder per class none."""
    files = [] if kind == "folder" else [path] if kind in FORMATS else files_of(path, kind)
    found = [file.stat() for file in files if file.exists()]
    return [(each.st_ino, each.st_size, each.st_mtime_ns) for each in found]


def _table_sha256(path: Path, kind: str, ids: NDArray[np.str_]) -> str:
    """Of the file or files; of a folder per class, which has no table, of the path of each row, which holds the class."""
    if kind != "folder":
        return file_sha256(path) if kind in FORMATS else folder_sha256(path, kind)
    total = sha256()
    for i, name in enumerate(ids.tolist()):
        total.update(("\0" * (i > 0) + name).encode(errors="replace"))
    return total.hexdigest()


def _check_usable(
    path: Path, used: int, bad: Sequence[Quarantined], index: Mapping[str, int], reader: Reader[P]
) -> None:
    if used:
        return
    if not bad:
        raise DataError(f"{path}: has no rows; give at least one labelled {reader.noun}")
    first = {one.reason: one for one in reversed(bad)}
    counts = Counter(one.reason for one in bad)
    reasons = ", ".join(
        f"{reason} {n} (row {first[reason].row}: {first[reason].detail})" for reason, n in counts.items()
    )
    cure = f"; labels may be {', '.join(index)}; map others with model.labels" if "unknown label" in counts else ""
    raise DataError(f"{path}: none of {len(bad)} rows can be used: {reasons}{cure}")


def _table(
    config: Data, kept: Gathered, drawn: IntArray, ids: NDArray[np.str_], payload: Sequence[P], bad: tuple[Quarantined, ...],
    rows: int, sha: str,
) -> Examples[P]:  # fmt: skip
    cluster, blank = kept.cluster.clusters(drawn)
    attributes = {name: kept.attributes[k].of(drawn) for k, name in enumerate(config.columns.attributes)}
    unknown = {name: int((values == UNKNOWN).sum()) for name, values in attributes.items()}
    covariates = {name: kept.covariate(k, drawn) for k, name in enumerate(config.columns.covariates)}
    unknown |= {f"covariate {name}": int(n) for name, values in covariates.items() if (n := np.isnan(values).sum())}
    if config.columns.cluster and blank:
        unknown[f"cluster ({config.columns.cluster})"] = blank
    return Examples(
        id=ids,
        payload=payload,
        label=np.array(kept.label, dtype=np.int64)[drawn],
        cluster=cluster,
        clusters=int(cluster.max()) + 1 if config.columns.cluster else None,
        attributes=attributes,
        covariates=covariates,
        rows=rows,
        excluded=dict(Counter(one.reason for one in bad)),
        not_sampled=rows - len(drawn) - len(bad),
        unknown=unknown,
        sha256=sha,
        quarantined=bad,
    )
