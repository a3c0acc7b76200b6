"""Two groups of one column side by side: means with intervals, how they spread, and the surest errors of each."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audit.explore.listing import listed
from audit.explore.query import BadQuery, Condition, Pairs, Query, of_group, rows
from audit.explore.shelf import NUMBER, YES_NO, Shelf
from audit.explore.spread import Side, spread
from audit.explore.views.examples import FIRST, choices
from audit.records import Finding
from audit.report.figures import Figure
from audit.report.outline import MENTIONED
from audit.stats.intervals import difference_interval, mean_interval
from audit.stats.rates import newcombe, wilson

SHOWN: Final = 5  # errors of a side
MOST_CURVES: Final = 3
MOST: Final = 16  # sums of relevance
FEWEST: Final = 20  # examples of a side that hold what is compared
LEVEL: Final = 0.95


def groups(shelf: Shelf, pairs: Pairs) -> dict[str, Any]:
    """`?by=COLUMN&a=GROUP&b=GROUP`; BadQuery for what the run has not."""
    offered, asked = [name for name in choices(shelf) if name != "correct"], dict(pairs)
    by = asked.get("by") or next((name for name in offered if name not in FIRST), offered[0] if offered else "")
    if not by:
        return {"offered": {}, "by": ""}
    if by not in offered:
        raise BadQuery(f"{by!r:.80} is no column of groups; there are {', '.join(offered)}")
    values = _values(shelf, by)
    sides = _sides(by, values, asked)
    queries = [Query((of_group(shelf, by, value),)) for value in sides]
    members = [rows(shelf, query) for query in queries]
    wrong = [Query((*query.conditions, Condition("correct", "false")), "-confidence") for query in queries]
    measures, left = _measures(shelf, members)
    return {
        "offered": {name: _values(shelf, name) for name in offered}, "by": by, "sides": sides, "n": [len(each) for each in members],
        "told": [_told(shelf, name, members) for name in measures], "left": left, "fewest": FEWEST, "most": MOST, "queries": queries,
        "figures": _curves(shelf, [name for name in measures if not name.startswith("share.")], sides, members),
        "errors": [(side, query, *listed(shelf, query, SHOWN)) for side, query in zip(sides, wrong, strict=True)],
        "related": _related(shelf, by, sides),
    }  # fmt: skip


def _values(shelf: Shelf, by: str) -> list[str]:
    """Groups; "", "(none)" and "(several)", which are none, last."""
    return sorted(shelf.values(by), key=lambda value: not value or value.startswith("("))


def _sides(by: str, values: list[str], asked: dict[str, str]) -> list[str]:
    """Two groups that differ: those that were asked for, or the first others."""
    first = asked["a"] if "a" in asked else next(value for value in values if value != asked.get("b"))
    sides = [first, asked["b"] if "b" in asked else next(value for value in values if value != first)]
    if unknown := [value for value in sides if value not in values]:
        raise BadQuery(f"{by} has no group {unknown[0]!r:.80}; it has {', '.join(values)}")
    if sides[0] == sides[1]:
        raise BadQuery(f"{sides[0]!r:.80} was given twice; choose two groups")
    return sides


def _related(shelf: Shelf, by: str, sides: list[str]) -> list[Finding]:
    """Findings that were asked of the same two groups beforehand."""
    attribute = by.removeprefix("mentions.")
    same = [each for each in shelf.record.findings if each.attribute.removesuffix(MENTIONED) == attribute]
    return [each for each in same if set(each.groups) == set(sides)]


def _measures(shelf: Shelf, members: list[NDArray[np.int64]]) -> tuple[list[str], int]:
    """What is compared: correctness, the contrast, and share and net of what enough examples of a side hold; how much is left out."""
    sums = [name for name in shelf.names if name.startswith(("share.", "net.")) and "@" not in name]
    known = list[str]()
    for name in (each for each in sums if shelf.known(each) >= FEWEST):
        if len(known) < MOST and max(np.isfinite(shelf.numbers(name)[each]).sum() for each in members) >= FEWEST:
            known.append(name)
    return ["correct", "contrast", *known], len(sums) - len(known)


def _told(shelf: Shelf, name: str, members: list[NDArray[np.int64]]) -> tuple[Any, ...]:
    """The mean or rate of each side, and the difference of the first and the second, with 95 % intervals by cluster."""
    values, cluster = shelf.numbers(name), np.asarray(shelf.column("cluster"))
    both, first = np.concatenate(members), np.repeat([True, False], [len(each) for each in members])
    if shelf.kinds[name] == YES_NO:
        rates = [wilson(values[each] == 1, cluster=cluster[each], level=LEVEL) for each in members]
        return name, *rates, newcombe(values[both] == 1, first, cluster=cluster[both], level=LEVEL)
    means = [mean_interval(values[each], cluster=cluster[each], level=LEVEL) for each in members]
    return name, *means, difference_interval(values[both], first, cluster=cluster[both], level=LEVEL)


def _curves(shelf: Shelf, measures: list[str], sides: list[str], members: list[NDArray[np.int64]]) -> list[Figure]:
    """Of the first measures that both sides have, drawn one by one until there are enough."""

    def made() -> Iterator[Figure]:
        for name in [name for name in measures if shelf.kinds[name] == NUMBER]:
            both = [Side.of(shelf, name, at, label=side or "(none)") for side, at in zip(sides, members, strict=True)]
            figure = spread(both, unit=name) if all(each.mean.value is not None for each in both) else None
            if figure:
                yield figure

    return list(islice(made(), MOST_CURVES))
