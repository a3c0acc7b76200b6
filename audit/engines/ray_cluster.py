"""Actors of a Ray cluster, each with the model; shards are tasks that are tried again where a worker or its node is lost."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, TypeVar, final

from audit.config import Engine
from audit.engines.worker import Load, Worker
from audit.errors import AuditError, ConfigError, ModelError
from audit.loading import LoadedConfig
from audit.parts import Part, Shard, Work, pickled

S = TypeVar("S")
T = TypeVar("T")
AHEAD: Final = 2  # shards in flight for each actor: the object store holds no more than these and their parts
TRIES: Final = 5  # of one shard, whose actor or node was lost
CURE: Final = "it may need more memory than its node has: lower engine.batch_size, then run it again to go on"


def require_ray(where: str) -> None:
    """ConfigError that starts with `where` if Ray is not installed."""
    try:
        import ray  # noqa: F401
    except ImportError:
        raise ConfigError(f"{where}: 'ray' needs the package ray; pip install 'lrp-audit[ray]'") from None


@final
@dataclass(slots=True)
class RayCluster:
    """Not frozen: it holds the actors, which are started when the first shard comes."""

    load: Load
    loaded: LoadedConfig
    engine: Engine
    actors: list[Any] = field(default_factory=list)
    started: bool = False

    def run(self, work: Work[S], shards: Iterable[tuple[T, Shard[S]]]) -> Iterator[tuple[T, Part]]:
        """As they are done; an actor gets its next shard when it gives back one."""
        import ray

        waiting, flying = iter(shards), dict[Any, tuple[T, int]]()
        packed = None
        while True:
            for tag, shard in islice(waiting, self.engine.workers * AHEAD - len(flying)):
                self._start()
                packed = packed or ray.put(pickled(work))
                k = min(range(len(self.actors)), key=lambda k: sum(at == k for _, at in flying.values()))
                flying[self.actors[k].do.remote(work.digest, packed, shard.content)] = tag, k
            if not flying:
                return
            for done in ray.wait(list(flying), num_returns=1)[0]:
                tag, _ = flying.pop(done)
                yield tag, _result(done)

    def close(self) -> None:
        """Let the actors go, and the cluster if it was started here."""
        if not self.started:
            return
        import ray

        for actor in self.actors:
            ray.kill(actor)
        self.actors.clear()
        ray.shutdown()
        self.started = False

    def _start(self) -> None:
        if self.started:
            return
        import ray

        ray.init(address=self.engine.address, log_to_driver=False, include_dashboard=False, configure_logging=False)
        self.started = True
        threads = max(1, (os.cpu_count() or 1) // self.engine.workers)
        options = {"max_restarts": -1, "max_task_retries": TRIES, "num_gpus": self.engine.gpus, "num_cpus": threads}
        actor = ray.remote(_Actor).options(**options)
        self.actors += [actor.remote(self.load, self.loaded, threads) for _ in range(self.engine.workers)]


class _Actor:
    """A worker as Ray wants it."""

    def __init__(self, load: Load, loaded: LoadedConfig, threads: int) -> None:
        self.worker = Worker.of(load, loaded, threads)

    def do(self, digest: str, packed: bytes, content: Any) -> dict[str, Any]:
        """The part of a shard."""
        return self.worker.do(digest, lambda: packed, content)


def _result(done: Any) -> Part:
    """The part; what went wrong in the worker is raised here as what it was."""
    import ray

    try:
        part: Part = ray.get(done)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, AuditError):
            raise error.cause from error
        raise
    except ray.exceptions.RayError as error:
        raise ModelError(f"a shard was lost {TRIES} times with its worker ({type(error).__name__}); {CURE}") from error
    return part
