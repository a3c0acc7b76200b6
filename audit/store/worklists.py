"""Worklists: the ids of every group that debugging shows, for people (CSV) and for programs (JSON)."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from audit.files import inert, write_atomically
from audit.store.manifest import CURE

CSV: Final = "worklist.csv"
JSON: Final = "worklist.json"


class Named(Protocol):
    """Examples `rows` `[n]` of a kind (`dimension`) under a name; those of the largest `rank` `[n]` come first."""

    @property
    def dimension(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def rows(self) -> NDArray[np.bool_]: ...
    @property
    def rank(self) -> NDArray[Any] | None: ...


def write_worklist(folder: Path, columns: Mapping[str, NDArray[Any]], groups: Sequence[Named]) -> None:
    """`worklist.csv`, a row per group and example with the `columns` `[n]`, the id first; `worklist.json`, the exact ids by group."""
    (name, ids), *others = columns.items()
    places = [_ordered(group) for group in groups]
    listed = [
        {"kind": group.dimension, "name": group.name, "n": len(at), "ids": ids[at].tolist()}
        for group, at in zip(groups, places, strict=True)
    ]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\r\n")
    writer.writerow(("kind", "group", name, *(title for title, _ in others)))
    for group, at in zip(groups, places, strict=True):
        rows = zip(*(values[at].tolist() for values in columns.values()), strict=True)
        writer.writerows((group.dimension, *map(inert, (group.name, *row))) for row in rows)
    write_atomically(folder / CSV, table.getvalue().encode(), cure=CURE)
    text = json.dumps({"groups": listed}, indent=1, ensure_ascii=False)
    write_atomically(folder / JSON, f"{text}\n".encode(), cure=CURE)


def _ordered(group: Named) -> NDArray[np.int64]:
    at = np.flatnonzero(group.rows)
    return at if group.rank is None else at[np.argsort(-group.rank[at], kind="stable")]
