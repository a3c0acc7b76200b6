"""Counts below k, and what they could be computed from by subtraction: the cells of a table, and what is left of one estimate.

A table is a set of cells and the lines whose totals a reader knows. Where a line has a cell below k, its next smallest cells are
withheld too, until their sum leaves each of them k values or more. A rate says how many events there are to whoever knows n, and n
is easily known: a rate of 1 to k - 1 events, or of as many others, is withheld with its interval, whose width tells n.
"""

import math
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from audit.records import Estimate
from audit.report.text import WITHHELD

Key = TypeVar("Key", bound=Hashable)
OF_A_RATE: Final = "Wilson"  # the interval of a rate of one group, whose events are value times n
FEW_EVENTS: Final = "fewer than {} examples with it, or without it"
ROUNDED: Final = "value and interval are rounded to steps of {:g}, the interval outwards: counts are withheld, and both would tell them"
STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
BOUNDS: Final = (  # numbers of a reason that are rules, not counts of people
    r"terms that occur in [^;]*|(?:at least|at most|above|below|margin of) \d+|\d+(?: examples)?(?: a side| each)? are needed"
    r"|fewer than \d+|\d+ % interval[^)]*|\d+ terms occur|[\d,]+ draws|(?:for|one of) \d+ tests|that takes [\d,]+"
    r"|\bp \d+\b|\d+ untrained copies|in \d+ times|\d+ other choices?"
)
COUNTS: Final = r"(?<![\w.,%-])(?P<count>\d+)(?![\w%]|[.,]\d)"


def small(n: int | None, k: int) -> bool:
    """Whether a count may not be shown; 0 may."""
    return n is not None and 0 < n < k


def withheld(
    cells: Mapping[Key, int],
    lines: Iterable[tuple[Sequence[Key], int | None]],
    k: int,
    *,
    few: Iterable[Key] = (),
) -> frozenset[Key]:
    """The cells to withhold; a line is the keys of cells and their total where a reader knows it.

    `few` are withheld whatever their count. What the total holds beyond its cells counts as one more withheld cell. Cells
    of 0 are shown. A line of which every cell is withheld has nothing left to add: its total alone bounds them.
    """
    hidden, every = {key for key, n in cells.items() if small(n, k)} | set(few), list(lines)
    while more := next(filter(None, (_next(cells, keys, total, hidden, k) for keys, total in every)), None):
        hidden |= set(more)
    return frozenset(hidden)


def _next(cells: Mapping[Key, int], keys: Sequence[Key], total: int | None, hidden: set[Key], k: int) -> list[Key]:
    """The smallest shown cell of a line, if one more must be withheld."""
    rest = 0 if total is None else max(0, total - sum(cells[key] for key in keys))
    parts = [cells[key] for key in keys if key in hidden and cells[key]] + [rest] * (rest > 0)
    at_risk = any(key in hidden for key in keys) or 0 < rest < k
    if total is None or not at_risk or (len(parts) > 1 and sum(parts) - len(parts) + 1 >= k):
        return []
    shown = [key for key in keys if key not in hidden and cells[key]]
    return sorted(shown, key=lambda key: (cells[key], str(key)))[:1]


def known(cells: Mapping[Key, int | None]) -> dict[Key, int]:
    """The cells that have a count."""
    return {key: n for key, n in cells.items() if n is not None}


def table(cells: Mapping[Key, int | None], total: int | None, k: int) -> frozenset[Key]:
    """The cells to withhold of one line."""
    counts = known(cells)
    return withheld(counts, [(list(counts), total)], k)


def without(cells: Mapping[Key, int | None], hidden: frozenset[Key]) -> dict[Key, int | None]:
    """The same without the counts of `hidden`."""
    return {key: None if key in hidden else n for key, n in cells.items()}


def shown_estimate(estimate: Estimate, k: int, *, counts: bool = True) -> Estimate:
    """Without what is too small; without `counts`, which tell the size of a withheld group, the value stays.

    A rate then has two digits and no interval, whose width would tell n. A small number of dropped examples takes n with it: n and
    what is left out add up to a total that readers know.
    """
    update: dict[str, object] = {"reason": masked(estimate.reason, k, counts=counts)}
    if not counts or small(estimate.n, k) or small(estimate.dropped, k):
        update |= {"n": None, "clusters": None, "dropped": 0}
    elif small(estimate.clusters, k):
        update |= {"clusters": None}
    if not counts and estimate.interval.startswith(OF_A_RATE):
        update |= {"value": None if estimate.value is None else round(estimate.value, 2), "low": None, "high": None}
    shown = estimate.model_copy(update=update)
    if small(estimate.n, k):
        return unvalued(shown, f"{WITHHELD}: fewer than {k} examples")
    return unvalued(shown, f"{WITHHELD}: {FEW_EVENTS.format(k)}") if rare(estimate, k) else shown


def unvalued(estimate: Estimate, reason: str) -> Estimate:
    """Without its value and interval."""
    return estimate.model_copy(update={"value": None, "low": None, "high": None, "reason": reason})


def rare(estimate: Estimate, k: int) -> bool:
    """Whether it is a rate of 1 to k - 1 events, or of as many others."""
    if estimate.value is None or estimate.n is None or not estimate.interval.startswith(OF_A_RATE):
        return False
    events = round(estimate.value * estimate.n)
    return small(events, k) or small(estimate.n - events, k)


def outward(estimate: Estimate, least: float) -> Estimate:
    """Its interval rounded outwards, and its value to the nearest, to a `rounding` of at least `least`; the reason says so."""
    step = rounding(least)
    value, low, high = (
        None if end is None else round(to(round(end / step, 9)) * step, 9)
        for end, to in ((estimate.value, round), (estimate.low, math.floor), (estimate.high, math.ceil))
    )
    ends = {"low": None if low is None else max(-1.0, low), "high": None if high is None else min(1.0, high)}
    rounded = ROUNDED.format(step) if estimate.value is not None or estimate.low is not None else ""
    said = "; ".join(filter(None, (estimate.reason, rounded)))
    return estimate.model_copy(update={"value": value, **ends, "reason": said})


def rounding(least: float) -> float:
    """The next of 0.01, 0.02, 0.025, 0.05, 0.1, ... that is not below `least`; 0.01 where that is smaller.

    >>> rounding(0.033), rounding(0.25), rounding(0.0001)
    (0.05, 0.25, 0.01)
    """
    least = max(least, 0.01)
    size = 10.0 ** math.floor(math.log10(least) + 1e-9)
    return next(round(size * step, 9) for step in STEPS if size * step >= least * (1 - 1e-9))


def masked(reason: str, k: int, *, counts: bool = True, names: Sequence[str] = ()) -> str:
    """A reason without its counts below k; without `counts`, without the others too. Numbers in names and rules stay."""

    def shown(found: re.Match[str]) -> str:
        count = found["count"]
        if count is None or (counts and not small(int(count), k)):
            return found[0]
        return f"<{k}" if small(int(count), k) else WITHHELD

    return re.sub(_pattern(names), shown, reason)


def counted(reason: str, *, names: Sequence[str] = ()) -> list[int]:
    """The counts in a reason."""
    return [int(found["count"]) for found in re.finditer(_pattern(names), reason) if found["count"] is not None]


def _pattern(names: Sequence[str]) -> str:
    """A name of digits alone could be a count, and is masked like one."""
    kept = [
        rf"(?<!\w){re.escape(name)}(?!\w)"
        for name in sorted(names, key=len, reverse=True)
        if name and not name.isdigit()
    ]
    return "|".join([*kept, BOUNDS, COUNTS])
