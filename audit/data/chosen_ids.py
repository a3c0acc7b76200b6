"""Rows that a config names one by one: a text file with an id a line, or a JSON list."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar

from audit.errors import DataError

Row = TypeVar("Row")
CURE: Final = "give a text file with an id a line, or a .json file with a list of ids"


def only(usable: Mapping[str, Row], file: str | None) -> list[Row]:
    """The rows that the file names, in the order of the data; all where there is no file. DataError for an id that is no usable row."""
    if file is None:
        return list(usable.values())
    wanted = dict.fromkeys(_ids(Path(file)))
    if not wanted:
        raise DataError(f"data.ids: {file} names no id; {CURE}")
    missing = [name for name in wanted if name not in usable]
    if missing:
        raise DataError(
            f"{file}: {len(missing)} of {len(wanted)} ids are no usable row of the data, the first is {missing[0]!r:.80}; "
            f"take them out, or give the data that they were taken from; {CURE}"
        )
    return [row for name, row in usable.items() if name in wanted]


def _ids(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        found = json.loads(text) if file.suffix == ".json" else [line.strip() for line in text.split("\n")]
    except (OSError, ValueError, RecursionError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is not UTF-8, or no JSON"
        raise DataError(f"data.ids: cannot read {file} ({problem}); {CURE}") from None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise DataError(f"data.ids: {file} is no list of texts; {CURE}")
    return [each for each in found if each]
