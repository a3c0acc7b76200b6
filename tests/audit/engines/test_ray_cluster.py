"""A real Ray cluster on this machine: two raylets, an actor that dies, a node that goes, and a driver whose memory stays flat."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.config import Engine
from audit.engines import ray_actors, ray_cluster
from audit.engines.choice import engine
from audit.engines.kept import Kept
from audit.engines.ray_actors import AHEAD, _Actor
from audit.engines.ray_cluster import RayCluster
from audit.errors import ConfigError, DataError, ModelError
from audit.loading import load_config
from audit.parts import Shard, digest, gathered, pickled
from tests.audit.engines.conftest import explained

Project = Callable[..., Path]


@dataclass(frozen=True)
class Slow:
    """Doubles numbers in a while, and notes where; `fatal`: the number at which the first actor that sees it dies, or every one."""

    folder: Path
    fatal: int = -1
    seconds: float = 0.05
    values: int = 1
    lasting: bool = False

    @property
    def digest(self) -> str:
        return digest("slow", self.fatal, self.values)

    def do(self, explainer: Any, content: int) -> dict[str, np.ndarray]:
        import ray

        note = self.folder / f"{content}.{time.monotonic_ns()}"
        note.write_text(f"{os.getpid()} {ray.get_runtime_context().get_node_id()}")
        time.sleep(self.seconds)
        if content == self.fatal and (self.lasting or len(list(self.folder.glob(f"{content}.*"))) == 1):
            os._exit(1)
        if content < 0:
            raise DataError(f"{content} is negative")
        return {"row.double": np.full((1, self.values), 2 * content)}


def shards(numbers: Iterator[int] | range) -> Iterator[Shard[int]]:
    for i, number in enumerate(numbers):
        yield Shard(np.array([i]), number, digest(number))


def own_memory() -> int:
    """Bytes in memory that are this process's own; the object store is shared, and bounded by Ray."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["RssAnon"].split()[0]) * 1024


@pytest.fixture
def workers(folders: tuple[Path, Path], project: Project) -> Iterator[Any]:
    loaded = load_config(project(engine={"kind": "ray", "workers": 2}))
    with engine(explained, loaded, None, folder=folders[0], identity="x") as made:
        yield made


def test_an_actor_that_dies_is_made_again_and_nothing_is_lost(workers: Kept, folders: tuple[Path, Path]) -> None:
    found = gathered(workers.parts(Slow(folders[1], fatal=9), shards(range(40))), 40)
    np.testing.assert_array_equal(found["double"][:, 0], 2 * np.arange(40))
    first, second = sorted(folders[1].glob("9.*"))
    assert first.read_text() != second.read_text() and len(list(folders[1].iterdir())) >= 41


def test_what_is_wrong_with_the_data_is_told_as_it_is_here(workers: Kept, folders: tuple[Path, Path]) -> None:
    with pytest.raises(DataError, match="-5 is negative"):
        workers.parts(Slow(folders[1]), shards(iter([1, 2, -5])))


def test_shards_are_asked_for_as_they_are_needed_and_memory_stays_flat(
    workers: Kept, folders: tuple[Path, Path]
) -> None:
    """Four gigabytes of parts pass through."""
    asked, most = 0, 0

    def counted() -> Iterator[int]:
        nonlocal asked, most
        for number in range(128):
            asked += 1
            done = len(list(folders[0].glob("*.npz")))
            assert asked - done <= 2 * AHEAD + 1
            if number > 16:
                most = max(most, own_memory())
            yield number
            for old in folders[0].glob("*.npz") if number % 8 == 0 else ():
                old.write_bytes(b"")  # the disk of this test is not what is measured

    began = own_memory()
    workers.parts(Slow(folders[1], seconds=0, values=4_000_000), shards(counted()))
    assert most - began < 400e6


def test_a_node_that_goes_takes_nothing_with_it(folders: tuple[Path, Path], project: Project) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    block = Engine(kind="ray", workers=2, address=cluster.address)
    made = RayCluster(explained, load_config(project()), block)
    try:
        killed = threading.Timer(8, lambda: cluster.remove_node(second, allow_graceful=False))

        def timed() -> Iterator[int]:
            for number in range(120):
                if number == 10:
                    killed.start()
                    cluster.add_node(num_cpus=1)  # where the lost actor can live again
                yield number

        engine_ = Kept(None, made, folders[0], "x")
        found = gathered(engine_.parts(Slow(folders[1], seconds=0.3), shards(timed())), 120)
        np.testing.assert_array_equal(found["double"][:, 0], 2 * np.arange(120))
        nodes = {note.read_text().split()[1] for note in folders[1].iterdir()}
        assert len(nodes) >= 2 and not killed.is_alive()
    finally:
        made.close()
        cluster.shutdown()


def test_a_cluster_that_is_not_there_is_told_with_the_cure(folders: tuple[Path, Path], project: Project) -> None:
    loaded = load_config(project(engine={"kind": "ray", "address": "127.0.0.1:1"}))
    with (
        pytest.raises(
            ConfigError, match=r"engine\.address: no Ray cluster can be reached or started .*give the address"
        ),
        engine(explained, loaded, None, folder=folders[0], identity="x") as made,
    ):
        made.parts(Slow(folders[1]), shards(range(2)))


def test_workers_without_a_place_hold_nothing_up_and_join_when_one_comes(
    folders: tuple[Path, Path], project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from ray.cluster_utils import Cluster

    monkeypatch.setattr(ray_actors, "TOLD", 1)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    made = RayCluster(explained, load_config(project()), Engine(kind="ray", workers=3, address=cluster.address))
    found = made.run(Slow(folders[1], seconds=0.1), enumerate(shards(range(10_000))))
    try:
        added = False
        for number, _ in found:
            if not added and "2 of 3 workers have a place; each takes 1 CPUs (engine.threads)" in caplog.text:
                cluster.add_node(num_cpus=1)
                added = True
            who = {note.read_text() for note in folders[1].iterdir()} if number % 10 == 0 else set()
            assert added or len(who) <= 2
            if len(who) == 3:
                break
        assert "has 2 CPUs and 0 GPUs, of which 0 and 0 are free" in caplog.text
        assert added and len(who) == 3
    finally:
        made.close()
        cluster.shutdown()


def test_a_cluster_without_room_for_any_worker_is_told_with_the_cure(
    folders: tuple[Path, Path], project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ray_actors, "TOLD", 1)
    monkeypatch.setattr(ray_actors, "PATIENCE", 4)
    loaded = load_config(project(engine={"kind": "ray", "workers": 2, "gpus": 40}))
    with (
        pytest.raises(
            ConfigError,
            match=r"engine\.workers: no worker has a place for 4 s; each takes 1 CPUs .* 40 GPUs \(engine\.gpus\), the Ray "
            r"cluster has .*lower engine\.threads or engine\.gpus, or add a node",
        ),
        engine(explained, loaded, None, folder=folders[0], identity="x") as made,
    ):
        made.parts(Slow(folders[1]), shards(range(2)))
    assert caplog.text.count("0 of 2 workers have a place") == 1


def test_a_shard_that_kills_every_actor_ends_the_run_with_what_ray_says(
    workers: Kept, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ray_cluster, "TRIES", 2)
    with pytest.raises(
        ModelError, match=r"lost 2 times with its worker or node \(at last: The actor .*\); .*batch_size"
    ):
        workers.parts(Slow(folders[1], fatal=1, lasting=True), shards(iter([1])))
    assert [f"lost with its worker or node, {n} of 2 times (The actor " in caplog.text for n in (1, 2)] == [True, True]


def test_an_actor_that_cannot_be_made_says_why_at_once(
    folders: tuple[Path, Path], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_config(project(engine={"kind": "ray", "workers": 2}))
    monkeypatch.setattr(ray_actors, "_Actor", Refusing)
    began = time.monotonic()
    with (
        pytest.raises(ModelError, match=r"a worker could not be started in the Ray cluster \(.*no such package.*\)"),
        engine(explained, loaded, None, folder=folders[0], identity="x") as made,
    ):
        made.parts(Slow(folders[1]), shards(range(2)))
    assert time.monotonic() - began < 60


class Refusing(_Actor):
    """Cannot be made on any node, as where a package is missing."""

    def __init__(self, *given: Any) -> None:
        raise ImportError("no such package")


def test_an_actor_fetches_the_work_once(workers: Kept, folders: tuple[Path, Path], project: Project) -> None:
    import ray

    work = Slow(folders[1])
    workers.parts(work, shards(range(2)))  # starts the cluster
    actor = _Actor(explained, load_config(project()), 1)
    for number, packed in ((1, [ray.put(pickled(work))]), (2, [])):
        assert actor.do(work.digest, packed, number)["row.double"] == 2 * number
