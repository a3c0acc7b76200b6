"""What was told of the runs of one name: kept beside them, forgotten with them, and never in the way."""

from pathlib import Path

import pytest

from audit.errors import OutputError
from audit.store.summaries import histories
from audit.store.told import TOLD, Telling, Told, keep_telling, keep_tracked, read_told
from tests.audit.nights import night, written


def test_what_is_kept_is_read_again_and_is_no_run(tmp_path: Path) -> None:
    place = written(tmp_path / "nightly", night(0), night(1))
    keep_telling(place, "notify.url", Telling(run=night(0).run_id, exit_code=3))
    keep_telling(place, "notify.command", Telling(run=None, exit_code=1))
    keep_tracked(place, night(0).run_id)
    channels = {
        "notify.url": Telling(run=night(0).run_id, exit_code=3),
        "notify.command": Telling(run=None, exit_code=1),
    }
    assert read_told(place) == Told(channels=channels, tracked=(night(0).run_id,))
    assert list(histories(place)) == ["nightly"]


def test_runs_that_were_removed_are_forgotten(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        keep_tracked(tmp_path, name)
    (tmp_path / "two").rmdir()
    (tmp_path / "four").mkdir()
    keep_tracked(tmp_path, "four")
    assert read_told(tmp_path).tracked == ("one", "three", "four")


def test_a_folder_that_takes_no_file_is_an_error_with_its_cure(tmp_path: Path) -> None:
    (tmp_path / TOLD / "below").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"cannot be written .*; the same may be told again"):
        keep_tracked(tmp_path, "one")
