"""Datasets that are folders: Parquet files that belong together, and what `save_to_disk` of Hugging Face's `datasets` writes.

Files are read one after the other, piece by piece, and of a saved dataset the wanted columns alone; nothing of it is mapped into memory.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from audit.data.row_files import Row, cells_of, check_columns, first_line, read_rows
from audit.errors import DataError
from audit.files import file_sha256

STATE: Final = "state.json"
INFO: Final = "dataset_info.json"
SPLITS: Final = "dataset_dict.json"
PART: Final = re.compile(r"(.+)-\d+-of-(\d+)\.parquet")
SAVED: Final = "saved dataset"
PARTS: Final = "parquet parts"
CURE: Final = "save it again with save_to_disk"


def kind_of(path: Path) -> str | None:
    """What a folder holds, None if it is no dataset; DataError for one of several splits."""
    if (path / STATE).is_file() and (path / INFO).is_file():
        return SAVED
    splits = sorted(state.parent.name for state in path.glob(f"*/{STATE}"))
    if (path / SPLITS).is_file() or splits:
        raise DataError(f"{path}: holds the splits {', '.join(splits)}; name the folder of one of them in data.path")
    return PARTS if _parts(path) else None


def read_folder(path: Path, kind: str, columns: Sequence[str]) -> Iterator[Row]:
    """Every data row of a folder of this kind; DataError if it cannot be read at all, or lacks a column."""
    import pyarrow

    read = _saved_rows if kind == SAVED else _parts_rows
    try:
        yield from read(path, columns)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as {kind}: {first_line(error)}") from error


def files_of(path: Path, kind: str) -> list[Path]:
    """The files that hold the rows, in their order, and what says how they are meant."""
    return [*_saved_files(path), path / INFO] if kind == SAVED else _parts(path)


def folder_sha256(path: Path, kind: str) -> str:
    """Of the names and contents of its files."""
    total = sha256()
    for file in files_of(path, kind):
        total.update(f"{file.name}\0{file_sha256(file)}\n".encode(errors="replace"))
    return total.hexdigest()


def _parts(path: Path) -> list[Path]:
    """By name; DataError for files whose names say that they are not one whole dataset."""
    files = sorted(file for file in path.glob("*.parquet") if file.is_file() and not file.name.startswith("."))
    named = [hit.groups() for file in files if (hit := PART.fullmatch(file.name))]
    if len(set(named)) > 1:
        held = ", ".join(sorted({f"{split} (of {n})" for split, n in named}))
        raise DataError(f"{path}: holds parts of several datasets, {held}; put those of one into a folder of their own")
    if named and len(named) != int(named[0][1]):
        raise DataError(
            f"{path}: holds {len(named)} of {int(named[0][1])} parts of {named[0][0]}; add those that are missing"
        )
    return files


def _parts_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    for file in _parts(path):
        yield from read_rows(file, "parquet", columns)


def _saved_files(path: Path) -> list[Path]:
    listed = _json(path / STATE).get("_data_files")
    names = (
        [each.get("filename") if isinstance(each, dict) else None for each in listed]
        if isinstance(listed, list)
        else [None]
    )
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise DataError(f"{path / STATE}: {name!r:.80} is no name of a file of this folder; {CURE}")
        if not (path / name).is_file():
            raise DataError(f"{path}: {name} is missing, which {STATE} lists; {CURE}")
    return [path / str(name) for name in names]


def _saved_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    import pyarrow
    from pyarrow import ipc

    classes = _classes(path)
    for file in _saved_files(path):
        with pyarrow.OSFile(str(file)) as source:
            schema = ipc.open_stream(source).schema
            check_columns(file, columns, schema.names)
            source.seek(0)
            wanted = ipc.IpcReadOptions(
                included_fields=[schema.get_field_index(name) for name in columns], use_threads=False
            )
            for batch in ipc.open_stream(source, options=wanted):
                cells = [_named(cells_of(_checked(batch.column(c))), classes.get(c)) for c in columns]
                yield from (Row(0, row) for row in zip(*cells, strict=True))


def _checked(column: Any) -> Any:
    """The column, if its bytes can be read safely; of text the characters are looked at later, one by one."""
    from pyarrow import types

    kinds = {"binary": types.is_string, "large_binary": types.is_large_string}
    plain = next((column.view(name) for name, holds in kinds.items() if holds(column.type)), column)
    plain.validate(full=True)
    return column


def _classes(path: Path) -> dict[str, list[str]]:
    """Names of the classes of every column that stores them as numbers."""
    features = _json(path / INFO).get("features")
    found = {name: each.get("names") for name, each in (features or {}).items() if isinstance(each, dict)}
    return {
        name: names
        for name, names in found.items()
        if isinstance(names, list) and all(isinstance(n, str) for n in names)
    }


def _named(cells: list[Any], names: Sequence[str] | None) -> list[Any]:
    """Numbers of classes as their names; -1 is how a missing one is stored."""
    if names is None:
        return cells
    by_number: Mapping[Any, str | None] = {**dict(enumerate(names)), -1: None}
    return [by_number.get(cell, cell) for cell in cells]


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{path}: is no JSON object; {CURE}")
    return found
