"""Progress of long stages: a rich bar on a terminal, elsewhere a line a minute; and how long each stage took."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import final

from audit.log import Event, span, structured, tell

Advance = Callable[[int], None]
EVERY_SECONDS = 60.0


@contextmanager
def progress(name: str, total: int) -> Iterator[Advance]:
    """`advance(n)` after n more of `total`; everything goes to standard error."""
    if sys.stderr.isatty() and not structured():
        with _bar(name, total) as advance:
            yield advance
        return
    told = _Told(name, total)
    yield told.advance
    if total:
        told.finish()


@contextmanager
def _bar(name: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text("" if task.speed is None else f"{_number(task.speed)} a second", "progress.data.speed")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(name, total=total)
        yield lambda n: bars.advance(task, n)


@final
@dataclass(slots=True)
class _Told:
    """Not frozen: it counts, and lives inside one stage only. The rate is that since the last line: what is reused costs nothing."""

    name: str
    total: int
    began: float = field(default_factory=lambda: time.monotonic())
    done: int = 0
    before: tuple[float, int] | None = None

    def advance(self, n: int) -> None:
        """Count, and tell now and then."""
        self.done += n
        now, (then, done) = time.monotonic(), self.before or (self.began, 0)
        if now - then < EVERY_SECONDS or self.done >= self.total:
            return
        rate = (self.done - done) / (now - then)
        left = (self.total - self.done) / rate if rate else None
        self.before = now, self.done
        remaining = "" if left is None else f", {duration(left)} left"
        self._tell(f"{_number(rate)} a second{remaining}", rate, left)

    def finish(self) -> None:
        """Tell how long all of it took."""
        seconds = max(time.monotonic() - self.began, 1e-9)
        rate = self.done / seconds
        self._tell(f"{_number(rate)} a second, took {duration(seconds)}", rate, 0.0)

    def _tell(self, told: str, rate: float, left: float | None) -> None:
        tell(
            Event.PROGRESS, f"{self.name}: {self.done:,} of {self.total:,}, {told}", stage=self.name, done=self.done,
            total=self.total, rate=round(rate, 3), seconds_left=None if left is None else round(left, 1),
        )  # fmt: skip


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Note under `stage` how many seconds the block took."""
    with span():
        start = time.perf_counter()
        tell(Event.STAGE_STARTED, f"{stage} started", stage=stage)
        yield
        seconds[stage] = time.perf_counter() - start
        tell(
            Event.STAGE_FINISHED, f"{stage} took {duration(seconds[stage])}", stage=stage,
            seconds=round(seconds[stage], 3),
        )  # fmt: skip


def duration(seconds: float) -> str:
    """For people.

    >>> duration(8.2), duration(90), duration(600), duration(7300)
    ('8 s', '90 s', '10 min', '2 h 2 min')
    """
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _number(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
