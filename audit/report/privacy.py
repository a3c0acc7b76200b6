"""What of a record may be published: `audit.json` is the auditor's and keeps everything, a report shows this.

Counts of people below k are withheld, and whatever they could be computed from: other cells of a table (`suppression`), rates of
few events and counts of the same attribute (`disclosure`), ratios of rates (`impact`). Rows that were excluded are shown by reason,
however few: they are files and cells that could not be read, belong to no group and have no outcome in the audit, and "nothing is
dropped silently" needs the sum of all rows. Widths of other intervals tell a sample size roughly. Hashed ids hide names from readers; the
key is printed in the report, so who holds a list of ids can find them in it. Cost: milliseconds.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from audit.records import (
    Agreement,
    AuditRecord,
    DataRecord,
    Discovery,
    Distribution,
    Estimate,
    LedgerSummary,
    MeanMap,
    RegionRecord,
    TermCount,
    TermEffect,
    ValidityCheck,
    Withheld,
)
from audit.report.baseline import shown_baseline
from audit.report.disclosure import hidden_terms, shown_findings, told_of
from audit.report.impact import shown_impact
from audit.report.page import hashes_ids, smallest_cell
from audit.report.suppression import masked, rare, shown_estimate, small, table, withheld, without
from audit.report.text import WITHHELD
from audit.tables import UNKNOWN

ACCURACY: Final = r"(?<=accuracy )0\.\d+"  # in a warning


def published(record: AuditRecord) -> AuditRecord:
    """The record as reports may show it, by `report.smallest_cell` and `report.hash_ids` of its config; debugging is not for them."""
    k = smallest_cell(record)
    shown = (record if k == 1 else _suppressed(record, k)).model_copy(update={"debug": None})
    return _hashed(shown) if hashes_ids(record) else shown


def _suppressed(record: AuditRecord, k: int) -> AuditRecord:
    data = record.data
    groups = {name: _groups(data, name, k) for name in data.attributes}
    labels = table(data.labels, data.used, k)
    regions = tuple(_region(region, data.used, k) for region in record.regions)
    unsure = rare(record.model.accuracy, k)  # whose examples, all misclassified, could be counted
    told = told_of(record, groups, k)
    absent = frozenset(region.name for region in regions if region.present is None)
    findings = shown_findings(record, told, absent, k)
    return record.model_copy(
        update={
            "data": data.model_copy(
                update={
                    "unknown": {name: _unknown(name, n, groups, k) for name, n in data.unknown.items()},
                    "labels": without(data.labels, labels),
                    "attributes": {name: without(known, groups[name]) for name, known in data.attributes.items()},
                }
            ),
            "model": record.model.model_copy(update={"accuracy": shown_estimate(record.model.accuracy, k)}),
            "exhibits": () if unsure else record.exhibits,
            "terms": tuple(_term(term, data.used, k) for term in record.terms),
            "effects": _effects(record.effects, k),
            "regions": regions,
            "concentration": {name: _of_all(each, data.used, k) for name, each in record.concentration.items()},
            "maps": _maps(record, groups, labels, k),
            "ledger": _ledger(record.ledger, groups, k),
            "validity": tuple(_validity(each, k) for each in record.validity),
            "baseline": record.baseline and shown_baseline(record.baseline, findings, k),
            "discovery": record.discovery and _discovery(record.discovery, data.used, k),
            "agreement": tuple(_agreement(each, k) for each in record.agreement),
            "findings": findings,
            "impact": tuple(shown_impact(each, told, k) for each in record.impact),
            "warnings": tuple(_warning(each, k, hidden=unsure) for each in record.warnings),
            "distributions": tuple(_merged(d, k) for d in record.distributions if _many(d, data.used, absent, k)),
        }
    )


def _validity(each: ValidityCheck, k: int) -> ValidityCheck:
    """Without counts: they would tell how few have no map."""
    return each.model_copy(update={"estimate": shown_estimate(each.estimate, k, counts=False)})


def _agreement(each: Agreement, k: int) -> Agreement:
    """Without counts: where few examples lack a region, they would tell how many."""
    return each.model_copy(update={
        "spearman": shown_estimate(each.spearman, k, counts=False), "sign": shown_estimate(each.sign, k, counts=False),
    })  # fmt: skip


def _discovery(found: Discovery, used: int, k: int) -> Discovery:
    """Without words that too few examples hold, or lack, which are counted, and without a count of any side or half.

    A difference of shares, and its p, could be solved for few examples of a side; what they show is what the kind says.
    """
    few = [
        each.examples is not None and (each.examples < k or small(used - each.examples, k)) for each in found.candidates
    ]
    kept = tuple(
        each.model_copy(update={
            "estimate": shown_estimate(each.estimate, k, counts=False), "presence": None, "p_presence_adjusted": None,
        })
        for each, hidden in zip(found.candidates, few, strict=True)
        if not hidden
    )  # fmt: skip
    dropped = Counter(
        (each.comparison, each.kind) for each, hidden in zip(found.candidates, few, strict=True) if hidden
    )
    compared = tuple(
        each.model_copy(update={"reason": masked(each.reason, k, counts=False, names=each.sides)})
        for each in found.compared
    )
    counted = tuple(Withheld(comparison=comparison, kind=kind, n=n) for (comparison, kind), n in dropped.items())
    return found.model_copy(update={"candidates": kept, "compared": compared, "withheld": counted})


def _of_all(estimate: Estimate, used: int, k: int) -> Estimate:
    return shown_estimate(estimate, k, counts=not small(used - (estimate.n or used), k))


def _many(shown: Distribution, used: int, absent: frozenset[str], k: int) -> bool:
    """Whether neither few examples hold the group nor few do not."""
    return shown.n >= k and not small(used - shown.n, k) and shown.group not in absent


def _warning(warning: str, k: int, *, hidden: bool) -> str:
    """`hidden`: without the accuracy."""
    return masked(re.sub(ACCURACY, WITHHELD, warning) if hidden else warning, k)


def _groups(data: DataRecord, attribute: str, k: int) -> frozenset[str]:
    """The groups of a column to withhold; missing values are a group."""
    missing = {UNKNOWN: data.unknown[attribute]} if attribute in data.unknown else {}
    return table({**missing, **data.attributes[attribute]}, data.used, k)


def _unknown(name: str, n: int | None, groups: Mapping[str, frozenset[str]], k: int) -> int | None:
    hidden = UNKNOWN in groups[name] if name in groups else n is not None and 0 < n < k
    return None if hidden else n


def _term(term: TermCount, used: int, k: int) -> TermCount:
    if term.occurrences is None or term.examples is None:
        return term
    if term.examples < k or small(used - term.examples, k):
        return term.model_copy(update={"occurrences": None, "examples": None, "forms": dict.fromkeys(term.forms)})
    return term.model_copy(update={"forms": without(term.forms, table(term.forms, term.occurrences, k))})


def _effects(effects: Sequence[TermEffect], k: int) -> tuple[TermEffect, ...]:
    """Effects of a term per class, of which the effect over all classes is the total."""
    hidden = hidden_terms(effects, k)
    return tuple(
        each.model_copy(
            update={
                "estimate": shown_estimate(
                    each.estimate, k, counts=(each.attribute, each.group, each.term, each.label) not in hidden
                )
            }
        )
        for each in effects
    )


def _region(region: RegionRecord, used: int, k: int) -> RegionRecord:
    hidden = bool(table({"present": region.present, "absent": region.absent}, used, k))
    update: dict[str, object] = {
        name: {key: shown_estimate(each, k, counts=not hidden) for key, each in getattr(region, name).items()}
        for name in ("share", "net", "ratios")
    }
    counts = {"present": None, "absent": None} if hidden else {}
    return region.model_copy(update=update | counts | {"size": shown_estimate(region.size, k, counts=not hidden)})


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
            "mean": shown_estimate(shown.mean, k),
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
