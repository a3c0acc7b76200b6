"""Candidates nobody declared, as the page and the terminal tell them: tables a comparison, and what to paste into the next config."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import yaml

from audit.records import AuditRecord, Candidate, CandidateKind, Discovery, Screened
from audit.report.page import shows_text
from audit.report.text import clean, plural

HIDDEN: Final = "report.show_text is false, so words of the data are not shown"
NO_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")
MEANINGS: Final[dict[CandidateKind, str]] = {
    CandidateKind.PROXY: "it occurs more often on one side, and carries relevance",
    CandidateKind.DIFFERENT: "what it carries differs, and how often it occurs is not shown to differ",
    CandidateKind.ERRORS: "it carries more, or less, of the logit where the prediction is wrong",
}
OF_PLACES: Final = "what the model finds in this place differs"


@final
@dataclass(frozen=True, slots=True)
class Offer:
    """The candidates of one comparison."""

    title: str
    rows: tuple[Candidate, ...]


def told(record: AuditRecord) -> str:
    """How many there are, in one line; or why none were looked for."""
    found = record.discovery
    if found is None:
        return absent(record)
    n, proxies = (
        len(found.candidates) + found.withheld,
        sum(each.kind is CandidateKind.PROXY for each in found.candidates),
    )
    asked = sum(each.chosen > 0 for each in found.compared)
    what = f"{n or 'none'}{f', {proxies} marked as proxies,' if proxies else ''} in {plural(asked, 'comparison')}"
    return f"{what}; an offer for the next lexicon or mask, no finding"


def absent(record: AuditRecord) -> str:
    """Why a record holds no search."""
    checks = record.config.get("checks")
    if isinstance(checks, dict) and checks.get("candidates") == 0:
        return "not looked for, as checks.candidates is 0"
    return "not looked for, as the explanation is not valid" if record.exit_code == 4 else "the record holds no search"


def offers(record: AuditRecord) -> list[Offer]:
    """By comparison, those with any."""
    found = record.discovery
    if found is None or not visible(record):
        return []
    grouped: dict[str, list[Candidate]] = {}
    for each in found.candidates:
        grouped.setdefault(each.comparison, []).append(each)
    return [Offer(title(rows[0]), tuple(rows)) for rows in grouped.values()]


def visible(record: AuditRecord) -> bool:
    """Whether candidates may be named: cells always, words of the data where the config lets them be shown."""
    found = record.discovery.candidates if record.discovery else ()
    return shows_text(record) or all(each.box is not None for each in found)


def title(compared: Candidate | Screened) -> str:
    """`gender: female − male`."""
    return (
        f"{compared.attribute}: {' − '.join(compared.sides) if len(compared.sides) < 3 else ', '.join(compared.sides)}"
    )


def unasked(found: Discovery) -> list[Screened]:
    """Comparisons in which nothing could be looked for."""
    return [each for each in found.compared if each.reason]


def empty(found: Discovery) -> list[str]:
    """Comparisons that offer nothing."""
    named = {each.comparison for each in found.candidates}
    return [title(each) for each in found.compared if each.chosen and each.id not in named]


def meaning(candidate: Candidate) -> str:
    """What its kind says."""
    return OF_PLACES if candidate.box and candidate.kind is CandidateKind.DIFFERENT else MEANINGS[candidate.kind]


def snippets(record: AuditRecord) -> list[tuple[str, str]]:
    """Titles and YAML to paste: a lexicon a comparison for words, `regions` for cells."""
    found = offers(record)
    regions = _regions([each for offer in found for each in offer.rows if each.photograph])
    lexicons = [(offer.title, _lexicon(offer)) for offer in found if any(map(_term, offer.rows))]
    return lexicons + ([("regions", regions)] if regions else [])


def _term(candidate: Candidate) -> bool:
    """A lexicon takes what starts with a letter."""
    return candidate.box is None and candidate.name[:1].isalpha()


def _lexicon(offer: Offer) -> str:
    groups: dict[str, dict[str, list[str]]] = {}
    for each in filter(_term, offer.rows):
        name = str(each.kind) if each.kind is CandidateKind.DIFFERENT else each.larger
        groups.setdefault(_name(name), {"words": []})["words"].append(clean(each.name))
    document = {
        "attribute": _name(f"{offer.rows[0].attribute} candidates"),
        "version": "1",
        "provenance": f"candidates of an audit, {clean(offer.title)}; keep what makes sense",
        "groups": groups,
    }
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100))


def _regions(found: Sequence[Candidate]) -> str:
    boxes: dict[str, list[list[int]]] = {}
    for each in found:
        boxes.setdefault(_name(f"{each.attribute} {each.larger}"), []).append(list(each.photograph or ()))
    regions = [
        {"name": name, "fixed": held, "provenance": "candidates of an audit; look at them first"}
        for name, held in boxes.items()
    ]
    if not regions:
        return ""
    return str(yaml.safe_dump({"regions": regions}, sort_keys=False, width=100, default_flow_style=None))


def _name(words: str) -> str:
    """As the config allows names."""
    return NO_NAME.sub(" ", words).strip(" ._-")[:80] or "candidates"
