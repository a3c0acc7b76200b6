"""Folders as datasets; the layout is that of `save_to_disk` of datasets 5.2, compared once with what the library itself writes."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import ipc, parquet

from audit.config import Data
from audit.data.examples import Examples
from audit.data.text import TextRow, load_texts
from audit.errors import DataError

CLASSES = ("rotten", "fresh")
FEATURES = {
    "id": {"dtype": "string", "_type": "Value"},
    "text": {"dtype": "string", "_type": "Value"},
    "label": {"names": ["rotten", "fresh"], "_type": "ClassLabel"},
    "sex": {"names": ["f", "m"], "_type": "ClassLabel"},
}
STATE = {
    "_fingerprint": "76e4332b93a3bed5", "_format_columns": None, "_format_kwargs": {}, "_format_type": None,
    "_output_all_columns": False, "_split": None,
}  # fmt: skip


def rows(n: int, start: int = 0) -> pyarrow.Table:
    numbers = range(start, start + n)
    return pyarrow.table(
        {
            "id": [f"r{i}" for i in numbers],
            "text": [f"text {i} \u00e9" for i in numbers],
            "label": pyarrow.array([i % 2 for i in numbers], pyarrow.int64()),
            "sex": pyarrow.array([-1 if i == 3 else i % 2 for i in numbers], pyarrow.int64()),
        }
    )


def saved(folder: Path, tables: Sequence[pyarrow.Table], **info: Any) -> Path:
    folder.mkdir(parents=True)
    names = [f"data-{i:05d}-of-{len(tables):05d}.arrow" for i in range(len(tables))]
    for name, table in zip(names, tables, strict=True):
        with pyarrow.OSFile(str(folder / name), "wb") as file, ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table, max_chunksize=1000)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names], **STATE}))
    (folder / "dataset_info.json").write_text(json.dumps({"citation": "", "features": FEATURES, **info}))
    return folder


def load(path: Path, **columns: Any) -> Examples[TextRow]:
    config = Data.model_validate({"path": path.name, "columns": {"attributes": {"sex": "sex"}, **columns}})
    return load_texts(config, path, classes=CLASSES, labels={}, seed=0)


def test_saved_dataset_is_read_file_by_file_with_the_names_of_its_classes(tmp_path: Path) -> None:
    data = load(saved(tmp_path / "data", [rows(1500), rows(3, 1500)]))
    assert data.id.tolist() == [f"r{i}" for i in range(1503)]
    assert data.payload[1502] == TextRow("text 1502 \u00e9") and data.label.tolist()[:4] == [0, 1, 0, 1]
    assert data.attributes["sex"].tolist()[:5] == ["f", "m", "f", "unknown", "f"] and data.unknown == {"sex": 1}


def test_classes_are_names_and_never_places_in_the_models_list(tmp_path: Path) -> None:
    features = {**FEATURES, "label": {"names": ["fresh", "rotten"], "_type": "ClassLabel"}}
    assert load(saved(tmp_path / "data", [rows(2)], features=features)).label.tolist() == [1, 0]
    strange = {**FEATURES, "label": {"names": ["no", "fresh"], "_type": "ClassLabel"}}
    data = load(saved(tmp_path / "strange", [rows(2)], features=strange))
    assert data.quarantined[0].detail.startswith("'no' is none of rotten, fresh") and len(data) == 1


def test_broken_text_of_a_saved_dataset_spoils_its_own_row_only(tmp_path: Path) -> None:
    content, offsets = pyarrow.py_buffer(b"okb\xffdyes"), pyarrow.array([0, 2, 5, 8], pyarrow.int32()).buffers()[1]
    text = pyarrow.Array.from_buffers(pyarrow.string(), 3, [None, offsets, content])
    data = load(saved(tmp_path / "data", [rows(3).set_column(1, "text", text)]))
    assert ([row.text for row in data.payload], data.excluded) == (["ok", "yes"], {"broken encoding": 1})


def test_hash_knows_rows_files_and_names_of_classes(tmp_path: Path) -> None:
    features = {**FEATURES, "sex": {"names": ["m", "f"], "_type": "ClassLabel"}}
    made = [
        saved(tmp_path / "a", [rows(5)]),
        saved(tmp_path / "b", [rows(6)]),
        saved(tmp_path / "c", [rows(5)], features=features),
        saved(tmp_path / "d", [rows(2), rows(3, 2)]),
    ]
    assert len({load(each).sha256 for each in made}) == 4
    assert load(made[0]).sha256 == load(saved(tmp_path / "again", [rows(5)])).sha256


def test_parquet_files_of_a_folder_are_one_dataset_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, start in (("part-1.parquet", 2), ("part-0.parquet", 0), ("part-2.parquet", 4)):
        parquet.write_table(rows(2, start), tmp_path / name)
    (tmp_path / "README.md").write_text("about")
    (tmp_path / ".part-0.parquet").write_text("hidden")
    data = load(tmp_path)
    assert data.id.tolist() == [f"r{i}" for i in range(6)]
    before = data.sha256
    parquet.write_table(rows(2, 6), tmp_path / "part-3.parquet")
    assert load(tmp_path).sha256 != before


def _no_state(folder: Path) -> None:
    (folder / "state.json").write_text("[")


def _outside(folder: Path) -> None:
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../x.arrow"}]}))


def _missing(folder: Path) -> None:
    (folder / "data-00000-of-00001.arrow").unlink()


def _cut(folder: Path) -> None:
    file = folder / "data-00000-of-00001.arrow"
    file.write_bytes(file.read_bytes()[:700])


def _other_column(folder: Path) -> None:
    table = rows(3).rename_columns(["id", "txt", "label", "sex"])
    saved(folder / "inner", [table])
    (folder / "inner" / "data-00000-of-00001.arrow").replace(folder / "data-00000-of-00001.arrow")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_no_state, "state.json: is no JSON object; save it again with save_to_disk"),
        (_outside, "'../x.arrow' is no name of a file of this folder"),
        (_missing, "data-00000-of-00001.arrow is missing, which state.json lists"),
        (_cut, "cannot be read as saved dataset: "),
        (_other_column, "no column 'text'; there are id, txt, label, sex; did you mean 'txt'?"),
    ],
)
def test_saved_dataset_that_cannot_be_used_is_refused(tmp_path: Path, spoil: Callable[[Path], None], said: str) -> None:
    folder = saved(tmp_path / "data", [rows(3)])
    spoil(folder)
    with pytest.raises(DataError, match=re.escape(said)):
        load(folder)


def test_splits_are_told_apart(tmp_path: Path) -> None:
    for name in ("train", "test"):
        saved(tmp_path / "all" / name, [rows(2)])
    (tmp_path / "all" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(
        DataError, match=r"all: holds the splits test, train; name the folder of one of them in data\.path"
    ):
        load(tmp_path / "all")
    for name in ("train-00000-of-00002", "test-00000-of-00001"):
        parquet.write_table(rows(2), tmp_path / f"{name}.parquet")
    with pytest.raises(DataError, match=r"holds parts of several datasets, test \(of 00001\), train \(of 00002\)"):
        load(tmp_path)
    (tmp_path / "test-00000-of-00001.parquet").unlink()
    with pytest.raises(DataError, match="holds 1 of 2 parts of train; add those that are missing"):
        load(tmp_path)


def test_folder_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text,label\n")
    with pytest.raises(DataError, match="or a folder of Parquet files, or one that save_to_disk wrote"):
        load(tmp_path)
