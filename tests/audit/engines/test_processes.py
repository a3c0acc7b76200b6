"""Worker processes: one that dies is replaced, a shard that kills them ends the run, and they end with it at once."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.engines.choice import engine
from audit.engines.processes import AHEAD, cores
from audit.errors import ModelError
from audit.loading import LoadedConfig
from audit.parts import digest, gathered
from tests.audit.engines.conftest import Squares, explained, shards

Configured = Callable[..., LoadedConfig]


def test_a_worker_that_dies_is_replaced_and_nothing_is_lost(
    folders: tuple[Path, Path], config: Configured, caplog: pytest.LogCaptureFixture
) -> None:
    parts, notes = folders
    with engine(explained, config(workers=2), None, folder=parts, identity="x") as workers:
        found = gathered(workers.parts(Squares(notes, fatal=7), shards(30)), 30)
    np.testing.assert_array_equal(found["square"], np.arange(30) ** 2)
    assert len({note.read_text() for note in notes.iterdir()}) >= 2
    assert caplog.text.count("a worker process died; shards under way: ") == 1


def test_a_shard_that_kills_every_worker_ends_the_run_at_the_third_with_what_is_done_kept(
    folders: tuple[Path, Path], config: Configured, caplog: pytest.LogCaptureFixture
) -> None:
    """Others are done between the deaths, and would be between a hundred more."""
    parts, notes = folders
    with (
        pytest.raises(ModelError, match=r"died 3 times while .* same shard; .* lower engine\.workers or engine\."),
        engine(explained, config(workers=2), None, folder=parts, identity="x") as workers,
    ):
        workers.parts(Squares(notes, fatal=0, lasting=True, seconds=0.4), shards(300))
    assert len(list(notes.glob("0.*"))) == 3
    assert len(list(parts.glob("*.npz"))) >= 3
    assert caplog.text.count("a worker process died") == 3


@dataclass(frozen=True)
class Napping:
    """Notes who sleeps for so many seconds."""

    folder: Path

    @property
    def digest(self) -> str:
        return digest("napping")

    def do(self, explainer: Any, content: list[int]) -> dict[str, np.ndarray]:
        (self.folder / str(content[0])).write_text(str(os.getpid()))
        time.sleep(content[0])
        return {"row.none": np.zeros(len(content))}


def running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_leaving_by_an_exception_waits_for_no_shard(folders: tuple[Path, Path], config: Configured) -> None:
    parts, notes = folders
    left = 0.0

    def interrupted(examples: int) -> None:
        nonlocal left
        while len(list(notes.iterdir())) < 2:
            time.sleep(0.01)
        left = time.monotonic()
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        engine(explained, config(workers=2), None, folder=parts, identity="x") as workers,
    ):
        workers.parts(Napping(notes), shards(120, size=60), interrupted)
    assert time.monotonic() - left < 30, "the other one sleeps for a minute"
    assert not any(running(int(note.read_text())) for note in notes.iterdir())


def test_shards_are_asked_for_as_they_are_needed(folders: tuple[Path, Path], config: Configured) -> None:
    parts, notes = folders
    asked = 0

    def counted() -> Any:
        nonlocal asked
        for shard in shards(60):
            asked += 1
            yield shard
            assert asked - len(list(parts.glob("*.npz"))) <= 2 * AHEAD + 1

    with engine(explained, config(workers=2), None, folder=parts, identity="x") as workers:
        workers.parts(Squares(notes), counted())
    assert asked == 20


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs a platform that can bind a process to cores")
def test_only_cores_that_the_process_may_use_count() -> None:
    allowed = os.sched_getaffinity(0)
    assert cores() == len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
