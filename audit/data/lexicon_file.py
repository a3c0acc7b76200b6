"""Lexicon files: terms of one attribute per group, in YAML, with where they come from and which may be swapped.

English plurals are derived here, so that every form of a term is known before any text is read.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Final, Literal, final

import yaml
from pydantic import Field, StringConstraints, ValidationError

from audit.config import Block, Name
from audit.errors import DataError, did_you_mean

SEPARATOR: Final = re.compile(r"\s+|-")
QUOTES: Final = "\u2019\u2018\u02bc\uff07"
ONE_CHARACTER: Final = str.maketrans(dict.fromkeys(QUOTES, "'") | dict.fromkeys("\u2010\u2011\u2013", "-"))
Spelling = Annotated[str, StringConstraints(pattern=r"^[^\W\d_](?:.*\S)?$", max_length=100)]
Context = Literal["before_word", "before_other"]
CONTEXTS: Final[tuple[Context, ...]] = ("before_word", "before_other")


@final
@dataclass(frozen=True, slots=True)
class Term:
    """One entry of a lexicon; a `noun` also has regular plurals, `outdated` is said in the report."""

    text: str
    group: str
    noun: bool = False
    outdated: bool = False


@final
@dataclass(frozen=True, slots=True)
class Pair:
    """Two terms that may replace each other; `context` restricts left to right by what follows the left term."""

    left: Term
    right: Term
    context: Context | None = None


@final
@dataclass(frozen=True, slots=True)
class LexiconData:
    """The terms of one attribute, and where they come from."""

    attribute: str
    source: str
    sha256: str
    provenance: str
    groups: Mapping[str, tuple[Term, ...]]
    swaps: tuple[Pair, ...]


class TermLists(Block):
    """The terms of one group in a lexicon file."""

    words: tuple[Spelling, ...] = ()
    nouns: tuple[Spelling, ...] = ()
    outdated: tuple[Spelling, ...] = ()


class LexiconFile(Block):
    """The closed schema of a lexicon file."""

    attribute: Name
    version: str
    provenance: Annotated[str, Field(min_length=1)]
    groups: Annotated[dict[Name, TermLists], Field(min_length=1)]
    swaps: tuple[Annotated[tuple[str, ...], Field(min_length=2, max_length=3)], ...] = ()


def shipped() -> tuple[str, ...]:
    """Names of the lexicons that come with lrp-audit."""
    entries = resources.files("audit.data").joinpath("lexicons").iterdir()
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml")))


def load_lexicon(name_or_path: str, folder: Path) -> LexiconData:
    """Load a shipped lexicon by name, or a YAML file relative to `folder`; DataError says file, key, value and cure."""
    content = _read(name_or_path, folder)
    try:
        declared = LexiconFile.model_validate(_parsed(content.decode("utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{name_or_path}: not a lexicon in YAML and UTF-8: {error}") from error
    except ValidationError as error:
        raise DataError(_schema_message(name_or_path, error)) from error
    groups = {group: _group_terms(name_or_path, group, lists) for group, lists in declared.groups.items()}
    known = index_forms(name_or_path, groups)
    swaps = tuple(_pair(name_or_path, known, *sides) for sides in declared.swaps)
    builtin = name_or_path in shipped()
    source = f"lexicon {name_or_path}, version {declared.version}{', shipped with lrp-audit' if builtin else ''}"
    digest = hashlib.sha256(content).hexdigest()
    return LexiconData(declared.attribute, source, digest, declared.provenance.strip(), groups, swaps)


def _read(name_or_path: str, folder: Path) -> bytes:
    if name_or_path in shipped():
        return resources.files("audit.data").joinpath("lexicons", f"{name_or_path}.yaml").read_bytes()
    if not re.search(r"[/\\]|\.ya?ml$", name_or_path):
        raise DataError(
            f"lexicon {name_or_path!r}: no shipped lexicon has this name; shipped are {', '.join(shipped())}"
            f"{did_you_mean(name_or_path, shipped())}; a file of your own ends with .yaml"
        )
    try:
        return (folder / name_or_path).read_bytes()
    except OSError as error:
        problem = f"cannot read {folder / name_or_path}: {error.strerror}; paths are relative to the config"
        raise DataError(f"lexicon {name_or_path!r}: {problem}") from error


def _parsed(text: str) -> Any:
    """Plain lists, mappings and strings (so that `no` stays 'no'); a key that stands twice is an error."""
    _refuse_twins(yaml.compose(text, Loader=yaml.BaseLoader))
    return yaml.load(text, Loader=yaml.BaseLoader)


def _refuse_twins(node: Any) -> None:
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"line {node.start_mark.line + 1}: key {key!r} stands twice; merge the two")
        for _, value in node.value:
            _refuse_twins(value)


def _schema_message(source: str, error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        allowed = tuple((LexiconFile if len(first["loc"]) == 1 else TermLists).model_fields)
        hint = did_you_mean(str(first["loc"][-1]), allowed)
        return f"{source}: {key}: unknown key; allowed are {', '.join(allowed)}{hint}"
    cure = "; a term starts with a letter" if first["type"] == "string_pattern_mismatch" else ""
    return f"{source}: {key or 'file'}: {first['msg']}, got {first['input']!r:.80}{cure}"


def _group_terms(source: str, group: str, lists: TermLists) -> tuple[Term, ...]:
    terms = (
        *(Term(text, group) for text in lists.words),
        *(Term(text, group, noun=True) for text in lists.nouns),
        *(Term(text, group, outdated=True) for text in lists.outdated),
    )
    if not terms:
        raise DataError(f"{source}: groups.{group}: no terms; list some under 'words' or 'nouns', or remove the group")
    return terms


def index_forms(source: str, groups: Mapping[str, tuple[Term, ...]]) -> dict[str, Term]:
    """Every form in lower case with its term; a declared spelling goes before a derived plural."""
    forms: dict[str, Term] = {}
    for term in chain.from_iterable(groups.values()):
        other = forms.setdefault(form_key(term.text), term)
        if other is not term:
            problem = f"term {term.text!r} already stands in group {other.group!r}; keep it in one place"
            raise DataError(f"{source}: groups.{term.group}: {problem}")
    for term in chain.from_iterable(groups.values()):
        other = forms.setdefault(form_key(plural(term.text)), term) if term.noun else term
        if other.group != term.group:
            problem = f"the plural of {term.text!r} stands in group {other.group!r}; move {term.text!r} to 'words'"
            raise DataError(f"{source}: groups.{term.group}.nouns: {problem}")
    return forms


def _pair(source: str, known: Mapping[str, Term], left: str, right: str, context: str | None = None) -> Pair:
    where = f"{source}: swaps: [{left}, {right}]"
    for side in (left, right):
        if form_key(side) not in known or known[form_key(side)].text != side:
            hint = did_you_mean(side, [term.text for term in known.values()])
            raise DataError(f"{where}: {side!r} is not a declared term{hint}")
    if context not in (None, *CONTEXTS):
        raise DataError(f"{where}: unknown context {context!r}; allowed are {', '.join(CONTEXTS)}")
    pair = Pair(known[form_key(left)], known[form_key(right)], next((one for one in CONTEXTS if one == context), None))
    if pair.left.group == pair.right.group:
        raise DataError(f"{where}: both are in group {pair.left.group!r}; a swap joins two groups")
    return pair


def plural(noun: str) -> str:
    """The regular English plural."""
    if re.search(r"[^aeiou]y$", noun):
        return noun[:-1] + "ies"
    return noun + ("es" if re.search(r"(?:s|x|z|ch|sh)$", noun) else "s")


def fold(text: str) -> str:
    """Lower case, straight quotes and plain hyphens, every character at its old offset."""
    lower = text.lower()
    if len(lower) != len(text):  # 'İ' becomes two characters
        lower = "".join(low if len(low := character.lower()) == 1 else character for character in text)
    return lower if lower.isascii() else lower.translate(ONE_CHARACTER)


def form_key(form: str) -> str:
    """How a form is looked up: folded, its parts joined by one blank."""
    return SEPARATOR.sub(" ", fold(form))
