"""Worklists: the ids of every group that debugging shows, for people (CSV) and for programs (JSON)."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from audit.files import write_atomically

CURE = "give another folder with --output"
CSV, JSON = "worklist.csv", "worklist.json"
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Named(Protocol):
    """Examples `rows` `[n]` of a kind (`dimension`) under a name."""

    @property
    def dimension(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def rows(self) -> NDArray[np.bool_]: ...


def write_worklist(folder: Path, ids: NDArray[Any], groups: Sequence[Named]) -> None:
    """`worklist.csv`, a row per group and example, and `worklist.json`, a list of groups with their ids."""
    listed = [
        {"kind": group.dimension, "name": group.name, "n": int(group.rows.sum()), "ids": ids[group.rows].tolist()}
        for group in groups
    ]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("kind", "group", "id"))
    writer.writerows(
        (each["kind"], _inert(each["name"]), _inert(example)) for each in listed for example in each["ids"]
    )
    write_atomically(folder / CSV, table.getvalue().encode(), cure=CURE)
    text = json.dumps({"groups": listed}, indent=1, ensure_ascii=False)
    write_atomically(folder / JSON, f"{text}\n".encode(), cure=CURE)


def _inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell
