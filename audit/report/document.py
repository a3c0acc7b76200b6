"""The report and the page for debugging as HTML: offline, no JavaScript, dataset text escaped. Cost: 2-5 s, nearly all of it charts."""

import base64
import hashlib
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from audit.questions import ADVERSE
from audit.records import AuditRecord, Finding, Verdict
from audit.report.look import variables
from audit.report.publication import Publication

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Environment

    from audit.report.figures import Figure
    from audit.report.history_page import Told

TEMPLATES: Final = Path(__file__).parent / "templates"
MOST_TEXT, MOST_LINE, MOST_FILE = 10_000, 1_000, 100_000  # characters


@lru_cache(maxsize=1)  # the PDF is made of the same page
def html(shown: Publication) -> bytes:
    """The report as one page of what may be published."""
    from markupsafe import Markup

    from audit.report import (
        backing,
        candidates,
        crosswalk,
        declarations,
        figures,
        maps,
        outline,
        page,
        plain,
        shares,
        text,
        wording,
    )

    record = shown.record
    css = style()
    cards = page.cards(record)
    template = environment().get_template("report.html.j2")
    document = template.render(
        record=record, page=page, text=text, wording=wording, backing=backing,
        offers=candidates, outline=outline, plain=plain, crosswalk=crosswalk, declarations=declarations, figures=figures,
        adverse=ADVERSE, Verdict=Verdict,
        css=Markup(css),
        csp=_policy(css),
        summary=plain.summary(record),
        grid=outline.grid(record),
        questions=outline.questions_of(record),
        untestable=outline.untestable(record),
        shown_ids=outline.shown_ids(record),
        forests=_forests(record),
        nulls=figures.nulls(record.findings),
        term_charts=figures.term_charts(record.effects, record.model.classes),
        shares=shares.share_chart(record.distributions, regions=bool(record.regions)),
        images=bool(record.regions),
        mean_maps=maps.mean_map_figures(record),
        scale=maps.colour_bar(record.exhibits[0].scale or 1.0) if record.regions and record.exhibits else None,
        cards=cards,
        cards_left=len(record.exhibits) - len(cards),
        debugging=shown.slices,
        record_sha256=shown.sha256,
        public=shown.public,
    )  # fmt: skip
    return document.encode("utf-8")


def _forests(record: AuditRecord) -> dict[str, list["Figure"]]:
    """By the letter of the section whose findings they draw."""
    from audit.report import figures, outline

    held: dict[str, list[Finding]] = {"E": [], "F": [], "G": []}
    for finding in record.findings:
        held[outline.section_of(finding.question)].append(finding)
    return {letter: figures.forests(found, name=f"forest-{letter}") for letter, found in held.items()}


def debug_html(record: AuditRecord) -> bytes:
    """The page for whoever mends the model: offline, without JavaScript, dataset text escaped; it shows small counts and ids."""
    from markupsafe import Markup

    from audit.report import debugging, maps, page, text, wording

    css = style()
    first = next((each.scale for each in record.exhibits if each.scale), None)
    template = environment().get_template("debug.html.j2")
    document = template.render(
        record=record, debug=record.debug, page=page, text=text, wording=wording, lists=debugging, css=Markup(css), csp=_policy(css),
        images=bool(record.regions), scale=maps.colour_bar(first) if first else None,
        contrast_maps=debugging.contrast_maps(record), strategy_maps=debugging.strategy_maps(record),
        reliability=debugging.reliability(record),
        cards=debugging.cards(record),
    )  # fmt: skip
    return document.encode("utf-8")


def history_html(histories: "Sequence[Told]") -> bytes:
    """The page of `lrp-audit history`: offline, without JavaScript, text from data escaped."""
    from markupsafe import Markup

    from audit.report import history, text, wording
    from audit.report.history_page import NEWEST, sections

    css, shown = style(), sections(histories)
    document = environment().get_template("history.html.j2").render(
        sections=shown, history=history, text=text, wording=wording, css=Markup(css), csp=_policy(css), newest=NEWEST,
        total=sum(len(each.told.steps) for each in shown),
        title=shown[0].told.name if len(shown) == 1 else "All audits",
    )  # fmt: skip
    return document.encode("utf-8")


def style() -> str:
    """The style sheet of every page."""
    return variables() + (TEMPLATES / "report.css").read_text(encoding="utf-8")


def _policy(css: str) -> str:
    """Content security policy: this style sheet and pictures inside the page, nothing else."""
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@cache
def environment(*folders: Path) -> "Environment":
    """Templates of reports, and of the `folders` before them: dataset text is escaped, cleaned and cut."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]), autoescape=True, undefined=StrictUndefined, finalize=_finalize,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {"safe_id": _safe_id, "verbatim": _verbatim, "base64": _base64}
    return made


def _finalize(value: Any) -> Any:
    """Every text that is not markup is cleaned of control characters and cut to a length that a page can hold, before it is escaped."""
    from markupsafe import Markup

    return _cut(value, MOST_TEXT) if isinstance(value, str) and not isinstance(value, Markup) else value


def _cut(value: str, most: int) -> str:
    from audit.report.text import clean

    left = len(value) - most
    return clean(value) if left <= 0 else f"{clean(value[:most])}… ({left:,} more characters)"


def _verbatim(value: str) -> Any:
    """Lines of a file, each cut on its own."""
    from markupsafe import escape

    return escape(_cut("\n".join(_cut(line, MOST_LINE) for line in value.splitlines()), MOST_FILE))


def _base64(value: str) -> Any:
    """A picture as the page may hold it; nothing where it is no base64."""
    from markupsafe import Markup

    try:
        base64.b64decode(value, validate=True)
    except ValueError:
        return ""
    return Markup(value)


def _safe_id(value: str) -> str:
    """An HTML id that no data can break out of, and that two texts never share."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in ".-_") else "-" for c in value)
    return plain if plain == value else f"{plain}-{hashlib.sha256(value.encode('utf-8', 'replace')).hexdigest()[:8]}"
