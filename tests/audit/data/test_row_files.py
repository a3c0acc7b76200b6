"""Rows are read from the disk as they are asked for."""

from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import parquet

from audit.data.row_files import read_rows


def test_parquet_file_of_one_row_group_is_never_held_whole(tmp_path: Path) -> None:
    letters = np.random.default_rng(0).integers(97, 123, (40_000, 300), dtype=np.uint8)
    table = pyarrow.table({"text": [row.tobytes().decode() for row in letters]})
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=len(table), use_dictionary=False)
    del table
    before, held = pyarrow.total_allocated_bytes(), 0
    rows = read_rows(tmp_path / "a.parquet", "parquet", ["text"])
    for i, row in enumerate(rows):
        assert row.cells == (letters[i].tobytes().decode(),)
        held = max(held, pyarrow.total_allocated_bytes() - before) if i % 1000 == 0 else held
    assert i == 39_999 and held < (tmp_path / "a.parquet").stat().st_size / 3
