"""What each page shows: from a shelf and the pairs of an address to the values of a template. `VIEWS` are the addresses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from audit.errors import AuditError
from audit.explore.layout import layout
from audit.explore.query import OPERATIONS, PAGE, BadQuery, Condition, Query, operations, read, rows
from audit.explore.selections import selections
from audit.explore.shelf import CHOICE, NUMBER, YES_NO, Shelf
from audit.records import Exhibit, Finding
from audit.report import backing, figures, outline, page, plain, shares, text, wording

Pairs = Sequence[tuple[str, str]]
LEADING: Final = ("label", "predicted", "correct", "contrast")  # columns of every list
DRIVING: Final = 8  # examples beside a finding
POINTS: Final = 5_000  # of a map
SNIPPET: Final = 160


class NotFound(Exception):
    """An address of a finding or an example that the run has not."""


@final
@dataclass(frozen=True, slots=True)
class View:
    """The template, and what it is given."""

    template: str
    given: Callable[..., dict[str, Any]]


def overview(shelf: Shelf, pairs: Pairs) -> dict[str, Any]:
    """Verdicts first."""
    record = shelf.record
    worst = outline.kept([f for f in record.findings if f.verdict.value != "NOT TESTABLE"], 12)
    return {
        "summary": plain.summary(record),
        "grid": outline.grid(record),
        "questions": outline.questions_of(record),
        "worst": worst,
    }


def finding(shelf: Shelf, pairs: Pairs, identifier: str) -> dict[str, Any]:
    """One finding with its charts, checks, and the examples that drive it."""
    record = shelf.record
    found = next((each for each in record.findings if each.id == identifier), None)
    if found is None:
        raise NotFound(f"this run has no finding {identifier!r:.120}")
    held = {f"{found.attribute.removesuffix(' (mentioned)')}.{group}" for group in found.groups} | set(found.groups)
    return {
        "finding": found,
        "sentence": plain.finding_sentence(found, record),
        "forests": figures.forests([found], name="one"),
        "nulls": figures.nulls([found]),
        "shares": shares.share_chart(
            [each for each in record.distributions if each.group in held], regions=bool(record.regions)
        ),
        "drivers": [(words, query, listed(shelf, query, DRIVING)) for words, query in drivers(shelf, found)],
    }


def drivers(shelf: Shelf, found: Finding) -> list[tuple[str, Query]]:
    """For each group of a finding the examples that weigh most, as queries; what the run has no column for is left out."""
    attribute = found.attribute.removesuffix(" (mentioned)")
    made = []
    for group in found.groups or ("",):
        name = f"{attribute}.{group}" if f"present.{attribute}.{group}" in shelf.types else group
        wanted = [
            (condition, sort, words)
            for condition, sort, words in _leads(found, attribute, group, name)
            if condition.column in shelf.types and sort.removeprefix("-") in shelf.types
        ]
        made += [(f"{group}: {words}", Query((condition,), sort)) for condition, sort, words in wanted[:2]]
    return made


def _leads(found: Finding, attribute: str, group: str, name: str) -> list[tuple[Condition, str, str]]:
    """Condition, order and words, the most telling first."""
    member = [Condition(column, "is", group) for column in (attribute, f"mentions.{attribute}")]
    if found.question in ("outcome", "link"):
        return [(each, "correct", "errors first") for each in member]
    if found.question == "intervention":
        swapped = f"swap.{name}"
        return [
            (Condition(swapped, "known"), f"{sign}{swapped}", words)
            for sign, words in (("-", "moved up most"), ("", "moved down most"))
        ]
    present = Condition(f"present.{name}", "true")
    measured = [
        (present, f"-share.{name}", "largest share of relevance"),
        (present, f"-net.{name}", "argues most for the contrast"),
    ]
    return (
        measured
        if found.question != "disparity"
        else [(each, sort, words) for each in member for _, sort, words in measured]
    )


def listed(shelf: Shelf, query: Query, most: int, extra: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The first rows of a query as cells by column, with what they hold to read."""
    return _cells(shelf, rows(shelf, query)[:most], [*extra, *_sorted_by(shelf, query)])


def _sorted_by(shelf: Shelf, query: Query) -> list[str]:
    sort = query.sort.removeprefix("-")
    return [sort] if sort and sort not in (*LEADING, "id") else []


def _cells(shelf: Shelf, wanted: NDArray[np.int64], extra: Sequence[str] = ()) -> list[dict[str, Any]]:
    readable = [name for name in ("text", "file") if name in shelf.types]
    names = ["id", *LEADING, *extra, *readable]
    columns = [shelf.cells(name, wanted) for name in names]
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def examples(shelf: Shelf, pairs: Pairs) -> dict[str, Any]:
    """A page of the examples that meet the conditions."""
    query = read(shelf, pairs)
    found = rows(shelf, query)
    pages = max(1, -(-len(found) // PAGE))
    here = found[(query.page - 1) * PAGE : query.page * PAGE]
    extra = _sorted_by(shelf, query)
    return {
        "query": query, "total": len(found), "pages": pages, "extra": extra, "rows": _cells(shelf, here, extra),
        "columns": [(name, shelf.kinds[name]) for name in shelf.names], "operations": OPERATIONS,
        "choices": {name: shelf.values(name) for name in shelf.names if shelf.kinds[name] == CHOICE},
    }  # fmt: skip


def example(shelf: Shelf, pairs: Pairs, identifier: str) -> dict[str, Any]:
    """Everything that the run knows of one example."""
    at = shelf.place(identifier)
    if at is None:
        raise NotFound(f"this run has no example {identifier!r:.120}")
    whole = shelf.row(at)
    cells = {name: whole[name] for name in shelf.names}
    shown, beside = _exhibit(shelf, identifier)
    return {
        "id": identifier, "cells": cells, "card": shown and page.card(shown), "beside": beside and page.card(beside.exhibit),
        "neighbour": beside, "groups": _groups(shelf, cells), "changes": _changes(cells),
        "facts": [(name, value) for name, value in cells.items() if "." not in name and name not in ("id", "text")],
        "scores": [(name.removeprefix("score."), value) for name, value in cells.items() if name.startswith("score.")],
    }  # fmt: skip


def _exhibit(shelf: Shelf, identifier: str) -> tuple[Exhibit | None, Any]:
    """What the record shows of it, and its nearest right example."""
    record, debug = shelf.record, shelf.record.debug
    every = [*record.exhibits]
    if debug:
        every += [each.exhibit for each in debug.neighbours if each.exhibit]
        every += [one for strategy in debug.strategies for one in strategy.exhibits]
    shown = next((each for each in every if each.id == identifier), None)
    beside = (
        next((each for each in debug.neighbours if each.id == identifier and each.exhibit), None) if debug else None
    )
    return (shown if page.shows_text(record) else None), (beside if page.shows_text(record) else None)


def _groups(shelf: Shelf, cells: Mapping[str, Any]) -> list[tuple[str, Any, Any, Any, list[tuple[str, Any]]]]:
    """Of each group that is there: size, share, net, and the net under the other composites."""
    names = [name.removeprefix("present.") for name, value in cells.items() if name.startswith("present.") and value]
    return [
        (
            name, cells.get(f"size.{name}"), cells.get(f"share.{name}"), cells.get(f"net.{name}"),
            [(key.partition("@")[2], value) for key, value in cells.items() if key.startswith(f"net.{name}@")],
        )
        for name in names
    ]  # fmt: skip


def _changes(cells: Mapping[str, Any]) -> list[tuple[str, str, Any, Any]]:
    """What was tried on it: what, how, the change of the contrast logit in its sd, and what is predicted then."""
    made = []
    for name, value in cells.items():
        kind, _, rest = name.partition(".")
        if value is None or value != value:
            continue
        if kind == "swap":
            made.append((f"words swapped to {rest}", "", value, cells.get(f"swap_predicted.{rest}")))
        if kind in ("hidden", "hidden_control"):
            what, _, fill = rest.partition("@")
            made.append((f"{what if kind == 'hidden' else f'as much elsewhere as {what}'} hidden", fill, value, None))
    return made


def clusters(shelf: Shelf, pairs: Pairs) -> dict[str, Any]:
    """Strategies, and the examples on a map."""
    return {
        "strategies": shelf.record.debug.strategies if shelf.record.debug else (),
        "mapped": "debug.embedding" in shelf.types,
    }


@cache
def points(shelf: Shelf) -> dict[str, Any]:
    """Places on the map of up to `POINTS` examples: ids, x, y, strategy and whether they are right."""
    column = shelf.column("debug.embedding") if "debug.embedding" in shelf.types else None
    known = (
        np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
        if column is not None
        else np.zeros(0, np.int64)
    )
    known = np.sort(np.random.default_rng(0).permutation(known)[:POINTS])
    if column is None or not len(known):
        return {"ids": [], "x": [], "y": [], "strategy": [], "correct": []}
    x, y = layout(np.array(column.take(known).to_pylist(), dtype=float)).round(4).T.tolist()
    return {
        "ids": shelf.cells("id", known), "x": x, "y": y,
        "strategy": shelf.cells("debug.strategy", known), "correct": shelf.cells("correct", known),
    }  # fmt: skip


def groups(shelf: Shelf, pairs: Pairs) -> dict[str, Any]:
    """Two groups of one column side by side."""
    offered = [name for name in shelf.names if shelf.kinds[name] == CHOICE and len(shelf.values(name)) > 1]
    asked = dict(pairs)
    by = asked.get("by", next((n for n in offered if n not in ("label", "predicted")), offered[0] if offered else ""))
    if by and by not in offered:
        raise BadQuery(f"{by!r:.80} is no column of groups; there are {', '.join(offered)}")
    values = shelf.values(by) if by else []
    sides = [asked.get(name, value) for name, value in zip("ab", [*values[:2], "", ""][:2], strict=True)]
    if unknown := [value for value in sides if value not in values]:
        raise BadQuery(f"{by} has no group {unknown[0]!r:.80}; it has {', '.join(values)}")
    chosen = [rows(shelf, Query((Condition(by, "is", value),))) for value in sides]
    measured = [name for name in shelf.names if shelf.kinds[name] in (NUMBER, YES_NO) and _told_of(name)]
    told = [(name, *(_mean(shelf.numbers(name)[rows_]) for rows_ in chosen)) for name in measured]
    return {
        "offered": {name: shelf.values(name) for name in offered}, "by": by, "sides": sides, "n": [len(each) for each in chosen],
        "told": told, "queries": [Query((Condition(by, "is", value),)) for value in sides],
    }  # fmt: skip


def _told_of(name: str) -> bool:
    return name in ("correct", "contrast", "confidence") or (
        name.startswith(("share.", "net.", "present.")) and "@" not in name
    )


def _mean(values: NDArray[np.float64]) -> tuple[float | None, int]:
    known = values[~np.isnan(values)]
    return (float(known.mean()) if len(known) else None), len(known)


def runs(shelf: Shelf, pairs: Pairs) -> dict[str, Any]:
    """The runs beside this one, and, where one is named, what differs."""
    from audit.comparison import compare
    from audit.history import history

    folder = shelf.folder.resolve()
    found = next(iter(history(folder.parent)), None)
    others = [step.run.run_id for step in found.steps if step.run.run_id != folder.name] if found else []
    other, made, problem = dict(pairs).get("other", ""), None, ""
    if other and other not in others:
        raise BadQuery(f"{other!r:.80} is no other run of this audit")
    if other:
        before, after = sorted([other, folder.name])
        try:
            made = compare(folder.parent / before, folder.parent / after)
        except AuditError as error:
            problem = str(error)
    return {
        "steps": found.steps[::-1] if found else (),
        "others": others,
        "other": other,
        "made": made,
        "problem": problem,
    }


def worklists(shelf: Shelf, pairs: Pairs) -> dict[str, Any]:
    """What was selected and saved."""
    return {"saved": selections(shelf.folder)}


VIEWS: Final[Mapping[str, View]] = MappingProxyType({
    "/": View("overview.html.j2", overview),
    "/finding/{identifier:path}": View("finding.html.j2", finding),
    "/examples": View("examples.html.j2", examples),
    "/example/{identifier:path}": View("example.html.j2", example),
    "/clusters": View("clusters.html.j2", clusters),
    "/groups": View("groups.html.j2", groups),
    "/runs": View("runs.html.j2", runs),
    "/worklists": View("worklists.html.j2", worklists),
})  # fmt: skip
SHARED: Final[Mapping[str, Any]] = MappingProxyType({
    "page": page, "text": text, "wording": wording, "outline": outline, "backing": backing, "plain": plain, "snippet_length": SNIPPET,
    "operations_of": operations,
})  # fmt: skip
