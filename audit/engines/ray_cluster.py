"""A Ray cluster: shards are tasks of actors, and are tried again where an actor or its node is lost."""

import logging
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, Final, Generic, TypeVar, final

from audit.config import Engine
from audit.engines.ray_actors import Actors, Lost, result
from audit.engines.worker import Load
from audit.errors import ConfigError, ModelError
from audit.loading import LoadedConfig
from audit.log import Event, tell
from audit.parts import Part, Shard, Work, pickled

S = TypeVar("S")
T = TypeVar("T")
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
    actors: Actors | None = None
    started: bool = False

    def run(self, work: Work[S], shards: Iterable[tuple[T, Shard[S]]]) -> Iterator[tuple[T, Part]]:
        """As they are done; an actor gets its next shard when it gives back one, and one that was lost waits longer each time."""
        waiting = iter(shards)
        first = list(islice(waiting, 1))
        if first:
            yield from self._run(self._start(), work, chain(first, waiting))

    def _run(self, actors: Actors, work: Work[S], waiting: Iterator[tuple[T, Shard[S]]]) -> Iterator[tuple[T, Part]]:
        import ray

        flying, lost, packed = dict[Any, _Sent[T]](), list[tuple[float, _Sent[T]]](), [ray.put(pickled(work))]
        while True:
            actors.watch()
            room = max(0, actors.room - len(flying))
            due = [each for each in lost if each[0] <= time.monotonic()][:room]
            lost = [each for each in lost if each not in due]
            fresh = islice(waiting, max(0, room - len(due) - len(lost)))
            for sent in (*(each for _, each in due), *(_Sent(tag, shard.content) for tag, shard in fresh)):
                k = actors.idle((each.actor for each in flying.values()), sent.actor)
                flying[actors.handles[k].do.remote(work.digest, packed, sent.content)] = replace(sent, actor=k)
            if actors.placed and not flying and not lost:
                return
            for done in _first([*flying, *actors.asked], timeout=1 if lost or actors.asked else None):
                if done in actors.asked:
                    actors.answered(done)
                    continue
                sent, part = flying.pop(done), result(done)
                if isinstance(part, Lost):
                    actors.ask(sent.actor)
                    lost.append((time.monotonic() + 2**sent.losses, _counted(sent, part.reason)))
                else:
                    yield sent.tag, part

    def close(self) -> None:
        """Let the actors go, and the cluster if it was started here."""
        if not self.started:
            return
        import ray

        if self.actors is not None:
            self.actors.end()
            self.actors = None
        ray.shutdown()
        self.started = False

    def _start(self) -> Actors:
        if self.actors is not None:
            return self.actors
        import ray

        logger = logging.getLogger("ray")
        logger.handlers.clear()  # it prints by itself, beside a log that may be JSON
        logger.propagate = True
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
        self.actors = Actors.of(self.load, self.loaded, self.engine)
        return self.actors


@final
@dataclass(frozen=True, slots=True)
class _Sent(Generic[T]):
    """A shard on its way, to which actor, and how often it was lost."""

    tag: T
    content: Any
    actor: int = -1
    losses: int = 0


def _ask(address: str | None) -> None:
    """OSError if nobody listens at `host:port`; Ray itself would try for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=REACHED).close()


def _first(answers: list[Any], timeout: int | None) -> list[Any]:
    """The first that comes, or none in so many seconds."""
    import ray

    if answers:
        return list(ray.wait(answers, num_returns=1, timeout=timeout)[0])
    time.sleep(0.2)  # everything that is left was lost a moment ago
    return []


def _counted(sent: _Sent[T], reason: str) -> _Sent[T]:
    """Once more lost, which is told; ModelError where that was too often."""
    losses = sent.losses + 1
    body = f"a shard was lost with its worker or node, {losses} of {TRIES} times ({reason})"
    tell(Event.SHARD_LOST, body, level=logging.WARNING, shards=1, losses=losses, reason=reason)
    if losses == TRIES:
        raise ModelError(f"a shard was lost {TRIES} times with its worker or node (at last: {reason}); {CURE}")
    return replace(sent, losses=losses)
