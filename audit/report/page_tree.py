"""The body of our own page as nested nodes, for whoever typesets it: {"t": tag, "k": classes, "c": children, ...}.

The page is well-formed and made by our template, so the parser of the standard library is enough. Cost: milliseconds.
"""

import base64
import io
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, Final, final

VOID: Final = ("meta", "br", "img")
UNSEEN: Final = ("head", "footer")  # whoever typesets makes header and page numbers itself
LONGEST: Final = 24  # longer runs without a blank may break anywhere
MOST_SPOKEN: Final = 4_000  # characters of an alternative text; strings of a PDF end at 32,767 bytes
Node = dict[str, Any]


def breakable(text: str) -> str:
    """Text with places to break long runs."""
    return re.sub(rf"\S{{{LONGEST},}}", lambda run: "\u200b".join(re.findall(".{1,8}", run[0])), text)


def _is_picture(content: bytes) -> bool:
    from PIL import Image

    try:
        Image.open(io.BytesIO(content)).load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
    return True


def _widths(table: Node) -> list[float]:
    """Of each column, in parts: what its longest word needs, and the more the longer its texts are."""
    rows = [[each for each in row["c"] if isinstance(each, dict)] for row in _all(table, "tr")]
    columns = len(rows[0]) if rows else 1
    if "grid" in table["k"]:
        return [1.0] * columns
    cells = [[_words(row[i]) for row in rows if len(row) == columns] for i in range(columns)]
    longest = [
        max((len(word) for cell in column for word in re.split("[\\s\u200b]+", cell)), default=1) for column in cells
    ]
    typical = [sum(len(cell) ** 0.5 for cell in column) / max(1, len(column)) for column in cells]
    return [float(max(6, word + 1.5, 2.2 * length)) for word, length in zip(longest, typical, strict=True)]


def _unfolded(part: Any, columns: int) -> Any:
    """A body in which what cells fold away stands below their row, over all columns."""
    if not isinstance(part, dict) or part["t"] != "tbody":
        return part
    rows = list[Node]()
    for row in (each for each in part["c"] if isinstance(each, dict)):
        folded = [each for cell in row["c"] if isinstance(cell, dict) for each in cell["c"] if _folds(each)]
        for cell in row["c"]:
            if isinstance(cell, dict):
                cell["c"] = [each for each in cell["c"] if not _folds(each)]
        rows += [row, *({"t": "tr", "k": ["folded"], "c": [_below(each, columns)]} for each in folded)]
    return part | {"c": rows}


def _folds(node: Any) -> bool:
    return isinstance(node, dict) and node["t"] == "details" and "reason" not in node["k"]


def _below(details: Node, columns: int) -> Node:
    return {"t": "td", "k": ["folded"], "colspan": str(columns), "c": details["c"]}


def _all(node: Node, tag: str) -> list[Node]:
    return (
        [node]
        if node["t"] == tag
        else [found for each in node["c"] if isinstance(each, dict) for found in _all(each, tag)]
    )


def _words(node: Node | str) -> str:
    return (
        node if isinstance(node, str) else " " * (node["t"] in ("br", "li", "span")) + "".join(map(_words, node["c"]))
    )


@final
@dataclass(slots=True)
class _Open:
    """An element that is being read."""

    node: Node
    hidden: bool
    verbatim: bool


class PageTree(HTMLParser):
    """The body of our own page as nested nodes {"t": tag, ..., "c": children}; links to nowhere lose their target."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.body: list[Any] = []
        self.pictures: list[bytes] = []
        self.ids: set[str] = set()
        self._charts = 0
        self._stack = [_Open({"t": "body", "c": self.body}, hidden=False, verbatim=False)]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        above, given = self._stack[-1], {name: value or "" for name, value in attrs}
        hidden = above.hidden or tag in UNSEEN or "skip" in given.get("class", "").split()
        node = self._node(tag, given, hidden=hidden)
        if not hidden:
            above.node["c"].append(node)
        if tag not in VOID:
            self._stack.append(
                _Open(node, hidden or tag == "nav", above.verbatim or tag == "pre" or "tokens" in node["k"])
            )

    def _node(self, tag: str, given: dict[str, str], *, hidden: bool) -> Node:
        node: Node = {"t": tag, "k": given.get("class", "").split(), "c": []}
        node |= {name: given[name] for name in ("id", "rowspan", "colspan", "scope", "alt") if name in given}
        self.ids |= {given["id"]} if "id" in given and not hidden else set()
        if "aria-label" in given:
            node["alt"] = breakable(given["aria-label"])
        if given.get("href", "").startswith("#"):
            node["to"] = given["href"][1:]
        if tag == "svg":
            node["file"] = f"chart-{self._charts}.svg"
            self._charts += 1
        if tag == "img" and not hidden:
            picture = base64.b64decode(given["src"].partition(",")[2])
            if not _is_picture(picture):
                return {"t": "em", "k": [], "c": [node["alt"]]}
            node["file"] = f"picture-{len(self.pictures)}.jpg"
            self.pictures.append(picture)
        return node

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            node = self._stack.pop().node
            if tag == "table":
                node["widths"] = _widths(node)
                node["c"] = [_unfolded(part, len(node["widths"])) for part in node["c"]]

    def handle_data(self, data: str) -> None:
        above = self._stack[-1]
        text = data if above.verbatim else re.sub(r"[ \t\r\n]+", " ", data)
        if text and not above.hidden:
            above.node["c"].append(breakable(text))
