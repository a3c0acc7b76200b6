"""What a run costs, told by `lrp-audit check` and when a run starts: passes through the model, time and disk.

Passes are counted. Seconds are those of some examples, measured where the run will be, over their length, times the length of all: of one
explanation, of one forward pass, and of reading the input. Cost: about a second, unless one example takes longer.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from audit.debug.neighbours import MOST
from audit.log import Event, tell
from audit.progress import duration
from audit.relevance.methods import Method
from audit.report.text import count
from audit.tables import IntArray
from audit.tasks.task import Task

ENOUGH: Final = 0.3  # seconds that a measurement takes at least, where the data allow it
SHARE: Final = 10  # at most one in so many examples is asked beforehand
LOADS: Final = 3  # times that each input is read: to be explained, to be hidden in, and to be searched among
COPIES: Final = 2  # validity explains its sample once more for a copy of the model, and once for noise
CHANGED: Final = 2  # explanations of an example that is kept, at most: as it is, and with something changed
REPORTS: Final = 1_500_000  # bytes of the pages and the record
LETTERS: Final = 6  # of a word with the blank behind it
ROW: Final = 1_300  # bytes of an example's row in its tables


@final
@dataclass(frozen=True, slots=True)
class Cost:
    """Of a whole run: `forward` and `backward` are passes of one input each, `seconds` those of the model's work, `disk` is bytes."""

    noun: str
    examples: int
    explanations: int
    forward: int
    backward: int
    seconds: float
    disk: int

    @property
    def sentence(self) -> str:
        """In words."""
        passes = f"{count(self.forward)} forward and {count(self.backward)} backward passes"
        told = f"{count(self.examples)} {self.noun}s, {count(self.explanations)} explanations, about {passes}"
        disk = f"up to {max(1, round(self.disk / 1e6)):,} MB on disk"
        return f"{told}, {duration(self.seconds)} of the model's work here and the statistics' beside it, {disk}"


def estimate(task: Task[Any]) -> Cost:
    """Ask a few examples."""
    composites, sampled = len(task.explainer.names), min(len(task.data), task.loaded.config.checks.validity)
    kept = CHANGED * min(len(task.data), task.loaded.config.debug.explained) if task.contents else 0
    readings = task.readings + (1 + COPIES) * sampled + kept
    maps = task.explanations + (composites + COPIES) * sampled + kept
    others = task.interventions + task.flips + _searched(task)
    with _counted(task) as seen:
        explained, asked = _seconds(task, task.sample)
    read, _ = _seconds(task, lambda some: task.represent(np.array(some)))
    load, _ = _seconds(task, lambda some: task.load(np.array(some)))
    read, explained = max(0.0, read - load), max(0.0, explained - load)
    return Cost(
        task.noun,
        len(task.data),
        maps,
        round(readings * (sum(seen) / asked if seen else 1)) + others,
        maps * max(each.steps if isinstance(each, Method) else 1 for each in task.explainer.composites.values()),
        LOADS * len(task.data) * load + (readings + others) * read + maps * max(0.0, explained - read) / composites,
        _disk(task),
    )


def announce(task: Task[Any]) -> None:
    """Tell the cost of a run that starts."""
    cost = estimate(task)
    tell(
        Event.RUN_STARTED, f"{task.loaded.config.name}: {cost.sentence}", name=task.loaded.config.name, examples=cost.examples,
        explanations=cost.explanations, forward_passes=cost.forward, backward_passes=cost.backward,
        seconds=round(cost.seconds, 1), disk_bytes=cost.disk,
    )  # fmt: skip


def _seconds(task: Task[Any], act: Callable[[Sequence[int]], object]) -> tuple[float, int]:
    """Of a mean example in a full batch, and how many were asked: more and more, until that takes long enough to be measured.

    A line through the last two measurements tells what a pass costs and what its content does.
    """
    most, some = max(1, len(task.data) // SHARE), _average(task.sizes, 1)
    points, asked = [(0, 0.0)], 1
    act(some)  # the first pass of a process is slow
    while True:
        start = time.perf_counter()
        act(some)
        points.append((int(task.sizes[some].sum()), time.perf_counter() - start))
        asked += len(some)
        if points[-1][1] >= ENOUGH or len(some) >= most:
            return _line(points[-2:], float(task.sizes.mean()), task.batch), asked
        some = _average(task.sizes, min(4 * len(some), most))


def _line(points: Sequence[tuple[int, float]], mean: float, batch: int) -> float:
    """Seconds of an example of `mean` length in a batch, from two (length, seconds) of one pass each.

    >>> round(_line([(10, 1.1), (40, 1.4)], mean=10, batch=20), 3)  # a pass takes 1 s, a unit of length 0.01 s
    0.15
    """
    (short, less), (long, more) = points
    unit = (more - less) / max(1, long - short)
    fixed = less - unit * short
    if unit < 0 or fixed < 0:  # noise
        unit, fixed = more / max(1, long), 0.0
    return unit * mean + fixed / batch


def _average(sizes: IntArray, n: int) -> list[int]:
    """`n` examples of about mean length; of mixed lengths most of a batch would be padding, which a run avoids."""
    order = np.argsort(sizes, kind="stable")
    first = int(np.searchsorted(sizes[order], sizes.mean())) - n // 2
    return [int(i) for i in order[max(0, min(first, len(order) - n)) :][:n]]


@contextmanager
def _counted(task: Task[Any]) -> Iterator[list[int]]:
    """How many inputs go through the model in each call, where a method asks for more than one reading of an example."""
    calls: list[int] = []
    if not task.explainer.has_methods:
        yield calls
        return

    def note(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.append(len(next(each for each in (*args, *kwargs.values()) if each is not None)))

    handle = task.explainer.model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield calls
    finally:
        handle.remove()


def _searched(task: Task[Any]) -> int:
    """Examples among which debugging looks for the nearest of each error, at most."""
    return min(len(task.data), MOST * len(task.model.classes)) if task.loaded.config.report.examples else 0


def _disk(task: Task[Any]) -> int:
    """About: pages and record, and tables of examples; of texts also their characters, and a row a word and composite."""
    characters = int(task.sizes.sum()) if task.noun == "text" else 0
    words = characters // LETTERS * (12 + 8 * len(task.explainer.names))
    return REPORTS + ROW * len(task.data) + characters + words
