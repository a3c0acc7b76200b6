"""Progress of long stages: a rich bar on a terminal, a plain line now and then in a log; and how long each took."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]
EVERY_SECONDS = 15.0


@contextmanager
def progress(name: str, total: int) -> Iterator[Advance]:
    """`advance(n)` after n more of `total`; everything goes to standard error."""
    if sys.stderr.isatty():
        with _bar(name, total) as advance:
            yield advance
    else:
        yield _lines(name, total)


@contextmanager
def _bar(name: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(name, total=total)
        yield lambda n: bars.advance(task, n)


def _lines(name: str, total: int) -> Advance:
    done, told = 0, time.monotonic()

    def advance(n: int) -> None:
        nonlocal done, told
        done += n
        if done >= total or time.monotonic() - told > EVERY_SECONDS:
            told = time.monotonic()
            print(f"{name}: {done} of {total}", file=sys.stderr, flush=True)

    return advance


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Note under `stage` how many seconds the block took."""
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start
