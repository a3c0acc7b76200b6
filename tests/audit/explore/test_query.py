"""Addresses say what is shown: each is read as it was written, and gives the rows that pandas gives."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import OutputError
from audit.explore.query import OPERATIONS, BadQuery, Condition, Query, asked, operations, read, rows
from audit.explore.selections import remove, save
from audit.explore.shelf import CHOICE, NAME, NUMBER, TEXT, YES_NO, Shelf
from audit.explore.views.groups import groups
from audit.pipeline import Run

SLOW: dict[str, Callable[[Any, str], Any]] = {
    "is": lambda column, value: column == value,
    "not": lambda column, value: ~(column == value),
    "contains": lambda column, value: column.str.lower().str.contains(value.lower(), regex=False),
    "listed": lambda column, value: column.isin(["r1", "r5"]),
    "least": lambda column, value: column.astype(float) >= float(value),
    "most": lambda column, value: column.astype(float) <= float(value),
    "true": lambda column, value: column.astype(bool),
    "false": lambda column, value: ~column.astype(bool),
    "known": lambda column, value: column.notna(),
}
VALUES = {
    CHOICE: ["fresh", "rotten", "female", "none"],
    TEXT: ["she", "R1", "", "x.", "%"],
    NAME: ["r1", "R1", "", "0"],
    NUMBER: ["0", "-0.1", "0.05", "1e9"],
    YES_NO: [""],
}


WORKLIST = "two of them"


@pytest.fixture(scope="module")
def shelf(text_run: Run) -> Iterator[Shelf]:
    save(text_run.folder, WORKLIST, "", ["r1", "r5"])
    yield Shelf(text_run.folder)
    remove(text_run.folder, WORKLIST)


@pytest.fixture(scope="module")
def table(text_run: Run) -> Any:
    return pd.read_parquet(text_run.folder / "examples.parquet")


def test_every_operation_has_a_slow_twin() -> None:
    assert set(SLOW) == set(OPERATIONS)


@given(data=st.data())
def test_rows_are_those_of_pandas_and_addresses_are_read_as_they_are_written(
    shelf: Shelf, table: Any, data: st.DataObject
) -> None:
    conditions = []
    for _ in range(data.draw(st.integers(0, 3))):
        column = data.draw(st.sampled_from(shelf.names))
        operation = data.draw(st.sampled_from(operations(shelf, column)))
        values = [WORKLIST] if operation == "listed" else VALUES[shelf.kinds[column]]
        conditions.append(Condition(column, operation, data.draw(st.sampled_from(values))))
    sort = data.draw(st.sampled_from(["", *shelf.sortable, *(f"-{name}" for name in shelf.sortable)]))
    query = Query(tuple(dict.fromkeys(conditions)), sort, data.draw(st.integers(1, 9)))
    assert read(shelf, parse_qsl(query.address, keep_blank_values=True)) == query
    kept = np.ones(len(table), dtype=bool)
    for each in query.conditions:
        kept &= SLOW[each.operation](table[each.column], each.value).fillna(False).to_numpy(bool)
    expected = table[kept]
    if sort:
        name = sort.removeprefix("-")
        expected = expected.sort_values(name, ascending=not sort.startswith("-"), kind="stable", na_position="last")
    np.testing.assert_array_equal(rows(shelf, query), expected.index.to_numpy())


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ([("where", "nothing:is:1")], "names no column"), ([("where", "label:least:1")], "cannot be asked of it; it can be asked is, not"),
        ([("where", "contrast:least:much")], "is no number"), ([("sort", "-nothing")], "no column to sort by"),
        ([("sort", "text")], "no column to sort by"),
        ([("page", "0")], "no number of a page"),
        ([("where", "id:listed:none such")], "is no worklist of this run"), ([("page", "²")], "no number of a page"),
        ([("page", "1" * 5000)], "no number of a page"),
    ],
)  # fmt: skip
def test_what_the_run_has_not_is_told(shelf: Shelf, given_: list[tuple[str, str]], told: str) -> None:
    with pytest.raises(BadQuery, match=told):
        rows(shelf, read(shelf, given_))


def test_columns_that_take_too_much_memory_are_dropped_and_read_again(text_run: Run) -> None:
    small = Shelf(text_run.folder, most_bytes=10_000)
    before = small.numbers("contrast").copy()
    for name in small.names:
        small.column(name)
    assert sum(each.nbytes for each in small._columns.values()) <= max(10_000, small.column("text").nbytes)
    np.testing.assert_array_equal(small.numbers("contrast"), before)


def test_places_are_in_the_order_of_the_ids_and_leave_out_unknown_ones(shelf: Shelf, table: Any) -> None:
    names = ["r5", "no such", "r1", "r5"]
    assert table["id"][shelf.places(names)].tolist() == ["r5", "r1", "r5"] and len(shelf.places([])) == 0


@pytest.mark.parametrize(("given_", "sides"), [({}, "ab"), ({"a": "b"}, "ba"), ({"b": "a"}, "ba")])
def test_two_groups_are_never_one(shelf: Shelf, given_: dict[str, str], sides: str) -> None:
    one, other = shelf.values("label")
    named = {"a": one, "b": other}
    shown = groups(shelf, [("by", "label"), *((name, named[value]) for name, value in given_.items())])
    assert shown["sides"] == [named[each] for each in sides]
    with pytest.raises(BadQuery, match="given twice"):
        groups(shelf, [("by", "label"), ("a", one), ("b", one)])


def test_a_row_is_that_of_the_table(shelf: Shelf, table: Any) -> None:
    for at in (0, 7, len(table) - 1):
        found = shelf.row(at)
        assert found["id"] == table["id"][at] and found["contrast"] == table["contrast"][at]
    with pytest.raises(IndexError):
        shelf.row(len(table))


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, text_run: Run) -> None:
    with pytest.raises(OutputError, match="give the folder of one run"):
        Shelf(tmp_path)
    for name in ("audit.json", "manifest.json"):
        (tmp_path / name).write_bytes((text_run.folder / name).read_bytes())
    with pytest.raises(OutputError, match=r"examples\.parquet: cannot be read"):
        Shelf(tmp_path)


def test_what_a_form_asks_for_is_an_address() -> None:
    given = [
        ("search", "a&b"),
        ("where", ""),
        ("where", "label:is:fresh"),
        ("range", "contrast"),
        ("low", "1"),
        ("high", ""),
        ("sort", ""),
    ]
    assert asked(given) == "where=label%3Ais%3Afresh&where=text%3Acontains%3Aa%26b&where=contrast%3Aleast%3A1"
    assert (
        asked([("column", "correct"), ("operation", "true"), ("value", ""), ("sort", "-id")])
        == "where=correct%3Atrue%3A&sort=-id"
    )


def test_what_a_column_knows_is_told_by_the_file(shelf: Shelf, table: Any) -> None:
    for name in shelf.names:
        assert shelf.known(name) == table[name].notna().sum(), name
