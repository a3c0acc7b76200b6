"""Section L: what each profile asks for, and where this audit answers it. Nothing is hidden: a field of the file is a row.

Everything is read from what may be published of a record. Texts are data, as people and files wrote them: whoever shows them escapes them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from typing import Any, Final, final

from audit.records import AuditRecord, Estimate, ImpactTable
from audit.records.base import Entry
from audit.report.computed import COMPUTED
from audit.report.conditions import CONDITIONS, numbered, uncounted, untold
from audit.report.declarations import block, supplied
from audit.report.outline import AXES, SECTIONS
from audit.report.profile import NAMES, Field, ProfileFile, shipped
from audit.report.text import WITHHELD, clean, count, interval, listed, number, percent, shorten

LENGTH, MOST = 160, 12
TOO_SMALL: Final = "too small to show (report.smallest_cell)"


class State(StrEnum):
    """What becomes of a field."""

    SECTION = "in the report"
    RECORD = "from the record"
    DECLARED = "declared"
    MISSING = "NOT SUPPLIED"
    WITHHELD = "withheld"
    OUTSIDE = "not covered by this tool"
    NOT_ASKED = "not applicable"


FILLED: Final = (State.SECTION, State.RECORD, State.DECLARED)
TOLD: Final[tuple[tuple[tuple[State, ...], str], ...]] = (
    ((State.MISSING,), "not supplied"), ((State.WITHHELD,), "withheld"), ((State.OUTSIDE,), "not covered"),
    ((State.NOT_ASKED,), "not applicable"),
)  # fmt: skip


@final
@dataclass(frozen=True, slots=True)
class Row:
    """A field, where the text asks for it, and its answer: `letter` of the section that holds it ("": none), and the words of it."""

    field: str
    source: str
    state: State
    text: str
    letter: str = ""
    note: str = ""


@final
@dataclass(frozen=True, slots=True)
class Crosswalk:
    """A profile filled in; `dated` is the date of its file, `basis` how the text behind it was read."""

    name: str
    title: str
    dated: date
    basis: str
    caveat: str
    rows: tuple[Row, ...]

    @property
    def counts(self) -> dict[State, int]:
        """Rows of each state, those with none included."""
        found = Counter(row.state for row in self.rows)
        return {state: found[state] for state in State}

    @property
    def summary(self) -> str:
        """How many of its fields are filled, and what became of the others."""
        counts = self.counts
        filled = f"{sum(counts[state] for state in FILLED)} of {len(self.rows)} fields are filled"
        others = [(sum(counts[state] for state in states), words) for states, words in TOLD]
        return ", ".join((filled, *(f"{n} {words}" for n, words in others if n)))


def profiles(record: AuditRecord) -> tuple[Crosswalk, ...]:
    """The profiles that the config asks for, filled in from a record that may be published; raises `ConfigError` for a bad file."""
    return tuple(filled(record, name, _shipped(name)) for name in _asked(record) if name in NAMES)


def unknown(record: AuditRecord) -> list[str]:
    """Profiles that the config asks for and this release does not have, as the record may be of another."""
    return [shorten(name) for name in _asked(record) if name not in NAMES]


def _asked(record: AuditRecord) -> list[str]:
    names = block(record).get("profile")
    return list(dict.fromkeys(map(str, names))) if isinstance(names, list | tuple) else []


_shipped = cache(shipped)


def filled(record: AuditRecord, name: str, profile: ProfileFile) -> Crosswalk:
    """One profile, a row a field."""
    rows = tuple(row(record, field) for field in profile.fields)
    return Crosswalk(name, profile.title, profile.dated, profile.basis, profile.caveat, rows)


def row(record: AuditRecord, field: Field) -> Row:
    """What the record answers to one field."""
    state, text, letter = _answer(record, field)
    return Row(field.field, field.source, state, text, letter, field.note or "")


def _answer(record: AuditRecord, field: Field) -> tuple[State, str, str]:
    """State, words and letter; a condition that the text makes goes before everything else."""
    if field.when and not CONDITIONS[field.when].holds(record):
        return State.NOT_ASKED, CONDITIONS[field.when].otherwise, ""
    if field.outside:
        return State.OUTSIDE, field.outside, ""
    if field.section:
        return _section(record, field.section, field.needs)
    if field.declaration:
        value = supplied(record, field.declaration)
        missing = f"no declaration {field.declaration}"
        return (State.DECLARED, shorten(value, LENGTH), "A") if value else (State.MISSING, missing, "")
    if field.impact:
        return _impact(record, field.impact)
    if field.computed:
        text, reason = COMPUTED[field.computed](record)
        return (State.MISSING, reason, "") if text is None else (State.RECORD, text, "")
    return _recorded(record, field)


def _section(record: AuditRecord, letter: str, needs: str | None) -> tuple[State, str, str]:
    """The section that holds the answer; it is withheld where all of it is, and a part that is withheld is named beside the section."""
    where = f"section {letter}, {SECTIONS[letter]}"
    if needs is None:
        return State.SECTION, where, letter
    hidden = listed([shorten(name) for name in CONDITIONS[needs].withheld(record)])
    if CONDITIONS[needs].holds(record):
        return State.SECTION, f"{where}; withheld: {hidden}" if hidden else where, letter
    return (
        (State.WITHHELD, f"{TOO_SMALL}: {hidden}", "") if hidden else (State.MISSING, CONDITIONS[needs].otherwise, "")
    )


def _recorded(record: AuditRecord, field: Field) -> tuple[State, str, str]:
    path = str(field.record)
    values = resolve(record, path)
    if path.startswith("config."):
        values = [_set(value) for value in values]
    if any(isinstance(value, Estimate) and untold(value) for value in values):
        return State.WITHHELD, TOO_SMALL, ""
    texts = list(dict.fromkeys(text for value in values if (text := _text(value))))
    if texts:
        return (State.WITHHELD if set(texts) == {WITHHELD} else State.RECORD), shorten("; ".join(texts), LENGTH), ""
    if path.startswith("provenance.") and record.provenance.platform == WITHHELD:
        return State.WITHHELD, "left out of the variant for the public", ""
    return (State.RECORD, field.empty, "") if field.empty else (State.MISSING, f"the record has no {path}", "")


def _set(value: Any) -> Any:
    """Of a block of the config what is set; in counts, None is what is withheld."""
    return {name: each for name, each in value.items() if each is not None} if isinstance(value, Mapping) else value


def _impact(record: AuditRecord, axis: str) -> tuple[State, str, str]:
    """The table of the axis; `all` asks for all three, and names those that there are, are withheld and are missing."""
    wanted = tuple(AXES) if axis == "all" else (axis,)
    found = {each: [table for table in record.impact if _same(table, each) and table.categories] for each in wanted}
    there = {each: tables[0] for each, tables in found.items() if tables}
    present = [f"{AXES[each]}: {shorten(table.attribute)}{_left(table)}" for each, table in there.items()]
    missing = [f"{AXES[each]}: {_why_no_table(record, each)}" for each in wanted if each not in there]
    held = State.SECTION if all(map(numbered, there.values())) else State.WITHHELD
    where = f"section E, {'; '.join(present)}" if present else ""
    return State.MISSING if missing else held, "; ".join(filter(None, (where, *missing))), "E" if present else ""


def _left(table: ImpactTable) -> str:
    """What is held back of a table."""
    return f", {TOO_SMALL}" if not numbered(table) else ", its counts withheld" if uncounted(table) else ""


def _why_no_table(record: AuditRecord, axis: str) -> str:
    told = [clean(table.reason) for table in record.impact if table.reason and _same(table, axis)]
    if told:
        return told[0]
    axes = block(record).get("axes")
    if isinstance(axes, Mapping) and all(axes.get(each) for each in axis.split(" x ")):
        return "the record has no table of this axis"
    return "no attribute is declared as this axis (compliance.axes)"


def _same(table: ImpactTable, axis: str) -> bool:
    """Whichever of two crossed axes is named first."""
    return set(table.axis.split(" x ")) == set(axis.split(" x "))


def resolve(record: AuditRecord, path: str) -> list[Any]:
    """The values at a dotted path: of a tuple, those of all its entries; empty where a mapping has no such key."""
    found: list[Any] = [record]
    for part in path.split("."):
        found = [value for each in found for value in _below(each, part)]
    return found


def _below(value: Any, part: str) -> Sequence[Any]:
    if isinstance(value, Mapping):
        return [value[part]] if part in value else []
    if isinstance(value, tuple):
        return [found for each in value for found in _below(each, part)]
    return [getattr(value, part)] if isinstance(value, Entry) else []


def _text(value: Any) -> str:
    """A value in words; empty where there is nothing to tell."""
    if isinstance(value, Estimate):
        return (
            "" if value.value is None else f"{interval(value)} ({percent(value.level)} interval, n = {count(value.n)})"
        )
    if isinstance(value, Entry):
        return _text(value.model_dump(exclude_none=True))
    if isinstance(value, Mapping):
        if value and all(each is None for each in value.values()):
            return WITHHELD
        return listed([f"{name} {_text(each) or WITHHELD}" for name, each in value.items()], MOST)
    if isinstance(value, list | tuple):
        return listed([text for each in value if (text := _text(each))], MOST)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value) if abs(value) >= 0.001 or value == 0 else f"{value:.1e}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else clean(str(value)).strip()
