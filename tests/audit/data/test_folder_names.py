"""Names below a folder come in the order of their whole paths, however many there are, and nothing hidden or linked with them."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from audit.data.folder_names import in_order, names_below

names = st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=6), max_size=40)


def listed(path: Path) -> list[str]:
    """What it is to give: every path in memory, sorted."""
    found = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if not file.is_dir())
    return [name for name in found if not any(part.startswith(".") for part in name.split("/"))]


def test_files_come_in_the_order_of_their_whole_paths(tmp_path: Path) -> None:
    for name in ("a/x", "a-b/x", "a", "a b/y/z", "B/1", "é/1", ".git/x", "a b/.x", "line\nbreak"):
        path = tmp_path / (name if name != "a" else "aa")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "a-b" / "empty").mkdir()
    found = list(names_below(str(tmp_path)))
    assert found == listed(tmp_path) and found.index("a-b/x") < found.index("a/x") and len(found) == 7


def test_links_to_files_are_files_and_links_to_folders_are_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("")
    for name, target in (("file", "a/x"), ("folder", "a"), ("broken", "nothing"), ("itself", "itself")):
        (tmp_path / name).symlink_to(target)
    (tmp_path / "a" / "up").symlink_to("..")
    assert list(names_below(str(tmp_path))) == listed(tmp_path) == ["a/x", "broken", "file", "itself"]


def test_names_that_are_no_text_come_back(tmp_path: Path) -> None:
    name = b"\xff\xfe".decode("utf-8", "surrogateescape")
    (tmp_path / name).write_text("")
    assert list(names_below(str(tmp_path))) == [name]


@given(names, st.integers(1, 7))
def test_sorting_in_pieces_is_sorting(given_names: list[str], most: int) -> None:
    assert list(in_order(given_names, most)) == sorted(given_names)


def test_names_with_halves_of_characters_survive_the_pieces() -> None:
    odd = ["\udcff", "a\nb", '"', "\udc80\udcff", "\U0001f600"]
    assert list(in_order(odd, 2)) == sorted(odd)
