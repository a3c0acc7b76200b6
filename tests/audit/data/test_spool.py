"""Rows in the temporary file: what is read is what was written, and the file is gone with the last who holds it."""

import gc
import json
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.config import Data
from audit.data.spool import Spool
from audit.data.text import TextRow, load_texts
from audit.errors import OutputError
from audit.tables import Match

letters = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=20).filter(str.strip)


@st.composite
def text_rows(draw: st.DrawFn) -> TextRow:
    text = draw(letters)
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    spans = zip(cuts[::2], cuts[1::2], strict=False)
    return TextRow(text, tuple(Match(a, b, draw(letters), draw(letters), text[a:b].lower()) for a, b in spans))


@given(st.lists(text_rows(), min_size=1, max_size=12), st.data())
def test_lazy_payload_equals_the_rows_given(
    tmp_path_factory: pytest.TempPathFactory, rows: list[TextRow], data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "rows.jsonl"
    lines = [
        {"id": i, "text": row.text, "label": "a", "s": [[m.start, m.end, m.attribute, m.group] for m in row.spans]}
        for i, row in enumerate(rows)
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    config = Data.model_validate({"path": path.name, "columns": {"spans": "s"}})
    payload = load_texts(config, path, classes=("a", "b"), labels={}, seed=0).payload
    assert list(payload) == rows and payload == rows and len(payload) == len(rows)
    place = data.draw(st.slices(len(rows)))
    assert payload[place] == tuple(rows[place])
    i = data.draw(st.integers(-len(rows), len(rows) - 1))
    assert payload[i] == rows[i]
    for outside in (len(rows), -len(rows) - 1):
        with pytest.raises(IndexError, match="out of range"):
            payload[outside]


def test_chosen_rows_come_in_the_order_asked_for_and_more_may_be_added() -> None:
    spool = Spool()
    for packed in (b"one", b"", b"three"):
        spool.add(packed)
    rows = spool.rows(bytes.decode, np.array([2, 0, 1]))
    spool.add(b"four")
    assert list(rows) == ["three", "one", ""]
    assert list(spool.rows(bytes.decode, np.array([3]))) == ["four"]


def test_rows_travel_with_what_is_pickled() -> None:
    spool = Spool()
    for packed in (b"one", b"", b"three"):
        spool.add(packed)
    rows = spool.rows(bytes.decode, np.array([2, 0, 1]))
    sent = pickle.dumps(rows)
    spool.file.close()
    assert list(pickle.loads(sent)) == ["three", "one", ""]
    assert list(pickle.loads(pickle.dumps(Spool().rows(bytes.decode, np.array([], dtype=np.int64))))) == []


def test_file_has_no_name_and_closes_with_the_last_who_holds_it() -> None:
    spool = Spool()
    spool.add(b"one")
    file, rows = spool.file, spool.rows(bytes.decode, np.array([0]))
    del spool
    gc.collect()
    assert rows[0] == "one" and not file.closed
    assert not isinstance(file.name, str), "the folder of temporary files holds no entry for it"
    del rows
    gc.collect()
    assert file.closed


def test_no_folder_for_temporary_files_is_told_with_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(OutputError, match=r"rows could not be put aside .*set TMPDIR to a folder"):
        Spool()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_full_disk_is_told_with_the_cure() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        spool = Spool(full)
        with pytest.raises(OutputError, match="rows could not be put aside"):
            spool.add(b"one")
