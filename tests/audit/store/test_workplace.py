"""The place of a run: one owner at a time, a draft that becomes a run folder in one step, nothing left behind."""

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from audit.errors import OutputError
from audit.store.manifest import write_manifest
from audit.store.workplace import FORGOTTEN, workplace


def hold(parent: Path, held: Any) -> None:
    with workplace(parent, "a" * 64) as place:
        place.begin()
        held.set()
        time.sleep(600)


@pytest.fixture
def holder(tmp_path: Path) -> Any:
    """Another process that is at work."""
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    process = context.Process(target=hold, args=(tmp_path / "name", held))
    process.start()
    assert held.wait(60)
    yield process
    process.kill()
    process.join()


def test_the_second_run_of_one_audit_is_told_who_is_at_work_and_another_audit_is_not_stopped(
    tmp_path: Path, holder: Any
) -> None:
    with pytest.raises(
        OutputError, match=rf"at work here \(process {holder.pid} on \S+, since \d\d:\d\d UTC, 0 min ago\); wait"
    ):
        workplace(tmp_path / "name", "a" * 64).__enter__()
    with workplace(tmp_path / "name", "b" * 64) as other:
        other.begin()


def test_the_lock_of_a_killed_run_is_free_and_what_it_did_is_there(tmp_path: Path, holder: Any) -> None:
    (parts,) = (tmp_path / "name").glob(".*.parts")
    (parts / "one.npz").write_bytes(b"done")
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with workplace(tmp_path / "name", "a" * 64) as place:
        place.begin()
        assert (place.parts / "one.npz").read_bytes() == b"done"


def test_a_published_draft_is_the_run_folder_and_nothing_else_is_left(tmp_path: Path) -> None:
    with workplace(tmp_path / "name", "a" * 64) as place:
        place.begin()
        (place.draft / "audit.json").write_text("{}")
        write_manifest(place.draft)
        assert place.publish("id") == tmp_path / "name" / "id"
    assert [path.name for path in (tmp_path / "name").iterdir()] == ["id"]


def test_a_run_folder_that_exists_is_never_used_again(tmp_path: Path) -> None:
    names = []
    (tmp_path / "name").mkdir()
    (tmp_path / "name" / "id-2").write_text("a file")
    for _ in range(3):
        with workplace(tmp_path / "name", "a" * 64) as place:
            place.begin()
            names.append(place.publish("id").name)
    assert names == ["id", "id-3", "id-4"]


def test_a_run_folder_that_comes_between_looking_and_publishing_is_left_alone(tmp_path: Path) -> None:
    """A link to nowhere is not there when it is looked for, and is in the way of the rename, as a folder of that moment would be."""
    (tmp_path / "name").mkdir()
    (tmp_path / "name" / "id").symlink_to("nowhere")
    with workplace(tmp_path / "name", "a" * 64) as place:
        place.begin()
        assert place.publish("id").name == "id-2"
    assert (tmp_path / "name" / "id").is_symlink()


def test_a_draft_that_cannot_be_published_is_an_error_with_its_cure(tmp_path: Path) -> None:
    with (
        workplace(tmp_path / "name", "a" * 64) as place,
        pytest.raises(OutputError, match=r"cannot be made \(No such file.*--output"),
    ):
        place.publish("id")


def test_thousand_runs_of_one_id_are_enough(tmp_path: Path) -> None:
    for suffix in ("", *(f"-{i}" for i in range(2, 1000))):
        (tmp_path / "name" / f"id{suffix}").mkdir(parents=True)
    with workplace(tmp_path / "name", "a" * 64) as place:
        place.begin()
        with pytest.raises(OutputError, match="a thousand runs start with id; give another folder with --output"):
            place.publish("id")


def test_what_nobody_goes_on_with_for_a_month_is_removed_unless_somebody_is_at_work_on_it(
    tmp_path: Path, holder: Any
) -> None:
    parent, old = tmp_path / "name", time.time() - FORGOTTEN - 60
    for name in ("b" * 16, "c" * 16):
        (parent / f".{name}.parts").mkdir()
    for name in ("a" * 16, "b" * 16):
        os.utime(parent / f".{name}.parts", (old, old))
    with workplace(parent, "d" * 64) as place:
        place.begin()
    left = {path.name for path in parent.iterdir()}
    assert left >= {f".{'a' * 16}.parts", f".{'c' * 16}.parts"} and f".{'b' * 16}.parts" not in left


def test_old_parts_that_another_run_removes_at_this_moment_stop_nobody(tmp_path: Path) -> None:
    """A link to nowhere is listed, and is not there when it is looked at."""
    parent = tmp_path / "name"
    parent.mkdir()
    (parent / f".{'b' * 16}.parts").symlink_to("nowhere")
    with workplace(parent, "d" * 64) as place:
        place.begin()
        assert place.draft.is_dir()


def test_output_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for output, why in [(tmp_path / "file" / "below", "Not a directory"), (tmp_path / "a\0b", "null byte")]:
        with pytest.raises(OutputError, match=rf"the run folder cannot be made \(.*{why}.*--output"):
            workplace(output / "name", "id").__enter__()
    with pytest.raises(OutputError, match=r"cannot be made \(File exists\)"):
        workplace(tmp_path / "file", "id").__enter__()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc")
def test_output_on_a_file_system_that_takes_no_folders_is_refused() -> None:
    with pytest.raises(OutputError, match=r"/proc/name: the run folder cannot be made \(No such file or directory\)"):
        workplace(Path("/proc/name"), "id").__enter__()
