"""Rows that a config names one by one: a file with an id a line."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from audit.errors import DataError

Row = TypeVar("Row")


def only(usable: Mapping[str, Row], file: str | None) -> list[Row]:
    """The rows that the file names, in the order of the data; all where there is no file. DataError for an id that is no usable row."""
    if file is None:
        return list(usable.values())
    try:
        wanted = dict.fromkeys(Path(file).read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataError(f"data.ids: cannot read {file} ({problem}); give a text file with an id a line") from None
    wanted.pop("", None)
    missing = [name for name in wanted if name not in usable]
    if missing:
        raise DataError(
            f"{file}: {len(missing)} of {len(wanted)} ids are no usable row of the data, the first is {missing[0]!r:.80}; "
            "take them out, or give the data that they were taken from"
        )
    return [row for name, row in usable.items() if name in wanted]
