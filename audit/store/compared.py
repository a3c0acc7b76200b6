"""Two records of one audit beside each other: what went in, and estimate by estimate what came out."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

from audit.records import AuditRecord, Estimate, Finding

Scalar = str | int | float | bool | None
TOLERANCE: Final = 1e-6
DIRTY: Final = " with uncommitted changes"
IDENTICAL, CLOSE, DIFFERENT, MISSING, NEW = "identical", "same to 1e-6", "different", "missing", "new"
SAME, CHANGED, UNKNOWN = "same", "changed", "not known"


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
    """One result of both, by its parts; None where a record does not have it. A part that is no number is the same or not."""

    kind: str
    name: str
    before: Mapping[str, Scalar] | None
    after: Mapping[str, Scalar] | None

    @property
    def state(self) -> str:
        """The worst state of its parts."""
        if self.before is None or self.after is None:
            return NEW if self.before is None else MISSING
        states = set(self._states().values())
        return next((state for state in (DIFFERENT, CLOSE) if state in states), IDENTICAL)

    @property
    def holds(self) -> bool:
        """Whether it came out again."""
        return self.state in (IDENTICAL, CLOSE)

    @property
    def differing(self) -> tuple[str, ...]:
        """The parts that came out otherwise."""
        return tuple(part for part, state in self._states().items() if state == DIFFERENT)

    def _states(self) -> dict[str, str]:
        if self.before is None or self.after is None:
            return {}
        parts = dict.fromkeys([*self.before, *self.after])
        return {part: _state(self.before.get(part), self.after.get(part)) for part in parts}


def inputs(before: AuditRecord, after: AuditRecord) -> tuple[Input, ...]:
    """What went in: hashes, counts, packages, code, hardware; what neither record tells is left out."""
    one, two = dict(_inputs(before)), dict(_inputs(after))
    return tuple(
        Input(name, one.get(name), two.get(name), _known(one.get(name), two.get(name)))
        for name in dict.fromkeys([*one, *two])
        if one.get(name) is not None or two.get(name) is not None
    )


def outcomes(before: AuditRecord, after: AuditRecord) -> tuple[Outcome, ...]:
    """What came out, kind by kind, in the order of the first record."""
    found = []
    for kind, read in KINDS.items():
        one, two = dict(_numbered(read(before))), dict(_numbered(read(after)))
        found += [Outcome(kind, name, one.get(name), two.get(name)) for name in dict.fromkeys([*one, *two])]
    return tuple(found)


def _state(before: Scalar, after: Scalar) -> str:
    if type(before) is type(after) and before == after:
        return IDENTICAL
    numbers = [float(each) for each in (before, after) if isinstance(each, int | float) and not isinstance(each, bool)]
    if len(numbers) < 2:
        return DIFFERENT
    close = math.isclose(*numbers, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return IDENTICAL if numbers[0] == numbers[1] else CLOSE if close else DIFFERENT


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


def _numbered(found: Iterable[tuple[str, Mapping[str, Scalar]]]) -> Iterator[tuple[str, Mapping[str, Scalar]]]:
    """With a number behind a name that stands there already, so that none hides another."""
    seen: dict[str, int] = {}
    for name, parts in found:
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name} ({seen[name]})", parts


def _estimate(estimate: Estimate, prefix: str = "") -> dict[str, Scalar]:
    return {f"{prefix}{part}": getattr(estimate, part) for part in ("value", "low", "high", "n")}


def _finding(finding: Finding) -> dict[str, Scalar]:
    grade = None if finding.grade is None else finding.grade.value
    test = {"p": finding.test.p, "adjusted p": finding.test.p_adjusted}
    return {**_estimate(finding.estimate), **test, "verdict": finding.verdict.value, "grade": grade}


def _findings(record: AuditRecord) -> Iterator[tuple[str, Mapping[str, Scalar]]]:
    yield from ((finding.id, _finding(finding)) for finding in record.findings)


def _ratios(record: AuditRecord) -> Iterator[tuple[str, Mapping[str, Scalar]]]:
    for table in record.impact:
        for each in table.categories:
            parts = {
                **_estimate(each.ratio),
                **_estimate(each.rate, "rate "),
                "p": each.p,
                "adjusted p": each.p_adjusted,
            }
            yield f"{table.attribute}: {each.name}", {"selected": each.selected, **parts, "reading": each.reading}


def _checks(record: AuditRecord) -> Iterator[tuple[str, Mapping[str, Scalar]]]:
    yield from (
        (f"{each.asks} by {each.by}", {**_estimate(each.estimate), "holds": each.holds}) for each in record.validity
    )


KINDS: Final[Mapping[str, Callable[[AuditRecord], Iterable[tuple[str, Mapping[str, Scalar]]]]]] = MappingProxyType({
    "finding": _findings,
    "impact ratio": _ratios,
    "validity check": _checks,
    "accuracy": lambda record: [("accuracy", _estimate(record.model.accuracy))],
    "gate": lambda record: [(gate.question, {"state": gate.state}) for gate in record.gates],
    "exit code": lambda record: [("exit code", {"code": record.exit_code})],
})  # fmt: skip
