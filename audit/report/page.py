"""From a record to what its pages show: settings, details of findings, tables with nothing dropped silently, coloured tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import yaml
from pydantic import JsonValue

from audit.records import (
    AuditRecord,
    Estimate,
    Exhibit,
    Finding,
    Lexicon,
    RegionShare,
    TermCount,
    Token,
)
from audit.report.rates import PAIR, estimate_of
from audit.report.text import count, interval, number, p_value

MOST_TOKENS, MOST_TOKENS_EACH = 30_000, 1_500
MOST_TERMS, TOP_TERMS = 500, 12
STEPS = 5
MOST_PICTURES = 4_200_000  # characters of base64; a page stays below 5 MB


@final
@dataclass(frozen=True, slots=True)
class Piece:
    """A token as shown: `blank` before it, its text, the CSS class of its relevance, its groups."""

    blank: str
    text: str
    style: str
    groups: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class Card:
    """A misclassified example, its coloured tokens, and its strongest tokens in words."""

    exhibit: Exhibit
    pieces: tuple[Piece, ...]
    cut: int
    towards_predicted: tuple[Token, ...]
    towards_label: tuple[Token, ...]
    groups: tuple[str, ...]


def details(finding: Finding) -> list[tuple[str, str]]:
    """The finding's further details as text, without the rates that the table shows."""
    shown = PAIR if rates(finding) else ()
    return [
        (key, p_value(value) if key.startswith("p ") and isinstance(value, float) else _detail(value))
        for key, value in sorted(finding.details.items())
        if key not in shown and value not in (None, [], {})
    ]


def rates(finding: Finding) -> list[tuple[str, Estimate]]:
    """The two groups of a gap with the rate of each; empty where the finding has no pair of rates."""
    found = [estimate_of(finding.details.get(key)) for key in PAIR]
    known = [rate for rate in found if rate is not None]
    return list(zip(finding.groups, known, strict=True)) if len(finding.groups) == len(known) else []


def _detail(value: JsonValue) -> str:
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int | float):
        return number(value) if isinstance(value, float) else f"{value:,}"
    if isinstance(value, list):
        return ", ".join(_detail(item) for item in value[:40]) + (
            f" and {len(value) - 40} more" if len(value) > 40 else ""
        )
    estimate = estimate_of(value)
    if estimate is not None:
        return f"{interval(estimate)}, n = {count(estimate.n)}"
    return "; ".join(f"{key}: {_detail(item)}" for key, item in sorted((value or {}).items()))


def term_table(terms: Sequence[TermCount], attribute: str) -> tuple[list[TermCount], int]:
    """Terms of an attribute, most frequent first, and how many were left out."""
    mine = sorted(
        (term for term in terms if term.attribute == attribute),
        key=lambda t: (-(t.occurrences or 0), t.group, t.term),
    )
    return mine[:MOST_TERMS], max(0, len(mine) - MOST_TERMS)


def forms(term: TermCount) -> list[tuple[str, int | None]]:
    """Spellings found, most frequent first."""
    return sorted(term.forms.items(), key=lambda item: (-(item[1] or 0), item[0]))[:8]


def people(record: AuditRecord) -> str:
    """Whether photographs are shown, blurred or hidden."""
    return str(_setting(record, "images", "show"))


def smallest_cell(record: AuditRecord) -> int:
    """The smallest count that may be shown; 5 in a record that is older than the setting."""
    k = _setting(record, "smallest_cell", 5)
    return k if isinstance(k, int) else 5


def hashes_ids(record: AuditRecord) -> bool:
    """Whether ids are shown as hashes."""
    return _setting(record, "hash_ids", False) is True  # a record that is older than the setting


def _setting(record: AuditRecord, key: str, default: JsonValue, /) -> JsonValue:
    report = record.config.get("report")
    return report.get(key, default) if isinstance(report, Mapping) else default


def composites(record: AuditRecord) -> list[str]:
    """In the order of the config: the first gives the numbers."""
    return list(dict.fromkeys(row.composite for row in record.ledger))


def strongest(exhibit: Exhibit, most: int = 4) -> list[RegionShare]:
    """Regions of an image with the largest net relevance, either sign."""
    known = [region for region in exhibit.regions if region.net is not None]
    return sorted(known, key=lambda region: -abs(region.net or 0.0))[:most]


def picture_alt(exhibit: Exhibit) -> str:
    """What the picture of an image shows to who cannot see it."""
    parts = [f"{region.name} {number(region.net)}" for region in strongest(exhibit)]
    return f"Photograph beside its relevance map, predicted {exhibit.predicted}, true {exhibit.label}; net relevance: {', '.join(parts)}"


def cards(record: AuditRecord) -> list[Card]:
    """Exhibits within the page's budget of tokens and pictures; none where the config hides dataset text."""
    shown, tokens, pictures = [], 0, 0
    for exhibit in record.exhibits if shows_text(record) else ():
        tokens += min(len(exhibit.tokens), MOST_TOKENS_EACH)
        pictures += len(exhibit.picture)
        if tokens > MOST_TOKENS or pictures > MOST_PICTURES:
            break
        shown.append(card(exhibit))
    return shown


def shows_text(record: AuditRecord) -> bool:
    """Whether the config lets the report quote the dataset."""
    return _setting(record, "show_text", True) is not False


def card(exhibit: Exhibit) -> Card:
    """One example with its tokens coloured."""
    most = max((abs(token.relevance) for token in exhibit.tokens), default=0.0)
    ranked = sorted((t for t in exhibit.tokens if t.text.strip()), key=lambda token: -token.relevance)
    return Card(
        exhibit=exhibit,
        pieces=tuple(_piece(token, most) for token in exhibit.tokens[:MOST_TOKENS_EACH]),
        cut=max(0, len(exhibit.tokens) - MOST_TOKENS_EACH),
        towards_predicted=tuple(t for t in ranked[:3] if t.relevance > 0),
        towards_label=tuple(t for t in ranked[:-4:-1] if t.relevance < 0),
        groups=tuple(dict.fromkeys(group for token in exhibit.tokens for group in token.groups)),
    )


def _piece(token: Token, most: float) -> Piece:
    text = token.text.lstrip()
    step = round(STEPS * abs(token.relevance) / most) if most else 0
    style = f"{'p' if token.relevance > 0 else 'n'}{step}" if step and text else ""
    return Piece(token.text[: len(token.text) - len(text)], text, style, token.groups)


def config_yaml(record: AuditRecord) -> str:
    """The resolved config."""
    return str(yaml.safe_dump(record.config, sort_keys=True, allow_unicode=True, width=100))


def never_seen(lexicon: Lexicon) -> int:
    """How many declared terms no text holds."""
    return sum(len(terms) for terms in lexicon.never_seen.values())


def tested(terms: Sequence[TermCount]) -> int:
    """How many terms occur in enough examples for a test."""
    return sum(term.tested for term in terms)


def ledger_entries(record: AuditRecord) -> list[str]:
    """Every entry that some composite has, the inputs first."""
    names = {name for row in record.ledger for name in row.entries}
    return sorted(names, key=lambda name: (name != "inputs", name))
