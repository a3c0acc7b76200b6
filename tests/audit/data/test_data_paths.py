"""Paths of data files that the system itself refuses."""

from pathlib import Path

import pytest

from audit.config import Data
from audit.data.text import load_texts
from audit.errors import DataError


def load(path: Path) -> None:
    load_texts(Data(path="unused", format="csv"), path, classes=("neg", "pos"), labels={}, seed=0)


def test_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: File name too long"):
        load(tmp_path / f"{'a' * 300}.csv")


def test_path_with_a_nul_is_no_file() -> None:
    with pytest.raises(DataError, match="there is no such data file"):
        load(Path("a\0.csv"))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc")
def test_file_that_fails_while_it_is_read_is_refused() -> None:
    with pytest.raises(DataError, match="/proc/self/mem: cannot be read as csv: Input/output error"):
        load(Path("/proc/self/mem"))
