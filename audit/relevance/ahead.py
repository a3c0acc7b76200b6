"""Making the next input while the engine computes on this one."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def ahead(make: Callable[[A], B], items: Sequence[A]) -> Iterator[B]:
    """`make(item)` of each in order, one of them ahead in a thread of its own."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = pool.submit(make, items[0]) if items else None
        for item in items[1:]:
            assert waiting is not None
            made = waiting.result()
            waiting = pool.submit(make, item)
            yield made
        if waiting is not None:
            yield waiting.result()
