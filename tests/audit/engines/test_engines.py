"""Every engine gives the same parts bit for bit, keeps what is done, and loses nothing when a worker or a file does."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.engines.choice import engine
from audit.engines.kept import Kept
from audit.errors import ModelError
from audit.loading import LoadedConfig, load_config
from audit.parts import Here, InProcess, Shard, digest, gathered
from audit.preparation import load_explainer, prepare
from audit.relevance import texts as stage
from tests.audit.engines.conftest import explained

Project = Callable[..., Path]


@dataclass(frozen=True)
class Squares:
    """Squares numbers, and notes each time that it does so; `fatal`: the number at which the first process that sees it dies."""

    folder: Path
    fatal: int = -1
    lasting: bool = False

    @property
    def digest(self) -> str:
        return digest("squares", self.fatal)

    def do(self, explainer: Any, content: list[int]) -> dict[str, np.ndarray]:
        note = self.folder / f"{content[0]}.{len(list(self.folder.glob(f'{content[0]}.*')))}"
        note.write_text(str(os.getpid()))
        if self.fatal in content and (self.lasting or note.suffix == ".0"):
            os.kill(os.getpid(), signal.SIGKILL)
        return {"row.square": np.array(content) ** 2, "size": np.array([len(content)])}


def shards(n: int, size: int = 3) -> Iterator[Shard[list[int]]]:
    for start in range(0, n, size):
        content = list(range(start, min(start + size, n)))
        yield Shard(np.array(content), content, digest(content))


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
    assert again.counts["done"] >= 2 and again.counts["found"] + again.counts["done"] == 4


def test_other_identities_works_and_contents_are_other_parts(folders: tuple[Path, Path]) -> None:
    parts, notes = folders
    for identity, fatal, n in (("x", -1, 6), ("y", -1, 6), ("x", -2, 6), ("x", -1, 7)):
        Kept(None, InProcess(None), parts, identity).parts(Squares(notes, fatal), shards(n))
    assert len(list(parts.iterdir())) == 2 + 2 + 2 + 1


@pytest.fixture
def config(project: Project) -> Callable[..., LoadedConfig]:
    return lambda **engine_block: load_config(project(engine=engine_block))


def test_a_worker_that_dies_is_replaced_and_nothing_is_lost(folders: tuple[Path, Path], config: Any) -> None:
    parts, notes = folders
    with engine(explained, config(workers=2), None, folder=parts, identity="x") as workers:
        found = gathered(workers.parts(Squares(notes, fatal=7), shards(30)), 30)
    np.testing.assert_array_equal(found["square"], np.arange(30) ** 2)
    assert len({note.read_text() for note in notes.iterdir()}) >= 2


def test_workers_that_keep_dying_stop_the_run_with_what_is_done_kept(folders: tuple[Path, Path], config: Any) -> None:
    parts, notes = folders
    with (
        pytest.raises(ModelError, match=r"died 3 times in a row .* lower engine\.workers or engine\.batch_size"),
        engine(explained, config(workers=2), None, folder=parts, identity="x") as workers,
    ):
        workers.parts(Squares(notes, fatal=21, lasting=True), shards(24))
    assert len(list(parts.glob("*.npz"))) >= 3


@pytest.mark.parametrize("block", [{"workers": 2}, {"kind": "ray", "workers": 2}], ids=["processes", "ray"])
def test_relevance_is_the_same_bit_for_bit_by_every_engine(
    block: dict[str, Any], folders: tuple[Path, Path], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "SHARD_TOKENS", 512)
    task = prepare(load_config(project(engine={**block, "threads": 1, "batch_size": 512})))
    block_of_one = load_config(project(engine={"threads": 1, "batch_size": 512}))
    with engine(load_explainer, block_of_one, task.explainer, folder=folders[1], identity="x") as one:
        here = task.explain(one)
    with engine(load_explainer, task.loaded, task.explainer, folder=folders[0], identity="x") as workers:
        there = task.explain(workers)
    assert workers.counts["done"] > 4
    np.testing.assert_array_equal(here.common.scores, there.common.scores)
    for name, table in here.common.groups.items():
        np.testing.assert_array_equal(table.net, there.common.groups[name].net)
        np.testing.assert_array_equal(here.words.relevance[name], there.words.relevance[name])
    assert here.words.types == there.words.types and here.common.rules == there.common.rules
