"""The report as PDF/UA-1 and PDF/A-2a: the page's own tree of tags, typeset by typst.

Each tag has one rule in `report.typ`. Texts travel as strings of a JSON file, charts and pictures as files, so that nothing in them is ever
markup. Fonts are those that matplotlib and typst bring: the same bytes on every machine. Scripts that they lack (CJK, emoji) show as boxes
that name the script, and can still be copied; where typst refuses a text for a sign that no font can set, all that DejaVu Sans lacks
becomes U+FFFD. Cost: 0.5 to 3 s.
"""

import json
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from audit.errors import OutputError
from audit.report.document import TEMPLATES, html
from audit.report.look import BODY_POINTS, COLOURS, PAPER, SIZES, on_paper
from audit.report.page_tree import PageTree
from audit.report.publication import Publication
from audit.report.text import moment, shorten, when

CHART: Final = re.compile(r"<svg\b.*?</svg>", re.DOTALL)
ODD: Final = ("Cc", "Cn", "Co", "Cs")  # categories of characters that PDF/A refuses
REFUSED: Final = ("\ufeff", "\u1680")
LOST: Final = "\ufffd"


def pdf(shown: Publication) -> bytes:
    """`report.pdf`; the same bytes for the same record. Raises `OutputError` where typst refuses it."""
    import typst

    page, problem = html(shown).decode("utf-8"), ""
    for settable in (known, plain):
        try:
            return _typeset(shown, settable(page), settable)
        except typst.TypstError as error:
            problem = error.message
    raise OutputError(
        f"report.pdf: cannot be typeset ({problem:.200}); leave pdf out of --format, and report this with the record"
    )


def _typeset(shown: Publication, page: str, settable: Callable[[str], str]) -> bytes:
    import typst

    record, tree = shown.record, PageTree()
    tree.feed(CHART.sub("<svg></svg>", page))
    tree.close()
    document: dict[str, Any] = {
        "title": f"{settable(shorten(record.name, 100))}: bias audit {record.run_id}",
        "name": settable(shorten(record.name, 60)), "run": record.run_id, "date": when(record.finished)[:10],
        "body": tree.body, "ids": sorted(tree.ids), "colours": {name: shades[PAPER] for name, shades in COLOURS.items()},
        "sizes": {name: size * BODY_POINTS for name, size in SIZES.items()},
    }  # fmt: skip
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "report.typ").write_bytes((TEMPLATES / "report.typ").read_bytes())
        (root / "document.json").write_text(json.dumps(document), encoding="utf-8")
        for i, chart in enumerate(CHART.findall(page)):
            (root / f"chart-{i}.svg").write_text(_standalone(chart), encoding="utf-8")
        for i, picture in enumerate(tree.pictures):
            (root / f"picture-{i}.jpg").write_bytes(picture)
        made = typst.compile(
            root / "report.typ", root=root, font_paths=[_fonts()], ignore_system_fonts=True, pdf_standards=["ua-1", "a-2a"],
            timestamp=_moment(record.finished),
        )  # fmt: skip
    assert isinstance(made, bytes)
    return made


def _fonts() -> Path:
    from matplotlib import get_data_path

    return Path(get_data_path()) / "fonts" / "ttf"


def _standalone(chart: str) -> str:
    """A chart as a file of its own, in the colours of paper and the font of the page."""
    named = re.sub(r"<text ", '<text font-family="DejaVu Sans" ', on_paper(chart))
    return named if "xmlns=" in named else named.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


def _moment(finished: str) -> datetime:
    return moment(finished) or datetime.fromtimestamp(0, UTC)


def known(text: str) -> str:
    """Text with characters that PDF/A refuses, such as those of private use, as U+FFFD."""
    return "".join(LOST if (unicodedata.category(c) in ODD and c not in "\n\t") or c in REFUSED else c for c in text)


def plain(text: str) -> str:
    """Text with all that DejaVu Sans lacks, and marks that combine, as U+FFFD."""
    has = _characters()
    whole = unicodedata.normalize("NFC", text)
    return "".join(c if c in "\n\t" or (c in has and unicodedata.category(c)[0] not in "CM") else LOST for c in whole)


@cache
def _characters() -> frozenset[str]:
    from matplotlib.ft2font import FT2Font

    return frozenset(map(chr, FT2Font(_fonts() / "DejaVuSans.ttf").get_charmap()))
