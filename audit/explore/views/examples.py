"""A page of the examples that meet the conditions of its address, and the form that makes such addresses."""

from typing import Any, Final

from audit.explore.listing import cells, sorted_by
from audit.explore.query import OPERATIONS, PAGE, Pairs, Query, read, rows
from audit.explore.shelf import CHOICE, NUMBER, Shelf

UNASKED: Final = ("hidden_predicted", "swap_predicted")  # choices that are no way to look for examples
LEADING: Final = ("label", "predicted")


def examples(shelf: Shelf, pairs: Pairs) -> dict[str, Any]:
    """Facets are the choices; every other condition stands below the form."""
    query = read(shelf, pairs)
    found = rows(shelf, query)
    pages = max(1, -(-len(found) // PAGE))
    here, extra = found[(query.page - 1) * PAGE : query.page * PAGE], sorted_by(query)
    facets = {name: shelf.values(name) for name in choices(shelf)}
    return {
        "query": query, "total": len(found), "pages": pages, "extra": extra, "rows": cells(shelf, here, extra),
        "facets": facets, "chosen": _chosen(query, facets), "numbers": [name for name in shelf.names if shelf.kinds[name] == NUMBER],
        "columns": [(name, shelf.kinds[name]) for name in shelf.names], "operations": OPERATIONS,
    }  # fmt: skip


def choices(shelf: Shelf) -> list[str]:
    """Columns of groups, that of the label first, with something to choose from."""
    found = [name for name, kind in shelf.kinds.items() if kind == CHOICE and not name.startswith(UNASKED)]
    known = [name for name in found if len(shelf.values(name)) > 1]
    return sorted(known, key=lambda name: name not in LEADING)


def _chosen(query: Query, facets: dict[str, list[str]]) -> dict[str, str]:
    """What the selects of the form hold, by column: the conditions that they can express."""
    found = dict[str, str]()
    for each in query.conditions:
        if (each.column in facets and each.operation == "is") or each.column == "correct":
            found.setdefault(each.column, each.address)
    return found
