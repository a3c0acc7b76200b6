"""Time and memory of the explorer over a run of a million examples: `python -m bench.explore_scale RUN [N]`.

The run's table is repeated under other ids, its numbers a little moved; the explorer is a process of its own and is asked as a browser
asks it, each address three times: the first reads its columns. Floor of an answer: `/worklists`, which asks nothing of the table.
"""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import HTTPCookieProcessor, build_opener

import numpy as np
import pyarrow
from pyarrow import parquet

from audit.explore.query import Condition, Query
from audit.store.tables import ROWS

QUIET = 8.0  # seconds until what is read ahead is read


def blown_up(run: Path, place: Path, n: int) -> Path:
    """A copy of the run with n examples."""
    shutil.copytree(run, place)
    table = parquet.read_table(run / "examples.parquet")
    rng = np.random.default_rng(0)
    with parquet.ParquetWriter(place / "examples.parquet", table.schema) as writer:
        for start in range(0, n, ROWS):
            size = min(ROWS, n - start)
            some = table.take(rng.integers(0, len(table), size))
            for k, field in enumerate(table.schema):
                if field.name == "debug.embedding" and start:  # as many examples as a run clusters have it
                    some = some.set_column(k, field, pyarrow.nulls(size, field.type))
                elif field.name == "id":
                    some = some.set_column(
                        k, field, pyarrow.array([f"x{i}" for i in range(start, start + size)], field.type)
                    )
                elif pyarrow.types.is_floating(field.type):
                    moved = some.column(k).to_numpy() + rng.normal(0, 1e-3, size)
                    some = some.set_column(k, field, pyarrow.array(moved, field.type, from_pandas=True))
            writer.write_table(some)
    return place


def main(run: Path, n: int) -> None:
    """Print seconds by address, and the peak of the explorer's memory."""
    with TemporaryDirectory() as folder:
        place = blown_up(run, Path(folder) / "run", n)
        start, command = time.perf_counter(), [sys.executable, "-m", "audit", "explore", str(place), "--no-browser"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            address = process.stdout.readline().split(" open ")[1].strip()
            ready, base = time.perf_counter() - start, address.partition("/?")[0]
            opener = build_opener(HTTPCookieProcessor())
            first = get(opener, address)
            print(f"{n:,} examples: ready after {ready:.2f} s, first page {first * 1000:.0f} ms")
            time.sleep(QUIET)
            for words, path in asked(place):
                times = [get(opener, base + path) * 1000 for _ in range(3)]
                told = f"{times[0]:6.0f} ms, again {times[1]:5.0f} ms, {times[2]:5.0f} ms"
                print(f"  {words:24} {told}; {peak(process.pid):.0f} MB so far")
            process.send_signal(signal.SIGINT)


def asked(place: Path) -> list[tuple[str, str]]:
    """What is asked, and the address of it."""
    names = parquet.read_schema(place / "examples.parquet").names
    number = next(name for name in names if name.startswith("share."))
    wrong, most = Condition("correct", "false"), Condition(number, "least", "0.01")
    lists: list[tuple[str, Query]] = [
        ("all", Query()), ("a choice", Query((wrong,))), ("a number", Query((most,))), ("sort by a number", Query((), f"-{number}")),
        ("sort by id", Query((), "-id")), ("sort by a choice", Query((), "predicted")), ("all of it", Query((wrong, most), "-confidence")),
        ("a late page", Query((), f"-{number}", 9000)),
    ]  # fmt: skip
    if "text" in names:
        lists.append(("text contains", Query((Condition("text", "contains", "she"),))))
    inside = f"/example?id=x7777&{Query((wrong,), f'-{number}').address}"
    return [
        ("floor", "/worklists"), *((words, f"/examples?{query.address}") for words, query in lists),
        ("an example", "/example?id=x7777"), ("an example of a list", inside), ("map", "/points.json"), ("groups", "/groups"),
    ]  # fmt: skip


def peak(process: int) -> float:
    """Resident memory so far, in MB."""
    line = next(line for line in Path(f"/proc/{process}/status").read_text().splitlines() if "VmHWM" in line)
    return int(line.split()[1]) / 1000


def get(opener: Any, address: str) -> float:
    start = time.perf_counter()
    with opener.open(address) as answer:
        answer.read()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 1_000_000)
