"""Markdown in which text from data is text: no markup, link, HTML, formula or break of a table can come from a name."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from audit.report.text import LONGEST, shorten

CELL: Final = 400  # characters
SIGNS: Final = str.maketrans({  # told apart by a backslash; by number where quotes, formulas or tables might not heed it
    **{sign: f"\\{sign}" for sign in "\\*_~#[]"}, **{sign: f"&#{ord(sign)};" for sign in "&<>`|$^{}\"'"}
})  # fmt: skip
STARTS: Final = re.compile(r"\A([-+=:]|\d+(?=[.)](?: |\Z)))")  # would open a list, a heading or a rule
ADDRESS: Final = re.compile(r"://|www\.|@|\A(?:mailto|xmpp|javascript|data):", re.IGNORECASE)
PLAIN: Final = re.compile(r"[A-Za-z0-9.:/@+\-?=%~,#;()_]+")


def escaped(text: str, most: int = CELL) -> str:
    """Text on one line, as text: a word that renderers would make a link becomes code.

    >>> escaped("a|b <i> [x](http://y) me@z.org")
    'a&#124;b &#60;i&#62; \\\\[x\\\\](http : //y) `me@z.org`'
    """
    return STARTS.sub(_first, " ".join(_word(word) for word in shorten(text, most).split(" ")))


def _first(found: re.Match[str]) -> str:
    sign = found[0]
    return f"{sign[:-1]}&#{ord(sign[-1])};"


def _word(word: str) -> str:
    if ADDRESS.search(word) and PLAIN.fullmatch(word):
        return f"`{word}`"
    cut = (
        re.sub(r"(?i)(www)\.", r"\1 .", word.replace("@", " @ ").replace(":", " : ")) if ADDRESS.search(word) else word
    )
    return cut.translate(SIGNS)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table; the cells are escaped here, so none can be forgotten."""
    lines = [_line(header), _line(["---"] * len(header))]
    return [*lines, *(_line([escaped(cell) for cell in row]) for row in rows), ""]


def listed(items: Iterable[tuple[str, str]]) -> list[str]:
    """Lines of a list, `- **name:** text`; the texts are escaped here."""
    return [*(f"- **{name}:** {escaped(text, LONGEST)}" for name, text in items), ""]


def sentences(texts: Iterable[str]) -> list[str]:
    """Lines of a list of sentences, escaped."""
    return [*(f"- {escaped(text, LONGEST)}" for text in texts), ""]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
