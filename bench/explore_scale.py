"""Time and memory of the explorer over a run of a million examples: `python -m bench.explore_scale RUN [N]`.

The run's table is repeated under other ids, its numbers a little moved; the explorer is asked as a browser asks it, each address twice: the
first reads its columns. Floor of an answer: `/worklists`, which asks nothing of the table.
"""

import shutil
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote
from urllib.request import HTTPCookieProcessor, build_opener

import numpy as np
import pyarrow
import uvicorn
from pyarrow import parquet

from audit.explore.app import application
from audit.explore.server import listener
from audit.explore.shelf import Shelf
from bench.engine import high_water

PIECE = 50_000


def blown_up(run: Path, place: Path, n: int) -> Path:
    """A copy of the run with n examples."""
    shutil.copytree(run, place)
    table = parquet.read_table(run / "examples.parquet")
    rng = np.random.default_rng(0)
    with parquet.ParquetWriter(place / "examples.parquet", table.schema) as writer:
        for start in range(0, n, PIECE):
            size = min(PIECE, n - start)
            some = table.take(rng.integers(0, len(table), size))
            for k, field in enumerate(table.schema):
                if field.name == "id":
                    some = some.set_column(
                        k, field, pyarrow.array([f"x{i}" for i in range(start, start + size)], field.type)
                    )
                elif pyarrow.types.is_floating(field.type):
                    moved = some.column(k).to_numpy() + rng.normal(0, 1e-3, size)
                    some = some.set_column(k, field, pyarrow.array(moved, field.type, from_pandas=True))
            writer.write_table(some)
    return place


def main(run: Path, n: int) -> None:
    """Print seconds by address, and the peak of memory."""
    with TemporaryDirectory() as folder:
        place = blown_up(run, Path(folder) / "run", n)
        before = high_water()
        start = time.perf_counter()
        shelf, socket_ = Shelf(place), listener(0)
        port = socket_.getsockname()[1]
        config = uvicorn.Config(application(shelf, "t", frozenset([f"127.0.0.1:{port}"])), log_level="warning")
        server = uvicorn.Server(config)
        threading.Thread(target=server.run, kwargs={"sockets": [socket_]}, daemon=True).start()
        opener = build_opener(HTTPCookieProcessor())
        get(opener, port, "/?token=t")
        print(f"{n:,} examples, {len(shelf.types)} columns: first page {time.perf_counter() - start:.2f} s")
        number = next(name for name in shelf.names if name.startswith("share."))
        text = [("text contains", f"/examples?where={quote('text:contains:she')}")] if "text" in shelf.types else []
        asked: list[tuple[str, str]] = [
            ("floor", "/worklists"), ("all", "/examples"), ("a choice", f"/examples?where={quote('correct:false:')}"),
            ("a number", f"/examples?where={quote(f'{number}:least:0.1')}"), *text,
            ("sort by a number", f"/examples?sort=-{quote(number)}"), ("sort by id", "/examples?sort=-id"),
            ("two conditions, sorted", f"/examples?where=correct:false:&where={quote(f'{number}:least:0.01')}&sort=-confidence"),
            ("last page", f"/examples?sort=-{quote(number)}&page={n // 50}"), ("an example", "/example/x77777"),
            ("map", "/points.json"), ("groups", "/groups"),
        ]  # fmt: skip
        for words, address in asked:
            first, again = (get(opener, port, address) for _ in range(2))
            print(f"  {words:24} {first * 1000:6.0f} ms, again {again * 1000:5.0f} ms")
        print(f"peak memory {high_water():.0f} MB, {high_water() - before:.0f} above making the run")
        server.should_exit = True


def get(opener: Any, port: int, address: str) -> float:
    start = time.perf_counter()
    with opener.open(f"http://127.0.0.1:{port}{address}") as answer:
        answer.read()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 1_000_000)
