"""A page of the examples that meet the conditions of its address, and the form that makes such addresses."""

from typing import Any, Final

from audit.explore.listing import cells, sorted_by
from audit.explore.query import OPERATIONS, PAGE, Pairs, Query, of_group, read, rows
from audit.explore.shelf import CHOICE, NUMBER, YES_NO, Shelf

UNASKED: Final = ("hidden_predicted", "swap_predicted")  # choices that are no way to look for examples
FIRST: Final = ("correct", "label", "predicted")
MOST_PRESENT: Final = 6  # groups or regions whose presence is offered
LEAST: Final = 20  # examples that hold a number, to be offered in the short menus


def examples(shelf: Shelf, pairs: Pairs) -> dict[str, Any]:
    """Facets are the choices; every other condition stands below the form."""
    query = read(shelf, pairs)
    found = rows(shelf, query)
    pages = max(1, -(-len(found) // PAGE))
    here, extra = found[(query.page - 1) * PAGE : query.page * PAGE], sorted_by(query)
    facets = {
        name: [(of_group(shelf, name, each).address, each or "(none)") for each in shelf.values(name)]
        for name in choices(shelf)
    }
    return {
        "query": query, "total": len(found), "pages": pages, "extra": extra, "rows": cells(shelf, here, extra),
        "facets": facets, "chosen": _chosen(query, facets), "numbers": numbers(shelf, query),
        "columns": [(name, shelf.kinds[name]) for name in shelf.names], "operations": OPERATIONS,
    }  # fmt: skip


def choices(shelf: Shelf) -> list[str]:
    """Columns of groups with something to choose from, what was predicted first; and what is there of few groups or regions."""
    found = [name for name, kind in shelf.kinds.items() if kind == CHOICE and not name.startswith(UNASKED)]
    present = [
        name
        for name in shelf.names
        if name.startswith("present.") and not name.endswith((".special", ".punctuation", ".outside"))
    ]
    found += present if len(present) <= MOST_PRESENT else []
    found += [name for name in ("correct", "debug.label_looks_wrong") if name in shelf.kinds]
    known = [name for name in found if shelf.kinds[name] == YES_NO or len(shelf.values(name)) > 1]
    return sorted(known, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))


def numbers(shelf: Shelf, query: Query) -> list[str]:
    """What is offered to bound and order by: numbers of the first rules that enough examples have; all others are conditions too."""
    asked = {query.sort.removeprefix("-"), *(each.column for each in query.conditions)}

    def told(name: str) -> bool:
        kind, _, rest = name.partition(".")
        return kind not in ("size", "score", "hidden_control") and ("@" not in rest or kind == "hidden")

    return [
        name
        for name in shelf.names
        if shelf.kinds[name] == NUMBER
        and (name in asked or (told(name) and shelf.known(name) >= min(LEAST, len(shelf))))
    ]


def _chosen(query: Query, facets: dict[str, list[tuple[str, str]]]) -> dict[str, str]:
    """What the selects of the form hold, by column: the conditions that they can express."""
    found = dict[str, str]()
    for each in query.conditions:
        if each.address in (address for address, _ in facets.get(each.column, ())):
            found.setdefault(each.column, each.address)
    return found
