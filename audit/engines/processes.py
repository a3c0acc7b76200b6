"""Worker processes of this machine, each with the model and its share of the threads; one that dies is replaced."""

import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Any, Final, TypeVar, final

from audit.engines.worker import Load, Worker
from audit.errors import ModelError
from audit.files import atomically
from audit.loading import LoadedConfig
from audit.parts import Part, Shard, Work, pickled

S = TypeVar("S")
T = TypeVar("T")
AHEAD: Final = 2  # shards in flight for each worker: memory stays what these need
TRIES: Final = 3  # deaths of workers that a run survives in a row
CURE: Final = (
    "it may need more memory than there is: lower engine.workers or engine.batch_size, then run it again to go on"
)


@final
@dataclass(slots=True)
class Processes:
    """Not frozen: it holds the processes, which are started when the first shard comes, and ends with them."""

    load: Load
    loaded: LoadedConfig
    workers: int
    scratch: Path
    pool: ProcessPoolExecutor | None = field(default=None)

    def run(self, work: Work[S], shards: Iterable[tuple[T, Shard[S]]]) -> Iterator[tuple[T, Part]]:
        """As they are done."""
        waiting, flying = iter(shards), dict[Future[Any], tuple[T, Shard[S]]]()
        given = self._shipped(work)
        deaths = 0
        while True:
            for item in islice(waiting, self.workers * AHEAD - len(flying)):
                flying[self._submit(given, item[1])] = item
            if not flying:
                return
            lost = list[tuple[T, Shard[S]]]()
            for done in wait(flying, return_when=FIRST_COMPLETED).done:
                tag, shard = flying.pop(done)
                try:
                    part = done.result()
                except BrokenProcessPool:
                    lost.append((tag, shard))
                else:
                    deaths = 0
                    yield tag, part
            if lost:
                deaths += 1
                if deaths == TRIES:
                    raise ModelError(f"worker processes died {TRIES} times in a row while they explained; {CURE}")
                lost += flying.values()
                self.close()
                flying = {self._submit(given, shard): (tag, shard) for tag, shard in lost}

    def close(self) -> None:
        """End the processes."""
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)
            self.pool = None

    def _shipped(self, work: Work[S]) -> tuple[str, str]:
        """Digest of the work, and the file that holds it, from which each process reads it once."""
        path = self.scratch / f"{work.digest}.work"
        with atomically(path, cure=CURE) as file:
            file.write(pickled(work))
        return work.digest, str(path)

    def _submit(self, given: tuple[str, str], shard: Shard[Any]) -> Future[Any]:
        if self.pool is None:
            asked = self.loaded.config.engine.threads
            threads = asked or max(1, (os.cpu_count() or 1) // self.workers)
            self.pool = ProcessPoolExecutor(
                self.workers, get_context("spawn"), _begin, (self.load, self.loaded, threads)
            )
        try:
            return self.pool.submit(_do, *given, shard.content)
        except BrokenProcessPool:
            self.close()  # a worker died since the last answer; what else was under way says so when it is waited for
            return self._submit(given, shard)


_worker: list[Worker] = []  # of this process, once it is one of the workers


def _begin(load: Load, loaded: LoadedConfig, threads: int) -> None:
    """Make this process a worker, which does not outlive the one that started it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker.append(Worker.of(load, loaded, threads))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None, "a worker is started by multiprocessing"
    connection.wait([parent.sentinel])
    os._exit(1)


def _do(digest: str, path: str, content: Any) -> dict[str, Any]:
    (worker,) = _worker
    return worker.do(digest, lambda: Path(path).read_bytes(), content)
