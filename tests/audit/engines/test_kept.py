"""Parts on disk: what is whole is never made again, and what is not is found, whatever happened to it."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from audit.engines.kept import Kept, sealed
from audit.errors import OutputError
from audit.parts import Here, InProcess, Part, gathered
from tests.audit.engines.conftest import Squares, shards


def test_gathered_parts_are_the_whole_table(folders: tuple[Path, Path]) -> None:
    parts, notes = folders
    for made in (Here(None), Kept(None, InProcess(None), parts, "x")):
        found = made.parts(Squares(notes), shards(20))
        np.testing.assert_array_equal(gathered(found, 20)["square"], np.arange(20) ** 2)
        assert [int(part["size"][0]) for _, part in found] == [3] * 6 + [2]


def test_what_is_whole_is_never_done_again_and_what_is_cut_or_changed_is(folders: tuple[Path, Path]) -> None:
    parts, notes = folders
    for _ in range(2):
        Kept(None, InProcess(None), parts, "x").parts(Squares(notes), shards(12))
    assert len(list(notes.iterdir())) == 4
    files = sorted(parts.iterdir())
    files[0].write_bytes(files[0].read_bytes()[: files[0].stat().st_size // 2])
    changed = bytearray(files[1].read_bytes())
    changed[len(changed) // 3] ^= 255
    files[1].write_bytes(changed)
    files[2].write_bytes(b"")
    again = Kept(None, InProcess(None), parts, "x")
    np.testing.assert_array_equal(gathered(again.parts(Squares(notes), shards(12)), 12)["square"], np.arange(12) ** 2)
    assert again.counts == {"found": 1, "done": 3}


def test_other_identities_works_and_contents_are_other_parts(folders: tuple[Path, Path]) -> None:
    parts, notes = folders
    for identity, fatal, n in (("x", -1, 6), ("y", -1, 6), ("x", -2, 6), ("x", -1, 7)):
        Kept(None, InProcess(None), parts, identity).parts(Squares(notes, fatal), shards(n))
    assert len(list(parts.iterdir())) == 2 + 2 + 2 + 1


def read_again(folder: Path, content: bytes) -> tuple[Part, int]:
    """The only part as it comes from a folder that holds `content` in its place, and how many shards were done for that."""
    (path,) = folder.glob("*.npz")
    path.write_bytes(content)
    again = Kept(None, InProcess(None), folder, "x")
    (part,) = ({name: part[name] for name in part} for _, part in again.parts(Squares(folder), shards(3)))
    return part, again.counts["done"]


def test_whichever_byte_of_a_part_is_another_one_the_part_that_is_read_is_right(folders: tuple[Path, Path]) -> None:
    place, _ = folders
    Kept(None, InProcess(None), place, "x").parts(Squares(place), shards(3))
    (path,) = place.glob("*.npz")
    whole, rng = path.read_bytes(), np.random.default_rng(1)
    right, done = read_again(place, whole)
    assert done == 0
    for i, bit in enumerate(rng.integers(0, 8, len(whole)).tolist()):
        changed = bytearray(whole)
        changed[i] ^= 1 << bit
        part, done = read_again(place, bytes(changed))
        assert done == 1 and part.keys() == right.keys(), f"bit {bit} of byte {i}"
        for name in right:
            np.testing.assert_array_equal(part[name], right[name])
        for note in place.glob("0.*"):
            note.unlink()


@pytest.mark.parametrize("names", [{"row.square.npy"}, {"row.square.npy", "size.npy", "more.npy"}])
def test_an_archive_with_fewer_or_more_arrays_is_not_whole(folders: tuple[Path, Path], names: set[str]) -> None:
    place, _ = folders
    Kept(None, InProcess(None), place, "x").parts(Squares(place), shards(3))
    (path,) = place.glob("*.npz")
    other = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w") as new:
        new.comment = old.comment
        for name in names:
            new.writestr(name, old.read(name if name in old.namelist() else "size.npy"))
    part, done = read_again(place, other.getvalue())
    assert done == 1 and part.keys() == {"row.square", "size"}


def test_a_part_is_an_archive_that_numpy_and_zip_can_read() -> None:
    content = sealed({"row.square": np.arange(3), "none": np.zeros((0, 2)), "name": np.array(["ü"])})
    with np.load(io.BytesIO(content)) as part:
        assert part.files == ["row.square", "none", "name"] and part["name"][0] == "ü" and part["none"].shape == (0, 2)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None and len(archive.comment) == 32


def test_a_part_that_cannot_be_written_says_how_to_go_on(folders: tuple[Path, Path]) -> None:
    with pytest.raises(OutputError, match=r"run it again to go on; with another folder \(--output\) it starts anew"):
        Kept(None, InProcess(None), folders[0] / "none", "x").parts(Squares(folders[1]), shards(3))
