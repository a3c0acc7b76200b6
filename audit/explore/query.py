"""Which examples a page shows, as its address says: conditions, an order, and a page. Every list of examples has an address."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, final
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray

from audit.explore.selections import selection
from audit.explore.shelf import CHOICE, NAME, NUMBER, TEXT, YES_NO, Shelf

PAGE: Final = 50
PARTS: Final = 8  # of a column that is searched in
Pairs = Sequence[tuple[str, str]]


class BadQuery(ValueError):
    """An address that asks for what the run has not; its text says what it may ask for."""


class NotFound(Exception):
    """An address of a finding or an example that the run has not."""


@final
@dataclass(frozen=True, slots=True)
class Condition:
    """A column, an operation of `OPERATIONS`, and the value as the address has it."""

    column: str
    operation: str
    value: str = ""

    @property
    def address(self) -> str:
        """As an address says it."""
        return f"{self.column}:{self.operation}:{self.value}"

    @property
    def words(self) -> str:
        """As a person reads it."""
        value = self.value or ("(none)" if self.operation in ("is", "not") else "")
        return f"{self.column} {OPERATIONS[self.operation].words} {value}".strip()


@final
@dataclass(frozen=True, slots=True)
class Operation:
    """What it is called, the kinds of columns that it is for, and its mask `[n]` of a column."""

    words: str
    kinds: tuple[str, ...]
    mask: Callable[[Shelf, Condition], Any]


def _equal(shelf: Shelf, condition: Condition) -> Any:
    from pyarrow import compute

    return compute.equal(shelf.column(condition.column), condition.value).fill_null(False)


def _holds(shelf: Shelf, condition: Condition) -> Any:
    """In large or small letters; in parts, as arrow lets the other threads run."""
    import pyarrow
    from pyarrow import compute

    column = shelf.column(condition.column)
    step = -(-len(column) // PARTS) or 1

    def look(at: int) -> Any:
        return compute.match_substring(column.slice(at, step), condition.value, ignore_case=True)

    with ThreadPoolExecutor() as threads:
        found = list(threads.map(look, range(0, len(column), step)))
    return pyarrow.chunked_array(found, pyarrow.bool_()).fill_null(False)


def _known(shelf: Shelf, condition: Condition) -> Any:
    from pyarrow import compute

    column = shelf.column(condition.column)
    return compute.invert(compute.is_null(column, nan_is_null=True))


def _number(condition: Condition) -> float:
    try:
        return float(condition.value)
    except ValueError:
        raise BadQuery(f"{condition.column}: {condition.value!r:.60} is no number") from None


def _saved(shelf: Shelf, condition: Condition) -> Any:
    import pyarrow
    from pyarrow import compute

    found = selection(shelf.folder, condition.value)
    if found is None:
        raise BadQuery(f"{condition.value!r:.80} is no worklist of this run")
    ids = shelf.column(condition.column)
    return compute.is_in(ids, pyarrow.array(found.ids, ids.type))


OPERATIONS: Final[Mapping[str, Operation]] = MappingProxyType({
    "is": Operation("is", (CHOICE, TEXT, NAME), lambda shelf, c: _array(_equal(shelf, c))),
    "not": Operation("is not", (CHOICE, TEXT, NAME), lambda shelf, c: ~_array(_equal(shelf, c))),
    "contains": Operation("contains", (TEXT, NAME), lambda shelf, c: _array(_holds(shelf, c))),
    "listed": Operation("is in the worklist", (NAME,), lambda shelf, c: _array(_saved(shelf, c))),
    "least": Operation("is at least", (NUMBER,), lambda shelf, c: shelf.numbers(c.column) >= _number(c)),
    "most": Operation("is at most", (NUMBER,), lambda shelf, c: shelf.numbers(c.column) <= _number(c)),
    "true": Operation("is true", (YES_NO,), lambda shelf, c: shelf.numbers(c.column) == 1),
    "false": Operation("is false", (YES_NO,), lambda shelf, c: shelf.numbers(c.column) == 0),
    "known": Operation("is known", (CHOICE, TEXT, NUMBER, YES_NO), lambda shelf, c: _array(_known(shelf, c))),
})  # fmt: skip


def _array(found: Any) -> NDArray[np.bool_]:
    return np.asarray(found, dtype=np.bool_)


@final
@dataclass(frozen=True, slots=True)
class Query:
    """All conditions hold; `sort` is a column, with - before it from the largest; `page` counts from 1."""

    conditions: tuple[Condition, ...] = ()
    sort: str = ""
    page: int = 1

    @property
    def address(self) -> str:
        """What stands behind the ? of an address; `read` of it is this query."""
        pairs = [("where", each.address) for each in self.conditions]
        pairs += [("sort", self.sort)] if self.sort else []
        return urlencode([*pairs, *([("page", str(self.page))] if self.page > 1 else [])])

    def without(self, condition: Condition) -> "Query":
        """One condition less, from the first page."""
        return replace(self, conditions=tuple(c for c in self.conditions if c != condition), page=1)

    def at(self, page: int) -> "Query":
        """Another page of the same."""
        return replace(self, page=page)


def read(shelf: Shelf, given: Pairs) -> Query:
    """The query of an address's pairs; BadQuery for a column, an operation or a number that there is not."""
    conditions = tuple(_condition(shelf, value) for name, value in given if name == "where" and value)
    last = dict(given)
    sort, page = last.get("sort", ""), last.get("page", "1")
    if sort and sort.removeprefix("-") not in shelf.sortable:
        raise BadQuery(f"{sort!r:.80} is no column to sort by")
    if not (page.isascii() and page.isdecimal() and len(page) < 10 and int(page) > 0):
        raise BadQuery(f"{page!r:.40} is no number of a page")
    return Query(tuple(dict.fromkeys(conditions)), sort, int(page))


def _condition(shelf: Shelf, given: str) -> Condition:
    """`column:operation:value`; columns may hold colons, values too, so the column is the longest that the run has."""
    for column in sorted(shelf.names, key=len, reverse=True):
        if given.startswith(f"{column}:"):
            operation, _, value = given[len(column) + 1 :].partition(":")
            if operation not in OPERATIONS or shelf.kinds[column] not in OPERATIONS[operation].kinds:
                offered = ", ".join(operations(shelf, column))
                raise BadQuery(f"{column}: {operation!r:.40} cannot be asked of it; it can be asked {offered}")
            return Condition(column, operation, value)
    raise BadQuery(f"{given!r:.80} names no column of this run")


def of_group(shelf: Shelf, column: str, value: str) -> Condition:
    """The condition that a choice has this value, or that a yes or no is so."""
    return Condition(column, value) if shelf.kinds[column] == YES_NO else Condition(column, "is", value)


def operations(shelf: Shelf, column: str) -> list[str]:
    """What can be asked of a column."""
    return [name for name, each in OPERATIONS.items() if shelf.kinds[column] in each.kinds]


def rows(shelf: Shelf, query: Query) -> NDArray[np.int64]:
    """All rows that meet the conditions, in order; of equal values, and without a `sort`, in the order of the table."""
    kept = np.ones(len(shelf), dtype=np.bool_)
    for condition in query.conditions:
        kept &= OPERATIONS[condition.operation].mask(shelf, condition)
    found = np.flatnonzero(kept)
    if not query.sort:
        return found
    return found[_order(shelf, query.sort.removeprefix("-"), found, down=query.sort.startswith("-"))]


def _order(shelf: Shelf, column: str, found: NDArray[np.int64], *, down: bool) -> NDArray[np.int64]:
    """Places in `found`, what has no value last."""
    if shelf.kinds[column] in (NUMBER, YES_NO):
        values = shelf.numbers(column)[found]
        return np.argsort(-values if down else values, kind="stable")

    values = shelf.column(column).take(found)
    if hasattr(values, "dictionary"):
        values = values.cast(values.type.value_type)
    return _sorted(values, "descending" if down else "ascending")


def _sorted(values: Any, order: str) -> NDArray[np.int64]:
    import pyarrow
    from pyarrow import compute

    table = pyarrow.table({"value": values})
    return np.asarray(compute.sort_indices(table, sort_keys=[("value", order)])).astype(np.int64)


def asked(given: Pairs) -> str:
    """The address that a form asks for: its `column`, `operation` and `value`, its `range` from `low` to `high`, and its `search` are
    conditions, and empty fields are none. The same address again where no form was sent."""
    fields = dict(given)
    conditions = [value for name, value in given if name == "where" and value]
    if fields.get("search"):
        conditions.append(f"text:contains:{fields['search']}")
    for end, operation in (("low", "least"), ("high", "most")):
        if fields.get("range") and fields.get(end):
            conditions.append(f"{fields['range']}:{operation}:{fields[end]}")
    if fields.get("column"):
        conditions.append(f"{fields['column']}:{fields.get('operation', '')}:{fields.get('value', '')}")
    others = [(name, fields[name]) for name in ("sort", "page") if fields.get(name)]
    return urlencode([*(("where", each) for each in conditions), *others])
