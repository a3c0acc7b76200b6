"""Find declared identity terms in text, and swap them for those of another group.

Matching costs one dictionary look-up per word and one regular expression per hit. Possessives are added here, plurals
in `lexicon_file`. Look-alike letters, soft hyphens and spaced-out letters are not undone.
"""

import re
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Final, TypeVar, final

from audit import records
from audit.config import Groups
from audit.data.lexicon_file import (
    QUOTES,
    SEPARATOR,
    LexiconData,
    Term,
    fold,
    form_key,
    index_forms,
    load_lexicon,
    plural,
    shipped,
)
from audit.errors import ConfigError, did_you_mean
from audit.tables import Match

__all__ = ["LexiconData", "Matcher", "Swap", "Term", "build_matcher", "load_lexicon", "shipped", "swap_terms", "words"]

Value = TypeVar("Value")
LETTER: Final = r"[^\W\d_]"
MARK: Final = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"  # accents as characters of their own
RUN: Final = rf"{LETTER}(?:{LETTER}|[{MARK}])*"
RUNS: Final = re.compile(RUN)
WORDS: Final = re.compile(rf"{RUN}(?:['\u2019]{RUN})*")
NOT_BEFORE: Final = rf"(?<!{LETTER})(?<![{MARK}])"
NOT_AFTER: Final = rf"(?!{LETTER}|[{MARK}])"
POSSESSIVE: Final = re.compile(f"['{QUOTES}](?:[sS]$|$)")
VOWEL_SOUND: Final = re.compile(r"(?!eu|uni|use|one)[aeiou]|heir|hon|hour", re.IGNORECASE)
NEXT_WORD: Final = re.compile("\\s+[\"'\u201c\u2018]?([^\\W_]+)")
NOT_OWNED: Final = frozenset(  # words before which 'her' is an object: 'saw her at', not 'her film'
    (
        "a about after again alone an and are as at away be because before but by can did do does down during for "
        "from had has have he how i if in instead into is it like never not now of off on or out over she since so "
        "than that the their then there these they this through to too under until up was we were what when where "
        "which while who why will with without would you"
    ).split()
)


@final
@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The compiled terms of one attribute: `alternation` is tried where a word starts, `forms` tells its term."""

    attribute: str
    alternation: re.Pattern[str]
    forms: Mapping[str, Term]


@final
@dataclass(frozen=True, slots=True)
class Matcher:
    """Finds the declared terms of all attributes.

    `terms[(attribute, group)]` are the declared spellings; a group given by a pattern declares none in advance.
    `data[attribute]` is the lexicon as narrowed by `only`, for `swap_terms`. `firsts` maps the first letters of a term
    to its vocabularies.
    """

    terms: Mapping[tuple[str, str], tuple[str, ...]]
    lexicons: tuple[records.Lexicon, ...]
    data: Mapping[str, LexiconData]
    patterns: tuple[tuple[str, str, re.Pattern[str]], ...]
    firsts: Mapping[str, tuple[Vocabulary, ...]]

    def find(self, text: str) -> tuple[Match, ...]:
        """Whole-word matches by start; within an attribute the longest wins, attributes may overlap."""
        found = [*self._find_terms(fold(text)), *self._find_patterns(text)]
        kept: dict[str, list[tuple[int, int]]] = {}
        chosen = []
        for match in sorted(found, key=lambda match: (match.start - match.end, match.start)):
            taken = kept.setdefault(match.attribute, [])
            place = bisect(taken, (match.start, match.end))
            clear_left = place == 0 or taken[place - 1][1] <= match.start
            if clear_left and (place == len(taken) or match.end <= taken[place][0]):
                taken.insert(place, (match.start, match.end))
                chosen.append(match)
        asked = [match for match in chosen if (match.attribute, match.group) in self.terms]
        return tuple(sorted(asked, key=lambda match: (match.start, match.end)))

    def _find_terms(self, folded: str) -> Iterator[Match]:
        for run in RUNS.finditer(folded):
            for vocabulary in self.firsts.get(run.group(), ()):
                hit = vocabulary.alternation.match(folded, run.start())
                if hit is not None:
                    term = vocabulary.forms[SEPARATOR.sub(" ", hit.group(1))]
                    end = hit.end()
                    if folded[end - 1] == folded[hit.start() - 1 : hit.start()] == "'":
                        end -= 1  # 'girls' in single quotes is no possessive
                    yield Match(hit.start(), end, vocabulary.attribute, term.group, term.text)

    def _find_patterns(self, text: str) -> Iterator[Match]:
        for attribute, group, pattern in self.patterns:
            for hit in pattern.finditer(text):
                if hit.group():
                    yield Match(hit.start(), hit.end(), attribute, group, hit.group().lower())


def build_matcher(groups: Sequence[Groups], folder: Path) -> Matcher:
    """One matcher for all attributes of a config; attributes with `spans: true` add nothing to it.

    A pattern matches whole words, ignores case, and is the config author's own: one with nested repetition (`(a+)+`)
    can take exponential time on hostile text. Raises ConfigError for a bad pattern or group, DataError for a lexicon.
    """
    blocks = [(block, block.lexicon) for block in groups if block.lexicon is not None]
    loaded = [replace(load_lexicon(name, folder), attribute=block.attribute) for block, name in blocks]
    data = {lexicon.attribute: _narrowed(lexicon, block) for lexicon, (block, _) in zip(loaded, blocks, strict=True)}
    patterns = tuple(
        (block.attribute, group, _compiled(block.attribute, group, pattern))
        for block in groups
        for group, pattern in _selected(block.patterns or {}, block).items()
    )
    terms: dict[tuple[str, str], tuple[str, ...]] = {(attribute, group): () for attribute, group, _ in patterns}
    for attribute, lexicon in data.items():
        terms |= {(attribute, group): tuple(term.text for term in members) for group, members in lexicon.groups.items()}
    vocabularies = [_vocabulary(lexicon) for lexicon in loaded]  # whole: 'african american' is not 'american'
    return Matcher(terms, tuple(_entry(lexicon) for lexicon in data.values()), data, patterns, _firsts(vocabularies))


def _firsts(vocabularies: Sequence[Vocabulary]) -> dict[str, tuple[Vocabulary, ...]]:
    firsts: dict[str, tuple[Vocabulary, ...]] = {}
    for vocabulary in vocabularies:
        for first in {match.group() for form in vocabulary.forms if (match := RUNS.match(form))}:
            firsts[first] = (*firsts.get(first, ()), vocabulary)
    return firsts


def _selected(groups: Mapping[str, Value], block: Groups) -> dict[str, Value]:
    only = block.only or groups if groups else ()
    for group in only:
        if group not in groups:
            problem = f"no group {group!r}; there are {', '.join(groups)}{did_you_mean(group, tuple(groups))}"
            raise ConfigError(f"groups: attribute {block.attribute!r}: only: {problem}")
    return {group: groups[group] for group in only}


def _narrowed(lexicon: LexiconData, block: Groups) -> LexiconData:
    groups = _selected(lexicon.groups, block)
    swaps = tuple(pair for pair in lexicon.swaps if pair.left.group in groups and pair.right.group in groups)
    return replace(lexicon, attribute=block.attribute, groups=groups, swaps=swaps)


def _vocabulary(lexicon: LexiconData) -> Vocabulary:
    forms = index_forms(lexicon.source, lexicon.groups)
    longest_first = sorted(forms, key=len, reverse=True)
    either = "|".join(r"(?:\s+|-)".join(re.escape(part) for part in form.split(" ")) for form in longest_first)
    return Vocabulary(lexicon.attribute, re.compile(rf"({either})(?:'s|(?<=s)')?{NOT_AFTER}"), forms)


def _compiled(attribute: str, group: str, pattern: str) -> re.Pattern[str]:
    before = f"{NOT_BEFORE}(?:"
    where = f"groups: attribute {attribute!r}: patterns.{group}: {pattern!r}"
    try:
        re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise ConfigError(f"{where}: not a regular expression: {error.msg} at position {error.pos}") from error
    try:
        return re.compile(f"{before}{pattern}){NOT_AFTER}", re.IGNORECASE)
    except re.error as error:  # '(?x)' is right alone, but not behind the word boundary
        place = (error.pos or 0) - len(before)
        raise ConfigError(f"{where}: {error.msg} at position {place}; write flags as (?x:...)") from error


def _entry(lexicon: LexiconData) -> records.Lexicon:
    outdated = [term.text for members in lexicon.groups.values() for term in members if term.outdated]
    note = f" Outdated terms, matched because texts hold them: {', '.join(outdated)}." if outdated else ""
    return records.Lexicon(
        attribute=lexicon.attribute, source=lexicon.source, sha256=lexicon.sha256, provenance=lexicon.provenance + note
    )


def words(text: str) -> list[tuple[int, int, str]]:
    """(start, end, type) of every word; a type is in lower case, without possessive 's, with straight apostrophes."""
    return [(hit.start(), hit.end(), fold(hit.group()).removesuffix("'s")) for hit in WORDS.finditer(text)]


def without(text: str, spans: Sequence[tuple[int, int]], token: str) -> str:
    """The text with `token` in the place of each of the spans, which are in order; of an empty one the blank before it goes too.

    >>> without("she saw her film", [(0, 3), (8, 11)], "[MASK]"), without("she saw her film", [(0, 3), (8, 11)], "")
    ('[MASK] saw [MASK] film', 'saw film')
    """
    pieces, position = [], 0
    for start, end in spans:
        pieces += [text[position:start] if token else text[position:start].rstrip(), token]
        position = end
    return "".join([*pieces, text[position:]]).strip()


@final
@dataclass(frozen=True, slots=True)
class Swap:
    """A text whose `terms` (each named once) of group `source` were replaced by those of `target`."""

    text: str
    source: str
    target: str
    terms: tuple[str, ...]


def swap_terms(text: str, matches: Sequence[Match], lexicon: LexiconData) -> Swap | None:
    """Replace every term that has a declared counterpart, or None.

    None if no term has one, or if the text holds terms of two groups of the attribute (a swap has one direction). The
    first term with a counterpart decides the target group; terms without one there stay. `matches` are what
    `Matcher.find` gives for the text, and `lexicon` is `Matcher.data[attribute]`.
    """
    own = [match for match in matches if match.attribute == lexicon.attribute]
    if len({match.group for match in own}) != 1:
        return None
    target, done, position, pieces = "", [], 0, []
    for match in own:
        new = _counterpart(text, match, lexicon, target)
        if new is not None:
            replaced = _inflected(text[match.start : match.end], match.term, new)
            pieces += [_article(text[position : match.start], match.term, new.text, replaced), replaced]
            target, position = new.group, match.end
            done.append(match.term)
    if not done:
        return None
    return Swap("".join([*pieces, text[position:]]), own[0].group, target, tuple(dict.fromkeys(done)))


def _counterpart(text: str, match: Match, lexicon: LexiconData, target: str) -> Term | None:
    """The other side of the first declared pair that fits; a plural needs a noun."""
    base = POSSESSIVE.sub("", text[match.start : match.end])
    is_plural = form_key(base) != form_key(match.term)
    following = NEXT_WORD.match(text, match.end)
    context = "before_word" if following and following.group(1).lower() not in NOT_OWNED else "before_other"
    for pair in lexicon.swaps:
        if pair.left.text == match.term and pair.context in (None, context):
            other = pair.right
        elif pair.right.text == match.term:
            other = pair.left
        else:
            continue
        if other.group == (target or other.group) and (other.noun or not is_plural):
            return other
    return None


def _inflected(old: str, lemma: str, new: Term) -> str:
    """The new term with the plural, separators, case and possessive of the old one."""
    base = POSSESSIVE.sub("", old)
    possessive = old[len(base) :]
    is_plural = form_key(base) != form_key(lemma)
    form = plural(new.text) if is_plural else new.text
    separators, parts = SEPARATOR.findall(base), SEPARATOR.split(form)
    if len(separators) == len(parts) - 1:
        form = "".join(chain.from_iterable(zip(parts, [*separators, ""], strict=True)))
    bare_fits = form.endswith("s")
    if len(possessive) == 1 and not bare_fits:
        possessive += "S" if base.isupper() else "s"
    elif len(possessive) == 2 and is_plural and bare_fits:
        possessive = possessive[0]
    return _cased(form, base) + possessive


def _cased(form: str, like: str) -> str:
    """The form in the case of another: upper, or capitals part by part (of all parts, if their numbers differ)."""
    if like.isupper() and len(like) > 1:
        return form.upper()
    capitals, parts = [part[:1].isupper() for part in SEPARATOR.split(like)], SEPARATOR.split(form)
    if len(capitals) != len(parts):
        capitals = [capitals[0], *[all(capitals)] * (len(parts) - 1)]
    wanted = iter(capitals)
    return re.sub(
        r"[^\s-]+", lambda hit: hit.group()[:1].upper() + hit.group()[1:] if next(wanted) else hit.group(), form
    )


def _article(before: str, old: str, new: str, replaced: str) -> str:
    """The text before a term, its 'a' or 'an' mended where the swap broke it."""
    hit = re.search(r"\b(a|an)(?=[ \t]+$)", before, re.IGNORECASE)
    vowel = VOWEL_SOUND.match(new) is not None
    if hit is None or vowel == (VOWEL_SOUND.match(old) is not None):
        return before
    article = hit.group()[0] + ("N" if replaced.isupper() else "n") * vowel
    return before[: hit.start()] + article + before[hit.end() :]
