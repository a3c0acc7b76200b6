import csv
import io
import json
import os
import re
import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from audit.config import Data
from audit.data.examples import SUFFIXES, Examples, Quarantined, Reader, load_examples, write_quarantine
from audit.data.row_files import FORMATS, MAX_LINE, MAX_ROW_LINES
from audit.data.text import MAX_TEXT, TextRow, load_texts
from audit.errors import DataError
from audit.tables import Match

CLASSES = ("rotten", "fresh")
HEAD = b"id,text,label\n"
GOOD = b"z,fine,fresh\n"
LONG = b"x" * (MAX_TEXT + 1)


def load(
    path: Path,
    content: bytes | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    seed: int = 0,
    **options: object,
) -> Examples[TextRow]:
    if content is not None:
        path.write_bytes(content)
    limit, kind = options.pop("limit", None), options.pop("format", None)
    config = Data.model_validate({"path": path.name, "columns": options, "limit": limit, "format": kind})
    return load_texts(config, path, classes=CLASSES, labels=labels or {}, seed=seed)


def texts(data: Examples[TextRow]) -> tuple[str, ...]:
    return tuple(row.text for row in data.payload)


def json_row(**cells: object) -> bytes:
    return json.dumps({"id": "a", "text": "fine", "label": "fresh"} | cells).encode()


BAD_CSV_ROWS = [
    # line, reason, detail
    (b"a,,fresh", "empty text", ""),
    (b"a, \xc2\xa0 ,fresh", "empty text", ""),
    (b"a,fine,", "missing label", ""),
    (b"a,fine,stale", "unknown label", "'stale' is none of rotten, fresh, 0, 1"),
    (b"a,fine,2", "unknown label", "'2' is none of"),
    (b"a,fine,-1", "unknown label", "'-1' is none of"),
    (b"a,fine,Fresh", "unknown label", "'Fresh' is none of"),
    (b"  ,fine,fresh", "missing id", ""),
    (b"y,fine,fresh", "duplicate id", "'y' stands in an earlier row, which is used"),
    (b"a,caf\xe9,fresh", "broken encoding", "a cell is not UTF-8"),
    (b"\xff,fine,fresh", "broken encoding", "a cell is not UTF-8"),
    (b"a,fine\xed\xa0\x80,fresh", "broken encoding", "a cell is not UTF-8"),
    (b"a,fi\x00ne,fresh", "malformed row", "a cell holds a NUL character"),
    (b"a,fine", "malformed row", "2 fields, the header has 3"),
    (b"a,fine,fresh,", "malformed row", "4 fields, the header has 3; quote a field with commas"),
    (b'a,"fine,fresh', "malformed row", "is a quote not closed?"),
    (b'a,"fi"ne,fresh', "malformed row", "',' expected after '\"'"),
    (b'a,"fine"",fresh', "malformed row", "is a quote not closed?"),
    (b"a," + LONG + b",fresh", "malformed row", "field larger than field limit (131072)"),
    (b"a," + b"x" * (MAX_LINE + 9) + b",fresh", "malformed row", "field larger than field limit (131072)"),
    (b"i" * 201 + b",fine,fresh", "malformed row", "id has 201 characters; at most 200 are allowed"),
]

BAD_JSON_ROWS = [
    # line, reason, detail
    (b"{", "malformed row", "not JSON: Expecting property name"),
    (b"not json", "malformed row", "not JSON: Expecting value"),
    (b"[1, 2]", "malformed row", "a JSON object is needed, not [1, 2]"),
    (b'"text"', "malformed row", "a JSON object is needed, not 'text'"),
    (b"null", "malformed row", "a JSON object is needed, not None"),
    (b"[" * 100_000, "malformed row", "not JSON: "),
    (json_row(n=1)[:-1] + b', "id": "b"}', "malformed row", "not JSON: a key stands twice in one object"),
    (json_row(n=1).replace(b"1", b"9" * 5000), "malformed row", "not JSON: "),
    (b" " * MAX_LINE + json_row(), "malformed row", f"the line is longer than {MAX_LINE} bytes"),
    (json_row(text="caf\u00e9").replace(b"\\u00e9", b"\xe9"), "broken encoding", "byte 25 of the line is not UTF-8"),
    (json_row(text="half \ud800 pair"), "broken encoding", "half a surrogate pair"),
    (json_row(text="nul \x00 here"), "malformed row", "a cell holds a NUL character"),
    (json_row(text=None), "empty text", ""),
    (b'{"id": "a", "label": "fresh"}', "empty text", ""),
    (json_row(text=["a"]), "malformed row", "text is a list, not text"),
    (json_row(text=LONG.decode()), "malformed row", "text has 131073 characters; at most 131072 are allowed"),
    (json_row(id=None), "missing id", ""),
    (json_row(id={"a": 1}), "malformed row", "id is a dict, not text or a number"),
    (json_row(label=None), "missing label", ""),
    (json_row(label=float("nan")), "missing label", ""),
    (json_row(label=0.5), "unknown label", "'0.5' is none of"),
    (json_row(label=True), "unknown label", "'true' is none of"),
]

BAD_SPANS = [
    ("{}", "not a list"),
    ("[[0, 1", "Expecting ',' delimiter"),
    ("[" * 100_000, "maximum recursion depth"),
    ("[1]", "1 has not four parts"),
    ('[[0, 4, "gender"]]', "has not four parts"),
    ('[[0, 5, "gender", "f"]]', "0 to 5 is not inside the text of 4 characters"),
    ('[[-1, 2, "gender", "f"]]', "-1 to 2 is not inside the text"),
    ('[[2, 2, "gender", "f"]]', "2 to 2 is not inside the text"),
    ('[[0, true, "gender", "f"]]', "0 to True is not inside the text"),
    ('[["0", 2, "gender", "f"]]', "'0' to 2 is not inside the text"),
    ('[[0, 2, "gender", " "]]', "' ' is no name of an attribute or a group"),
    ('[[0, 2, 3, "f"]]', "3 is no name of an attribute or a group"),
    ('[[0, 2, "gender", "\\ud800"]]', "is no name of an attribute or a group"),
    ('[[0, 2, "gender", "f"], [1, 3, "gender", "m"]]', "two spans of 'gender' overlap at character 1"),
]

BAD_FILES = [
    # name, content, options, message
    ("a.csv", b"", {}, "the file is empty; its first line names the columns"),
    ("a.csv", HEAD, {}, "has no rows; give at least one labelled text"),
    ("a.jsonl", b"\n \n", {}, "has no rows; give at least one labelled text"),
    (
        "a.csv",
        b"id,txt,label\na,b,fresh\n",
        {},
        "no column 'text'; there are id, txt, label; did you mean 'txt'?; data.columns",
    ),
    (
        "a.csv",
        b"text,label\nb,fresh\n",
        {},
        "no column 'id'; there are text, label; data.columns says which column holds",
    ),
    ("a.csv", HEAD + GOOD, {"cluster": "film"}, "no column 'film'; there are id, text, label"),
    ("a.csv", HEAD + GOOD, {"attributes": {"sex": "gender"}}, "no column 'gender'; there are id, text, label"),
    (
        "a.csv",
        b"id;text;label\na;b;fresh\n",
        {},
        "no column 'id'; there are id;text;label; separate the fields by commas",
    ),
    ("a.csv", b"id,text,label,text\n", {}, "column 'text' stands twice; there are id, text, label, text; rename one"),
    ("a.csv", b"i\xffd,text,label\n", {}, "a.csv:1: the line of column names is not UTF-8; save the file as UTF-8"),
    ("a.csv", b'id,"text,label\n', {}, "a.csv:1: the line of column names is broken: unexpected end of data"),
    ("a.csv", (HEAD + GOOD).decode().encode("utf-16"), {}, "the line of column names is not UTF-8"),
    ("a.jsonl", json_row() + b"\n" + json_row(id="b"), {"spans": "s"}, "no column 's'; there are id, text, label"),
    ("a.parquet", b"PAR1 not really", {}, "cannot be read as parquet: "),
    ("a.parquet", b"", {}, "cannot be read as parquet: "),
    ("a.txt", GOOD, {}, "unknown suffix '.txt'; allowed are .csv, .jsonl, .ndjson, .parquet; else set data.format"),
    ("a", GOOD, {}, "unknown suffix ''; allowed are"),
    (
        "a.csv",
        HEAD + b"a,x,0.0\nb,,fresh\nc,x,1.0\n",
        {},
        "none of 3 rows can be used: unknown label 2 (row 1: line 2: '0.0' is none of rotten, fresh, 0, 1), "
        "empty text 1 (row 2: line 3); labels may be rotten, fresh, 0, 1; map others with model.labels",
    ),
    ("a.jsonl", b"{\n{\n", {}, "none of 2 rows can be used: malformed row 2 (row 1: line 1: not JSON: "),
]


@pytest.mark.parametrize(("line", "reason", "detail"), BAD_CSV_ROWS)
def test_bad_csv_row_is_quarantined_and_the_rest_goes_on(tmp_path: Path, line: bytes, reason: str, detail: str) -> None:
    data = load(tmp_path / "a.csv", HEAD + b"y,fine,rotten\n" + line + b"\n" + GOOD)
    (bad,) = data.quarantined
    assert (bad.row, bad.reason, dict(data.excluded)) == (2, reason, {reason: 1})
    assert bad.detail.startswith("line 3") and detail in bad.detail
    assert (data.rows, data.id.tolist(), data.label.tolist()) == (3, ["y", "z"], [0, 1])


@pytest.mark.parametrize(("line", "reason", "detail"), BAD_JSON_ROWS)
def test_bad_jsonl_row_is_quarantined_and_the_rest_goes_on(
    tmp_path: Path, line: bytes, reason: str, detail: str
) -> None:
    data = load(tmp_path / "a.jsonl", json_row(id="y") + b"\n\n" + line + b"\n" + json_row(id="z"))
    (bad,) = data.quarantined
    assert (bad.row, bad.reason, dict(data.excluded)) == (2, reason, {reason: 1})
    assert bad.detail.startswith("line 3") and detail in bad.detail
    assert (data.rows, data.id.tolist()) == (3, ["y", "z"])


@pytest.mark.parametrize(("cell", "detail"), BAD_SPANS)
def test_bad_spans_are_quarantined(tmp_path: Path, cell: str, detail: str) -> None:
    rows = [json_row(id="y", s='[[0, 4, "gender", "f"]]'), json_row(s=cell)]
    data = load(tmp_path / "a.jsonl", b"\n".join(rows), spans="s")
    assert [(bad.reason, detail in bad.detail) for bad in data.quarantined] == [("bad spans", True)]


@pytest.mark.parametrize(("name", "content", "options", "message"), BAD_FILES)
def test_file_that_cannot_be_used_is_refused(
    tmp_path: Path, name: str, content: bytes, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load(tmp_path / name, content, **options)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"b\.csv: there is no such data file; data\.path is relative to the config"):
        load(tmp_path / "b.csv")
    (tmp_path / "c.csv").mkdir()
    os.mkfifo(tmp_path / "d.csv")
    for name in ("c.csv", "d.csv"):
        with pytest.raises(DataError, match=rf"{name}: is not a regular file"):
            load(tmp_path / name)


def test_mapping_to_a_class_that_the_model_lacks_is_refused(tmp_path: Path) -> None:
    message = (
        "model.labels: 'good' stands for 'frehs', which the model does not have; its classes are rotten, fresh; did"
    )
    with pytest.raises(DataError, match=re.escape(message)):
        load(tmp_path / "a.csv", HEAD + GOOD, labels={"good": "frehs"})


def test_every_format_has_a_suffix() -> None:
    assert {*SUFFIXES.values(), "folder"} == set(FORMATS)


def test_labels_are_names_indices_or_mapped(tmp_path: Path) -> None:
    rows = HEAD + b"a,x,fresh\nb,x,0\nc,x, good \nd,x,1\n"
    assert load(tmp_path / "a.csv", rows, labels={"good": "fresh"}).label.tolist() == [1, 0, 1, 1]


def test_mapping_of_numbers_turns_indices_off(tmp_path: Path) -> None:
    data = load(tmp_path / "a.csv", HEAD + b"a,x,1\nb,x,2\nc,x,0\n", labels={"1": "rotten", "2": "fresh"})
    assert (data.label.tolist(), dict(data.excluded)) == ([0, 1], {"unknown label": 1})


def test_mapping_may_swap_names_of_classes(tmp_path: Path) -> None:
    labels = {"fresh": "rotten", "rotten": "fresh"}
    assert load(tmp_path / "a.csv", HEAD + b"a,x,fresh\nb,x,rotten\n", labels=labels).label.tolist() == [0, 1]


def test_classes_that_are_numbers_are_never_taken_for_indices(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(HEAD + b"a,x,1\nb,x,2\nc,x,0\n")
    data = load_texts(Data(path="a.csv"), path, classes=("1", "2"), labels={}, seed=0)
    assert (data.label.tolist(), dict(data.excluded)) == ([0, 1], {"unknown label": 1})


def test_three_formats_give_the_same_data(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {
            "id": 1,
            "text": ' She said, "no"\nand left ',
            "label": 0,
            "film": "A",
            "sex": "f",
            "s": '[[1, 4, "sex", "f"]]',
        },
        {"id": 2, "text": "caf\u00e9 \U0001f600", "label": 1, "film": "B", "sex": "", "s": ""},
        {"id": 3, "text": "third", "label": 1, "film": "A", "sex": "m", "s": "[]"},
    ]
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    (tmp_path / "a.jsonl").write_text(
        "\ufeff" + "\n".join(json.dumps(row | {"s": json.loads(row["s"] or "null")}) for row in rows)
    )
    parquet.write_table(
        pyarrow.Table.from_pylist([row | {"sex": row["sex"] or None} for row in rows]), tmp_path / "a.parquet"
    )
    for kind in sorted(set(SUFFIXES.values())):
        data = load(tmp_path / f"a.{kind}", cluster="film", spans="s", attributes={"gender": "sex"})
        assert data.id.tolist() == ["1", "2", "3"]
        assert texts(data) == tuple(row["text"] for row in rows)
        assert tuple(row.spans for row in data.payload) == ((Match(1, 4, "sex", "f", "she"),), (), ())
        assert (data.cluster.tolist(), data.clusters, data.label.tolist()) == ([0, 1, 0], 2, [0, 1, 1])
        assert {name: column.tolist() for name, column in data.attributes.items()} == {"gender": ["f", "unknown", "m"]}
        assert (data.rows, dict(data.excluded), dict(data.unknown)) == (3, {}, {"gender": 1})


def test_broken_text_in_parquet_spoils_its_own_row_only(tmp_path: Path) -> None:
    content, offsets = pyarrow.py_buffer(b"okb\xffdyes"), pyarrow.array([0, 2, 5, 8], pyarrow.int32()).buffers()[1]
    text = pyarrow.Array.from_buffers(pyarrow.string(), 3, [None, offsets, content])
    for column in (text, text.dictionary_encode()):
        table = pyarrow.table({"id": [1.0, 2.0, 3.0], "text": column, "label": ["fresh"] * 3})
        parquet.write_table(table, tmp_path / "a.parquet")
        data = load(tmp_path / "a.parquet")
        assert (texts(data), dict(data.excluded), data.id.tolist()) == (
            ("ok", "yes"),
            {"broken encoding": 1},
            ["1", "3"],
        )


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pyarrow.table({"id": range(5000), "text": [f"text {i}" for i in range(5000)], "label": [1] * 5000})
    parquet.write_table(table, path)
    content = bytearray(path.read_bytes())
    content[4 : len(content) // 2] = b"\xff" * (len(content) // 2 - 4)
    with pytest.raises(DataError, match=r"a\.parquet: cannot be read as parquet: "):
        load(path, bytes(content))


def test_missing_key_of_a_jsonl_row_is_a_missing_value(tmp_path: Path) -> None:
    content = json_row(id="a") + b"\n" + json_row(id="b", sex="f", film="A")
    data = load(tmp_path / "a.jsonl", content, cluster="film", attributes={"sex": "sex"})
    assert data.attributes["sex"].tolist() == ["unknown", "f"]
    assert dict(data.unknown) == {"sex": 1, "cluster (film)": 1}


def test_blank_clusters_stay_apart(tmp_path: Path) -> None:
    content = b"id,text,label,film\na,x,fresh,\nb,x,fresh,1\nc,x,fresh,\nd,x,fresh,1\ne,x,fresh,0\n"
    data = load(tmp_path / "a.csv", content, cluster="film")
    assert (data.cluster.tolist(), data.clusters) == ([2, 1, 3, 1, 0], 4)
    alone = load(tmp_path / "a.csv")
    assert (alone.cluster.tolist(), alone.clusters) == ([0, 1, 2, 3, 4], None)


def test_rows_without_an_id_column_are_numbered(tmp_path: Path) -> None:
    data = load(tmp_path / "a.csv", b"text,label\nx,fresh\n,fresh\ny,rotten\n", id=None)
    assert (data.id.tolist(), data.quarantined[0].id) == (["1", "3"], "2")


def test_id_of_a_bad_row_may_be_used_later(tmp_path: Path) -> None:
    data = load(tmp_path / "a.csv", HEAD + b"a,,fresh\na,good,fresh\na,again,fresh\n")
    assert (texts(data), dict(data.excluded)) == (("good",), {"empty text": 1, "duplicate id": 1})


def test_line_ends_and_blank_lines_do_not_matter(tmp_path: Path) -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        content = HEAD + b"\na,x,fresh\n\n\nb,,fresh\n" + GOOD.rstrip()
        data = load(tmp_path / "a.csv", content.replace(b"\n", end))
        assert (data.id.tolist(), data.rows) == (["a", "z"], 3)
        assert (data.quarantined[0].row, data.quarantined[0].detail) == (2, "line 6")


def test_line_numbers_count_lines_within_quotes(tmp_path: Path) -> None:
    data = load(tmp_path / "a.csv", HEAD + b'a,"one\ntwo\nthree",fresh\nb,,fresh\n')
    assert (texts(data), data.quarantined[0].detail) == (("one\ntwo\nthree",), "line 5")


def test_unclosed_quotes_cost_one_row_each(tmp_path: Path) -> None:
    lines = [b'a%d",""",x\n' % i for i in range(100)]  # each line opens a quote, alone and within one
    data = load(tmp_path / "a.csv", HEAD + b"".join(lines) + GOOD)
    assert (data.id.tolist(), dict(data.excluded)) == (["z"], {"malformed row": 100})


def test_quote_that_closes_too_late_is_not_waited_for(tmp_path: Path) -> None:
    for lines, rows in ((MAX_ROW_LINES - 1, 2), (MAX_ROW_LINES, MAX_ROW_LINES + 2)):
        data = load(tmp_path / "a.csv", HEAD + b'a,"' + b"x\n" * lines + b'",fresh\n' + GOOD)
        assert (data.rows, data.id.tolist()[-1]) == (rows, "z")


def test_limit_draws_in_file_order_by_seed(tmp_path: Path) -> None:
    rows = b"".join(b"%d,text %d,%s\n" % (i, i, b"" if i % 10 == 0 else b"fresh") for i in range(200))
    path = tmp_path / "a.csv"
    first, again, other = (load(path, HEAD + rows, limit=50, seed=seed) for seed in (1, 1, 2))
    ids = first.id.astype(int)
    assert (np.diff(ids) > 0).all() and len(ids) == 50
    assert first.id.tolist() == again.id.tolist() != other.id.tolist()
    assert (first.rows, dict(first.excluded), first.not_sampled) == (200, {"missing label": 20}, 130)
    assert texts(first) == tuple(f"text {i}" for i in ids)
    assert load(path, limit=180).not_sampled == load(path, limit=1000).not_sampled == 0


def test_clusters_and_unknowns_are_counted_in_the_sample(tmp_path: Path) -> None:
    rows = b"".join(b"%d,x,fresh,f%d,\n" % (i, i) for i in range(100))
    data = load(tmp_path / "a.csv", b"id,text,label,f,g\n" + rows, limit=7, cluster="f", attributes={"g": "g"})
    assert (data.clusters, sorted(data.cluster.tolist()), dict(data.unknown)) == (7, list(range(7)), {"g": 7})


def test_hash_is_that_of_the_file(tmp_path: Path) -> None:
    data = load(tmp_path / "a.csv", HEAD + GOOD)  # sha256sum of these bytes
    assert data.sha256 == "5a0f720369bfd30c1f86c884dd83d360777bcce0e4c64e27b2a6fc00d6945770"


def test_quarantine_is_ascii_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "quarantine.jsonl"
    write_quarantine(
        path, [Quarantined(3, "\ud800\u00e9\n", "empty text", "x" * 300), Quarantined(4, "b", "bad spans", "")]
    )
    first, second = path.read_bytes().decode("ascii").splitlines()
    assert json.loads(first) == {"row": 3, "id": "\ud800\u00e9\n", "reason": "empty text", "detail": "x" * 200}
    assert json.loads(second) == {"row": 4, "id": "b", "reason": "bad spans", "detail": ""}


def test_many_short_texts_stay_lean(tmp_path: Path) -> None:
    rows = "".join(f"r{i},short text number {i},fresh,f{i // 20}\n" for i in range(20_000))
    (tmp_path / "a.csv").write_text("id,text,label,film\n" + rows)
    tracemalloc.start()
    try:
        data = load(tmp_path / "a.csv", cluster="film")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(data) == 20_000
    assert peak / 20_000 < 800  # bytes a row; a dict a row alone takes 360 and its strings 300


cells = st.one_of(st.sampled_from(["", "a", "b", "fresh", "0", "x\ny", '"', "\0", "\u00e9"]), st.text(max_size=5))
tables = st.lists(st.lists(cells, min_size=2, max_size=4), max_size=12)


def as_csv(rows: list[list[str]]) -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue().encode("utf-8", "surrogatepass")


def adds_up(path: Path, content: bytes) -> None:
    """Load content that has a usable row, and check the counts."""
    data = load(path, content, limit=3)
    assert data.rows == len(data) + sum(data.excluded.values()) + data.not_sampled
    assert len(data.quarantined) == sum(data.excluded.values())
    assert len(set(data.id.tolist())) == len(data.id) == len(data) == len(data.label) == len(data.cluster)
    rows = [bad.row for bad in data.quarantined]
    assert rows == sorted(set(rows)) and all(1 <= row <= data.rows for row in rows)


@given(st.one_of(st.binary(max_size=200), tables.map(as_csv)))
def test_counts_add_up_for_any_csv(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    adds_up(tmp_path_factory.getbasetemp() / "any.csv", HEAD + GOOD + content)


@given(st.lists(st.one_of(st.binary(max_size=30), st.builds(json_row, id=cells, text=cells, label=cells)), max_size=8))
def test_counts_add_up_for_any_jsonl(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    adds_up(tmp_path_factory.getbasetemp() / "any.jsonl", b"\n".join([json_row(id="z"), *lines]))


@given(st.lists(st.tuples(cells, cells, st.sampled_from(CLASSES)), min_size=1, unique_by=lambda row: row[0].strip()))
def test_written_csv_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]) -> None:
    usable = [row for row in rows if row[0].strip() and row[1].strip() and "\0" not in row[0] + row[1]]
    path = tmp_path_factory.getbasetemp() / "back.csv"
    data = load(path, as_csv([["id", "text", "label"], ["seven z", "fine", "fresh"], *map(list, usable)]))
    assert texts(data) == ("fine", *(row[1] for row in usable))
    assert data.label.tolist() == [1, *(CLASSES.index(row[2]) for row in usable)]


def test_covariates_are_finite_numbers_missing_ones_are_counted_and_others_quarantined(tmp_path: Path) -> None:
    rows = b"a,x,fresh,1.5\nb,x,fresh,\nc,x,fresh,long\nd,x,fresh,inf\ne,x,rotten,2\n"
    data = load(tmp_path / "a.csv", b"id,text,label,length\n" + rows, covariates={"words": "length"})
    assert data.covariates["words"].tolist()[::2] == [1.5, 2.0] and np.isnan(data.covariates["words"][1])
    assert data.unknown["covariate words"] == 1 and data.excluded == {"bad covariate": 2}
    assert "length is 'long', which is no finite number; leave it empty" in data.quarantined[0].detail


def test_a_file_that_is_replaced_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "a.csv", tmp_path / "b.csv"
    for file in (path, other):
        file.write_text("id,text,label\n" + "".join(f"{i},word {i},{i % 2 + 1}\n" for i in range(10)))

    def read(cells: Sequence[Any]) -> str:
        if other.exists():
            other.replace(path)  # as an export does
        return str(cells[0])

    reader = Reader("text", ("text",), read)
    with pytest.raises(DataError, match=r"a\.csv: was changed while it was read; run it again"):
        load_examples(
            Data(path="a.csv"), path, reader, classes=CLASSES, labels={"1": CLASSES[0], "2": CLASSES[1]}, seed=0
        )
    load_examples(Data(path="a.csv"), path, reader, classes=CLASSES, labels={"1": CLASSES[0], "2": CLASSES[1]}, seed=0)
