"""Hashes of files, and writes that never leave a half."""

import hashlib
from pathlib import Path

import pytest

from audit.errors import OutputError
from audit.files import file_sha256, inert, write_atomically


@pytest.mark.parametrize("content", [b"", b"\0line\r\n" * 200_000])
def test_file_sha256_is_that_of_the_bytes_as_they_stand(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert file_sha256(path) == hashlib.sha256(content).hexdigest()


def test_a_write_replaces_the_old_file_and_leaves_only_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a longer old one")
    write_atomically(path, b"new", cure="none")
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_write_that_fails_keeps_what_was_there_and_ends_with_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(OutputError, match=r"folder: cannot be written \(Is a directory\); move it$"):
        write_atomically(path, b"new", cure="move it")
    assert list(tmp_path.iterdir()) == [path] and path.is_dir()


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠x"])
def test_a_cell_that_starts_a_formula_is_quoted(cell: str) -> None:
    assert str(inert(cell)).startswith("'") and str(inert(cell)).replace("'", "") == cell


@pytest.mark.parametrize("cell", ["a;=1+1", "a\t@SUM(A1)", "a\n+1", "a\r-1"])
def test_a_cell_is_no_formula_behind_another_separator_or_a_line_break(cell: str) -> None:
    assert str(inert(cell)) == f"{cell[:2]}'{cell[2:]}"


@pytest.mark.parametrize("cell", [-0.5, -3, None, "", "a - b", "a+b", "a; -b", "x=1", "−0.5"])
def test_numbers_and_plain_text_stay_as_they_are(cell: object) -> None:
    assert inert(cell) is cell or inert(cell) == cell
