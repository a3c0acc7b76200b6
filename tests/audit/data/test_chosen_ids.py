"""Ids that a config names: in the order of the data, from lines or JSON, and every mistake told with its cure."""

import json
from pathlib import Path

import pytest

from audit.data.chosen_ids import only
from audit.errors import DataError

ROWS = {"a": 1, "b": 2, "c\nd": 3}


def test_rows_come_in_the_order_of_the_data_and_all_without_a_file(tmp_path: Path):
    file = tmp_path / "ids.txt"
    file.write_text("\ufeffb\r\n a \n\n", encoding="utf-8")
    assert only(ROWS, str(file)) == [1, 2]
    assert only(ROWS, None) == [1, 2, 3]


def test_ids_with_line_breaks_are_replayed_from_json(tmp_path: Path):
    file = tmp_path / "ids.json"
    file.write_text(json.dumps(["c\nd", "a"]))
    assert only(ROWS, str(file)) == [1, 3]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("ids.txt", "a\nzz\n", "1 of 2 ids are no usable row of the data, the first is 'zz'"),
        ("ids.txt", "\n", "names no id"),
        ("ids.json", "{}", "is no list of texts"),
        ("ids.json", "[1]", "is no list of texts"),
        ("ids.json", "[", "no JSON"),
        ("none.txt", None, "No such file"),
    ],
)
def test_mistakes_are_told_with_the_cure(tmp_path: Path, name: str, text: str | None, said: str):
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    with pytest.raises(DataError, match=said) as problem:
        only(ROWS, str(file))
    assert "give a text file with an id a line" in str(problem.value) and str(file) in str(problem.value)
