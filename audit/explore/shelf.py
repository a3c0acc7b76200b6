"""A finished run as it is explored: its record, and columns of its table of examples that are read when they are asked for."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from audit.errors import OutputError
from audit.store.explanations import explained_ids
from audit.store.runs import read_record
from audit.store.tables import TABLE

MOST_BYTES: Final = 200_000_000  # of columns in memory
MOST_VALUES: Final = 200  # of a column that is a choice, among its first rows
FIRST: Final = 5_000
WORDS: Final = ("text", "file")  # are searched in, however few there are
CHOICE, NUMBER, YES_NO, TEXT, NAME = "choice", "number", "yes or no", "text", "id"


@final
class Shelf:
    """Not frozen: it remembers columns, those that were asked for last; requests share it, one at a time.

    OutputError for a folder that is no finished run, or whose table cannot be read. Cost of a column: about 10 ms a million rows.
    """

    def __init__(self, folder: Path, *, most_bytes: int = MOST_BYTES) -> None:
        from pyarrow import ArrowException, parquet

        self.folder, self.record, self.most_bytes = folder, read_record(folder), most_bytes
        self._columns: OrderedDict[str, Any] = OrderedDict()
        self._values: dict[str, list[str]] = {}
        self._known: dict[str, int] = {}
        self._lock = threading.Lock()
        try:
            file = parquet.ParquetFile(folder / TABLE)
            self.types = {field.name: field.type for field in file.schema_arrow}
            self.kinds = {name: kind for name, held in self.types.items() if (kind := _kind(file, name, held))}
            self._places = {
                file.metadata.row_group(0).column(k).path_in_schema: k for k in range(file.metadata.num_columns)
            }
            choices = [name for name, kind in self.kinds.items() if kind == CHOICE]
            self._file = parquet.ParquetFile(folder / TABLE, metadata=file.metadata, read_dictionary=choices)
        except (OSError, ArrowException) as error:
            raise OutputError(
                f"{folder / TABLE}: cannot be read ({error}); explore a run that is as it was written"
            ) from None

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    @property
    def names(self) -> tuple[str, ...]:
        """Columns that can be filtered by, in the order of the table."""
        return tuple(self.kinds)

    @property
    def sortable(self) -> tuple[str, ...]:
        """All of them but texts, whose order says nothing."""
        return tuple(name for name, kind in self.kinds.items() if kind != TEXT)

    def values(self, name: str) -> list[str]:
        """What occurs in a choice, in order, "" included; remembered, as every form offers it. Of yes and no: both."""
        if self.kinds[name] == YES_NO:
            return ["true", "false"]
        if name not in self._values:
            self._values[name] = sorted(each for each in self.column(name).dictionary.to_pylist() if each is not None)
        return self._values[name]

    def known(self, name: str) -> int:
        """How many examples have a value; told by the file, without a look at them."""
        if name not in self._known:
            parts = [self._file.metadata.row_group(k) for k in range(self._file.num_row_groups)]
            held = [part.column(self._places[name]) for part in parts]
            self._known[name] = sum(
                each.num_values - (each.statistics.null_count or 0 if each.statistics else 0) for each in held
            )
        return self._known[name]

    @cached_property
    def explained(self) -> frozenset[str]:
        """Ids of examples whose explanation the run keeps."""
        return explained_ids(self.folder)

    def column(self, name: str) -> Any:
        """A pyarrow array `[n]`; choices are coded. KeyError for a column that the table lacks."""
        with self._lock:
            if name not in self._columns:
                self._columns[name] = self._read(name)
                self._shed()
            self._columns.move_to_end(name)
            return self._columns[name]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column of numbers or of yes and no as float64 `[n]`, NaN where it holds none."""
        found = self.column(name)
        return np.asarray(found.cast("float64").to_numpy(zero_copy_only=False))

    def cells(self, name: str, rows: NDArray[np.int64]) -> list[Any]:
        """Values of some rows as Python has them."""
        return list(self.column(name).take(rows).to_pylist())

    def row(self, at: int) -> dict[str, Any]:
        """Everything that one row holds, read from its part of the file alone."""
        first = 0
        for k in range(self._file.num_row_groups):
            size = self._file.metadata.row_group(k).num_rows
            if at < first + size:
                with self._lock:
                    part = self._file.read_row_group(k)
                return {name: cells[0] for name, cells in part.slice(at - first, 1).to_pydict().items()}
            first += size
        raise IndexError(at)

    def place(self, identifier: str) -> int | None:
        """The row of an example, None for an id that the run lacks."""
        from pyarrow import compute

        found = compute.index(self.column("id"), identifier).as_py()
        return None if found < 0 else int(found)

    def places(self, identifiers: Sequence[str]) -> NDArray[np.int64]:
        """The rows of many examples in their order; ids that the run lacks are left out."""
        import pyarrow
        from pyarrow import compute

        ids = self.column("id")
        return np.asarray(compute.index_in(pyarrow.array(identifiers, ids.type), ids).drop_null(), dtype=np.int64)

    def _read(self, name: str) -> Any:
        if name not in self.types:
            raise KeyError(name)
        return self._file.read(columns=[name]).column(0).combine_chunks()

    def _shed(self) -> None:
        """Drop what was not asked for longest, but never the newest."""
        while len(self._columns) > 1 and sum(each.nbytes for each in self._columns.values()) > self.most_bytes:
            self._columns.popitem(last=False)


def _kind(file: Any, name: str, held: Any) -> str:
    """What a column holds; "" where it is no single value. Of words its first rows tell whether they are a choice."""
    from pyarrow import types

    if name == "id":
        return NAME
    if types.is_boolean(held):
        return YES_NO
    if types.is_integer(held) or types.is_floating(held):
        return NUMBER
    if not (types.is_string(held) or types.is_large_string(held)):
        return ""
    first = next(file.iter_batches(FIRST, columns=[name]), None)
    return TEXT if name in WORDS or (first is not None and len(first.column(0).unique()) > MOST_VALUES) else CHOICE
