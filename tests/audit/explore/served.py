"""An explorer as it is served: uvicorn in a thread of this process, on a port of its own."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from audit.explore.app import application
from audit.explore.guard import Door
from audit.explore.live import Live
from audit.explore.server import configured, listener
from audit.explore.shelf import Shelf


@dataclass(frozen=True)
class Served:
    shelf: Shelf
    base: str
    door: Door

    @property
    def entry(self) -> str:
        return f"{self.base}/?token={self.door.token}"


@contextmanager
def served(run: Path, *, root: str = "", live: Live | None = None) -> Iterator[Served]:
    shelf, sock = Shelf(run), listener(0)
    port = sock.getsockname()[1]
    door = Door()
    asked = application(shelf, door, frozenset([f"127.0.0.1:{port}"]), root=root, live=live)
    server = uvicorn.Server(configured(asked))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Served(shelf, f"http://127.0.0.1:{port}{root}", door)
    server.should_exit = True
    thread.join()
