"""Sums of one run that every task keeps: logits, shares of feature groups, ledgers; never the maps themselves."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from audit.records import LedgerSummary
from audit.relevance.explainer import Explainer, check_finite
from audit.tables import FloatArray, GroupTable, IntArray

CLOSURE = "closure"
MOST_IDS = 20  # of empty maps, in a summary


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
    """Not frozen: it is the stage's accumulator, and lives inside one call of it only."""

    def __init__(self, explainer: Explainer[Any], names: Sequence[str], n: int) -> None:
        composites = explainer.names
        self.names = tuple(names)
        self.scores: FloatArray | None = None
        self.group_sums = np.zeros((len(composites), 2, n, len(names)))  # |R|, R
        self.totals = np.zeros((len(composites), n))
        self.sizes, self.counts = np.zeros((n, len(names))), np.zeros(n)
        self.ledger: dict[str, dict[str, FloatArray]] = {c: {} for c in composites}
        self.rules: dict[str, dict[str, int]] = {}
        self.used: dict[str, str] = {}

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
            if composite not in self.rules:
                counts: dict[str, int] = defaultdict(int)
                for entry in result.trace:
                    counts[f"{entry.kind}: {entry.rule}"] += 1
                self.rules[composite], self.used[composite] = dict(counts), result.composite

    def add_groups(self, i: int, values: FloatArray, masks: NDArray[np.bool_], whole: NDArray[np.bool_]) -> None:
        """Example `i`: `values` `[composites, features]`, a mask a group `[groups, features]`, and of what counts at all."""
        magnitude, inside = np.abs(values), masks.T.astype(values.dtype)
        self.add_sums(
            i, magnitude @ inside, values @ inside, masks.sum(1), magnitude[:, whole].sum(1), int(whole.sum())
        )

    def add_sums(
        self, i: int, absolute: FloatArray, net: FloatArray, sizes: IntArray, total: FloatArray, count: int
    ) -> None:
        """Sums of |R| and R `[composites, groups]` of example `i`, and how many features each group has there `[groups]`.

        `total` `[composites]`: |R| of all features that count, `count` of them.
        """
        self.group_sums[:, 0, i], self.group_sums[:, 1, i], self.sizes[i] = absolute, net, sizes
        self.totals[:, i], self.counts[i] = total, count

    def finish(self) -> Explained:
        """The tables of the whole run."""
        assert self.scores is not None, "nothing was explained"
        empty = {name: self.totals[c] <= 0 for c, name in enumerate(self.ledger)}
        return Explained(self.scores, self.groups(), self.rules, empty, self.ledger, self.used)

    def groups(self) -> dict[str, GroupTable]:
        """What was summed over groups, by composite; it needs no batch."""
        return {name: self._groups(c) for c, name in enumerate(self.ledger)}

    def _groups(self, c: int) -> GroupTable:
        (absolute, net), total, present = self.group_sums[c], self.totals[c], self.sizes > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            share, direction = absolute / total[:, None], net / total[:, None]
            size = self.sizes / self.counts[:, None]
        usable = present & (total > 0)[:, None]
        return GroupTable(
            names=self.names,
            share=np.where(usable, share, np.nan),
            net=np.where(usable, direction, np.nan),
            size=np.where(present, size, np.nan),
            present=present,
        )
