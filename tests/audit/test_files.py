"""Hashes of files, and writes that never leave a half."""

import hashlib
from pathlib import Path

import pytest

from audit.errors import OutputError
from audit.files import file_sha256, write_atomically


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
