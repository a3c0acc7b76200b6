"""What each page shows: from a shelf and the pairs of an address to the values of a template. `VIEWS` are the addresses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, final

from audit.explore.listing import marked
from audit.explore.query import Pairs
from audit.explore.shelf import Shelf
from audit.explore.views.clusters import clusters
from audit.explore.views.example import card, example
from audit.explore.views.examples import examples
from audit.explore.views.finding import finding
from audit.explore.views.groups import groups
from audit.explore.views.overview import overview
from audit.explore.views.runs import runs
from audit.explore.views.worklists import worklists
from audit.report import backing, debugging, page, text, wording

SNIPPET: Final = 160  # characters of a text in a list


@final
@dataclass(frozen=True, slots=True)
class View:
    """The template, and what it is given."""

    template: str
    given: Callable[[Shelf, Pairs], dict[str, Any]]


VIEWS: Final[Mapping[str, View]] = MappingProxyType({
    "/": View("overview.html.j2", overview),
    "/finding": View("finding.html.j2", finding),
    "/examples": View("examples.html.j2", examples),
    "/example": View("example.html.j2", example),
    "/clusters": View("clusters.html.j2", clusters),
    "/groups": View("groups.html.j2", groups),
    "/runs": View("runs.html.j2", runs),
    "/worklists": View("worklists.html.j2", worklists),
})  # fmt: skip
SHARED: Final[Mapping[str, Any]] = MappingProxyType({
    "page": page, "text": text, "wording": wording, "backing": backing, "lists": debugging, "card": card, "marked": marked,
    "snippet_length": SNIPPET,
})  # fmt: skip
