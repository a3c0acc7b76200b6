"""Everything that the run knows of one example, and its place in the list from which it was opened."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np

from audit.explore.query import NotFound, Pairs, Query, read, rows
from audit.explore.shelf import Shelf
from audit.records import Exhibit, Explanation
from audit.report import page
from audit.store.explanations import UNCHANGED, load_explanations

Moved = tuple[str, float | None, float | None]  # what, before and after
MEASURES: Final = ("present", "share", "net", "size", "score", "swap", "swap_predicted", "hidden", "hidden_control")


@final
@dataclass(frozen=True, slots=True)
class Place:
    """Where an example stands in a list: its number from 1, of how many, and the ids beside it."""

    number: int
    total: int
    before: str | None
    after: str | None


def example(shelf: Shelf, pairs: Pairs) -> dict[str, Any]:
    """`?id=…`; NotFound for one that the run lacks. The address of a list (`&where=…&sort=…`) gives the neighbours in it."""
    identifier = dict(pairs).get("id", "")
    at = shelf.place(identifier)
    if at is None:
        raise NotFound(f"this run has no example {identifier!r:.120}")
    whole = shelf.row(at)
    cells = {name: whole[name] for name in shelf.names}
    kept, query = load_explanations(shelf.folder, identifier), replace(read(shelf, pairs), page=1)
    own = kept.pop(UNCHANGED, None)
    beside = _beside(shelf, identifier)
    changed = [told_change(own, name, each) for name, each in kept.items()]
    return {
        "id": identifier, "cells": cells, "own": own, "changed": changed,
        "beside": beside and page.card(beside.exhibit), "neighbour": beside, "groups": _groups(cells), "changes": _changes(cells),
        "facts": [(name, value) for name, value in cells.items() if not name.startswith(_others()) and name not in ("id", "text")],
        "scores": [(name.removeprefix("score."), value) for name, value in cells.items() if name.startswith("score.")],
        "query": query, "place": _place(shelf, at, query) if query.address else None,
    }  # fmt: skip


def card(explanation: Explanation) -> page.Card:
    """As the pages of a report show an example."""
    return page.card(
        Exhibit(id="", label="", predicted=explanation.predicted, margin=explanation.output, tokens=explanation.tokens)
    )


def told_change(own: Explanation | None, name: str, changed: Explanation) -> tuple[str, str, Explanation, list[Moved]]:
    """Its column, what was done in words, the explanation then, and how sums moved."""
    return name, words(name), changed, _moved(own, changed)


def words(change: str) -> str:
    """What was done, from the name of its column."""
    kind, _, rest = change.partition(".")
    what, _, fill = rest.partition("@")
    return f"words swapped to {what}" if kind == "swap" else f"{what} hidden ({fill})"


def _others() -> tuple[str, ...]:
    return (*(f"{name}." for name in MEASURES), "hidden_predicted@")


def _place(shelf: Shelf, at: int, query: Query) -> Place | None:
    found = rows(shelf, query)
    here = np.flatnonzero(found == at)
    if not len(here):
        return None
    k = int(here[0])
    near = [found[j] if 0 <= j < len(found) else None for j in (k - 1, k + 1)]
    before, after = (None if j is None else shelf.cells("id", np.array([j]))[0] for j in near)
    return Place(k + 1, len(found), before, after)


def _beside(shelf: Shelf, identifier: str) -> Any:
    """The nearest right example, as far as the config lets it be shown."""
    debug = shelf.record.debug
    if debug is None or not page.shows_text(shelf.record):
        return None
    return next((each for each in debug.neighbours if each.id == identifier and each.exhibit), None)


def _groups(cells: Mapping[str, Any]) -> list[tuple[str, Any, Any, Any, list[tuple[str, Any]]]]:
    """Of each group that is there: size, share, net, and the net under the other composites."""
    names = [name.removeprefix("present.") for name, value in cells.items() if name.startswith("present.") and value]
    return [
        (
            name, cells.get(f"size.{name}"), cells.get(f"share.{name}"), cells.get(f"net.{name}"),
            [(key.partition("@")[2], value) for key, value in cells.items() if key.startswith(f"net.{name}@")],
        )
        for name in names
    ]  # fmt: skip


def _changes(cells: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """What was tried on it, the contrast logit after it less before, and what is predicted then; the table has what hiding takes away."""
    made = []
    for name, value in cells.items():
        kind, _, rest = name.partition(".")
        if kind not in ("swap", "hidden", "hidden_control") or value is None or value != value:
            continue
        told = words(name) if kind != "hidden_control" else f"as much elsewhere as {words(f'hidden.{rest}')}"
        made.append(
            (told, value if kind == "swap" else -value, cells.get(f"swap_predicted.{rest}") if kind == "swap" else None)
        )
    hidden = [(name.partition("@")[2], value) for name, value in cells.items() if name.startswith("hidden_predicted@")]
    return made + [(f"everything declared hidden ({fill})", None, value) for fill, value in hidden if value and made]


def _moved(own: Explanation | None, changed: Explanation) -> list[Moved]:
    """The explained logit before and after, and of each group the net relevance over sum |R|."""
    before, after = nets(own) if own else {}, nets(changed)
    logit = (changed.explained, own.output if own else None, changed.output)
    return [
        logit,
        *((f"net of {name}", before.get(name), after.get(name)) for name in dict.fromkeys([*before, *after])),
    ]


def nets(explanation: Explanation) -> dict[str, float]:
    """Net R over sum |R| of each region, or of the tokens of each group."""
    if explanation.regions:
        return {each.name: each.net for each in explanation.regions if each.net is not None}
    total = sum(abs(each.relevance) for each in explanation.tokens)
    found = dict[str, float]()
    for token in explanation.tokens if total else ():
        for group in token.groups:
            found[group] = found.get(group, 0.0) + token.relevance / total
    return found
