"""Words that nothing a user reads may say of an audit or a model, and the contexts in which they say something else."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

FORBIDDEN: Final[dict[str, str]] = {  # expression: what to write
    r"\bcompliant\b": "an audit supports legal compliance and never establishes it",
    r"\b(?:ensures?|guarantees?|establish(?:es)?|demonstrates?|achieves?)\s+(?:\w+\s+){0,2}compliance\b": "supports, and never establishes",
    r"\bpass(?:es|ed)\b": "holds, or is shown to lie inside its margin",
    r"\bunbiased\b": "no disparity beyond the margin is shown",
    r"\bbias[- ]free\b": "no disparity beyond the margin is shown",
    r"\bfair(?:er)?\s+models?\b": "a model without a disparity beyond the margin",
    r"\bde-?bias\w*": "reduce the disparity",
    r"\bcertif\w*": "sign, assess",
    r"\bpro(?:ves?|ven|ved)\b": "shows",
}
ALLOWED: Final = (  # where such words are meant otherwise
    r"\b(?:forward|backward) passes\b",  # of a network
    r"\bassert_passes\b",
    r"\bnothing passes\b",  # relevance, through a rule
    r"\bpasses nothing\b",
    r"\bnever\s+establish(?:es)?\s+(?:legal\s+)?compliance\b",
)


@final
@dataclass(frozen=True, slots=True)
class Slip:
    """A forbidden expression: its line, itself, and what to write."""

    line: int
    found: str
    instead: str


def slips(text: str) -> Iterator[Slip]:
    """Every forbidden expression of a text, outside of the contexts that are allowed."""
    allowed = [match.span() for context in ALLOWED for match in re.finditer(context, text, re.IGNORECASE)]
    for expression, instead in FORBIDDEN.items():
        for match in re.finditer(expression, text, re.IGNORECASE):
            if not any(start <= match.start() and match.end() <= end for start, end in allowed):
                yield Slip(text.count("\n", 0, match.start()) + 1, match.group(), instead)
