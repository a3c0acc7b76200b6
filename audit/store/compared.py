"""Two records of one audit beside each other: what went in, and estimate by estimate what came out."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, final

from audit.records import AuditRecord

Scalar = str | int | float | bool | None
TOLERANCE: Final = 1e-6  # of the larger of two numbers that are not whole
FLOOR: Final = 1e-9
DIRTY: Final = " with uncommitted changes"
IDENTICAL, CLOSE, DIFFERENT, MISSING, NEW = "identical", "same to 1e-6", "different", "missing", "new"
SAME, CHANGED, UNKNOWN = "same", "changed", "not known"
FINDINGS: Final = "findings"
ASIDE: Final[Mapping[str, str]] = MappingProxyType({
    "schema_version": "the layout of the record",
    "name": "the config's",
    "run_id": "made of the time",
    "started": "a time",
    "finished": "a time",
    "seconds": "times",
    "protocol_sha256": "what went in",
    "protocol_changed": "what other runs lay beside it",
    "identity": "what went in",
    "config": "what is run again",
    "provenance": "what went in, and the command",
    "data.path": "what went in",
    "data.sha256": "what went in",
    "model.path": "what went in",
    "model.sha256": "what went in",
    "lexicons.sha256": "what went in",
    "regions.sha256": "what went in",
})  # fmt: skip
"""What of a record is no result, and why; everything else is compared."""
NAMES: Final = ("id", "key"), (
    "question", "attribute", "axis", "group", "comparison", "category", "name", "term", "label", "layer", "feature", "changed",
    "asks", "by", "composite", "kind",
)  # fmt: skip
"""What tells the entries of a list apart: the first pair alone, or all others that are there."""


@final
@dataclass(frozen=True, slots=True)
class Input:
    """One thing that went into both; `state` is "not known" where a record does not tell it, or code had uncommitted changes."""

    name: str
    before: str | None
    after: str | None
    state: str


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """One result of both, leaf by leaf; None where a record does not have it.

    `kind` is its field in `audit.json`, `differing` are the leaves that came out otherwise, `state` is the worst of all.
    """

    kind: str
    name: str
    before: Mapping[str, Scalar] | None
    after: Mapping[str, Scalar] | None
    state: str
    differing: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether it came out again."""
        return self.state in (IDENTICAL, CLOSE)


def inputs(before: AuditRecord, after: AuditRecord) -> tuple[Input, ...]:
    """What went in: hashes, counts, packages, code, hardware; what neither record tells is left out."""
    one, two = dict(_inputs(before)), dict(_inputs(after))
    return tuple(
        Input(name, one.get(name), two.get(name), _known(one.get(name), two.get(name)))
        for name in dict.fromkeys([*one, *two])
        if one.get(name) is not None or two.get(name) is not None
    )


def outcomes(before: AuditRecord, after: AuditRecord) -> tuple[Outcome, ...]:
    """Everything that came out, in the order of the first record; entries of lists are matched by what they are of."""
    one, two = ({(kind, name): leaves for kind, name, leaves in _results(each)} for each in (before, after))
    return tuple(_outcome(*at, one.get(at), two.get(at)) for at in dict.fromkeys([*one, *two]))


def _outcome(kind: str, name: str, before: Mapping[str, Scalar] | None, after: Mapping[str, Scalar] | None) -> Outcome:
    if before is None or after is None:
        return Outcome(kind, name, before, after, NEW if before is None else MISSING)
    states = {
        leaf: _state(before[leaf], after[leaf]) if leaf in before and leaf in after else DIFFERENT
        for leaf in {**before, **after}
    }
    worst = next((state for state in (DIFFERENT, CLOSE) if state in states.values()), IDENTICAL)
    return Outcome(kind, name, before, after, worst, tuple(leaf for leaf in states if states[leaf] == DIFFERENT))


def _state(before: Scalar, after: Scalar) -> str:
    if before == after and isinstance(before, bool) == isinstance(after, bool):
        return IDENTICAL
    if isinstance(before, float) and isinstance(after, float):
        return CLOSE if math.isclose(before, after, rel_tol=TOLERANCE, abs_tol=FLOOR) else DIFFERENT
    return DIFFERENT


def _results(record: AuditRecord) -> Iterator[tuple[str, str, Mapping[str, Scalar]]]:
    """Field, name and leaves of every entry of a list of parts, and of every other field as a whole."""
    for field, value in record.model_dump(mode="json").items():
        if field in ASIDE:
            continue
        if isinstance(value, list) and all(isinstance(each, dict) for each in value):
            yield from ((field, name, dict(_leaves(each, field))) for name, each in _named(value))
        else:
            yield field, field, dict(_leaves(value, field))


def _leaves(value: Any, field: str, path: str = "") -> Iterator[tuple[str, Scalar]]:
    """Numbers, words and empty containers by their place; no two places are written alike."""
    if f"{field}.{path}" in ASIDE:
        return
    if not isinstance(value, dict | list):
        yield path or field, value
    elif not value:
        yield f"{path}{value}", None
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, field, f"{path}.{_quoted(key)}" if path else _quoted(key))
    else:
        for name, each in _named(value):
            yield from _leaves(each, field, f"{path}[{_quoted(name)}]")


def _quoted(key: str) -> str:
    return key if key and not set(key) & set('."[]{}') else json.dumps(key, ensure_ascii=False)


def _named(entries: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Entries by what they are of, or by their place; with a number behind a name that stands there already."""
    taken = set[str]()
    for i, each in enumerate(entries):
        name = unique = _name(each) or str(i + 1)
        again = 1
        while unique in taken:
            again += 1
            unique = f"{name} ({again})"
        taken.add(unique)
        yield unique, each


def _name(entry: Any) -> str:
    if not isinstance(entry, dict):
        return ""
    alone, parts = ([str(entry[key]) for key in names if entry.get(key)] for names in NAMES)
    return alone[0] if alone else ", ".join(parts)


def _known(before: str | None, after: str | None) -> str:
    if before is None or after is None or DIRTY in before + after:
        return UNKNOWN
    return SAME if before == after else CHANGED


def _inputs(record: AuditRecord) -> Iterator[tuple[str, str | None]]:
    told, data = record.provenance, record.data
    yield from (("data", data.sha256), ("data rows", f"{data.used} of {data.rows} used"))
    yield "model", record.model.sha256
    yield from ((f"lexicon of {each.attribute}", each.sha256) for each in record.lexicons)
    yield from ((f"masks of {each.name}", each.sha256) for each in record.regions)
    yield "protocol", record.protocol_sha256
    yield "code", told.code_revision and told.code_revision + (DIRTY if told.code_dirty else "")
    yield from (("Python", told.python), ("platform", told.platform), ("device", told.device))
    yield from told.hardware.items()
    yield from ((f"package {name}", version) for name, version in told.packages.items())
