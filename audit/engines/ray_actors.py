"""Actors of a Ray cluster, and which of them have a place there: an actor that was never placed would keep its shards forever."""

import logging
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, final

from audit.config import Engine
from audit.engines.worker import Load, Worker
from audit.errors import AuditError, ConfigError, ModelError
from audit.loading import LoadedConfig
from audit.log import Event, tell
from audit.parts import Part

AHEAD: Final = 2  # shards in flight for each actor: the object store holds no more than these and their parts
TOLD: Final = 15  # seconds after which it is told which actors have no place
PATIENCE: Final = 300  # seconds without any actor that has a place; a cluster that grows takes minutes for a node


@final
@dataclass(frozen=True, slots=True)
class Lost:
    """Instead of a part: it was lost with its actor or node, and what Ray says of that."""

    reason: str


@final
@dataclass(slots=True)
class Actors:
    """Not frozen: places are found and lost while a run goes on.

    `asked` are the answers of those that are to say that they have a place; `full` and `some` when all and when any last had one; `told`
    when it was last told how many had.
    """

    where: str
    engine: Engine
    handles: list[Any] = field(default_factory=list)
    asked: dict[Any, int] = field(default_factory=dict)
    placed: set[int] = field(default_factory=set)
    full: float = field(default_factory=time.monotonic)
    some: float = field(default_factory=time.monotonic)
    told: tuple[float, int] = (0.0, -1)

    @classmethod
    def of(cls, load: Load, loaded: LoadedConfig, engine: Engine) -> "Actors":
        """As many as the config asks for; `engine` says with what."""
        import ray

        threads = engine.threads or 1
        actor = ray.remote(_Actor).options(max_restarts=-1, num_gpus=engine.gpus, num_cpus=threads)
        made = cls(loaded.at("engine", "workers"), engine)
        made.handles += [actor.remote(load, loaded, threads) for _ in range(engine.workers)]
        for k in range(engine.workers):
            made.ask(k)
        return made

    @property
    def room(self) -> int:
        """How many shards may be under way."""
        return len(self.placed) * AHEAD

    def ask(self, k: int) -> None:
        """Give this actor nothing more until it says that it has a place."""
        self.placed.discard(k)
        if k not in self.asked.values():
            self.asked[self.handles[k].ready.options(max_task_retries=-1).remote()] = k

    def answered(self, answer: Any) -> None:
        """One has a place; ModelError with what it says where it cannot be made anywhere."""
        import ray

        k = self.asked.pop(answer)
        try:
            ray.get(answer)
        except ray.exceptions.RayError as error:
            said = str(error).strip().splitlines()
            raise ModelError(
                f"{self.where}: a worker could not be started in the Ray cluster ({said[-1]:.300}); its nodes need the packages of "
                "this machine"
            ) from error
        self.placed.add(k)

    def idle(self, flying: Iterable[int], but: int) -> int:
        """The placed one with the least of what is `flying`, another one than `but` where there are several."""
        load = Counter(flying)
        return min(self.placed, key=lambda k: (len(self.placed) > 1 and k == but, load[k], k))

    def watch(self) -> None:
        """Tell what is waited for; ConfigError where nobody has had a place for too long."""
        now = time.monotonic()
        if self.placed:
            self.some = now
        if not self.asked:
            self.full, self.told = now, (0.0, -1)
        if now - max(self.full, self.told[0]) > TOLD and self.told[1] != len(self.placed):
            self.told = now, len(self.placed)
            body = f"{len(self.placed)} of {len(self.handles)} workers have a place; {self._needs()}"
            tell(Event.WORKERS_AWAITED, body, level=logging.WARNING, workers=len(self.handles), placed=len(self.placed))
        if now - self.some > PATIENCE:
            raise ConfigError(
                f"{self.where}: no worker has a place for {PATIENCE} s; {self._needs()}; lower engine.threads or engine.gpus, or add a "
                "node, then run it again to go on"
            )

    def _needs(self) -> str:
        import ray

        cluster: Any = ray
        there, free = cluster.cluster_resources(), cluster.available_resources()
        cpus, gpus = ([f"{each.get(name, 0):g}" for each in (there, free)] for name in ("CPU", "GPU"))
        return (
            f"each takes {self.engine.threads or 1} CPUs (engine.threads) and {self.engine.gpus:g} GPUs (engine.gpus), the Ray cluster has "
            f"{cpus[0]} CPUs and {gpus[0]} GPUs, of which {cpus[1]} and {gpus[1]} are free (engine.workers: {len(self.handles)})"
        )

    def end(self) -> None:
        """Let them go."""
        import ray

        for handle in self.handles:
            ray.kill(handle)


class _Actor:
    """A worker as Ray wants it."""

    def __init__(self, load: Load, loaded: LoadedConfig, threads: int) -> None:
        self.worker = Worker(load, loaded, threads)

    def ready(self) -> None:
        """Answered by an actor that has a place, before it loads the model."""

    def do(self, digest: str, packed: list[Any], content: Any) -> dict[str, Any]:
        """The part of a shard; `packed` holds a reference to the work: Ray would fetch it for every shard, were it given alone."""
        import ray

        return self.worker.do(digest, lambda: ray.get(packed[0]), content)


def result(done: Any) -> Part | Lost:
    """The part, or that it was lost with its actor or node; what went wrong in the worker is raised here as what it was."""
    import ray

    try:
        part: Part = ray.get(done)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, AuditError):
            raise error.cause from error
        raise
    except ray.exceptions.RayError as error:
        return Lost(next(iter(str(error).splitlines()), type(error).__name__)[:300])
    return part
