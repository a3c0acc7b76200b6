"""What of a record may be published: counts below k are withheld, and whatever they could be computed from by subtraction.

A table is a set of cells and the lines whose totals a reader knows. Where a line has a cell below k, its next smallest cells are
withheld too, until their sum leaves each of them k values or more. Rates and intervals stay, so a sample size can still be
estimated from the width of an interval, roughly. Hashed ids hide names from readers; the key is printed in the report, so who holds a
list of ids can find them in it. Cost: milliseconds.
"""

import hashlib
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from pydantic import JsonValue, ValidationError

from audit.records import (
    AuditRecord,
    DataRecord,
    Distribution,
    Estimate,
    Finding,
    LedgerSummary,
    MeanMap,
    RegionRecord,
    TermCount,
    TermEffect,
)
from audit.report.page import hashes_ids, smallest_cell
from audit.report.text import WITHHELD
from audit.tables import UNKNOWN

Key = TypeVar("Key", bound=Hashable)
ALL: Final = "all"  # label of an effect over every class
OF_COLUMNS: Final = (
    "disparity",
    "errors",
    "outcome",
    "link",
)  # questions whose groups are those of a column; others read words
NOT_PEOPLE: Final = ("jitter in pixels", "twins flagged at .05 by the others")  # details
SWAPPED: Final = "texts swapped"  # the total of what is swapped one way, "from A to B", and the other
BOUNDS: Final = (  # numbers of a reason that are rules, not counts of people
    r"terms that occur in [^;]*|(?:at least|at most|above|below|margin of) \d+|\d+(?: examples)?(?: a side| each)? are needed"
)
COUNTS: Final = r"(?<![\w.,%-])(?P<count>\d+)(?![\w%]|[.,]\d)"


def published(record: AuditRecord) -> AuditRecord:
    """The record as reports may show it, by `report.smallest_cell` and `report.hash_ids` of its config."""
    k = smallest_cell(record)
    shown = record if k == 1 else _suppressed(record, k)
    return _hashed(shown) if hashes_ids(record) else shown


def withheld(
    cells: Mapping[Key, int],
    lines: Iterable[tuple[Sequence[Key], int | None]],
    k: int,
    *,
    few: Iterable[Key] = (),
) -> frozenset[Key]:
    """The cells to withhold; a line is the keys of cells and their total where a reader knows it.

    `few` are withheld whatever their count. What the total holds beyond its cells counts as one more withheld cell. Cells
    of 0 are shown. A line of which every cell is withheld has nothing left to add: its total alone bounds them.
    """
    hidden, every = {key for key, n in cells.items() if 0 < n < k} | set(few), list(lines)
    while more := next(filter(None, (_next(cells, keys, total, hidden, k) for keys, total in every)), None):
        hidden |= set(more)
    return frozenset(hidden)


def _next(cells: Mapping[Key, int], keys: Sequence[Key], total: int | None, hidden: set[Key], k: int) -> list[Key]:
    """The smallest shown cell of a line, if one more must be withheld."""
    rest = 0 if total is None else max(0, total - sum(cells[key] for key in keys))
    parts = [cells[key] for key in keys if key in hidden and cells[key]] + [rest] * (rest > 0)
    at_risk = any(key in hidden for key in keys) or 0 < rest < k
    if total is None or not at_risk or (len(parts) > 1 and sum(parts) - len(parts) + 1 >= k):
        return []
    shown = [key for key in keys if key not in hidden and cells[key]]
    return sorted(shown, key=lambda key: (cells[key], str(key)))[:1]


def _suppressed(record: AuditRecord, k: int) -> AuditRecord:
    data = record.data
    groups = {name: _groups(data, name, k) for name in data.attributes}
    labels = _table(data.labels, data.used, k)
    regions = tuple(_region(region, data.used, k) for region in record.regions)
    absent = frozenset(region.name for region in regions if region.present is None)
    return record.model_copy(
        update={
            "data": data.model_copy(
                update={
                    "unknown": {name: _unknown(name, n, groups, k) for name, n in data.unknown.items()},
                    "labels": _without(data.labels, labels),
                    "attributes": {name: _without(known, groups[name]) for name, known in data.attributes.items()},
                }
            ),
            "model": record.model.model_copy(update={"accuracy": _estimate(record.model.accuracy, k)}),
            "terms": tuple(_term(term, k) for term in record.terms),
            "effects": _effects(record.effects, k),
            "regions": regions,
            "concentration": {name: _estimate(each, k) for name, each in record.concentration.items()},
            "maps": _maps(record, groups, labels, k),
            "ledger": _ledger(record.ledger, groups, k),
            "findings": tuple(_finding(each, k, small=_tells(each, groups, absent)) for each in record.findings),
            "warnings": tuple(_masked(warning, k) for warning in record.warnings),
            "distributions": tuple(_merged(d, k) for d in record.distributions if d.n >= k and d.group not in absent),
        }
    )


def _known(cells: Mapping[Key, int | None]) -> dict[Key, int]:
    return {key: n for key, n in cells.items() if n is not None}


def _table(cells: Mapping[Key, int | None], total: int | None, k: int) -> frozenset[Key]:
    known = _known(cells)
    return withheld(known, [(list(known), total)], k)


def _without(cells: Mapping[Key, int | None], hidden: frozenset[Key]) -> dict[Key, int | None]:
    return {key: None if key in hidden else n for key, n in cells.items()}


def _groups(data: DataRecord, attribute: str, k: int) -> frozenset[str]:
    """The groups of a column to withhold; missing values are a group."""
    missing = {UNKNOWN: data.unknown[attribute]} if attribute in data.unknown else {}
    return _table({**missing, **data.attributes[attribute]}, data.used, k)


def _unknown(name: str, n: int | None, groups: Mapping[str, frozenset[str]], k: int) -> int | None:
    hidden = UNKNOWN in groups[name] if name in groups else n is not None and 0 < n < k
    return None if hidden else n


def _estimate(estimate: Estimate, k: int, *, small: bool = False) -> Estimate:
    """`small`: its counts tell the size of a withheld group, so they go and the value stays."""
    update: dict[str, object] = {"reason": _masked(estimate.reason, k, small=small)}
    if small or _too_few(estimate, k):
        update |= {"n": None, "clusters": None, "dropped": 0}
    if _too_few(estimate, k):
        update |= {"value": None, "low": None, "high": None, "reason": f"{WITHHELD}: fewer than {k} examples"}
    return estimate.model_copy(update=update)


def _too_few(estimate: Estimate, k: int) -> bool:
    return estimate.n is not None and 0 < estimate.n < k


def _masked(reason: str, k: int, *, small: bool = False, names: Sequence[str] = ()) -> str:
    """A reason without its counts below k, or without all counts; numbers in names and rules stay."""

    def shown(found: re.Match[str]) -> str:
        count = found["count"]
        if count is None or not (small or 0 < int(count) < k):
            return found[0]
        return WITHHELD if small else f"<{k}"

    kept = "|".join([*(re.escape(name) for name in sorted(names, key=len, reverse=True) if name), BOUNDS])
    return re.sub(f"{kept}|{COUNTS}", shown, reason)


def _term(term: TermCount, k: int) -> TermCount:
    if term.occurrences is None or term.examples is None:
        return term
    if term.examples < k:
        return term.model_copy(update={"occurrences": None, "examples": None, "forms": dict.fromkeys(term.forms)})
    return term.model_copy(update={"forms": _without(term.forms, _table(term.forms, term.occurrences, k))})


def _effects(effects: Sequence[TermEffect], k: int) -> tuple[TermEffect, ...]:
    """Effects of a term per class, of which the effect over all classes is the total."""
    sizes: dict[tuple[str, str, str], dict[str, int | None]] = {}
    for each in effects:
        sizes.setdefault((each.attribute, each.group, each.term), {})[each.label] = each.estimate.n
    hidden = {
        term: _table({label: n for label, n in by_label.items() if label != ALL}, by_label.get(ALL), k)
        for term, by_label in sizes.items()
    }
    return tuple(
        each.model_copy(
            update={
                "estimate": _estimate(
                    each.estimate, k, small=each.label in hidden[each.attribute, each.group, each.term]
                )
            }
        )
        for each in effects
    )


def _region(region: RegionRecord, used: int, k: int) -> RegionRecord:
    hidden = bool(_table({"present": region.present, "absent": region.absent}, used, k))
    update: dict[str, object] = {
        name: {key: _estimate(each, k, small=hidden) for key, each in getattr(region, name).items()}
        for name in ("share", "net", "ratios")
    }
    counts = {"present": None, "absent": None} if hidden else {}
    return region.model_copy(update=update | counts | {"size": _estimate(region.size, k, small=hidden)})


def _maps(
    record: AuditRecord, groups: Mapping[str, frozenset[str]], labels: frozenset[str], k: int
) -> tuple[MeanMap, ...]:
    """Without maps of fewer than k photographs or clusters, and those that they could be computed from: n and means alike add
    up over the groups of a class, and over the classes of a group."""
    hidden: set[tuple[str, str, str]] = set()
    totals = {each.label: each.n for each in record.maps if not each.attribute}
    for attribute in {each.attribute for each in record.maps}:
        mine = {(attribute, each.label, each.group): each for each in record.maps if each.attribute == attribute}
        few = {key for key, each in mine.items() if min(each.n, each.clusters) < k or each.label in labels}
        few |= {key for key, each in mine.items() if each.group in groups.get(attribute, ())}
        cells = {key: each.n for key, each in mine.items()}
        hidden |= withheld(cells, _margins(cells, totals if attribute else {}), k, few=few)
    return tuple(m for m in record.maps if (m.attribute, m.label, m.group) not in hidden)


def _margins(
    cells: Mapping[tuple[str, str, str], int], totals: Mapping[str, int]
) -> list[tuple[list[tuple[str, str, str]], int | None]]:
    """The lines of a table of (attribute, class, group): a class, of which the map of all photographs tells the total, and a group."""
    lines: list[tuple[list[tuple[str, str, str]], int | None]] = []
    for place in (1, 2):
        for name in dict.fromkeys(key[place] for key in cells):
            keys = [key for key in cells if key[place] == name]
            known = totals.get(name) if place == 1 else None
            lines.append((keys, sum(cells[key] for key in keys) if known is None else known))
    return lines


def _ledger(rows: Sequence[LedgerSummary], groups: Mapping[str, frozenset[str]], k: int) -> tuple[LedgerSummary, ...]:
    """Groups that are withheld have no entries; a count of empty maps is shown for all examples, and where no group has 1 to k - 1."""
    few = {(row.composite, row.attribute) for row in rows if row.empty_maps is not None and 0 < row.empty_maps < k}
    shown = []
    for row in rows:
        update: dict[str, object] = {}
        if row.group in groups.get(row.attribute, ()) or (row.n is not None and row.n < k):
            update = {"n": None, "entries": {}}
        if update or (row.composite, row.attribute) in few or (row.attribute and groups.get(row.attribute)):
            update |= {"empty_maps": None, "empty_ids": ()}
        shown.append(row.model_copy(update=update))
    return tuple(shown)


def _finding(finding: Finding, k: int, *, small: bool) -> Finding:
    """`small`: its counts tell the size of a withheld group. Below k, only the verdict and the words stay."""
    update: dict[str, object] = {
        "estimate": _estimate(finding.estimate, k, small=small),
        "reason": _masked(finding.reason, k, small=small, names=finding.groups),
        "details": {key: _detail(key, value, k, small=small) for key, value in finding.details.items()},
        "second_opinion": tuple(
            each.model_copy(update={"estimate": _estimate(each.estimate, k, small=small)})
            for each in finding.second_opinion
        ),
    }
    update["sensitivity"] = tuple(  # its n less that of the finding would tell how few it leaves out
        each.model_copy(update={"estimate": _estimate(each.estimate, k, small=True)}) for each in finding.sensitivity
    )
    if small:
        update["needed_n"] = None
    if _too_few(finding.estimate, k):
        update |= {
            "test": finding.test.model_copy(update={"p": None, "p_adjusted": None}),
            "details": {key: value for key, value in finding.details.items() if isinstance(value, str)},
            "second_opinion": (), "sensitivity": (), "null": (), "detectable": None, "needed_n": None,
        }  # fmt: skip
    elif _one_way(finding, k):
        update["details"] = {
            key: WITHHELD if key.startswith("from ") else value for key, value in finding.details.items()
        }
    return finding.model_copy(update=update)


def _tells(finding: Finding, groups: Mapping[str, frozenset[str]], absent: frozenset[str]) -> bool:
    """Whether the counts of a finding tell the size of a withheld group, or of those without a region."""
    of_column = finding.question in OF_COLUMNS and bool(groups.get(finding.attribute))
    return of_column or not absent.isdisjoint((*finding.groups, str(finding.details.get("region"))))


def _one_way(finding: Finding, k: int) -> bool:
    """Whether few texts are swapped one way, so that the other way tells how many."""
    total = finding.details.get(SWAPPED)
    ways = [n for key, n in finding.details.items() if key.startswith("from ") and isinstance(n, int)]
    return isinstance(total, int) and any(0 < part < k for n in ways for part in (n, total - n))


def _detail(key: str, value: JsonValue, k: int, *, small: bool) -> JsonValue:
    if isinstance(value, dict):
        try:
            return _estimate(Estimate.model_validate(value), k, small=small).model_dump()
        except ValidationError:
            return {name: _detail(name, item, k, small=small) for name, item in value.items()}
    if isinstance(value, bool) or not isinstance(value, int) or key in NOT_PEOPLE:
        return value
    return WITHHELD if (small and value) or 0 < value < k else value


def _merged(shown: Distribution, k: int) -> Distribution:
    """Neighbouring bins joined until none holds 1 to k - 1; too few zeros, or too few others, join the first bin."""
    few = shown.zeros is not None and (0 < shown.zeros < k or 0 < sum(shown.counts) < k)
    counts = [shown.counts[0] + (shown.zeros or 0) * few, *shown.counts[1:]]
    filled = max((i for i, n in enumerate(counts, 1) if n), default=0)
    edges, joined = [shown.edges[0]], list[int]()
    waiting = 0
    for n, right in zip(counts[:filled], shown.edges[1:], strict=False):
        waiting += n
        if waiting == 0 or waiting >= k:
            edges, joined, waiting = [*edges, right], [*joined, waiting], 0
    if waiting:
        last = max((i for i, n in enumerate(joined) if n), default=0)
        edges, joined = [*edges[: last + 1], shown.edges[filled]], [*joined[:last], sum(joined[last:]) + waiting]
    return shown.model_copy(
        update={
            "edges": (*edges, *shown.edges[filled + 1 :]),
            "counts": (*joined, *counts[filled:]),
            "zeros": None if few else shown.zeros,
            "mean": _estimate(shown.mean, k),
        }
    )


def _hashed(record: AuditRecord) -> AuditRecord:
    def hashed(name: str) -> str:
        key = record.protocol_sha256.encode()[: hashlib.blake2b.MAX_KEY_SIZE]
        return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), key=key, digest_size=6).hexdigest()

    return record.model_copy(
        update={
            "exhibits": tuple(each.model_copy(update={"id": hashed(each.id)}) for each in record.exhibits),
            "ledger": tuple(
                row.model_copy(update={"empty_ids": tuple(hashed(name) for name in row.empty_ids)})
                for row in record.ledger
            ),
        }
    )
