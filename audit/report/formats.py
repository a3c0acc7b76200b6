"""Every format that a report can be rendered in: one line of `FORMATS` each, a function of what may be published."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

from audit.report.document import html
from audit.report.pdf import pdf
from audit.report.publication import Publication


@final
@dataclass(frozen=True, slots=True)
class Format:
    """What it is for, and how each of its files is made."""

    about: str
    files: Mapping[str, Callable[[Publication], bytes]]


FORMATS: Final[Mapping[str, Format]] = MappingProxyType({
    "html": Format("one page for people", {"report.html": html}),
    "pdf": Format("the same page on paper, PDF/UA-1 and PDF/A-2a", {"report.pdf": pdf}),
})  # fmt: skip
