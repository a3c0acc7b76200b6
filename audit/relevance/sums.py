"""Sums that every task keeps: logits, shares of feature groups, ledgers; never the maps themselves."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from audit.parts import ROW, Parts, packed, unpacked
from audit.records import LedgerSummary
from audit.relevance.explainer import Explainer, check_finite
from audit.tables import FloatArray, GroupTable, IntArray

CLOSURE: Final = "closure"
MOST_IDS: Final = 20  # of empty maps, in a summary
HOW: Final = "how"  # of a part: rules, and what the engine calls each composite


@final
@dataclass(frozen=True, slots=True)
class Explained:
    """What the stage hands on for any task: logits `[examples, classes]`, and a composite its groups, rules and empty maps `[examples]`.

    `columns[composite]` are the entries of the ledger and its closure `[examples]`; `used` is what the engine calls a composite.
    """

    scores: FloatArray
    groups: Mapping[str, GroupTable]
    rules: Mapping[str, Mapping[str, int]]
    empty: Mapping[str, NDArray[np.bool_]]
    columns: Mapping[str, Mapping[str, FloatArray]]
    used: Mapping[str, str]

    def ledger(
        self, attributes: Mapping[str, NDArray[np.str_]] | None = None, ids: NDArray[np.str_] | None = None
    ) -> tuple[LedgerSummary, ...]:
        """A summary a composite, over all examples, then over each group of each attribute `[examples]`; `ids` name empty maps."""
        everything = np.ones(len(self.scores), dtype=np.bool_)
        parts = [("", "", everything)] + [
            (attribute, group, column == group)
            for attribute, column in (attributes or {}).items()
            for group in np.unique(column).tolist()
        ]
        return tuple(
            self._summary(composite, attribute, group, rows, ids)
            for attribute, group, rows in parts
            for composite in self.columns
        )

    def _summary(
        self, composite: str, attribute: str, group: str, rows: NDArray[np.bool_], ids: NDArray[np.str_] | None
    ) -> LedgerSummary:
        columns, empty = self.columns[composite], self.empty[composite] & rows
        closure = columns[CLOSURE][rows]
        entries = {name: columns[name][rows] for name in sorted(columns.keys() - {CLOSURE})}
        scale = sum(np.abs(column) for column in entries.values())
        side = np.sign(sum(entries.values()))
        return LedgerSummary(
            composite=composite,
            used=self.used[composite],
            attribute=attribute,
            group=group,
            entries={
                name: float(np.median(side * column / np.maximum(scale, 1e-30))) for name, column in entries.items()
            },
            closure_median=float(np.median(closure)),
            closure_max=float(closure.max()),
            empty_maps=int(empty.sum()),
            empty_ids=() if ids is None else tuple(ids[empty][:MOST_IDS].tolist()),
            n=len(closure),
        )


@final
class Sums:
    """Not frozen: it accumulates the `n` examples of a shard, and lives inside the work on it only."""

    def __init__(self, explainer: Explainer[Any], names: Sequence[str], n: int) -> None:
        composites = explainer.names
        self.names = tuple(names)
        self.scores: FloatArray | None = None
        self.group_sums = np.zeros((n, len(composites), 2, len(names)))  # |R|, R
        self.totals = np.zeros((n, len(composites)))
        self.sizes, self.counts = np.zeros((n, len(names))), np.zeros(n)
        self.ledger: dict[str, dict[str, FloatArray]] = {c: {} for c in composites}
        self.how: dict[str, tuple[str, dict[str, int]]] = {}

    def add_batch(self, batch: Sequence[int], found: Sequence[Any]) -> None:
        """Logits, ledgers and rules of one batch; `found` has an `lrp.Relevance` for each composite."""
        logits = check_finite(found[0].output.float().cpu().numpy().astype(float))
        if self.scores is None:
            self.scores = np.zeros((len(self.counts), logits.shape[1]))
        self.scores[batch] = logits
        for composite, result in zip(self.ledger, found, strict=True):
            columns = self.ledger[composite]
            for name, values in {**result.ledger.entries, CLOSURE: result.ledger.closure}.items():
                columns.setdefault(name, np.zeros(len(self.counts)))[batch] = values.numpy()
            if composite not in self.how:
                counts: dict[str, int] = defaultdict(int)
                for entry in result.trace:
                    counts[f"{entry.kind}: {entry.rule}"] += 1
                self.how[composite] = result.composite, counts

    def add_groups(
        self, batch: Sequence[int], values: FloatArray, masks: NDArray[np.bool_], whole: NDArray[np.bool_]
    ) -> None:
        """`values` `[composites, batch, features]`, a mask a group `[batch, groups, features]`, and of what counts at all."""
        net, inside = values.transpose(1, 0, 2), masks.transpose(0, 2, 1).astype(values.dtype)
        magnitude = np.abs(net)
        self.group_sums[batch, :, 0], self.group_sums[batch, :, 1] = magnitude @ inside, net @ inside
        self.sizes[batch], self.counts[batch] = masks.sum(2), whole.sum(1)
        self.totals[batch] = np.where(whole[:, None], magnitude, 0.0).sum(2)

    def add_sums(
        self, i: int, absolute: FloatArray, net: FloatArray, sizes: IntArray, total: FloatArray, count: int
    ) -> None:
        """Sums of |R| and R `[composites, groups]` of example `i`, and how many features each group has there `[groups]`.

        `total` `[composites]`: |R| of all features that count, `count` of them.
        """
        self.group_sums[i, :, 0], self.group_sums[i, :, 1], self.sizes[i] = absolute, net, sizes
        self.totals[i], self.counts[i] = total, count

    def part(self) -> dict[str, NDArray[Any]]:
        """Everything, for `explained`."""
        assert self.scores is not None, "nothing was explained"
        entries = {
            f"{ROW}ledger.{c}.{name}": values
            for c, columns in enumerate(self.ledger.values())
            for name, values in columns.items()
        }
        return {f"{ROW}scores": self.scores, **self.group_part(), **entries, HOW: packed(self.how)}

    def group_part(self, before: str = "") -> dict[str, NDArray[Any]]:
        """What was summed over groups, for `group_tables`."""
        arrays = {"sums": self.group_sums, "totals": self.totals, "sizes": self.sizes, "counts": self.counts}
        return {f"{ROW}{before}{name}": values for name, values in arrays.items()}


def explained(
    parts: Parts, columns: Mapping[str, NDArray[Any]], composites: Sequence[str], names: Sequence[str]
) -> Explained:
    """The tables of the whole run from its parts and what was gathered of them; `names` are those of the groups."""
    how = next(unpacked(part[HOW]) for _, part in parts)
    return Explained(
        scores=columns["scores"],
        groups=group_tables(columns, composites, names),
        rules={name: how[name][1] for name in composites},
        empty={name: columns["totals"][:, c] <= 0 for c, name in enumerate(composites)},
        columns={name: _entries(columns, f"ledger.{c}.") for c, name in enumerate(composites)},
        used={name: how[name][0] for name in composites},
    )


def group_tables(
    columns: Mapping[str, NDArray[Any]], composites: Iterable[str], names: Sequence[str], before: str = ""
) -> dict[str, GroupTable]:
    """What was summed over groups, by composite."""
    sums, totals, sizes, counts = (columns[f"{before}{name}"] for name in ("sums", "totals", "sizes", "counts"))
    return {name: _groups(sums[:, c], totals[:, c], sizes, counts, names) for c, name in enumerate(composites)}


def _entries(columns: Mapping[str, NDArray[Any]], before: str) -> dict[str, FloatArray]:
    return {name[len(before) :]: values for name, values in columns.items() if name.startswith(before)}


def _groups(
    sums: FloatArray, total: FloatArray, sizes: FloatArray, counts: FloatArray, names: Sequence[str]
) -> GroupTable:
    (absolute, net), present = (sums[:, 0], sums[:, 1]), sizes > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        share, direction = absolute / total[:, None], net / total[:, None]
        size = sizes / counts[:, None]
    usable = present & (total > 0)[:, None]
    return GroupTable(
        names=tuple(names),
        share=np.where(usable, share, np.nan),
        net=np.where(usable, direction, np.nan),
        size=np.where(present, size, np.nan),
        present=present,
    )
