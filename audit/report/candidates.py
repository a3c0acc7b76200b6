"""Candidates nobody declared, as the page and the terminal tell them: tables a comparison, and what to paste into the next config."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, TypeVar, final

import yaml

from audit.config import OUTSIDE
from audit.questions import INVALID
from audit.records import AuditRecord, Candidate, CandidateKind, Discovery, Screened
from audit.report.page import shows_text
from audit.report.text import clean, plural

HIDDEN: Final = "report.show_text is false, so words of the data are not shown"
Key = TypeVar("Key")
NO_NAME: Final = re.compile(r"[^A-Za-z0-9 ._-]+")
MEANINGS: Final[dict[CandidateKind, str]] = {
    CandidateKind.PROXY: "it occurs more often on one side, and carries relevance",
    CandidateKind.DIFFERENT: "what it carries differs, and how often it occurs is not shown to differ",
    CandidateKind.ERRORS: "it carries more, or less, of the logit where the prediction is wrong",
}
OF_PLACES: Final = "what the model finds in this place differs"
FRAMES: Final[dict[bool | None, str]] = {
    True: "At the model's input the measured regions lie in the same place in every photograph, so a cell may be the same thing in each.",
    False: "At the model's input the measured regions do not lie in the same place in every photograph: a cell is a place, not a thing.",
    None: "No measured region tells whether photographs are aligned at the model's input: a cell is a place, not a thing.",
}


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
    kinds = Counter(each.kind for each in found.candidates)
    for each in found.withheld:
        kinds[each.kind] += each.n
    n, proxies = kinds.total(), kinds[CandidateKind.PROXY]
    asked = sum(one.chosen > 0 for one in found.compared)
    if not asked:
        return f"no comparison could be made ({plural(len(found.compared), 'comparison')} NOT TESTABLE, the report says why)"
    what = f"{n or 'none'}{f', {proxies} marked as proxies,' if proxies else ''} in {plural(asked, 'comparison')}"
    return f"{what}; an offer for the next lexicon or mask, no finding"


def absent(record: AuditRecord) -> str:
    """Why a record holds no search."""
    checks = record.config.get("checks")
    if isinstance(checks, dict) and checks.get("candidates") == 0:
        return "not looked for, as checks.candidates is 0"
    return (
        "not looked for, as the explanation is not valid"
        if record.exit_code == INVALID
        else "the record holds no search"
    )


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
    """Comparisons that offer nothing, not even what is withheld."""
    named = {each.comparison for each in found.candidates} | {each.comparison for each in found.withheld}
    return [title(each) for each in found.compared if each.chosen and each.id not in named]


def frame(found: Discovery) -> str:
    """What may be said of a cell of photographs."""
    return FRAMES[found.aligned]


def hidden(found: Discovery) -> int:
    """Candidates that too few examples hold, or do not, to be shown."""
    return sum(each.n for each in found.withheld)


def withheld(found: Discovery) -> list[str]:
    """The same by comparison, in words."""
    counted = Counter[str]()
    for each in found.withheld:
        counted[each.comparison] += each.n
    return [f"{title(each)}: {counted[each.id]}" for each in found.compared if counted[each.id]]


def meaning(candidate: Candidate) -> str:
    """What its kind says."""
    return OF_PLACES if candidate.box and candidate.kind is CandidateKind.DIFFERENT else MEANINGS[candidate.kind]


def snippets(record: AuditRecord) -> list[tuple[str, str]]:
    """Titles and YAML to paste: a lexicon a comparison for words, `regions` for cells; no name is that of another, or declared already."""
    found = offers(record)
    boxed = [each for offer in found for each in offer.rows if each.photograph]
    worded = {i: offer for i, offer in enumerate(found) if any(map(_term, offer.rows))}
    attributes = config_names(
        {i: f"{offer.rows[0].attribute} candidates" for i, offer in worded.items()},
        taken={*record.data.attributes, *(term.attribute for term in record.terms)},
    )
    lexicons = [(offer.title, _lexicon(offer, attributes[i])) for i, offer in worded.items()]
    regions = _regions(boxed, taken={OUTSIDE, *(region.name for region in record.regions)}) if boxed else ""
    return lexicons + ([("regions", regions)] if regions else [])


def config_names(wanted: Mapping[Key, str], *, taken: Iterable[str] = ()) -> dict[Key, str]:
    """For each key a name that a config allows, none twice: what is allowed already keeps its own, of others like it the next are numbered.

    >>> config_names({1: "男", 2: "女", 3: "männlich", 4: "mannlich"})
    {1: 'candidates', 2: 'candidates 2', 3: 'mannlich 2', 4: 'mannlich'}
    """
    given, used = dict[Key, str](), set(taken)
    for key in sorted(wanted, key=lambda key: _allowed(wanted[key]) != wanted[key]):
        first = _allowed(wanted[key])
        numbered = (first if n == 1 else f"{first} {n}" for n in count(1))
        given[key] = next(name for name in numbered if name not in used)
        used.add(given[key])
    return {key: given[key] for key in wanted}


def _allowed(words: str) -> str:
    """Letters without their accents, and what a name may not hold replaced."""
    bare = "".join(each for each in unicodedata.normalize("NFKD", words) if not unicodedata.combining(each))
    return NO_NAME.sub("_", bare)[:80].strip(" ._-") or "candidates"


def _term(candidate: Candidate) -> bool:
    """A lexicon takes what starts with a letter."""
    return candidate.box is None and candidate.name[:1].isalpha()


def _lexicon(offer: Offer, attribute: str) -> str:
    """Words by side, and of all sides together those that are used differently, under its kind; a side of that name is another group."""
    held: dict[tuple[bool, str], list[str]] = {}
    for each in filter(_term, offer.rows):
        different = each.kind is CandidateKind.DIFFERENT
        held.setdefault((different, str(each.kind) if different else each.larger), []).append(clean(each.name))
    names = config_names({key: key[1] for key in held})
    renamed = "".join(f"; {name} is {clean(words)}" for (_, words), name in names.items() if name != words)
    document = {
        "attribute": attribute,
        "version": "1",
        "provenance": f"candidates of an audit, {clean(offer.title)}; keep what makes sense{renamed}",
        "groups": {names[key]: {"words": words} for key, words in held.items()},
    }
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100))


def _regions(found: Sequence[Candidate], *, taken: Iterable[str]) -> str:
    boxes: dict[tuple[str, str], list[list[int]]] = {}
    for each in found:
        boxes.setdefault((each.attribute, each.larger), []).append(list(each.photograph or ()))
    names = config_names({key: " ".join(key) for key in boxes}, taken=taken)
    regions = [
        {"name": names[key], "fixed": held,
         "provenance": f"candidates of an audit, {clean(key[0])}, larger for {clean(key[1])}; look at them first"}
        for key, held in boxes.items()
    ]  # fmt: skip
    return str(
        yaml.safe_dump({"regions": regions}, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)
    )
