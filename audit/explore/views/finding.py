"""One finding with its charts and checks, how its groups spread, and the examples that drive it."""

from collections.abc import Sequence
from typing import Any, Final

from audit.explore.listing import listed
from audit.explore.query import Condition, NotFound, Pairs, Query, rows
from audit.explore.shelf import NUMBER, Shelf
from audit.explore.spread import Side, spread
from audit.records import Finding
from audit.report import figures, plain
from audit.report.figures import Figure

DRIVING: Final = 6  # examples of a list
MOST_GROUPS: Final = 4
UP: Final = (("-", "up"), ("", "down"))  # order, and where the contrast logit goes
MENTIONED: Final = " (mentioned)"
Lead = tuple[str, tuple[Condition, ...], str]  # words, conditions, order


def finding(shelf: Shelf, pairs: Pairs) -> dict[str, Any]:
    """`?id=…`; NotFound for one that the record lacks."""
    record, identifier = shelf.record, dict(pairs).get("id", "")
    found = next((each for each in record.findings if each.id == identifier), None)
    if found is None:
        raise NotFound(f"this run has no finding {identifier!r:.120}")
    return {
        "finding": found,
        "sentence": plain.finding_sentence(found, record),
        "forests": figures.forests([found], name="one"),
        "nulls": figures.nulls([found]),
        "spread": _spread(shelf, found),
        "drivers": [(words, query, *listed(shelf, query, DRIVING)) for words, query in drivers(shelf, found)],
    }


def drivers(shelf: Shelf, found: Finding) -> list[tuple[str, Query]]:
    """For each group of a finding the examples that weigh most, as queries; what the run has no column for is left out."""
    made = []
    for group in (found.groups or ("",))[:MOST_GROUPS]:
        for words, conditions, sort in _leads(shelf, found, group):
            needed = [*(each.column for each in conditions), sort.removeprefix("-")]
            if all(name in shelf.kinds for name in needed):
                made.append((f"{group}: {words}" if group else words, Query(conditions, sort)))
    return made


def _leads(shelf: Shelf, found: Finding, group: str) -> Sequence[Lead]:
    """The most telling first."""
    member, name = _member(shelf, found, group), _feature(shelf, found, group)
    if found.question in ("outcome", "link", "errors", "unexplained"):
        return [("errors, the surest first", (*member, Condition("correct", "false")), "-confidence")]
    if found.question == "intervention":
        if f"swap.{name}" in shelf.kinds:
            swapped, done = f"swap.{name}", f"when words are swapped to {group}"
            return [
                (f"moved {words} most {done}", (Condition(swapped, "known"),), f"{sign}{swapped}") for sign, words in UP
            ]
        return [
            (f"moved {words} most when it is hidden", (Condition(column, "known"),), f"{sign}{column}")
            for column in _hidden(shelf, name)[:1]
            for (sign, _), (_, words) in zip(UP, reversed(UP), strict=True)  # the column has what hiding takes away
        ]
    of = (*_true_class(found), *(member if found.question == "disparity" else ()))
    return [
        (f"argues most {words} the contrast", (*of, Condition(f"present.{name}", "true")), f"{sign}net.{name}")
        for sign, words in (("-", "for"), ("", "against"))
    ]


def _attribute(found: Finding) -> str:
    return found.attribute.removesuffix(MENTIONED)


def _member(shelf: Shelf, found: Finding, group: str) -> tuple[Condition, ...]:
    """Who is in a group: by a column of the data, or by what a text mentions; all where the finding is about all."""
    attribute = _attribute(found)
    names = [f"mentions.{attribute}"] if found.attribute.endswith(MENTIONED) else [attribute, f"mentions.{attribute}"]
    return next(((Condition(name, "is", group),) for name in names if name in shelf.kinds), ())


def _true_class(found: Finding) -> tuple[Condition, ...]:
    """The true class that a direction is of; none where the finding is about all."""
    label = found.details.get("true class")
    return (Condition("label", "is", label),) if isinstance(label, str) else ()


def _feature(shelf: Shelf, found: Finding, group: str) -> str:
    """What relevance is summed over: a group of words, or a region."""
    region = found.details.get("region")
    named = [f"{_attribute(found)}.{group}", group, *([region] if isinstance(region, str) else []), _attribute(found)]
    return next((name for name in named if f"net.{name}" in shelf.types or f"swap.{name}" in shelf.types), named[0])


def _spread(shelf: Shelf, found: Finding) -> Figure | None:
    """The measure of the question in each group, as curves that lie beside each other."""
    sides = []
    column = ""
    for group in found.groups[:MOST_GROUPS]:
        name, member = _feature(shelf, found, group), _member(shelf, found, group)
        if found.question in ("outcome", "link", "errors", "unexplained"):
            column, of = "contrast", Query(member)
        elif found.question == "intervention":
            column = next((each for each in (f"swap.{name}", *_hidden(shelf, name)) if each in shelf.kinds), "")
            of = Query()
        else:
            column, of = f"net.{name}", Query((*_true_class(found), *(member if found.question == "disparity" else ())))
        if shelf.kinds.get(column) == NUMBER:
            sides.append(Side.of(shelf, column, rows(shelf, of), label=group))
    return spread(sides, unit=_unit(found, column))


def _hidden(shelf: Shelf, name: str) -> list[str]:
    return [each for each in shelf.names if each.startswith(f"hidden.{name}@")]


def _unit(found: Finding, column: str) -> str:
    if found.question == "intervention":
        return (
            "contrast logit, after the swap less before"
            if column.startswith("swap.")
            else "what hiding takes off the contrast logit"
        )
    if found.question in ("outcome", "link", "errors", "unexplained"):
        return "contrast logit"
    return "net R over |R|"
