"""Worker processes of this machine, each with the model and its share of the threads; one that dies is replaced."""

import logging
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from itertools import islice
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, final

from audit.engines.kept import CURE as DISK
from audit.engines.worker import Load, Worker
from audit.errors import ModelError
from audit.files import atomically
from audit.loading import LoadedConfig
from audit.log import Event, tell
from audit.parts import Part, Shard, Work, pickled

S = TypeVar("S")
T = TypeVar("T")
AHEAD: Final = 2  # shards in flight for each worker: memory stays what these need
TRIES: Final = 3  # of one shard that was under way when a worker died
CURE: Final = (
    "it may need more memory than there is: lower engine.workers or engine.batch_size, then run it again to go on"
)


@final
@dataclass(frozen=True, slots=True)
class _Sent(Generic[T]):
    """A shard on its way, and how often it was lost."""

    tag: T
    content: Any
    losses: int = 0


@final
@dataclass(frozen=True, slots=True)
class _Pool:
    """The processes, and the pipe whose end ends them."""

    processes: ProcessPoolExecutor
    held: connection.Connection
    watched: connection.Connection

    @classmethod
    def of(cls, load: Load, loaded: LoadedConfig, *, workers: int, threads: int) -> "_Pool":
        context = get_context("spawn")
        watched, held = context.Pipe(duplex=False)
        given = load, loaded, threads, watched
        return cls(ProcessPoolExecutor(workers, context, _begin, given), held, watched)

    def end(self) -> None:
        """At once: what the processes are at is given up."""
        self.held.close()
        self.processes.shutdown(wait=True, cancel_futures=True)
        self.watched.close()


@final
@dataclass(slots=True)
class Processes:
    """Not frozen: it holds the processes, which are started when the first shard comes, and ends with them."""

    load: Load
    loaded: LoadedConfig
    workers: int
    scratch: Path
    pool: _Pool | None = field(default=None)

    def run(self, work: Work[S], shards: Iterable[tuple[T, Shard[S]]]) -> Iterator[tuple[T, Part]]:
        """As they are done."""
        waiting, flying = iter(shards), dict[Future[Any], _Sent[T]]()
        given = self._shipped(work)
        while True:
            for tag, shard in islice(waiting, self.workers * AHEAD - len(flying)):
                sent = _Sent(tag, shard.content)
                flying[self._submit(given, sent)] = sent
            if not flying:
                return
            lost = list[_Sent[T]]()
            for done in _answers(flying):
                sent = flying.pop(done)
                try:
                    part = done.result()
                except BrokenProcessPool:
                    lost.append(replace(sent, losses=sent.losses + 1))
                else:
                    yield sent.tag, part
            if lost:
                _count(lost)
                self.close()
                flying |= {self._submit(given, sent): sent for sent in lost}

    def close(self) -> None:
        """End the processes, and give up what they are at."""
        if self.pool is not None:
            self.pool.end()
            self.pool = None

    def _shipped(self, work: Work[S]) -> tuple[str, str]:
        """Digest of the work, and the file that holds it, from which each process reads it once."""
        path = self.scratch / f"{work.digest}.work"
        with atomically(path, cure=DISK) as file:
            file.write(pickled(work))
        return work.digest, str(path)

    def _submit(self, given: tuple[str, str], sent: _Sent[Any]) -> Future[Any]:
        if self.pool is None:
            threads = self.loaded.config.engine.threads or max(1, cores() // self.workers)
            self.pool = _Pool.of(self.load, self.loaded, workers=self.workers, threads=threads)
        try:
            return self.pool.processes.submit(_do, *given, sent.content)
        except BrokenProcessPool:
            self.close()  # a worker died since the last answer; what else was under way says so when it is waited for
            return self._submit(given, sent)


def cores() -> int:
    """Those that this process may use, where the platform tells."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1


def _answers(flying: Iterable[Future[Any]]) -> set[Future[Any]]:
    """Those that are done; all where a worker died, for that ends the others too."""
    done = wait(flying, return_when=FIRST_COMPLETED).done
    died = any(isinstance(each.exception(), BrokenProcessPool) for each in done)
    return wait(flying).done if died else done


def _count(lost: Sequence[_Sent[Any]]) -> None:
    """Tell a death; ModelError where one shard was under way in too many."""
    most = max(sent.losses for sent in lost)
    body = f"a worker process died; shards under way: {len(lost)}, lost at most {most} of {TRIES} times"
    tell(Event.SHARD_LOST, body, level=logging.WARNING, shards=len(lost), losses=most, reason="a worker process died")
    if most == TRIES:
        raise ModelError(f"a worker process died {TRIES} times while it explained the same shard; {CURE}")


_worker: list[Worker] = []  # of this process, once it is one of the workers


def _begin(load: Load, loaded: LoadedConfig, threads: int, watched: connection.Connection) -> None:
    """Make this process a worker, which outlives neither the one that started it nor its need."""
    threading.Thread(target=_end_with, args=(watched,), daemon=True).start()
    _worker.append(Worker(load, loaded, threads))


def _end_with(watched: connection.Connection) -> None:
    parent = parent_process()
    assert parent is not None, "a worker is started by multiprocessing"
    connection.wait([parent.sentinel, watched])
    os._exit(1)


def _do(digest: str, path: str, content: Any) -> dict[str, Any]:
    (worker,) = _worker
    return worker.do(digest, lambda: Path(path).read_bytes(), content)
