"""Actors of a Ray cluster, each with the model; shards are tasks that are tried again where a worker or its node is lost."""

import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final, Generic, TypeVar, final

from audit.config import Engine
from audit.engines.worker import Load, Worker
from audit.errors import AuditError, ConfigError, ModelError
from audit.loading import LoadedConfig
from audit.parts import Part, Shard, Work, pickled

S = TypeVar("S")
T = TypeVar("T")
AHEAD: Final = 2  # shards in flight for each actor: the object store holds no more than these and their parts
REACHED: Final = 10  # seconds in which a cluster must answer
TRIES: Final = 7  # of one shard whose actor or node was lost, over two minutes
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
        """As they are done; an actor gets its next shard when it gives back one, and one that was lost waits longer each time."""
        import ray

        waiting, flying, lost = iter(shards), dict[Any, _Sent[T]](), list[tuple[float, _Sent[T]]]()
        packed = None
        while True:
            due = [each for each in lost if each[0] <= time.monotonic()]
            lost = [each for each in lost if each not in due]
            room = self.engine.workers * AHEAD - len(flying) - len(due) - len(lost)
            fresh = [_Sent(tag, shard.content) for tag, shard in islice(waiting, max(0, room))]
            for sent in (*(each for _, each in due), *fresh):
                self._start()
                packed = packed or ray.put(pickled(work))
                k = self._idle(flying.values(), sent)
                done = self.actors[k].do.remote(work.digest, packed, sent.content)
                flying[done] = replace(sent, actor=k)
            if not flying and not lost:
                return
            for done in ray.wait(list(flying), num_returns=1, timeout=1 if lost else None)[0] if flying else _pause():
                sent = flying.pop(done)
                part = _result(done)
                if part is not None:
                    yield sent.tag, part
                elif sent.losses + 1 == TRIES:
                    raise ModelError(f"a shard was lost {TRIES} times with its worker or node; {CURE}")
                else:
                    lost.append((time.monotonic() + 2**sent.losses, replace(sent, losses=sent.losses + 1)))

    def _idle(self, flying: Iterable["_Sent[Any]"], sent: "_Sent[Any]") -> int:
        """The actor with the least to do, another one than that which was lost, where there are several."""
        load = Counter(each.actor for each in flying)
        return min(range(len(self.actors)), key=lambda k: (len(self.actors) > 1 and k == sent.actor, load[k], k))

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

        before = signal.getsignal(signal.SIGTERM)
        try:
            _ask(self.engine.address)
            ray.init(
                self.engine.address or "local", log_to_driver=False, include_dashboard=False, configure_logging=False
            )
        except Exception as error:
            told = next(iter(str(error).splitlines()), type(error).__name__)
            where = self.loaded.at("engine", "address")
            raise ConfigError(
                f"{where}: no Ray cluster can be reached or started ({told:.200}); give the address of a running one, or try again where "
                "the machine was busy"
            ) from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray puts its own in its place
        self.started = True
        threads = self.engine.threads or 1
        options = {"max_restarts": -1, "num_gpus": self.engine.gpus, "num_cpus": threads}
        actor = ray.remote(_Actor).options(**options)
        self.actors += [actor.remote(self.load, self.loaded, threads) for _ in range(self.engine.workers)]


@final
@dataclass(frozen=True, slots=True)
class _Sent(Generic[T]):
    """A shard on its way, to which actor, and how often it was lost."""

    tag: T
    content: Any
    actor: int = -1
    losses: int = 0


class _Actor:
    """A worker as Ray wants it."""

    def __init__(self, load: Load, loaded: LoadedConfig, threads: int) -> None:
        self.worker = Worker.of(load, loaded, threads)

    def do(self, digest: str, packed: bytes, content: Any) -> dict[str, Any]:
        """The part of a shard."""
        return self.worker.do(digest, lambda: packed, content)


def _ask(address: str | None) -> None:
    """OSError if nobody listens at `host:port`; Ray itself would try for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=REACHED).close()


def _pause() -> list[Any]:
    """While everything that is left was lost a moment ago."""
    time.sleep(0.2)
    return []


def _result(done: Any) -> Part | None:
    """The part, None where it was lost with its actor or node; what went wrong in the worker is raised here as what it was."""
    import ray

    try:
        part: Part = ray.get(done)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, AuditError):
            raise error.cause from error
        raise
    except ray.exceptions.RayError:
        return None
    return part
