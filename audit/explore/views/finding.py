"""One finding with its charts and checks, how its groups spread, and the examples that drive it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from audit.explore.listing import listed
from audit.explore.query import Condition, NotFound, Pairs, Query, rows
from audit.explore.shelf import NUMBER, Shelf
from audit.explore.spread import Side, spread
from audit.records import Finding, Verdict
from audit.report import figures, plain
from audit.report.figures import Figure
from audit.report.outline import MENTIONED

DRIVING: Final = 6  # examples of a list
MOST_GROUPS: Final = 4
UP: Final = (("-", "up"), ("", "down"))  # order, and where the contrast logit goes
OF_ERRORS: Final = ("outcome", "link", "errors", "unexplained")
Lead = tuple[str, tuple[Condition, ...], str]  # words, conditions, order


@final
@dataclass(frozen=True, slots=True)
class Driving:
    """A list of examples: what it is called, its query, its rows, how many there are, the column that orders them."""

    words: str
    query: Query
    rows: list[dict[str, Any]]
    total: int
    extra: list[str]


def finding(shelf: Shelf, pairs: Pairs) -> dict[str, Any]:
    """`?id=…`; NotFound for one that the record lacks."""
    record, identifier = shelf.record, dict(pairs).get("id", "")
    found = next((each for each in record.findings if each.id == identifier), None)
    if found is None:
        raise NotFound(f"this run has no finding {identifier!r:.120}")
    told = found.verdict is not Verdict.NOT_TESTABLE
    effects = [each for each in record.effects if each.attribute == _attribute(found) and each.group in found.groups]
    return {
        "finding": found,
        "sentence": plain.finding_sentence(found, record) if told else f"{found.reason}.",
        "forests": figures.forests([found], name="one"),
        "nulls": figures.nulls([found]),
        "terms": figures.term_charts(effects, record.model.classes) if found.question not in OF_ERRORS else [],
        "spread": _spread(shelf, found),
        "drivers": [_driving(shelf, words, query) for words, query in drivers(shelf, found)],
        "marks": marks(shelf, found),
    }


def drivers(shelf: Shelf, found: Finding) -> list[tuple[str, Query]]:
    """For each group of a finding the examples that weigh most, as queries; what the run has no column for is left out."""
    made = []
    for group in (found.groups or ("",))[:MOST_GROUPS]:
        for words, conditions, sort in _leads(shelf, found, group):
            needed = [*(each.column for each in conditions), sort.removeprefix("-")]
            if all(name in shelf.kinds for name in needed):
                made.append((words, Query(conditions, sort)))
    return made


def marks(shelf: Shelf, found: Finding) -> re.Pattern[str] | None:
    """The words that the finding is about, to be marked in texts."""
    term = found.details.get("term")
    mine = [
        each for each in shelf.record.terms
        if each.attribute == _attribute(found) and each.group in found.groups and term in (None, each.term)
    ]  # fmt: skip
    forms = sorted({re.escape(form) for each in mine for form in (each.term, *each.forms)}, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(forms)})(?!\w)", re.IGNORECASE) if forms else None


def _driving(shelf: Shelf, words: str, query: Query) -> Driving:
    """A list of those that argue most against says so only where one does."""
    found, total, extra = listed(shelf, query, DRIVING)
    values = [row[name] for row in found for name in extra if isinstance(row.get(name), float)]
    if "argues most against" in words and values and min(values) >= 0:
        words = words.replace("argues most against", "argues least for")
    if "argues most for" in words and values and max(values) <= 0:
        words = words.replace("argues most for", "argues least against")
    return Driving(words, query, found, total, extra)


def _leads(shelf: Shelf, found: Finding, group: str) -> Sequence[Lead]:
    """The most telling first."""
    member, name = _member(shelf, found, group), _feature(shelf, found, group)
    contrast = shelf.record.model.contrast
    if found.question in OF_ERRORS:
        return [(f"{group}: errors, the surest first", (*member, Condition("correct", "false")), "-confidence")]
    if found.question == "intervention" and f"swap.{name}" in shelf.kinds:
        done = f"{_others(found, group)} → {group}: the swap moves {contrast}"
        return [
            (f"{done} {words} most", (Condition(f"swap.{name}", "known"),), f"{sign}swap.{name}") for sign, words in UP
        ]
    if found.question == "intervention":
        return [
            (f"{group}: hiding it moves {contrast} {words} most", (Condition(column, "known"),), f"{sign}{column}")
            for column in _hidden(shelf, name)[:1]
            for (sign, _), (_, words) in zip(UP, reversed(UP), strict=True)  # the column has what hiding takes away
        ]
    of = _population(shelf, found, group)
    return [
        (f"{group}: argues most {words} {contrast}", (*of, Condition(f"present.{name}", "true")), f"{sign}net.{name}")
        for sign, words in (("-", "for"), ("", "against"))
    ]


def _population(shelf: Shelf, found: Finding, group: str) -> tuple[Condition, ...]:
    """Whom a finding on relevance is about: the members of a group, a true class, texts with a term; all where it is about all."""
    label, term = found.details.get("true class"), found.details.get("term")
    of = _member(shelf, found, group) if found.question == "disparity" else ()
    if isinstance(label, str):
        of = (*of, Condition("label", "is", label))
    if isinstance(term, str) and "text" in shelf.kinds:
        of = (*of, Condition("text", "contains", term))
    return of


def _attribute(found: Finding) -> str:
    return found.attribute.removesuffix(MENTIONED)


def _others(found: Finding, group: str) -> str:
    return ", ".join(each for each in found.groups if each != group) or "other words"


def _member(shelf: Shelf, found: Finding, group: str) -> tuple[Condition, ...]:
    """Who is in a group: by a column of the data, or by what a text mentions; all where the finding is about all."""
    attribute = _attribute(found)
    names = [f"mentions.{attribute}"] if found.attribute.endswith(MENTIONED) else [attribute, f"mentions.{attribute}"]
    return next(((Condition(name, "is", group),) for name in names if name in shelf.kinds), ())


def _feature(shelf: Shelf, found: Finding, group: str) -> str:
    """What relevance is summed over: a group of words, or a region."""
    region = found.details.get("region")
    named = [f"{_attribute(found)}.{group}", group, *([region] if isinstance(region, str) else []), _attribute(found)]
    return next((name for name in named if f"net.{name}" in shelf.types or f"swap.{name}" in shelf.types), named[0])


def _spread(shelf: Shelf, found: Finding) -> Figure | None:
    """How the examples of each group lie beside each other, in what the finding's question is about as far as the table has it."""
    sides, unit = [], ""
    for k, group in enumerate(found.groups[:MOST_GROUPS]):
        column, of, factor, label, unit = _curve(shelf, found, group, first=k == 0)
        if shelf.kinds.get(column) == NUMBER:
            sides.append(Side.of(shelf, column, rows(shelf, Query(of)), label=label, factor=factor))
    return spread(sides, unit=unit)


def _curve(
    shelf: Shelf, found: Finding, group: str, *, first: bool
) -> tuple[str, tuple[Condition, ...], float, str, str]:
    """Column, rows, factor, label and unit; of a swap back the sign is turned, so that all curves are of the same change."""
    name, sd = _feature(shelf, found, group), shelf.record.model.logit_sd or 1.0
    if found.question in OF_ERRORS:
        return "contrast", _member(shelf, found, group), 1.0, group, shelf.record.model.contrast
    if found.question == "intervention" and f"swap.{name}" in shelf.kinds:
        turned, label = not first and len(found.groups) == 2, f"{_others(found, group)} → {group}"
        unit = f"change of {shelf.record.model.contrast}, in its sd"
        return f"swap.{name}", (), (-1 if turned else 1) / sd, f"{label}{', sign turned' if turned else ''}", unit
    if found.question == "intervention":
        column = next(iter(_hidden(shelf, name)), "")
        return column, (), 1 / sd, group, f"what hiding takes off {shelf.record.model.contrast}, in its sd"
    return f"net.{name}", _population(shelf, found, group), 1.0, group, "net R over |R|"


def _hidden(shelf: Shelf, name: str) -> list[str]:
    return [each for each in shelf.names if each.startswith(f"hidden.{name}@")]
